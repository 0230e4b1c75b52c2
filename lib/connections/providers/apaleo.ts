/**
 * Hotels at apaleo, by a connect client (a store app).
 *
 * From apaleo's documentation, read in 2026-11: "OAuth 2.0 and OpenID connect basics", "Refresh token grant flow", "Client
 * credentials grant flow", "Register an OAuth connect client (apaleo store) app" and "Best practices for OAuth", all below
 * https://apaleo.dev/guides/oauth-connection/. That the test call gives `code` and `name` is told by its Swagger page
 * (https://api.apaleo.com/swagger, "Account V1"), which was seen through a client generated from it only.
 *
 * Nothing was tried at apaleo itself. Not told by the documentation: whether a refresh token is replaced when it is used,
 * whether PKCE is checked, which scope the test call needs, and whether `issuer` is spelled as here.
 */

import type { ClientCredentialsOptions } from '../../tokens/client-credentials.js'
import { defined, type DefinedProvider, type DefinitionOptions } from './definition.js'

const identity = 'https://identity.apaleo.com'
const api = 'https://api.apaleo.com'

/**
 * An account is a group of hotels. Asks for `offline_access` besides `scope`, because there is no refresh token without it.
 * With `openid` in the scope the endpoints are discovered, since ID tokens need the server's keys.
 */
export function apaleo(options: DefinitionOptions): DefinedProvider {
  const isOpenId = (options.scope ?? '').split(' ').includes('openid')
  return defined(
    {
      name: 'apaleo',
      issuer: identity,
      ...(!isOpenId && {
        endpoints: {
          authorization: `${identity}/connect/authorize`,
          token: `${identity}/connect/token`,
          revocation: `${identity}/connect/revocation`,
        },
      }),
      test: { url: `${api}/account/v1/accounts/current` },
      accountId: (account) => account?.code,
      label: (account) => account?.name,
      allow: [`${api}/`],
    },
    options,
    ['offline_access'],
  )
}

/**
 * Options of `clientCredentials` for a simple client (a custom app), which works for one hotel account and without its
 * users. Its tokens are neither refreshed nor revoked.
 */
export function apaleoSimpleClient(
  options: Partial<ClientCredentialsOptions> & Pick<ClientCredentialsOptions, 'clientId'>,
): ClientCredentialsOptions {
  return { endpoints: { token: `${identity}/connect/token` }, apis: [`${api}/`], ...options }
}
