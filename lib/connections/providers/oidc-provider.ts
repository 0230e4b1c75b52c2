/**
 * Any OpenID provider.
 *
 * From OpenID Connect Core 1.0 (§5.1 on claims, §5.3 on userinfo, §11 on offline access) and OpenID Connect Discovery 1.0. It
 * is tried with the OpenID providers of this package's own tests.
 */

import { defined, type DefinedProvider, type DefinitionOptions } from './definition.js'

export interface OidcProviderOptions extends DefinitionOptions {
  /** The provider's identifier, exactly as its metadata spells it. */
  issuer: string
  /**
   * The userinfo endpoint, which makes the test call. Without it the ID token says whose account it is when it is connected,
   * and nothing finds out that a connection is dead before it is used.
   */
  userinfo?: string
}

/**
 * Asks for `openid`, `profile` and `offline_access`, unless `scope` says otherwise, and for the user's consent where there is
 * `offline_access`: many providers leave it out in silence else. Give `allow` for the APIs behind it.
 */
export function oidcProvider({
  userinfo,
  scope = 'openid profile offline_access',
  ...options
}: OidcProviderOptions): DefinedProvider {
  const isOffline = scope.split(' ').includes('offline_access')
  return defined(
    {
      ...(isOffline && { authorizationParameters: { prompt: 'consent' } }),
      ...(userinfo !== undefined && { test: { url: userinfo } }),
      accountId: (claims) => claims?.sub,
      label: (claims) => claims?.name ?? claims?.preferred_username,
    },
    { ...options, scope },
    ['openid'],
  )
}
