/** The addresses that an access token may be sent to: everything below the URLs that were listed, however it is spelled. */

import { OAuthError } from '../errors.js'
import { isSecure } from '../http.js'

/** What is listed, and the address to send to: the text that was judged is the text that is sent. */
export interface AllowedApi<T> {
  readonly url: string
  readonly api: T
}

/**
 * Finds the API that an address belongs to, the one with the longest path if several fit. `https://api.example.com/v1`
 * stands for itself and all below `/v1/`, and with a slash at its end only for all below.
 * Throws `url_not_allowed` for everything else, and for spellings that one server may read otherwise than another.
 */
export type ApiAllowList<T> = (target: unknown) => AllowedApi<T>

/** `apis` have been judged by {@link apiUrlProblem}. */
export function apiAllowList<T extends { readonly url: string }>(apis: readonly T[]): ApiAllowList<T> {
  const listed = apis
    .map((api) => ({ api, origin: new URL(api.url).origin, prefix: new URL(api.url).pathname }))
    .toSorted((a, b) => b.prefix.length - a.prefix.length)
  return (target) => {
    const { url, problem } = plainUrl(target)
    if (problem !== undefined) throw notAllowed(problem, url)
    const found = listed.find(({ origin, prefix }) => url.origin === origin && isBelow(url.pathname, prefix))
    if (!found) throw notAllowed('not_listed', url)
    return { url: url.href, api: found.api }
  }
}

/** What is wrong with a URL to be listed and what to do, or nothing. */
export function apiUrlProblem(value: unknown): { problem: string; advice: string } | undefined {
  const { url, problem } = plainUrl(value)
  if (problem !== undefined || String(value).includes('*')) {
    return {
      problem: typeof value === 'string' ? `is "${withoutPassword(value).slice(0, 200)}"` : 'is not a URL',
      advice:
        'give an absolute https URL in its normal form, such as "https://api.example.com/v1/"; plain http is accepted only for localhost, 127.0.0.1 and [::1]',
    }
  }
  if (/[?#]/.test(String(value)))
    return { problem: `is "${url.href}"`, advice: 'remove the query and the fragment' }
  return undefined
}

/** Whoever writes one into a URL still does not want it in a log. */
function withoutPassword(url: string): string {
  return url.replace(/(\/\/[^/?#:@]*):[^/?#]*@/, '$1:…@')
}

type PlainUrl =
  | { readonly url: URL; readonly problem?: undefined }
  | { readonly url?: URL | undefined; readonly problem: 'not_a_url' | 'spelling' | 'not_https' }

/**
 * An absolute URL that says the same to everybody. Whatever the parser would put right is refused instead of put right:
 * capitals, a default port, user names, odd forms of IP addresses, backslashes and dots in the path.
 */
function plainUrl(target: unknown): PlainUrl {
  const text = target instanceof URL ? target.href : target
  if (typeof text !== 'string' || !URL.canParse(text)) return { problem: 'not_a_url' }
  const url = new URL(text)
  url.hash = ''
  const [origin = '', path = ''] = split(text)
  if (/[\p{Cc}\\]/u.test(text) || origin !== url.origin || url.hostname.endsWith('.'))
    return { url, problem: 'spelling' }
  if (!isSecure(url)) return { url, problem: 'not_https' }
  return path === '' || isPlainPath(path) ? { url } : { url, problem: 'spelling' }
}

/** Whether a path, which begins with a slash, says the same to every server that reads it. */
export function isPlainPath(path: string): boolean {
  return segments(path).every(isPlainSegment)
}

/** Scheme and authority, and the path, as they are written. */
function split(text: string): string[] {
  return /^([a-z]+:\/\/[^/?#]*)([^?#]*)/.exec(text)?.slice(1) ?? []
}

/** Without the first, which is before the slash; the last may be empty, as behind a slash. */
function segments(path: string): { text: string; isLast: boolean }[] {
  const [, ...rest] = path.split('/')
  return rest.map((text, index) => ({ text, isLast: index === rest.length - 1 }))
}

/** How often a text may be encoded over and over until it is too odd to go on. */
const mostDecodings = 3

/**
 * Whether every server between here and the API sees the same segment. Some decode twice, some drop what follows a
 * semicolon before they look for dots, some take look-alikes of `.` and `/` for the real ones.
 */
function isPlainSegment({ text, isLast }: { text: string; isLast: boolean }): boolean {
  if (text === '') return isLast
  // Almost all of them: nothing to decode, nothing that looks like something else.
  if (/^[\w~-][\w.~-]*$/.test(text)) return true
  let current = text
  for (let round = 0; round <= mostDecodings; round++) {
    const seen = current.normalize('NFKC')
    if (/[/\\\p{Cc}]/u.test(seen) || /^\.{1,2}(;|$)/.test(seen)) return false
    const next = decoded(current)
    if (next === undefined) return round > 0
    if (next === current) return true
    current = next
  }
  return false
}

/** Nothing when it is not UTF-8 in percent-encoding. */
function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** On the border of a segment. */
export function isBelow(path: string, prefix: string): boolean {
  return path === prefix || path.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`)
}

const hints = {
  not_a_url: 'Give an absolute URL as a string or a URL.',
  spelling:
    'Write the address in its normal form: without user name, default port, backslash, "//", "." and ".." in the path, also when they are encoded.',
  not_https: 'Use https; plain http is accepted only for localhost, 127.0.0.1 and [::1].',
  not_listed: 'Access tokens go to listed APIs only. If this is one, list it in the option "apis".',
} as const

/** Neither path nor query is repeated: they may hold what nobody should read. */
function notAllowed(reason: keyof typeof hints, url: URL | undefined): OAuthError {
  const where = url === undefined ? 'this' : url.origin
  return new OAuthError('url_not_allowed', {
    message: `no access token is sent to ${where}: ${reason.replaceAll('_', ' ')}`,
    reason,
    hint: hints[reason],
  })
}
