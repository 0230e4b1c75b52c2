/** The authorization request: where the browser is sent, and what must be remembered of it (RFC 6749 §4.1.1, RFC 7636). */

import { createHash, randomBytes } from 'node:crypto'
import { calculatePKCECodeChallenge, randomPKCECodeVerifier } from 'openid-client'
import { OAuthError } from '../errors.js'
import type { Client } from './client.js'
import { checkProofsAreTaken } from './dpop-keys.js'
import { requireEndpoint } from './server-metadata.js'

/** Extra parameters, by their names on the wire. */
export type AuthorizationParameters = Readonly<Record<string, string | number>>

export type ResponseMode = 'query' | 'form_post'

export interface AuthorizationRequest {
  scope: readonly string[]
  parameters: AuthorizationParameters
  responseMode: ResponseMode
  /** RFC 8707: the API that the access token is for. */
  resource?: string
  /** Whether this login takes the place of one that the browser came back from without its cookie. */
  restarted?: boolean
}

/**
 * What a callback must match. It waits in a cookie until the user comes back, up to eight of them at once, so it is kept
 * short: `binding` stands for issuer, client id and redirect URI.
 */
export interface AuthorizationTransaction {
  readonly state: string
  readonly code_verifier: string
  readonly nonce?: string
  readonly binding: string
  readonly scope: string
  readonly resource?: string
  readonly max_age?: number
  readonly acr_values?: string
  /** The key that the code is bound to, and so the tokens. */
  readonly jkt?: string
}

/** A digest of who was asked, by whom and where the answer goes: an answer to anything else does not match. */
export function transactionBinding(issuer: string, client: Client): string {
  const parts = JSON.stringify([issuer, client.clientId, client.redirectUri])
  return createHash('sha256').update(parts).digest('base64url').slice(0, 22)
}

/** 128 bits. */
function random(): string {
  return randomBytes(16).toString('base64url')
}

/** Parameters that only this package sets. */
export const reservedParameters: readonly string[] = [
  'client_id',
  'redirect_uri',
  'response_type',
  'response_mode',
  'scope',
  'state',
  'nonce',
  'code_challenge',
  'code_challenge_method',
  'request',
  'request_uri',
  'resource',
  'dpop_jkt',
]

/** Whether a state can be one of ours at all. */
export function isState(value: string): boolean {
  return /^(r\.)?[A-Za-z0-9_-]{22}$/.test(value)
}

/** A state of this form belongs to a login that was restarted once already. */
export function isRestarted(state: string): boolean {
  return state.startsWith('r.')
}

export async function authorizationRequest(
  client: Client,
  request: AuthorizationRequest,
): Promise<{ url: string; transaction: AuthorizationTransaction }> {
  const metadata = await client.metadata()
  const { scope, parameters, responseMode, resource } = request
  const { max_age, acr_values } = parameters
  if ((max_age ?? acr_values) !== undefined && !scope.includes('openid')) {
    throw new OAuthError('invalid_configuration', {
      message:
        '"max_age" and "acr_values" need "openid" in the scope: only an ID token tells whether they were met',
    })
  }
  const key = client.dpopKeys.current
  // Now, rather than when the user has come back.
  if (key) checkProofsAreTaken(metadata)
  const state = `${request.restarted ? 'r.' : ''}${random()}`
  const transaction: AuthorizationTransaction = {
    state,
    code_verifier: randomPKCECodeVerifier(),
    ...(scope.includes('openid') && { nonce: random() }),
    binding: transactionBinding(metadata.issuer, client),
    scope: scope.join(' '),
    ...(resource !== undefined && { resource }),
    ...(max_age !== undefined && { max_age: Number(max_age) }),
    ...(acr_values !== undefined && { acr_values: String(acr_values) }),
    ...(key && { jkt: key.thumbprint }),
  }
  const url = new URL(requireEndpoint(metadata, 'authorization_endpoint'))
  // Set, not appended: an endpoint may have a query of its own, and no parameter may come twice.
  const query = url.searchParams
  for (const [name, value] of Object.entries(parameters)) query.set(name, String(value))
  query.set('response_type', 'code')
  query.set('client_id', client.clientId)
  query.set('redirect_uri', client.redirectUri)
  if (scope.length > 0) query.set('scope', transaction.scope)
  query.set('state', state)
  if (transaction.nonce !== undefined) query.set('nonce', transaction.nonce)
  query.set('code_challenge', await calculatePKCECodeChallenge(transaction.code_verifier))
  query.set('code_challenge_method', 'S256')
  if (responseMode !== 'query') query.set('response_mode', responseMode)
  if (resource !== undefined) query.set('resource', resource)
  // Whoever gets hold of the code cannot have it bound to a key of theirs (RFC 9449 §10).
  if (key) query.set('dpop_jkt', key.thumbprint)
  return { url: url.href, transaction }
}
