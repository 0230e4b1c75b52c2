/** The way back: a callback's parameters are judged, and its code becomes tokens (RFC 6749 §4.1.2 to §4.1.4, RFC 9207). */

import { authorizationCodeGrant as codeGrant, type TokenEndpointResponse } from 'openid-client'
import { OAuthError } from '../errors.js'
import type { Claims } from '../jose/jwt.js'
import { isState, transactionBinding, type AuthorizationTransaction } from './authorization-request.js'
import type { Client } from './client.js'
import type { DPoPKey } from './dpop-key.js'
import { proving } from './dpop-keys.js'
import { checkAuthentication, verifyIdToken } from './id-token.js'
import { scopesIn } from './scope.js'
import { authorizationError, grantError } from './server-error.js'
import { tokenSet, type TokenSet } from './token-set.js'

export interface Grant {
  readonly tokens: TokenSet
  /** The claims of the ID token; nothing from a server without OpenID Connect. */
  readonly claims?: Claims
}

/** Parameters of an authorization response. Twice the same is refused (RFC 6749 §3.1), whatever it says. */
const responseParameters = [
  'state',
  'code',
  'iss',
  'error',
  'error_description',
  'error_uri',
  'session_state',
  'response',
]

/** The state of a callback. Throws `invalid_callback` when it is none of ours, or a parameter came twice. */
export function callbackState(parameters: URLSearchParams): string {
  for (const name of responseParameters) {
    if (parameters.getAll(name).length > 1) throw invalidCallback('repeated_parameter')
  }
  const state = parameters.get('state')
  if (!state) throw invalidCallback('missing_state')
  if (!isState(state)) throw invalidCallback('malformed_state')
  return state
}

/**
 * Redeems the code. The transaction must have been taken, so that no second callback can come here with it.
 * Throws the server's own errors by their codes, `issuer_mismatch`, `invalid_callback`, `invalid_id_token`,
 * `insufficient_user_authentication`, `invalid_server_response` and `server_unavailable`.
 */
export async function authorizationCodeGrant(
  client: Client,
  transaction: AuthorizationTransaction,
  parameters: URLSearchParams,
): Promise<Grant> {
  const metadata = await client.metadata()
  const { state, nonce, code_verifier, resource } = transaction
  if (transaction.binding !== transactionBinding(metadata.issuer, client))
    throw invalidCallback('configuration_changed')
  const key = keyOf(client, transaction)
  checkIssuer(
    parameters.get('iss'),
    metadata.issuer,
    metadata.authorization_response_iss_parameter_supported === true,
  )
  const error = parameters.get('error')
  if (error !== null) {
    const description = parameters.get('error_description')
    const uri = parameters.get('error_uri')
    throw authorizationError({
      error,
      ...(description !== null && { error_description: description }),
      ...(uri !== null && { error_uri: uri }),
    })
  }
  const code = parameters.get('code')
  if (!code) throw invalidCallback('missing_code')

  // From the configured redirect URI, never from the request: behind a proxy the two differ.
  const answer = new URL(client.redirectUri)
  answer.searchParams.set('code', code)
  answer.searchParams.set('state', state)
  if (parameters.has('iss')) answer.searchParams.set('iss', metadata.issuer)
  const checks = {
    expectedState: state,
    pkceCodeVerifier: code_verifier,
    idTokenExpected: nonce !== undefined,
    ...(nonce !== undefined && { expectedNonce: nonce }),
  }
  const receivedAt = client.now()
  // A client that was refused has not spent the code, so another secret may be tried with it.
  const response = await client.authenticated(async (configuration) => {
    try {
      return await codeGrant(
        configuration,
        answer,
        checks,
        resource === undefined ? undefined : { resource },
        await proving(key, metadata, configuration),
      )
    } catch (thrown) {
      throw grantError(thrown, [code, code_verifier, state, ...client.secrets()])
    }
  })
  const tokens = tokenSet(response, scopesIn(transaction.scope), receivedAt, key?.thumbprint)
  const claims = await idTokenClaims(client, transaction, response)
  return claims ? { tokens, claims } : { tokens }
}

/** The one that the login began with: with another one the server would refuse the code (RFC 9449 §10). */
function keyOf({ dpopKeys }: Client, { jkt }: AuthorizationTransaction): DPoPKey | undefined {
  if (jkt === undefined) return dpopKeys.current
  const key = dpopKeys.named(jkt)
  if (key) return key
  throw invalidCallback('configuration_changed')
}

async function idTokenClaims(
  client: Client,
  transaction: AuthorizationTransaction,
  response: TokenEndpointResponse & { claims(): unknown },
): Promise<Claims | undefined> {
  if (transaction.nonce === undefined || response.id_token === undefined) return undefined
  const claims = await verifyIdToken(client, response.id_token)
  checkAuthentication(claims, transaction, client)
  return claims
}

/** RFC 9207 §2.4: compared whenever it is there, and missed when the server announces it. */
function checkIssuer(presented: string | null, expected: string, announced: boolean): void {
  if (presented === null ? !announced : presented === expected) return
  throw new OAuthError('issuer_mismatch', {
    reason: presented === null ? 'iss_missing' : 'iss_wrong',
    hint: 'The callback names another authorization server than the one the user was sent to, or names none although the server says it will. With "endpoints", set "issuer" to the server\'s own name.',
  })
}

function invalidCallback(reason: string): OAuthError {
  return new OAuthError('invalid_callback', {
    reason,
    hint: 'The callback must come from the authorization server, once, with "state" and "code" or "error".',
  })
}
