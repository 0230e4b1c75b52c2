/** Where a user may be sent after login and logout: to a path of this site and nowhere else (RFC 9700 §4.11). */

const longest = 2_048

/**
 * The path as it goes into a `Location` header, or nothing when a browser could read it as another site. Both the value
 * and what becomes of it are judged: `/.//evil.example` is a path of this site whose normal form is not.
 */
export function localPath(value: unknown, origin: string): string | undefined {
  if (typeof value !== 'string' || value.length > longest) return undefined
  // Browsers drop tabs and line breaks, and take a backslash for a slash.
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (!/^\/(?![/\\])[^\\\x00-\x20\x7f]*$/.test(value) || !URL.canParse(value, origin)) return undefined
  const url = new URL(value, origin)
  const location = `${url.pathname}${url.search}${url.hash}`
  if (url.origin !== origin || !URL.canParse(location, origin)) return undefined
  const emitted = new URL(location, origin)
  return emitted.origin === origin && emitted.pathname === url.pathname ? location : undefined
}

/** What of an absolute URL follows the origin of this site; anything else as it came. To be judged by `localPath`. */
export function pathOn(url: string, origin: string): string {
  return url.startsWith(origin) ? url.slice(origin.length) || '/' : url
}
