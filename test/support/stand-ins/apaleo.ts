/** apaleo's Identity API and the test call of its Account API, as its documentation describes them. */
import { basic, bearer, startStandIn, type StandIn } from './stand-in.js'

const accounts: Readonly<Record<string, object>> = {
  'anna@hotel.example': { code: 'ABCD', name: 'Hotel Anna', type: 'Live' },
}

export function startApaleo(): Promise<StandIn> {
  return startStandIn(({ grants, clientId, clientSecret }) => {
    const isClient = (credentials: ReturnType<typeof basic>) =>
      credentials?.id === clientId && credentials.secret === clientSecret
    return {
      'GET identity.apaleo.com/connect/authorize': grants.authorize,
      'POST identity.apaleo.com/connect/token': (request) => {
        if (!isClient(basic(request))) return { status: 400, body: { error: 'invalid_client' } }
        const { form } = request
        const isService = form.get('grant_type') === 'client_credentials'
        const service = { id: clientId, account: 'anna@hotel.example', query: form }
        const grant = isService ? service : grants.redeem(form)
        if (!grant) return { status: 400, body: { error: 'invalid_grant' } }
        const scope = grant.query.get('scope') ?? ''
        return {
          body: {
            access_token: grants.newAccessToken(grant),
            expires_in: 3_600,
            token_type: 'Bearer',
            scope,
            ...(scope.includes('offline_access') && { refresh_token: grants.newRefreshToken(grant) }),
          },
        }
      },
      'POST identity.apaleo.com/connect/revocation': (request) => {
        if (!isClient(basic(request))) return { status: 400, body: { error: 'invalid_client' } }
        grants.revoke(request.form.get('token') ?? '')
        return {}
      },
      'GET api.apaleo.com/account/v1/accounts/current': (request) => {
        const user = grants.account(bearer(request))
        return user === undefined ? { status: 401 } : { body: accounts[user] }
      },
    }
  })
}
