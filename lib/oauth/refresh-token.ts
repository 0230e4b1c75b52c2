/** A refresh token becomes new tokens (RFC 6749 §6, OpenID Connect Core §12). */

import { refreshTokenGrant as refreshGrant } from 'openid-client'
import { OAuthError } from '../errors.js'
import type { Client } from './client.js'
import { verifyIdToken } from './id-token.js'
import { grantError } from './server-error.js'
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
  const receivedAt = client.now()
  const parameters = {
    ...(resource !== undefined && { resource }),
    ...(scope !== undefined && { scope: scope.join(' ') }),
  }
  const response = await client.authenticated(async (configuration) => {
    try {
      return await refreshGrant(configuration, tokens.refresh_token, parameters)
    } catch (thrown) {
      throw grantError(thrown, [tokens.refresh_token, ...client.secrets()])
    }
  })
  if (response.id_token !== undefined) {
    const claims = await verifyIdToken(client, response.id_token)
    if (claims['sub'] !== subject) throw new OAuthError('invalid_id_token', { reason: 'sub_changed' })
  }
  const renewed = tokenSet(response, scope ?? tokens.scope, receivedAt)
  return {
    ...renewed,
    generation: tokens.generation + 1,
    refresh_token: renewed.refresh_token ?? tokens.refresh_token,
    ...(renewed.id_token === undefined && tokens.id_token !== undefined && { id_token: tokens.id_token }),
  }
}
