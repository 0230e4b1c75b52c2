/** The option `apis`: where an API is, what its tokens are asked for, and what each request to it has by default. */

import type { OptionChecks } from '../options.js'
import { apiUrlProblem } from './api-allow-list.js'
import { isReservedForEach } from './reserved-header.js'

/** What is said of any API, whoever calls it. */
export interface ApiOptions {
  /** All below it, on the border of a path segment: `https://api.example.com/v1` is not `/v1x`. */
  readonly url: string
  /**
   * Parameters for the query of each request, such as `{ api_version: '2026-11' }`. An address that has one of this name
   * keeps its own. Default: none.
   */
  readonly query?: Readonly<Record<string, string | number>>
  /** Headers of each request, such as `{ accept: 'application/json' }`. A request that has one keeps its own. Default: none. */
  readonly headers?: Readonly<Record<string, string>>
  /**
   * Members of each body that is a form (`URLSearchParams`, `FormData`), or the text of a JSON object whose content type says
   * so. A body that has one of this name keeps its own, and any other body stays as it is. Default: none.
   */
  readonly body?: Readonly<Record<string, string | number | boolean>>
}

/** An API that may be called; `access` is what its tokens are asked for. */
export interface ListedApi<T> {
  readonly url: string
  readonly access: T
  readonly query: readonly (readonly [name: string, value: string])[]
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: readonly (readonly [name: string, value: string | number | boolean])[]
}

const knownOfAll: Record<keyof ApiOptions, true> = { url: true, query: true, headers: true, body: true }

/**
 * `known` are the options of an API that say what its tokens are asked for, and `access` reads them. Nothing that is
 * changed in the options later changes what is allowed.
 */
export function checkedApis<A extends ApiOptions, T>(
  apis: readonly (string | A)[] | undefined,
  known: Record<Exclude<keyof A, keyof ApiOptions>, true>,
  access: (api: Partial<A>, check: OptionChecks) => T,
  check: OptionChecks,
): ListedApi<T>[] {
  if (apis === undefined) return []
  if (!Array.isArray(apis)) check.refuse('apis', 'is not a list', 'give a list of URLs')
  return apis.map((given, index) => {
    const api: Partial<A> = typeof given === 'string' ? ({ url: given } as Partial<A>) : given
    const checkApi = check.within(`apis[${index}]`, api, { ...knownOfAll, ...known })
    return {
      url: checkedUrl(api.url, checkApi),
      access: access(api, checkApi),
      query: checkedQuery(api.query, checkApi),
      headers: checkedHeaders(api.headers, checkApi),
      body: checkedBody(api.body, checkApi),
    }
  })
}

function checkedUrl(url: string | undefined, check: OptionChecks): string {
  const problem = apiUrlProblem(url)
  return url === undefined || problem
    ? check.refuse('url', problem?.problem ?? 'is missing', problem?.advice ?? 'give it')
    : url
}

function checkedQuery(query: ApiOptions['query'] = {}, check: OptionChecks): [string, string][] {
  const entries = named('query', query, check)
  for (const [name, value] of entries) {
    checkNoSecret('query', name, check)
    if ((typeof value !== 'string' && typeof value !== 'number') || /\p{Cc}/u.test(`${name}${value}`))
      check.refuse(
        `query.${shown(name)}`,
        'is not a text',
        'give a text without control characters, or a number',
      )
  }
  return entries.map(([name, value]) => [name, String(value)])
}

function checkedHeaders(headers: ApiOptions['headers'] = {}, check: OptionChecks): [string, string][] {
  const entries = named('headers', headers, check)
  for (const [name, value] of entries) {
    if (isReservedForEach(name))
      check.refuse(`headers.${name}`, 'is not yours to set', 'remove it; it belongs to a single request')
    checkNoSecret('headers', name, check)
    if (!isHeader(name, value))
      check.refuse(`headers.${shown(name)}`, 'is no header', 'give a name as in RFC 9110 and a text')
  }
  return entries.map(([name, value]) => [name, String(value)])
}

function checkedBody(
  body: ApiOptions['body'] = {},
  check: OptionChecks,
): [string, string | number | boolean][] {
  return named('body', body, check).map(([name, value]) => {
    checkNoSecret('body', name, check)
    if (typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value))
      return [name, value as string | number | boolean]
    return check.refuse(`body.${shown(name)}`, 'is no plain value', 'give a text, a number, true or false')
  })
}

/** RFC 6750 §2: a request shows its token in one way only. The others would lie in every log of the API. */
const secretNames =
  /^(access_?token|refresh_?token|id_?token|client_?secret|client_?assertion|authorization|password)$/i

function checkNoSecret(option: string, name: string, check: OptionChecks): void {
  if (secretNames.test(name.replaceAll('-', '_')))
    check.refuse(
      `${option}.${name}`,
      'is not yours to set',
      'remove it; the token goes into a header, and no other secret belongs into each request',
    )
}

function named(option: string, values: unknown, check: OptionChecks): [string, unknown][] {
  if (values !== null && typeof values === 'object' && !Array.isArray(values)) return Object.entries(values)
  return check.refuse(option, 'is not an object', 'give names and values, such as { name: "value" }')
}

function isHeader(name: string, value: unknown): boolean {
  return (
    typeof value === 'string' && /^[!#$%&'*+\-.^_`|~\w]+$/.test(name) && /^[\x20-\x7e\xa0-\xff]*$/.test(value)
  )
}

/** A name that forges no line of a log. */
function shown(name: string): string {
  return JSON.stringify(name.slice(0, 100)).slice(1, -1)
}
