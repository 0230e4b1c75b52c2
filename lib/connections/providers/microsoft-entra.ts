/**
 * Accounts at Microsoft, by Microsoft Entra ID (v2.0 endpoints) and Microsoft Graph.
 *
 * From "Microsoft identity platform and OAuth 2.0 authorization code flow", "Refresh tokens in the Microsoft identity
 * platform" (https://learn.microsoft.com/en-us/entra/identity-platform/) and "Get a user"
 * (https://learn.microsoft.com/en-us/graph/api/user-get), read in 2026-11.
 *
 * Nothing was tried at Microsoft itself. There is no revocation endpoint: whoever disconnects has to take the app away at
 * https://myapps.microsoft.com as well, and the tokens that we forget live on until then.
 */

import { OAuthError } from '../../errors.js'
import { defined, type DefinedProvider, type DefinitionOptions } from './definition.js'

export interface MicrosoftEntraOptions extends DefinitionOptions {
  /**
   * Whose accounts: `organizations`, `common` (those of persons as well), `consumers`, or the id or domain of one tenant. As
   * `{tenant}` it is asked of the user, with a field `tenant`. Default `organizations`.
   */
  tenant?: string
}

const login = 'https://login.microsoftonline.com'
const graph = 'https://graph.microsoft.com'
const tenantId = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i

/**
 * Asks for `User.Read` besides `scope`, which the test call needs, and for `offline_access`, without which there is no
 * refresh token. `openid` is possible with the id of a tenant only: what the others say of their issuer is a template.
 */
export function microsoftEntra({
  tenant = 'organizations',
  ...options
}: MicrosoftEntraOptions): DefinedProvider {
  if (!/^(?:[\w.-]+|\{\w+\})$/.test(tenant)) {
    throw new OAuthError('invalid_configuration', {
      message: 'the option "tenant" of microsoftEntra is no tenant',
      hint: 'Give "organizations", "common", "consumers", or the id or domain of one.',
    })
  }
  const server = tenantId.test(tenant)
    ? { issuer: `${login}/${tenant.toLowerCase()}/v2.0` }
    : {
        endpoints: {
          authorization: `${login}/${tenant}/oauth2/v2.0/authorize`,
          token: `${login}/${tenant}/oauth2/v2.0/token`,
        },
      }
  return defined(
    {
      name: 'Microsoft',
      ...server,
      test: { url: `${graph}/v1.0/me` },
      accountId: (me) => me?.id,
      label: (me) => me?.displayName ?? me?.userPrincipalName,
      allow: [`${graph}/`],
    },
    options,
    ['offline_access', 'User.Read'],
  )
}
