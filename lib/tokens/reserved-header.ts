/** Headers of a request to an API that are nobody's to set beside a token. */

/** For one connection only (RFC 9110 §7.6.1); what ends in a dash stands for all that begins so. */
export const hopByHop: readonly string[] = [
  'connection',
  'keep-alive',
  'proxy-',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]

/** Any of these, and with a dash at the end whatever begins so. */
export function headerPattern(names: readonly string[]): RegExp {
  return new RegExp(`^(?:${names.map((name) => (name.endsWith('-') ? `${name}.*` : name)).join('|')})$`)
}

const reserved = headerPattern([...hopByHop, 'authorization', 'dpop', 'host', 'cookie', 'cookie2'])

/**
 * Whether a request with an access token cannot have this header from whoever makes it: those that show tokens, that name
 * another place, that carry what browsers sent to this one, and that are of one connection only.
 */
export function isReservedHeader(name: string): boolean {
  return reserved.test(name.toLowerCase())
}

/** The same for a header that each request shall have: the length of a body belongs to one. */
export function isReservedForEach(name: string): boolean {
  return isReservedHeader(name) || /^(content-length|expect)$/i.test(name)
}
