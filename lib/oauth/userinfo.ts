/** What the authorization server tells about the user beyond the ID token (OpenID Connect Core §5.3). */

import { fetchUserInfo, skipSubjectCheck } from 'openid-client'
import { OAuthError } from '../errors.js'
import { jsonObject, tokenLimit, type HttpClient } from '../http.js'
import type { Claims } from '../jose/jwt.js'
import type { Client } from './client.js'
import { demandsNonce, dpopAnswer, nonceIn } from './dpop-answer.js'
import { proving } from './dpop-keys.js'
import { tokenEndpointError } from './server-error.js'
import { requireEndpoint } from './server-metadata.js'
import type { AccessToken } from './token-set.js'

/**
 * The claims of the userinfo endpoint. `subject` is the ID token's: a profile of somebody else is `subject_mismatch`.
 * Throws `server_unavailable` or `invalid_server_response` when there is no profile to be had.
 */
export async function userinfo(client: Client, token: AccessToken, subject: string): Promise<Claims> {
  const metadata = await client.metadata()
  requireEndpoint(metadata, 'userinfo_endpoint')
  const { access_token, jkt } = token
  try {
    const configuration = await client.userinfoConfiguration()
    const options = await proving(client.dpopKeys.named(jkt), metadata, configuration)
    const claims = await fetchUserInfo(configuration, access_token, skipSubjectCheck, options)
    if (claims.sub === subject) return claims
  } catch (thrown) {
    const error = tokenEndpointError(thrown, [access_token])
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
export async function plainUserinfo(client: Client, http: HttpClient, token: AccessToken): Promise<Claims> {
  const url = requireEndpoint(await client.metadata(), 'userinfo_endpoint')
  const { access_token: accessToken, jkt } = token
  const key = client.dpopKeys.named(jkt)
  const ask = async (nonce?: string) => {
    const dpop = key?.proof({ method: 'GET', url, accessToken, nonce })
    const headers = {
      accept: 'application/json',
      authorization: `${key ? 'DPoP' : 'Bearer'} ${accessToken}`,
      ...(dpop !== undefined && { dpop }),
    }
    return http(url, { headers, limit: tokenLimit })
  }
  const first = await ask()
  const answer = dpopAnswer(first)
  const response = key && demandsNonce(answer) ? await ask(nonceIn(answer)) : first
  return jsonObject(response, `the profile at ${url}`)
}
