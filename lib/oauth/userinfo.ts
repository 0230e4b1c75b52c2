/** What the authorization server tells about the user beyond the ID token (OpenID Connect Core §5.3). */

import { fetchUserInfo, skipSubjectCheck } from 'openid-client'
import { OAuthError } from '../errors.js'
import { jsonObject, tokenLimit, type HttpClient } from '../http.js'
import type { Claims } from '../jose/jwt.js'
import type { Client } from './client.js'
import { tokenEndpointError } from './server-error.js'
import { requireEndpoint } from './server-metadata.js'

/**
 * The claims of the userinfo endpoint. `subject` is the ID token's: a profile of somebody else is `subject_mismatch`.
 * Throws `server_unavailable` or `invalid_server_response` when there is no profile to be had.
 */
export async function userinfo(client: Client, accessToken: string, subject: string): Promise<Claims> {
  requireEndpoint(await client.metadata(), 'userinfo_endpoint')
  try {
    const claims = await fetchUserInfo(await client.userinfoConfiguration(), accessToken, skipSubjectCheck)
    if (claims.sub === subject) return claims
  } catch (thrown) {
    const error = tokenEndpointError(thrown, [accessToken])
    if (error.code === 'server_unavailable') throw error
    throw new OAuthError('invalid_server_response', {
      message: 'the userinfo endpoint refused the access token or gave an unusable answer',
      hint: 'Some servers refuse tokens that are bound to an API ("resource"). Leave "userinfo" off when the ID token says enough.',
      cause: thrown,
    })
  }
  throw new OAuthError('subject_mismatch', {
    hint: 'The "sub" of the userinfo answer is not that of the ID token.',
  })
}

/** The profile of a server without OpenID Connect: whatever JSON object its endpoint gives for the token. */
export async function plainUserinfo(client: Client, http: HttpClient, accessToken: string): Promise<Claims> {
  const url = requireEndpoint(await client.metadata(), 'userinfo_endpoint')
  const headers = { accept: 'application/json', authorization: `Bearer ${accessToken}` }
  return jsonObject(await http(url, { headers, limit: tokenLimit }), `the profile at ${url}`)
}
