/** A verifier as the MCP SDK's own middleware wants one. */

import { isOAuthError, OAuthError } from '../errors.js'
import { descriptionOf } from './challenge.js'
import type { Verifier } from './verifier.js'

/** What the MCP SDK knows of a request: its type `AuthInfo`. */
export interface McpAuthInfo {
  token: string
  /** Empty where the token does not name its client. */
  clientId: string
  scopes: string[]
  /** Seconds since the epoch. */
  expiresAt: number
  resource?: URL
  resourceMetadataUrl?: string
  /** The claims. */
  extra: Record<string, unknown>
}

/** The MCP SDK's type `OAuthTokenVerifier`. */
export interface McpTokenVerifier {
  verifyAccessToken(token: string): Promise<McpAuthInfo>
}

/**
 * For those who keep `requireBearerAuth` of the MCP SDK: `toMcpVerifier(verifier, (message) => new
 * InvalidTokenError(message))`, or with version 2 of the SDK `(message) => new OAuthError(OAuthErrorCode.InvalidToken,
 * message)`. The error has to be one of the SDK's own classes. It is what a token that is not good ends in: when that cannot
 * be known, the error of `verify` goes on, which the SDK answers with 500 and no challenge. Throws `invalid_configuration`
 * when no error is made.
 */
export function toMcpVerifier(
  verifier: Pick<Verifier, 'verify'>,
  invalidToken: (message: string) => Error,
): McpTokenVerifier {
  if (!makesErrors(invalidToken)) {
    throw new OAuthError('invalid_configuration', {
      message:
        'toMcpVerifier: the second argument makes no error; pass (message) => new InvalidTokenError(message)',
    })
  }
  return {
    async verifyAccessToken(token) {
      try {
        const { clientId, scopes, expiresAt, resource, resourceMetadataUrl, claims } =
          await verifier.verify(token)
        return {
          token,
          clientId: clientId ?? '',
          scopes: [...scopes],
          expiresAt,
          ...(resource && { resource }),
          ...(resourceMetadataUrl !== undefined && { resourceMetadataUrl }),
          extra: claims,
        }
      } catch (error) {
        const isNotGood = isOAuthError(error) && error.code === 'invalid_token'
        throw isNotGood ? invalidToken(descriptionOf(error) ?? error.publicMessage) : error
      }
    },
  }
}

/** A class, for one, cannot be called; better to know now than at the first bad token. */
function makesErrors(invalidToken: (message: string) => unknown): boolean {
  try {
    return invalidToken('The access token is not valid') instanceof Error
  } catch {
    return false
  }
}
