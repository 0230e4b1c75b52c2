/** A real authorization server as MCP clients need one: they register themselves, and whoever comes agrees to everything. */
import '../../example-app/src/authorization-server/warnings.js'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import express, { type Express } from 'express'
import { errors, Provider } from 'oidc-provider'

export interface AuthorizationServerOptions {
  readonly issuer: string
  /** The resources that tokens are issued for, and their scopes. */
  readonly resources: ReadonlyMap<string, string>
  /** Whether clients get refresh tokens. */
  readonly refreshTokens: boolean
}

const account = 'alice'

export function authorizationServer({
  issuer,
  resources,
  refreshTokens,
}: AuthorizationServerOptions): Express {
  const signingKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })
  const provider = new Provider(issuer, {
    scopes: ['openid', 'offline_access', ...new Set([...resources.values()].join(' ').split(' '))],
    jwks: { keys: [{ ...signingKey, alg: 'ES256', use: 'sig' }] },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    findAccount: () => ({ accountId: account, claims: () => ({ sub: account }) }),
    pkce: { required: () => true },
    // A client registers with the scopes that it knows of by then, and is told of more later.
    extraClientMetadata: {
      properties: ['any_scope'],
      validator: (_ctx, _name, _value, metadata) => void delete metadata['scope'],
    },
    ttl: {
      AccessToken: 300,
      AuthorizationCode: 60,
      Grant: 300,
      Interaction: 60,
      RefreshToken: 600,
      Session: 300,
    },
    issueRefreshToken: () => refreshTokens,
    interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, resource) => {
          const scope = resources.get(resource)
          if (scope === undefined) throw new errors.InvalidTarget()
          return { scope, audience: resource, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }
        },
      },
    },
  })
  const app = express()
  // As most OpenID providers have it, which know of no metadata but those of OpenID Connect.
  app.get('/.well-known/oauth-authorization-server', (_req, res) => void res.sendStatus(404))
  app.get('/interaction/:uid', async (req, res) => {
    const { params, grantId } = await provider.interactionDetails(req, res)
    const known = grantId === undefined ? undefined : await provider.Grant.find(grantId)
    const grant = known ?? new provider.Grant({ accountId: account, clientId: String(params['client_id']) })
    const scope = String(params['scope'])
    grant.addOIDCScope(scope)
    grant.addResourceScope(String(params['resource']), scope)
    const result = { login: { accountId: account }, consent: { grantId: await grant.save() } }
    await provider.interactionFinished(req, res, result)
  })
  app.use(provider.callback())
  return app
}
