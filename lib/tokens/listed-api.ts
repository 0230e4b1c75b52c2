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
}

/** An API that may be called; `access` is what its tokens are asked for. */
export interface ListedApi<T> {
  readonly url: string
  readonly access: T
  readonly query: readonly (readonly [name: string, value: string])[]
  readonly headers: readonly (readonly [name: string, value: string])[]
}

const knownOfAll: Record<keyof ApiOptions, true> = { url: true, query: true, headers: true }

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
      ...checkedDefaults(api, checkApi),
    }
  })
}

/** What each request to an API has by default. */
export function checkedDefaults(
  { query, headers }: Partial<Pick<ApiOptions, 'query' | 'headers'>>,
  check: OptionChecks,
): Pick<ListedApi<unknown>, 'query' | 'headers'> {
  return { query: checkedQuery(query, check), headers: checkedHeaders(headers, check) }
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
    // RFC 6750 §2: a request shows its token in one way only.
    if (name === 'access_token')
      check.refuse(`query.${name}`, 'is not yours to set', 'remove it; the token goes into a header')
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
    if (!isHeader(name, value))
      check.refuse(`headers.${shown(name)}`, 'is no header', 'give a name as in RFC 9110 and a text')
  }
  return entries.map(([name, value]) => [name, String(value)])
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
