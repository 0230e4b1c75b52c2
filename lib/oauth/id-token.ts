/** The ID token: its signature, and how the user was authenticated (OpenID Connect Core §3.1.3.7). */

import { isOAuthError, OAuthError } from '../errors.js'
import { checkTimes } from '../jose/time.js'
import { invalidToken, parseJwt, type Claims } from '../jose/jwt.js'
import { verifySignature } from '../jose/verify.js'
import { authenticationIn, shortcoming, type AuthenticationClock } from './authentication.js'
import type { AuthorizationTransaction } from './authorization-request.js'
import type { Client } from './client.js'

/**
 * The claims, once the signature stands. openid-client has judged issuer, audience, nonce and times before; the
 * signature is always checked here, although OpenID Connect allows trusting TLS instead.
 */
export async function verifyIdToken(client: Client, idToken: string): Promise<Claims> {
  try {
    const jwt = parseJwt(idToken, client.algorithms)
    if (jwt.typ !== undefined && jwt.typ !== 'jwt') throw invalidToken('typ') // another kind of token (RFC 8725 §3.12)
    if (!isSubject(jwt.claims['sub'])) throw invalidToken('sub')
    checkTimes(jwt.claims, client.now(), client.clockTolerance)
    await verifySignature(client.keySet, jwt)
    return jwt.claims
  } catch (cause) {
    if (!isOAuthError(cause) || cause.code !== 'invalid_token') throw cause
    throw new OAuthError('invalid_id_token', {
      ...(cause.reason !== undefined && { reason: cause.reason }),
      hint: 'The ID token is malformed, or not signed by a key in the key set of the authorization server.',
      cause,
    })
  }
}

/** OpenID Connect Core §2: at most 255 ASCII characters. */
export function isSubject(value: unknown): value is string {
  return typeof value === 'string' && /^[\x20-\x7e]{1,255}$/.test(value)
}

/** What the login asked for must have been met: `acr` is voluntary for servers, and some ignore `max_age`. */
export function checkAuthentication(
  claims: Claims,
  { acr_values, max_age }: AuthorizationTransaction,
  clock: AuthenticationClock,
): void {
  const demand = {
    ...(acr_values !== undefined && { acr: acr_values.split(' ') }),
    ...(max_age !== undefined && { maxAge: max_age }),
  }
  const reason = shortcoming(authenticationIn(claims), demand, clock)
  if (reason === undefined) return
  const asked = reason === 'acr' ? `acr_values "${acr_values}"` : `max_age ${max_age}`
  throw new OAuthError('insufficient_user_authentication', {
    status: 400,
    reason,
    hint: `The login asked for ${asked}, and "${reason}" of the ID token is missing or does not meet it.`,
  })
}

const longestSessionId = 512

/** The server's own name for its session (OpenID Connect Front-Channel Logout §3); nothing when it is none or too long. */
export function sessionIdIn({ sid }: Claims): string | undefined {
  return typeof sid === 'string' && sid !== '' && sid.length <= longestSessionId ? sid : undefined
}
