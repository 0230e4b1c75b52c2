/** Signing out at the authorization server too (OpenID Connect RP-Initiated Logout §2). */

import { buildEndSessionUrl, randomState } from 'openid-client'
import type { Client } from './client.js'

/**
 * Where to send the browser, or nothing when the server has no end-session endpoint. Hint, client id and state are
 * always sent: without one or the other, some servers end on a page of their own.
 */
export async function endSessionUrl(
  client: Client,
  request: { idToken?: string; postLogoutRedirectUri: string },
): Promise<string | undefined> {
  const { end_session_endpoint } = await client.metadata()
  if (end_session_endpoint === undefined) return undefined
  return buildEndSessionUrl(await client.configuration(), {
    ...(request.idToken !== undefined && { id_token_hint: request.idToken }),
    post_logout_redirect_uri: request.postLogoutRedirectUri,
    state: randomState(),
  }).href
}
