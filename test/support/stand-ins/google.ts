/** Google's OpenID provider, as its documentation describes it. */
import { SignJWT } from 'jose'
import { newSigningKey } from '../faulty-server/signing-key.js'
import { basic, bearer, startStandIn, type StandIn } from './stand-in.js'

const issuer = 'https://accounts.google.com'
const users: Readonly<Record<string, { sub: string; name?: string; email?: string }>> = {
  jane: { sub: '110169484474386276334', name: 'Jane Doe' },
  john: { sub: '220169484474386276334', email: 'john@example.com' },
}

export async function startGoogle(): Promise<StandIn> {
  const key = await newSigningKey()
  return startStandIn(({ grants, clientId, clientSecret }) => {
    const known = new Set<string>()
    return {
      'GET accounts.google.com/.well-known/openid-configuration': () => ({
        body: {
          issuer,
          authorization_endpoint: 'https://accounts.google.com/o/oauth2/v2/auth',
          token_endpoint: 'https://oauth2.googleapis.com/token',
          userinfo_endpoint: 'https://openidconnect.googleapis.com/v1/userinfo',
          revocation_endpoint: 'https://oauth2.googleapis.com/revoke',
          jwks_uri: 'https://www.googleapis.com/oauth2/v3/certs',
          token_endpoint_auth_methods_supported: ['client_secret_post', 'client_secret_basic'],
          code_challenge_methods_supported: ['plain', 'S256'],
        },
      }),
      'GET www.googleapis.com/oauth2/v3/certs': () => ({ body: { keys: [key.publicJwk] } }),
      'GET www.googleapis.com/drive/v3/about': (request) => ({
        status: grants.account(bearer(request)) === undefined ? 401 : 200,
        body: { user: {} },
      }),
      'GET accounts.google.com/o/oauth2/v2/auth': grants.authorize,
      'POST oauth2.googleapis.com/token': async (request) => {
        const client = basic(request)
        if (client?.id !== clientId || client.secret !== clientSecret)
          return { status: 401, body: { error: 'invalid_client' } }
        const isRefresh = request.form.get('grant_type') === 'refresh_token'
        const grant = grants.redeem(request.form, { keepsRefreshTokens: true })
        if (!grant)
          return {
            status: 400,
            body: { error: 'invalid_grant', error_description: 'Token has been expired or revoked.' },
          }
        const { query, account } = grant
        // A refresh token comes with the first consent, and with each that is asked for.
        const isConsent = query.get('prompt') === 'consent' || !known.has(account)
        known.add(account)
        const now = Math.floor(Date.now() / 1_000)
        const claims = {
          iss: issuer,
          aud: clientId,
          sub: users[account]?.sub ?? 'nobody',
          iat: now,
          exp: now + 3_600,
        }
        const nonce = query.get('nonce')
        return {
          body: {
            access_token: grants.newAccessToken(grant),
            expires_in: 3_599,
            scope: query.get('scope'),
            token_type: 'Bearer',
            ...(!isRefresh && {
              id_token: await new SignJWT({ ...claims, ...(nonce !== null && { nonce }) })
                .setProtectedHeader({ alg: key.alg, kid: key.kid })
                .sign(key.privateKey),
            }),
            ...(!isRefresh &&
              isConsent &&
              query.get('access_type') === 'offline' && { refresh_token: grants.newRefreshToken(grant) }),
          },
        }
      },
      'POST oauth2.googleapis.com/revoke': ({ form }) => {
        const token = form.get('token') ?? ''
        if (!grants.isKnown(token)) return { status: 400, body: { error: 'invalid_token' } }
        grants.revoke(token, true)
        return { body: {} }
      },
      'GET openidconnect.googleapis.com/v1/userinfo': (request) => {
        const user = grants.account(bearer(request))
        return user === undefined ? { status: 401 } : { body: users[user] }
      },
    }
  })
}
