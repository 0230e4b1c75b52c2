/** Signs users in: answers the login, callback and logout paths, and puts `req.auth` on every other request. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { isOAuthError, OAuthError } from '../errors.js'
import { emitter } from '../events.js'
import { httpClient } from '../http.js'
import { createClient } from '../oauth/client.js'
import { configuredMetadata, discoveredMetadata } from '../oauth/server-metadata.js'
import { cookieStorage } from '../session/cookie-storage.js'
import { createSeal } from '../session/seal.js'
import { sessionStorage } from '../session/session-storage.js'
import { createSessions } from '../session/session.js'
import { createTransactions } from '../session/transaction.js'
import { attachAuth } from './auth.js'
import { createCallback } from './callback.js'
import { createLogin, type StartLoginOptions } from './login.js'
import { createLogout } from './logout.js'
import {
  checkedCredentials,
  checkedName,
  checkedParameters,
  checkedScope,
  checkedSecrets,
  checkedServer,
  checkedSite,
  loginOptionChecks,
  type OAuthLoginOptions,
} from './oauth-login-options.js'
import { sendErrorPage } from './page.js'
import { navigation, originalUrl, redirect, requestPath, sendJson, type Middleware } from './request.js'
import { localPath } from './return-to.js'
import { sessionSource } from './session-source.js'

type Next = (error?: unknown) => void
type Route = (req: IncomingMessage, res: ServerResponse) => Promise<void>

const startKey = Symbol('express-oauth-kit.start-login')
type LoginRequest = IncomingMessage & { [startKey]?: (options: StartLoginOptions) => Promise<void> }

/**
 * Mount it before the routes that need a user, and after express-session with `storage: 'session'`.
 * Throws `invalid_configuration` for options that cannot work.
 */
