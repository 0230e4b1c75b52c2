/** A provider whose accounts can be connected: oidc-provider with its own people and pages, the API behind it, and settings. */

import './authorization-server/warnings.js' // works by being loaded first

import { generateKeyPairSync, randomBytes } from 'node:crypto'
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express'
import { errors, Provider, type AdapterPayload, type ClientMetadata, type Configuration } from 'oidc-provider'
import { wantedLifetime } from './authorization-server.js'
import type { DataFolder } from './data-folder.js'
import { assets, pageHeaders } from './page.js'
import { interactions } from './provider/interactions.js'
import { keptIn, type Kept } from './provider/kept.js'
import { messagePage, settingsPage, startPage } from './provider/pages.js'
import type { ApiRoute, Service, ServiceAccount } from './provider/service.js'
import { sameOrigin } from './same-origin.js'

export interface ProviderServerOptions {
  readonly service: Service
  /** Its own address: an origin, without a path. */
  readonly issuer: string
  /** The one application that it knows. */
  readonly client: ClientMetadata & { client_id: string }
  /** Where grants are kept; nothing to keep them in memory. */
  readonly folder: DataFolder | undefined
}

/** Seconds. */
const accessTokenLifetime = 2 * 60
/** How long it is away when somebody wants to see that. */
export const awayFor = 20
const year = 365 * 24 * 60 * 60

export function createProviderServer(options: ProviderServerOptions): Express {
  const { service, issuer, client } = options
  const kept = keptIn(options.folder, service.key)
  const provider = new Provider(issuer, configuration(options, kept))
  const accountOf = (id: unknown) => service.accounts.find((account) => account.id === id)

  const app = express()
  app.disable('x-powered-by')
  // On request, so that the app can show what it does then.
  let awayUntil = 0
  app.post('/away', sameOrigin(issuer), (_req, res) => {
    awayUntil = Date.now() + awayFor * 1000
    res.status(204).end()
  })
  app.use((req, _res, next) => {
    if (Date.now() < awayUntil) req.socket.destroy()
    else next()
  })
  app.use(assets)
  app.get('/', (_req, res) => {
    res.set(pageHeaders()).send(startPage(service).markup)
  })

  app.get('/settings/:account', (req, res, next) => {
    const account = accountOf(req.params.account)
    if (!account) return next()
    const [grant] = grantsOf(kept, account)
    const granted = grant && {
      name: client.client_name ?? client.client_id,
      scopes: scopesOf(grant),
      since: grant.iat ?? 0,
    }
    return res.set(pageHeaders()).send(settingsPage(service, account, granted).markup)
  })

  // As the settings of any service have it: all tokens of the app end at once, and nobody tells the app.
  app.post('/settings/:account/remove', sameOrigin(issuer), async (req, res, next) => {
    const account = accountOf(req.params['account'])
    if (!account) return next()
    for (const { jti } of grantsOf(kept, account)) {
      if (jti === undefined) continue
      await Promise.all([
        provider.AccessToken.revokeByGrantId(jti),
        provider.RefreshToken.revokeByGrantId(jti),
        provider.Grant.find(jti).then((grant) => grant?.destroy()),
      ])
    }
    return res.redirect(303, `/settings/${account.id}`)
  })

  for (const route of service.api) app.get(route.path, answering(route))
  app.use(interactions(provider, service))
  app.use(provider.callback())
  app.use(answerError(service))
  return app

  function answering({ scope, answer }: ApiRoute): RequestHandler {
    return async (req, res) => {
      const [, value] = /^Bearer (\S+)$/i.exec(req.get('authorization') ?? '') ?? []
      const token = value === undefined ? undefined : await provider.AccessToken.find(value)
      const account = accountOf(token?.accountId)
      res.set('Cache-Control', 'no-store')
      if (!token || !account) {
        const challenge = value === undefined ? 'Bearer' : 'Bearer error="invalid_token"'
        res.status(401).set('WWW-Authenticate', challenge).json({
          error: 'invalid_token',
          error_description: 'there is no such access token, or it is over',
        })
      } else if (scope !== undefined && !token.scopes.has(scope)) {
        res.status(403).json({ error: 'insufficient_scope', error_description: `this needs "${scope}"` })
      } else {
        const { status = 200, body } = answer(account, req.params as Record<string, string>)
        res.status(status).json(body)
      }
    }
  }
}

function configuration({ service, client }: ProviderServerOptions, kept: Kept): Configuration {
  return {
    adapter: kept.adapter,
    clients: [{ ...client, id_token_signed_response_alg: 'ES256' }],
    scopes: Object.keys(service.scopes),
    findAccount: (_ctx, id) =>
      service.accounts.some((account) => account.id === id)
        ? { accountId: id, claims: () => ({ sub: id }) }
        : undefined,
    pkce: { required: () => true },
    rotateRefreshToken: service.rotates,
    issueRefreshToken: async (_ctx, { grantTypes = [] }) => grantTypes.includes('refresh_token'),
    expiresWithSession: () => false,
    ttl: {
      AccessToken: (ctx) => wantedLifetime(ctx, accessTokenLifetime),
      AuthorizationCode: 60,
      IdToken: 60 * 60,
      RefreshToken: year,
      Grant: year,
      Interaction: 60 * 60,
      Session: 60 * 60,
    },
    cookies: {
      keys: [randomBytes(32).toString('base64url')],
      names: {
        session: service.key,
        interaction: `${service.key}_interaction`,
        resume: `${service.key}_resume`,
      },
    },
    // Nobody is sent an ID token, but oidc-provider wants a key.
    jwks: { keys: [generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })] },
    clientBasedCORS: () => false,
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    renderError: (ctx, out) => {
      const detail = [out.error, out.error_description].filter(Boolean).join(': ')
      const page = messagePage(
        service,
        'This did not work',
        'Go back to the application and start again.',
        detail,
      )
      ctx.set(pageHeaders())
      ctx.type = 'html'
      ctx.body = page.markup
    },
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      userinfo: { enabled: false },
      revocation: {
        enabled: true,
        allowedPolicy: (_ctx, { clientId }, token) => token.clientId === clientId,
      },
    },
  }
}

function scopesOf({ openid }: AdapterPayload): string[] {
  const { scope }: { scope?: unknown } = Object(openid)
  return typeof scope === 'string' ? scope.split(' ') : []
}

function grantsOf(kept: Kept, { id }: ServiceAccount) {
  return kept.all('Grant').filter((grant) => grant.accountId === id)
}

function answerError(service: Service): ErrorRequestHandler {
  return (error, _req, res, next) => {
    if (res.headersSent) return next(error)
    const expired = error instanceof errors.SessionNotFound
    if (!expired) console.error(error)
    const page = messagePage(
      service,
      expired ? 'This page is too old' : 'This did not work',
      'Go back to the application and start again.',
    )
    return res
      .status(expired ? 400 : 500)
      .set(pageHeaders())
      .send(page.markup)
  }
}
