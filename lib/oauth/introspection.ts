/** What an authorization server says about a token (RFC 7662). */

import { tokenIntrospection } from 'openid-client'
import { isOAuthError, OAuthError } from '../errors.js'
import { invalidToken, type Claims } from '../jose/jwt.js'
import { judgeAccessToken, type AccessToken, type AccessTokenRules } from './access-token.js'
import type { TokenClient } from './client.js'
import { tokenEndpointError } from './server-error.js'
import { requireEndpoint } from './server-metadata.js'

/**
 * The server's answer about an active token; nothing when it does not say that the token is active. Whatever goes wrong
 * has a status of 5xx, since whoever presents a token can do nothing about it: 503 when the server cannot be asked or gives
 * an answer that is none, 500 when it refuses us (`invalid_client`, `server_refused`).
 */
export async function introspection(client: TokenClient, token: string): Promise<Claims | undefined> {
  try {
    requireEndpoint(await client.metadata(), 'introspection_endpoint')
    return await client.authenticated(async (configuration) => {
      try {
        const answer = await tokenIntrospection(configuration, token, { token_type_hint: 'access_token' })
        return answer.active ? answer : undefined
      } catch (thrown) {
        if (isWithoutActive(thrown)) return undefined
        throw refusal(tokenEndpointError(thrown, [token, ...client.secrets()]))
      }
    })
  } catch (error) {
    throw isOAuthError(error) && error.status === 502 ? unusable(error) : error
  }
}

/** openid-client throws when `active` is no boolean. To us that is an answer, and none that says yes. */
function isWithoutActive(thrown: unknown): boolean {
  if (!(thrown instanceof Error)) return false
  const { cause } = thrown
  if (cause instanceof Error) return isWithoutActive(cause)
  if (!('code' in thrown && thrown.code === 'OAUTH_INVALID_RESPONSE')) return false
  const body: unknown =
    cause !== null && typeof cause === 'object' && 'body' in cause ? cause.body : undefined
  if (body === null || typeof body !== 'object' || Array.isArray(body)) return false
  // An error that came with status 200 says nothing about the token.
  return !Object.hasOwn(body, 'error')
}

/** A server that says no says it to us, and not to whoever brought the token. Anything else stays as it is. */
function refusal(error: OAuthError): OAuthError {
  const { code, status, reason, serverError } = error
  const said = { status: 500, cause: error, ...(reason && { reason }), ...(serverError && { serverError }) }
  if (code === 'invalid_client' || reason === 'status_401') {
    return new OAuthError('invalid_client', {
      ...said,
      message: 'the introspection endpoint does not let this API in',
      hint: 'Check "introspection.clientId", its secret or key (of this environment?) and "introspection.tokenEndpointAuthMethod". The server may have to allow this client to introspect.',
    })
  }
  if (!serverError || status >= 500) return error
  return new OAuthError('server_refused', {
    ...said,
    message: `the introspection endpoint refused the request with "${serverError.error}"`,
    hint:
      serverError.error === 'unsupported_token_type'
        ? 'The server does not introspect JWTs. Leave "introspection.tokens" at "opaque": then they are verified here.'
        : 'The server may have to allow this client to introspect. Its logs say why it refused.',
  })
}

/** Of metadata or of the endpoint: nobody knows what the token is worth, and the next answer may be a good one. */
function unusable(error: OAuthError): OAuthError {
  const { code, message, reason, serverError } = error
  const hint = code === 'invalid_server_response' ? answerHint : error.hint
  return new OAuthError(code, {
    status: 503,
    message: `the authorization server cannot be asked about tokens: ${message}`,
    cause: error,
    ...(hint && { hint }),
    ...(reason && { reason }),
    ...(serverError && { serverError }),
  })
}

const answerHint =
  'Check where the introspection endpoint is. It must answer with a JSON object with "active", sent as application/json (RFC 7662 §2.2). Signed answers (RFC 9701) are not supported: have the server send this client plain ones.'

/**
 * Judges an answer like the claims of a JWT. What it leaves out is made up for: it is the configured issuer who was asked,
 * and it vouches for the token until `vouchedUntil`, in seconds since the epoch. Throws `invalid_token` with the reason.
 */
export function judgeIntrospection(
  answer: Claims,
  rules: AccessTokenRules,
  vouchedUntil: number,
): AccessToken {
  const { token_type: type, token_use: use, aud } = answer
  const claims = { iss: rules.issuer, exp: vouchedUntil, ...answer }
  // The profile is one of JWTs.
  const judged = judgeAccessToken({ claims }, { ...rules, profile: 'any' })
  if (typeof use === 'string' && /^(?:id|refresh|logout)_token$/i.test(use))
    throw invalidToken('not_an_access_token')
  // Servers introspect refresh tokens, too. Some tell them apart only by having neither type nor audience.
  const isTyped = typeof type === 'string' && /^(?:bearer|dpop)$/i.test(type)
  if (!isTyped && (type !== undefined || aud === undefined)) throw invalidToken('token_type')
  return { ...judged, claims: answer }
}
