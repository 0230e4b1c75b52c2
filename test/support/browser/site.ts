/** Who counts as the same site: `Sec-Fetch-Site` of Fetch Metadata §2.4 and SameSite of RFC 6265bis §5.2. */
import { getPublicSuffix } from 'tough-cookie'

export type Site = 'none' | 'same-origin' | 'same-site' | 'cross-site'

/** The farthest of all addresses of a redirect chain; `none` for a typed address. */
export function fetchSite(initiator: string | undefined, chain: readonly string[]): Site {
  if (initiator === undefined) return 'none'
  if (chain.some((url) => siteOf(url) !== siteOf(initiator))) return 'cross-site'
  return chain.some((url) => originOf(url) !== originOf(initiator)) ? 'same-site' : 'same-origin'
}

/** Which cookies go along: all, all but Strict, or only those with SameSite=None. */
export function sameSiteContext(site: Site, method: string): 'strict' | 'lax' | 'none' {
  if (site !== 'cross-site') return 'strict'
  return method === 'GET' ? 'lax' : 'none'
}

export function originOf(url: string): string {
  return new URL(url).origin
}

function siteOf(url: string): string {
  const { protocol, hostname } = new URL(url)
  return `${protocol}//${registrableDomain(hostname) ?? hostname}`
}

function registrableDomain(hostname: string): string | undefined {
  return getPublicSuffix(hostname, { allowSpecialUseDomain: true, ignoreError: true })
}
