/** The access token of a request, by the grammar of RFC 6750 §2.1 and RFC 9449 §7.1. */

import type { IncomingMessage } from 'node:http'
import { OAuthError } from '../errors.js'

/** How a token is presented: alone, or with a proof that its key is at hand. */
export type AuthScheme = 'Bearer' | 'DPoP'

export interface Credentials {
  readonly scheme: AuthScheme
  readonly token: string
}

/** Characters of an Authorization header that are looked at. */
export const longestHeader = 16_384

const grammar: Record<AuthScheme, { named: RegExp; whole: RegExp }> = {
  Bearer: { named: /^bearer(?![^\s,])/i, whole: /^bearer +([A-Za-z0-9\-._~+/]+=*)$/i },
  DPoP: { named: /^dpop(?![^\s,])/i, whole: /^dpop +([A-Za-z0-9\-._~+/]+=*)$/i },
}

/**
 * Throws `missing_credentials` when there are none or another scheme was used, `invalid_request` when the header is
 * malformed or came twice: Node would silently keep the first, a proxy before it may have judged the second.
 */
export function credentialsOf(
  req: IncomingMessage,
  schemes: readonly AuthScheme[] = ['Bearer'],
): Credentials {
  const header = req.headers.authorization
  if (header === undefined) throw new OAuthError('missing_credentials')
  if (isRepeated(req)) throw new OAuthError('invalid_request', { reason: 'repeated_header' })
  if (header.length > longestHeader) throw new OAuthError('invalid_request', { reason: 'header_too_long' })
  const scheme = schemeOf(req, schemes)
  if (scheme === undefined) throw new OAuthError('missing_credentials')
  const token = grammar[scheme].whole.exec(header)?.[1]
  if (token === undefined) throw new OAuthError('invalid_request', { reason: 'malformed_header' })
  return { scheme, token }
}

/** Which of the schemes a request uses, by its name alone. */
export function schemeOf(
  { headers: { authorization = '' } }: IncomingMessage,
  schemes: readonly AuthScheme[],
): AuthScheme | undefined {
  return schemes.find((one) => grammar[one].named.test(authorization))
}

const allSchemes = Object.keys(grammar) as AuthScheme[]

/** Whether a request names a scheme that tokens come with, be it taken here or not: its client means to be known by one. */
export function bringsToken(req: IncomingMessage): boolean {
  return schemeOf(req, allSchemes) !== undefined
}

/** Whether a value could have come in a header: `b64token` of RFC 6750 §2.1, and no longer than one. */
export function isToken(value: unknown): value is string {
  return typeof value === 'string' && value.length <= longestHeader && /^[A-Za-z0-9\-._~+/]+=*$/.test(value)
}

const name = 'authorization'

/** Whether the request came with more than one `Authorization`. Asked of each request, so nothing is built for it. */
export function isRepeated({ rawHeaders }: IncomingMessage): boolean {
  let seen = 0
  // Adapters for serverless platforms fill `headers` alone.
  const length = rawHeaders?.length ?? 0
  for (let index = 0; index < length; index += 2) {
    const header = rawHeaders[index] ?? ''
    if (header.length === name.length && (header === 'Authorization' || header.toLowerCase() === name))
      seen += 1
  }
  return seen > 1
}
