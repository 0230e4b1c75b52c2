/** The application's own credentials become an access token, without a user (RFC 6749 §4.4). */

import { clientCredentialsGrant as credentialsGrant } from 'openid-client'
import { OAuthError } from '../errors.js'
import type { TokenClient } from './client.js'
import { proving } from './dpop-keys.js'
import { tokenEndpointError } from './server-error.js'
import { requireEndpoint } from './server-metadata.js'
import { tokenSet, type TokenSet } from './token-set.js'

/** What an access token is asked for. */
export interface ServiceAccess {
  readonly scope: readonly string[]
  /** RFC 8707: the API that the token is for. */
  readonly resource?: string
  /** The same at servers with a parameter of their own for it. */
  readonly audience?: string
  /** Further parameters by their names on the wire. */
  readonly parameters: Readonly<Record<string, string>>
}

/** A server that issues a refresh token nevertheless has it forgotten: RFC 6749 §4.4.3 wants none. */
export type ServiceTokenSet = Pick<TokenSet, 'access_token' | 'expires_at' | 'refresh_at' | 'scope'>

/**
 * Throws `insufficient_scope` when the server grants less than was asked for (some leave out what they do not know
 * without a word), its own errors by their codes, `invalid_server_response` and `server_unavailable`.
 */
export async function clientCredentialsGrant(
  client: TokenClient,
  access: ServiceAccess,
): Promise<ServiceTokenSet> {
  const metadata = await client.metadata()
  requireEndpoint(metadata, 'token_endpoint')
  const key = client.dpopKeys.current
  const { scope: requested, resource, audience, parameters } = access
  const sent = {
    ...parameters,
    ...(requested.length > 0 && { scope: requested.join(' ') }),
    ...(resource !== undefined && { resource }),
    ...(audience !== undefined && { audience }),
  }
  const { response, receivedAt } = await client.authenticated(async (configuration) => {
    const askedAt = client.now()
    try {
      const options = await proving(key, metadata, configuration)
      return { response: await credentialsGrant(configuration, sent, options), receivedAt: askedAt }
    } catch (thrown) {
      throw tokenEndpointError(thrown, client.secrets())
    }
  })
  const { access_token, expires_at, refresh_at, scope } = tokenSet(
    response,
    requested,
    receivedAt,
    key?.thumbprint,
  )
  if (!requested.every((one) => scope.includes(one))) throw tooLittle(requested, scope)
  return {
    access_token,
    scope,
    ...(expires_at !== undefined && { expires_at }),
    ...(refresh_at !== undefined && { refresh_at }),
  }
}

/** 500 and not 403: whoever is served cannot do anything about what this application was granted. */
function tooLittle(requested: readonly string[], granted: readonly string[]): OAuthError {
  return new OAuthError('insufficient_scope', {
    message: `the authorization server granted "${granted.join(' ')}" of the requested "${requested.join(' ')}"`,
    status: 500,
    scope: requested,
    hint: 'Allow the missing scopes for this client at the server, or ask for less. With "resource" or "audience", they must be scopes of that API.',
  })
}
