/** The embedded authorization server, "Example ID": oidc-provider with two users, its own pages and JWT access tokens. */

import './authorization-server/warnings.js' // works by being loaded first

import { generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto'
import express, { type ErrorRequestHandler, type Express } from 'express'
import {
  errors,
  Provider,
  type ClientMetadata,
  type Configuration,
  type JWK,
  type KoaContextWithOIDC,
} from 'oidc-provider'
import { findAccount } from './authorization-server/accounts.js'
import { cookieNames } from './authorization-server/cookies.js'
import { interactions } from './authorization-server/interactions.js'
import { logoutPage, messagePage } from './authorization-server/pages.js'
import { apiScopes, identityScopes } from './authorization-server/scopes.js'
import type { Html } from './html.js'
import { assets, pageHeaders } from './page.js'
import { lifetimeHeader } from './token-watch.js'

export interface AuthorizationServerOptions {
  /** Its own address: an origin, without a path. */
  issuer: string
  /** The applications it knows, as oidc-provider's client metadata. */
  clients: readonly ClientMetadata[]
  /** The API its access tokens are for: their audience. Applications need not name it. */
  apiUrl: string
  /** How long an access token lives, in seconds. Default: 300. */
  accessTokenLifetime?: number
}

const hours = 60 * 60
const days = 24 * hours

/** A request listener for `http.createServer`, reachable at `issuer`. Everything it knows is kept in memory. */
export function createAuthorizationServer(options: AuthorizationServerOptions): Express {
  const provider = new Provider(options.issuer, configuration(options))
  const app = express()
  app.disable('x-powered-by')
  app.use(assets)
  app.get('/', (_req, res) => {
    const text =
      'This is where people sign in to applications. There is nothing to do here: open the application.'
    res.set(pageHeaders()).send(messagePage('Example ID', text).markup)
  })
  app.use(interactions(provider))
  app.use(provider.callback())
  app.use(interactionError)
  return app
}

function configuration(options: AuthorizationServerOptions): Configuration {
  const { clients, apiUrl, accessTokenLifetime = 5 * 60 } = options
  return {
    clients,
    scopes: [...Object.keys(identityScopes), ...Object.keys(apiScopes)],
    claims: {
      openid: ['sub'],
      profile: ['name', 'preferred_username', 'roles'],
      email: ['email', 'email_verified'],
    },
    // An access token for the API is refused by userinfo, so the ID token carries the claims.
    conformIdTokenClaims: false,
    findAccount: (_ctx, username) => {
      const account = findAccount(username)
      if (!account) return undefined
      const { name, email, roles } = account
      const claims = { sub: username, name, preferred_username: username, roles, email, email_verified: true }
      return { accountId: username, claims: () => claims }
    },

    pkce: { required: () => true },
    rotateRefreshToken: true,
    issueRefreshToken: async (ctx, client, source) =>
      client.grantTypeAllowed('refresh_token') && mayStayAway(ctx, source.scopes),
    ttl: {
      AccessToken: (ctx) => wantedLifetime(ctx, accessTokenLifetime),
      ClientCredentials: accessTokenLifetime,
      AuthorizationCode: 60,
      IdToken: 1 * hours,
      RefreshToken: 14 * days,
      Interaction: 1 * hours,
      Session: 1 * days,
      Grant: 14 * days,
    },

    jwks: { keys: signingKeys() },
    cookies: {
      keys: [randomBytes(32).toString('base64url')],
      names: cookieNames,
    },
    clientBasedCORS: () => false,
    fetch: fetchAnywhere,

    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    renderError: (ctx, out) => {
      const detail = [out.error, out.error_description].filter(Boolean).join(': ')
      show(ctx, messagePage('This did not work', 'Go back to the application and start again.', detail))
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: {
        enabled: true,
        allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId,
      },
      revocation: {
        enabled: true,
        allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId,
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: (_ctx, _client, oneOf) => (oneOf === undefined ? apiUrl : oneOf),
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, resource) => {
          if (resource !== apiUrl) throw new errors.InvalidTarget()
          return {
            scope: Object.keys(apiScopes).join(' '),
            audience: apiUrl,
            accessTokenFormat: 'jwt',
            jwt: { sign: { alg: 'RS256' } },
          }
        },
      },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx, form) => {
          // oidc-provider has checked the hint by now: whoever sends the ID token of this user need not be asked.
          const hint = ctx.oidc.entities.IdTokenHint?.payload
          const expected = hint !== undefined && hint['sub'] === ctx.oidc.session?.accountId
          show(ctx, logoutPage(form, expected), [ctx.oidc.params?.['post_logout_redirect_uri']], expected)
        },
        postLogoutSuccessSource: (ctx) =>
          show(ctx, messagePage('Signed out', 'You are signed out of Example ID.')),
      },
    },
  }
}

/** oidc-provider calls no address of this machine or its network, for good reasons; here the applications have no other. */
async function fetchAnywhere(url: string | URL | Request, options: RequestInit = {}): Promise<Response> {
  const { dispatcher: _guard, ...rest } = options as RequestInit & { dispatcher?: unknown }
  return fetch(url, rest)
}

/** A client may ask for a shorter life, so that the demo can show the end of a token without waiting for minutes. */
export function wantedLifetime(ctx: KoaContextWithOIDC, most: number): number {
  const wanted = Number(ctx.get(lifetimeHeader))
  return Number.isInteger(wanted) && wanted > 0 ? Math.min(wanted, most) : most
}

/** Whoever agreed once is not asked again: oidc-provider takes the scope out of a login without `prompt=consent`. */
function mayStayAway(ctx: KoaContextWithOIDC, scopes: ReadonlySet<string>): boolean {
  const granted = ctx.oidc.entities.Grant?.getOIDCScopeFiltered(new Set(['offline_access']))
  return scopes.has('offline_access') || granted === 'offline_access'
}

function show(
  ctx: KoaContextWithOIDC,
  page: Html,
  formTargets: readonly unknown[] = [],
  script = false,
): void {
  ctx.set(pageHeaders(formTargets, script))
  ctx.type = 'html'
  ctx.body = page.markup
}

/** A key for each algorithm that a client may want its ID tokens signed with. */
function signingKeys(): JWK[] {
  return [
    jwk(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey, 'RS256'),
    jwk(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, 'ES256'),
  ]
}

function jwk(key: KeyObject, alg: string): JWK {
  return { ...key.export({ format: 'jwk' }), alg, use: 'sig' }
}

const interactionError: ErrorRequestHandler = (error, _req, res, next) => {
  if (res.headersSent) return next(error)
  const expired = error instanceof errors.SessionNotFound
  if (!expired) console.error(error)
  const page = expired
    ? messagePage(
        'This page is too old',
        'You have left it or waited too long. Go back to the application and start again.',
      )
    : messagePage('This did not work', 'Go back to the application and start again.')
  return res
    .status(expired ? 400 : 500)
    .set(pageHeaders())
    .send(page.markup)
}
