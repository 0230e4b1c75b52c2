/** Microsoft Entra ID for accounts of any organization, and `/me` of Microsoft Graph, as their documentation describes them. */
import { basic, bearer, startStandIn, type StandIn } from './stand-in.js'

const users: Readonly<Record<string, object>> = {
  adele: {
    id: '87d349ed-44d7-43e1-9a83-5f2406dee5bd',
    displayName: 'Adele Vance',
    userPrincipalName: 'AdeleV@contoso.example',
  },
}

export function startEntra(tenant = 'organizations'): Promise<StandIn> {
  const server = `login.microsoftonline.com/${tenant}/oauth2/v2.0`
  return startStandIn(({ grants, clientId, clientSecret }) => ({
    [`GET ${server}/authorize`]: grants.authorize,
    [`POST ${server}/token`]: (request) => {
      const client = basic(request)
      if (client?.id !== clientId || client.secret !== clientSecret)
        return { status: 401, body: { error: 'invalid_client' } }
      const refreshed = request.form.get('refresh_token')
      const grant = grants.redeem(request.form)
      if (!grant)
        return {
          status: 400,
          body: {
            error: 'invalid_grant',
            error_description: 'AADSTS700082: The refresh token has expired.\r\nTrace ID: 0000',
          },
        }
      const scope = grant.query.get('scope') ?? ''
      return {
        body: {
          token_type: 'Bearer',
          scope: scope.replace(/ ?\boffline_access\b/, ''),
          expires_in: 3_599,
          access_token: grants.newAccessToken(grant),
          ...((refreshed !== null || scope.includes('offline_access')) && {
            refresh_token: grants.newRefreshToken(grant),
          }),
        },
      }
    },
    'GET graph.microsoft.com/v1.0/me': (request) => {
      const user = grants.account(bearer(request))
      return user === undefined
        ? { status: 401, body: { error: { code: 'InvalidAuthenticationToken' } } }
        : { body: users[user] }
    },
  }))
}
