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

type RequestCookies = Readonly<Record<string, unknown>>

const parse = cookieParser()
const parsed = new WeakMap<IncomingMessage, RequestCookies>()

/**
 * Parsed once per request, and beside it: an app's own parser leaves a request alone that has been parsed, so that it would
 * never verify the cookies that the app has signed.
 */
function cookiesOf(req: IncomingMessage): RequestCookies {
  const known = parsed.get(req)
  if (known) return known
  const beside = { headers: req.headers } as Parameters<typeof parse>[0]
  parse(beside, undefined as never, () => undefined)
  const cookies = beside.cookies as RequestCookies
  parsed.set(req, cookies)
  return cookies
}

/**
 * The value of a cookie. Nothing when the name came twice: one of the two was planted, by a sibling domain for
 * instance, and nobody can tell which.
 */
export function readCookie(req: IncomingMessage, name: string): string | undefined {
  const header = req.headers.cookie
  const value = header?.includes(name) && !comesTwice(header, name) ? cookiesOf(req)[name] : undefined
  return typeof value === 'string' ? value : undefined
}

/** Whether more than one cookie in the header has this name. Values are skipped: they may be long. */
function comesTwice(header: string, name: string): boolean {
  let isSeen = false
  for (let before = -1; ;) {
    if (isNameAt(header, before + 1, name)) {
      if (isSeen) return true
      isSeen = true
    }
    before = header.indexOf(';', before + 1)
    if (before === -1) return false
  }
}

/** Whether the pair that begins there has this name. */
function isNameAt(header: string, start: number, name: string): boolean {
  let at = start
  while (isSpace(header.charCodeAt(at))) at += 1
  if (!header.startsWith(name, at)) return false
  at += name.length
  while (isSpace(header.charCodeAt(at))) at += 1
  return at >= header.length || header[at] === '=' || header[at] === ';'
}

/** Everything that `trim` takes away of what a header can have. */
function isSpace(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d) || code === 0xa0
}

/** The names of all cookies that begin with `prefix`. */
export function cookieNames(req: IncomingMessage, prefix: string): string[] {
  if (!req.headers.cookie?.includes(prefix)) return []
  return Object.keys(cookiesOf(req)).filter((name) => name.startsWith(prefix))
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
  const present = res.getHeader('vary')
  if (present === undefined) {
    res.setHeader('vary', 'Cookie')
    return
  }
  const vary = [present].flat().join(', ')
  if (!/(^|,)\s*(\*|cookie)\s*(,|$)/i.test(vary)) res.appendHeader('vary', 'Cookie')
}

export function clearCookie(
  res: ServerResponse,
  name: string,
  attributes: Omit<CookieAttributes, 'maxAge'>,
): void {
  writeCookie(res, name, '', { ...attributes, maxAge: 0 })
}
