/** The URI that a request is for, in one spelling and without query and fragment, as DPoP proofs name it (RFC 9449 §4.2). */

const form = /^(https?):\/\/([\w\-.~!$&'()*+,;=:[\]]+)(\/[^?#]*)?(?:[?#].*)?$/i
const defaultPorts: Record<string, RegExp> = { http: /:(?:80)?$/, https: /:(?:443)?$/ }

/**
 * Normalised by RFC 3986 §6.2.2 and §6.2.3: two URIs are the same only if no server may tell them apart. Reserved
 * characters stay as they are written. Nothing for what is no such URI, and for one with dot segments, which some proxies
 * resolve and others do not.
 */
export function targetUri(uri: string): string | undefined {
  if (!/^[\x21-\x7e]*$/.test(uri) || uri.includes('\\')) return undefined
  const [, givenScheme, authority, givenPath = '/'] = form.exec(uri) ?? []
  if (givenScheme === undefined || authority === undefined) return undefined
  if (/%(?![0-9a-f]{2})/i.test(givenPath)) return undefined
  const path = givenPath.replace(/%[0-9a-f]{2}/gi, normalEncoding)
  if (path.split('/').some((segment) => segment === '.' || segment === '..')) return undefined
  const scheme = givenScheme.toLowerCase()
  const host = authority.toLowerCase().replace(defaultPorts[scheme] ?? /$^/, '')
  return `${scheme}://${host}${path}`
}

/** What needs no encoding has none, everything else is in capitals. */
function normalEncoding(encoded: string): string {
  const character = String.fromCharCode(Number.parseInt(encoded.slice(1), 16))
  return /[\w\-.~]/.test(character) ? character : encoded.toUpperCase()
}
