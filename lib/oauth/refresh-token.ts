/** A refresh token becomes new tokens (RFC 6749 §6, OpenID Connect Core §12). */

import { refreshTokenGrant as refreshGrant } from 'openid-client'
import { isOAuthError, OAuthError } from '../errors.js'
import type { Client } from './client.js'
import { proving } from './dpop-keys.js'
import { verifyIdToken } from './id-token.js'
import { grantError } from './server-error.js'
import type { ServerMetadata } from './server-metadata.js'
import { tokenSet, type TokenSet } from './token-set.js'

/** Which access token of a grant: nothing for the one that the login asked for. */
export interface AccessTokenRequest {
  resource?: string
  scope?: readonly string[]
}

/**
 * The tokens that take the place of `tokens`. What the answer leaves out stays: the refresh token of a server that does
 * not rotate, the scope, the ID token. A new ID token must be of the same user, or the whole answer is refused.
 * `resource` is the API that the access token is for (RFC 8707 §2.2), `scope` the part of what was granted that it has.
 * Throws the server's errors by their codes, `invalid_id_token`, `invalid_server_response` and `server_unavailable`.
 */
export async function refreshTokenGrant(
  client: Client,
  tokens: TokenSet & { refresh_token: string },
  subject: string | undefined,
  { resource, scope }: AccessTokenRequest = {},
): Promise<TokenSet> {
  const metadata = await readyMetadata(client)
  // Of a public client the refresh token is bound as well, to the same key. A confidential one must prove a key each time,
  // or gets a bearer token (RFC 9449 §5).
  const key = client.dpopKeys.named(tokens.jkt) ?? client.dpopKeys.current
  const receivedAt = client.now()
  const parameters = {
    ...(resource !== undefined && { resource }),
    ...(scope !== undefined && { scope: scope.join(' ') }),
  }
  const response = await client.authenticated(async (configuration) => {
    try {
      return await refreshGrant(
        configuration,
        tokens.refresh_token,
        parameters,
        await proving(key, metadata, configuration),
      )
    } catch (thrown) {
      throw grantError(thrown, [tokens.refresh_token, ...client.secrets()])
    }
  })
  const { id_token, ...others } = response
  if (id_token !== undefined && response.claims()?.sub !== subject)
    throw new OAuthError('invalid_id_token', { reason: 'sub_changed' })
  const isVouchedFor = id_token !== undefined && (await isVerifiable(client, id_token))
  const renewed = tokenSet(
    isVouchedFor ? response : others,
    scope ?? tokens.scope,
    receivedAt,
    key?.thumbprint,
  )
  return {
    ...renewed,
    generation: tokens.generation + 1,
    refresh_token: renewed.refresh_token ?? tokens.refresh_token,
    ...(renewed.id_token === undefined && tokens.id_token !== undefined && { id_token: tokens.id_token }),
  }
}

/** Metadata that cannot be read is the server's trouble, whatever its status: it is no answer to the refresh token. */
async function readyMetadata(client: Client): Promise<ServerMetadata> {
  try {
    return await client.metadata()
  } catch (cause) {
    if (!isOAuthError(cause) || cause.code !== 'invalid_server_response') throw cause
    throw new OAuthError('server_unavailable', { message: cause.message, reason: 'metadata', cause })
  }
}

/**
 * Whether the signature stands. False while the keys cannot be had: the old refresh token is spent by now, and an answer
 * without an ID token, which any server may give, would have been as good.
 */
async function isVerifiable(client: Client, idToken: string): Promise<boolean> {
  try {
    await verifyIdToken(client, idToken)
    return true
  } catch (error) {
    if (isOAuthError(error) && error.code === 'key_set_unavailable') return false
    throw error
  }
}