export function oauthLogin(options: OAuthLoginOptions): Middleware {
  const check = loginOptionChecks(options)
  const site = checkedSite(options, check)
  const scope = checkedScope(options.scope ?? 'openid', check)
  const server = checkedServer(options, scope, check)
  const credentials = checkedCredentials(options, check)
  const secrets = checkedSecrets(options.secrets, check)
  const parameters = checkedParameters(options, check)
  const name = checkedName(options.name ?? 'oauth', check)
  const storageKind = check.oneOf('storage', options.storage, ['cookie', 'session'])
  const responseMode = check.oneOf('responseMode', options.responseMode, ['query', 'form_post'], 'query')
  const onError = check.oneOf('onError', options.onError, ['answer', 'next'], 'answer')
  const { clientId } = options

  const now = () => Math.floor(Date.now() / 1000)
  const emit = emitter(options.onEvent)
  const http = httpClient(options.fetch, check.seconds('timeout', options.timeout, { default: 5, min: 0.1 }))
  const fixedMetadata = server.endpoints && configuredMetadata(server.endpoints, server.issuer)
  const client = createClient({
    clientId,
    redirectUri: site.redirectUri,
    credentials,
    metadata: fixedMetadata
      ? async () => fixedMetadata
      : discoveredMetadata({ issuer: server.issuer ?? '', http, emit, now }),
    http,
    clockTolerance: check.seconds('clockTolerance', options.clockTolerance, { default: 30, max: 300 }),
    emit,
    now,
  })

  // Browsers refuse a cookie with this prefix from any other host, and over http.
  const cookieName = site.secure ? `__Host-${name}` : name
  const transactions = createTransactions({
    name: cookieName,
    seal: createSeal(secrets, `login ${name}`),
    secure: site.secure,
    crossSite: responseMode === 'form_post',
    lifetime: check.seconds('transactionLifetime', options.transactionLifetime, { default: 600, min: 10 }),
    most: check.seconds('maxTransactions', options.maxTransactions, { default: 8, min: 1, max: 20 }),
    now,
  })
  const sessions = createSessions({
    storage:
      storageKind === 'cookie'
        ? cookieStorage({
            name: cookieName,
            seal: createSeal(secrets, `session ${name}`),
            secure: site.secure,
            now,
          })
        : sessionStorage({
            name,
            sessionSeal: createSeal(secrets, `stored session ${name}`),
            tokensSeal: createSeal(secrets, `stored tokens ${name}`),
            keepSessionData: options.keepSessionData ?? false,
            storeTimeout: check.seconds('storeTimeout', options.storeTimeout, { default: 2, min: 0.1 }),
            now,
          }),
    idleLifetime: check.seconds('idleLifetime', options.idleLifetime, { default: 86_400, min: 60 }),
    absoluteLifetime: check.seconds('absoluteLifetime', options.absoluteLifetime, {
      default: 604_800,
      min: 60,
    }),
    now,
  })

  const own = Object.values(site.paths).map((path) => `${site.basePath}${path}`)
  const safePath = (byDefault: string) => (value: unknown) => {
    const path = localPath(value, site.origin)
    // Back to one of our own paths would be a circle, or a sign-out nobody asked for.
    return path === undefined || own.includes(path.split(/[?#]/, 1)[0] ?? '') ? byDefault : path
  }

  const login = createLogin({
    client,
    sessions,
    transactions,
    scope,
    resource: options.resource,
    parameters,
    allowedInQuery: options.queryParameters ?? [],
    responseMode,
    safeReturnTo: safePath(site.returnTo),
  })
  const callback = createCallback({
    client,
    http,
    transactions,
    sessions,
    login,
    responseMode,
    wantsUserinfo: options.userinfo ?? false,
    onLogin: options.onLogin,
    returnTo: site.returnTo,
    emit,
  })
  const logout = createLogout({
    client,
    sessions,
    origin: site.origin,
    byGet: options.logoutByGet ?? false,
    safeReturnTo: safePath(site.postLogoutReturnTo),
    emit,
  })

  const routes = new Map<string, Route>([
    [site.paths.login, get(login.fromRequest)],
    [site.paths.callback, callback],
    [site.paths.logout, logout],
  ])

  return (req, res, next) => {
    const route = routes.get(requestPath(req))
    if (route) {
      route(req, res).catch((error: unknown) => {
        if (isOAuthError(error) && route === callback) emitFailure(error)
        answerError(error, req, res, next)
      })
      return
    }
    attachAuth(
      req,
      sessionSource(req, res, { sessions, clientId, now, refuse: (error) => refuse(error, req, res, next) }),
    )
    ;(req as LoginRequest)[startKey] = (wanted) =>
      login.start(req, res, wanted).catch((error: unknown) => answerError(error, req, res, next))
    next()
  }

  function emitFailure({ code, reason }: OAuthError): void {
    emit({ type: 'login_failed', code, ...(reason !== undefined && { reason }) })
  }

  /** A page visit goes to the login and comes back; whatever cannot show a login page is told where it is. */
  function refuse(error: unknown, req: IncomingMessage, res: ServerResponse, next: Next): void {
    const needsLogin = isOAuthError(error) && error.code === 'login_required'
    if (needsLogin && navigation(req) === 'yes' && !res.headersSent) {
      redirect(res, loginUrl(req), req.method === 'GET' || req.method === 'HEAD' ? 302 : 303)
    } else answerError(error, req, res, next)
  }

  function loginUrl(req: IncomingMessage): string {
    const isReadable = req.method === 'GET' || req.method === 'HEAD'
    const query = isReadable ? `?${new URLSearchParams({ returnTo: originalUrl(req) }).toString()}` : ''
    return `${site.basePath}${site.paths.login}${query}`
  }

  function answerError(error: unknown, req: IncomingMessage, res: ServerResponse, next: Next): void {
    if (onError === 'next' || !isOAuthError(error) || res.headersSent) {
      next(error)
    } else if (navigation(req) === 'yes') {
      sendErrorPage(res, error, site.returnTo, !site.secure)
    } else {
      for (const [header, value] of Object.entries(error.headers))
        if (value !== undefined) res.setHeader(header, value)
      const where =
        error.code === 'login_required' ? { login_url: `${site.basePath}${site.paths.login}` } : {}
      sendJson(res, error.status, { ...error.toJSON(), ...where })
    }
  }
}

function get(route: Route): Route {
  return async (req, res) => {
    if (req.method === 'GET') return route(req, res)
    throw new OAuthError('method_not_allowed', { headers: { allow: 'GET' } })
  }
}

/**
 * Starts a login from a handler: to ask for more scope when it is first needed, or to have the user sign in afresh.
 * Answers the request, also when it fails. Throws `invalid_configuration` where `oauthLogin` is not mounted.
 */
export async function startLogin(
  req: IncomingMessage,
  _res: ServerResponse,
  options: StartLoginOptions = {},
): Promise<void> {
  const start = (req as LoginRequest)[startKey]
  if (!start) {
    throw new OAuthError('invalid_configuration', {
      message: 'startLogin: oauthLogin has not seen this request; mount it with app.use() before this route',
    })
  }
  await start(options)
}
