/** Members that each body of a request to an API has, unless it has them already. */

import type { ListedApi } from './listed-api.js'

type Body = RequestInit['body']
type Members = ListedApi<unknown>['body']

/** The body with what is missing, where it is a form or the text of a JSON object; any other stays as it is. */
export function withBody(body: Body, contentType: string | null, members: Members): Body {
  if (members.length === 0) return body
  if (body instanceof URLSearchParams) return withEntries(new URLSearchParams(body), members)
  if (body instanceof FormData) return withEntries(copyOf(body), members)
  const isJson = /^application\/json\s*(;|$)/i.test(contentType ?? '')
  return typeof body === 'string' && isJson ? withMembers(body, members) : body
}

function withEntries<T extends URLSearchParams | FormData>(copy: T, members: Members): T {
  for (const [name, value] of members) if (!copy.has(name)) copy.append(name, String(value))
  return copy
}

function copyOf(form: FormData): FormData {
  const copy = new FormData()
  for (const [name, value] of form) {
    if (typeof value === 'string') copy.append(name, value)
    else copy.append(name, value, value.name)
  }
  return copy
}

/** What is there is not written anew: numbers of many digits would come out as others. */
function withMembers(text: string, members: Members): string {
  const object = jsonObject(text)
  const missing = members.filter(([name]) => object && !Object.hasOwn(object, name))
  if (!object || missing.length === 0) return text
  const added = missing.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')
  return text.replace('{', () => `{${added}${Object.keys(object).length === 0 ? '' : ','}`)
}

function jsonObject(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}
