/**
 * Google accounts.
 *
 * From "Using OAuth 2.0 for Web Server Applications" (https://developers.google.com/identity/protocols/oauth2/web-server),
 * "Using OAuth 2.0 to Access Google APIs", section on refresh token expiration
 * (https://developers.google.com/identity/protocols/oauth2), and "OpenID Connect"
 * (https://developers.google.com/identity/openid-connect/openid-connect) with the discovery document that it names; read in
 * 2026-11, partly in older stored copies.
 *
 * Nothing was tried at Google itself. Not told by the documentation: what is answered when a token is revoked that is
 * revoked already; `invalid_token` is taken for it.
 */

import { OAuthError } from '../../errors.js'
import type { TokenRevocation } from '../provider-options.js'
import { defined, type DefinedProvider, type DefinitionOptions } from './definition.js'

const revocationEndpoint = 'https://oauth2.googleapis.com/revoke'

/**
 * Asks for `openid` besides `scope`, which names the account; add `profile` or `email` for a label. Give `allow` for other
 * APIs than those at www.googleapis.com.
 */
export function google(options: DefinitionOptions): DefinedProvider {
  return defined(
    {
      name: 'Google',
      issuer: 'https://accounts.google.com',
      // A refresh token comes for `offline`, and a second one only when the user is asked again.
      authorizationParameters: { access_type: 'offline', prompt: 'consent' },
      revokeToken,
      test: { url: 'https://openidconnect.googleapis.com/v1/userinfo' },
      accountId: (account) => account?.sub,
      label: (account) => account?.name ?? account?.email,
      allow: ['https://www.googleapis.com/'],
    },
    options,
    ['openid'],
  )
}

/** Either token ends the whole grant, and the other one is not known after that. */
async function revokeToken({ token, fetch }: TokenRevocation): Promise<void> {
  const response = await fetch(revocationEndpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ token }).toString(),
  })
  if (response.status === 200) return
  const answer: unknown = await response.json().catch(() => undefined)
  const isGone =
    answer !== null && typeof answer === 'object' && 'error' in answer && answer.error === 'invalid_token'
  if (response.status === 400 && isGone) return
  throw new OAuthError('server_unavailable', { reason: `status_${response.status}` })
}
