/** Resource indicators: which API a token is for (RFC 8707). */

/** §2: an absolute URI without a fragment. */
export function isResource(value: string): boolean {
  return URL.canParse(value) && !value.includes('#')
}
