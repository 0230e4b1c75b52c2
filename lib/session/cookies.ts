/** Cookies: reading what the browser sent, and adding to what it will keep (RFC 6265bis). */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { serialize } from 'cookie'
import cookieParser from 'cookie-parser'
import onHeaders from 'on-headers'

export interface CookieAttributes {
  /** Seconds that the browser keeps it. */
  maxAge: number
  /** Over https, or not at all. */
  secure: boolean
  /** Default `lax`. */
  sameSite?: 'lax' | 'none'
}

interface RequestCookies {
  readonly values: Readonly<Record<string, unknown>>
  /** Names that came more than once. */
  readonly repeated: ReadonlySet<string>
}

const parse = cookieParser()
const parsed = new WeakMap<IncomingMessage, RequestCookies>()

/** Parsed once per request, and not at all when the app has done so. */
function cookiesOf(req: IncomingMessage): RequestCookies {
  const known = parsed.get(req)
  if (known) return known
  const request = req as Parameters<typeof parse>[0]
  parse(request, undefined as never, () => undefined)
  const names = (req.headers.cookie ?? '').split(';').map((pair) => pair.split('=', 1)[0]?.trim() ?? '')
  const seen = new Set<string>()
  const repeated = new Set(names.filter((name) => seen.has(name) || !seen.add(name)))
  const cookies = { values: request.cookies as RequestCookies['values'], repeated }
  parsed.set(req, cookies)
  return cookies
}

/**
 * The value of a cookie. Nothing when the name came twice: one of the two was planted, by a sibling domain for
 * instance, and nobody can tell which.
 */
export function readCookie(req: IncomingMessage, name: string): string | undefined {
  if (!req.headers.cookie?.includes(name)) return undefined
  const { values, repeated } = cookiesOf(req)
  const value = repeated.has(name) ? undefined : values[name]
  return typeof value === 'string' ? value : undefined
}

/** The names of all cookies that begin with `prefix`. */
export function cookieNames(req: IncomingMessage, prefix: string): string[] {
  if (!req.headers.cookie?.includes(prefix)) return []
  return Object.keys(cookiesOf(req).values).filter((name) => name.startsWith(prefix))
}

/** Adds a cookie to the response in place of one of that name that was added before. */
export function writeCookie(
  res: ServerResponse,
  name: string,
  value: string,
  attributes: CookieAttributes,
): void {
  const { maxAge, secure, sameSite = 'lax' } = attributes
  const cookie = serialize(name, value, {
    path: '/',
    httpOnly: true,
    maxAge: Math.max(0, Math.floor(maxAge)),
    secure,
    sameSite,
  })
  const others = [res.getHeader('set-cookie') ?? []]
    .flat()
    .filter((other) => !String(other).startsWith(`${name}=`))
  onHeaders(res, forbidCaching)
  res.setHeader('set-cookie', [...others.map(String), cookie])
}

/** A cache that kept one of our cookies would sign the next visitor in as this one, whatever the app said before. */
function forbidCaching(this: ServerResponse): void {
  if (!String(this.getHeader('cache-control') ?? '').includes('no-store'))
    this.setHeader('cache-control', 'private, no-store')
  varyByCookie(this)
}

export function varyByCookie(res: ServerResponse): void {
  const vary = [res.getHeader('vary') ?? []].flat().join(', ')
  if (!/(^|,)\s*(\*|cookie)\s*(,|$)/i.test(vary)) res.appendHeader('vary', 'Cookie')
}

export function clearCookie(
  res: ServerResponse,
  name: string,
  attributes: Omit<CookieAttributes, 'maxAge'>,
): void {
  writeCookie(res, name, '', { ...attributes, maxAge: 0 })
}
