/** The bearer token of a request, by the grammar of RFC 6750 §2.1, and the challenge when it will not do (§3). */

import type { IncomingMessage } from 'node:http'
import { OAuthError } from '../errors.js'

/** Characters of an Authorization header that are looked at. */
const longestHeader = 16_384

/**
 * The token. Throws `missing_credentials` when there is none or another scheme was used, `invalid_request` when the
 * header is malformed or came twice: Node would silently keep the first, a proxy before it may have judged the second.
 */
export function bearerToken(req: IncomingMessage): string {
  // Adapters for serverless platforms fill `headers` alone.
  const { authorization = [req.headers.authorization] } = req.headersDistinct
  const [header, ...more] = authorization
  if (header === undefined) throw new OAuthError('missing_credentials')
  if (more.length > 0) throw new OAuthError('invalid_request', { reason: 'repeated_header' })
  if (header.length > longestHeader) throw new OAuthError('invalid_request', { reason: 'header_too_long' })
  if (!/^bearer(?![^\s,])/i.test(header)) throw new OAuthError('missing_credentials')
  const token = /^bearer +([A-Za-z0-9\-._~+/]+=*)$/i.exec(header)?.[1]
  if (token === undefined) throw new OAuthError('invalid_request', { reason: 'malformed_header' })
  return token
}

/** What each refusal says to a client, in words that never change. */
const descriptions: Partial<Record<OAuthError['code'], string>> = {
  invalid_request: 'The Authorization header is malformed',
  invalid_token: 'The access token is not valid',
  insufficient_scope: 'More scope is needed than the access token has',
}

/**
 * The `WWW-Authenticate` header for a refusal; none for failures that are not the client's. Without credentials it has
 * no error code. `error` and `scope` come before the description: clients read them by pattern.
 */
export function bearerChallenge(error: OAuthError, realm?: string): string | undefined {
  const description = error.reason === 'expired' ? 'The access token expired' : descriptions[error.code]
  if (description === undefined && error.code !== 'missing_credentials') return undefined
  const parameters = [
    realm !== undefined && `realm="${realm}"`,
    description !== undefined && `error="${error.code}"`,
    error.scope !== undefined && `scope="${error.scope.join(' ')}"`,
    description !== undefined && `error_description="${description}"`,
  ].filter((parameter) => parameter !== false)
  return ['Bearer', parameters.join(', ')].join(' ').trim()
}
