/** Telling the server that tokens are no longer needed (RFC 7009). */

import { tokenRevocation } from 'openid-client'
import type { TokenClient } from './client.js'
import { tokenEndpointError } from './server-error.js'
import type { TokenSet } from './token-set.js'

/** The refresh token first, because most servers end its access tokens with it; then the access token. */
const order = ['refresh_token', 'access_token'] as const

/**
 * Revokes what a session held. Does nothing at a server without a revocation endpoint.
 * Throws the first error; a server that cannot revoke access tokens of this kind is none (RFC 7009 §2.2.1).
 */
export async function revoke(client: TokenClient, tokens: TokenSet): Promise<void> {
  const { revocation_endpoint } = await client.metadata()
  if (revocation_endpoint === undefined) return
  for (const kind of order) {
    const token = tokens[kind]
    if (!token) continue
    await client.authenticated(async (configuration) => {
      try {
        await tokenRevocation(configuration, token, { token_type_hint: kind })
      } catch (thrown) {
        const error = tokenEndpointError(thrown, [token, ...client.secrets()])
        if (error.serverError?.error !== 'unsupported_token_type') throw error
      }
    })
  }
}
