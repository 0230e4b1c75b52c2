/** Signs users in: answers the login, callback and logout paths, and puts `req.auth` on every other request. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { isOAuthError, OAuthError } from '../errors.js'
import { emitter } from '../events.js'
import { httpClient } from '../http.js'
import { createClient } from '../oauth/client.js'
import { refreshTokenGrant } from '../oauth/refresh-token.js'
import { configuredMetadata, discoveredMetadata } from '../oauth/server-metadata.js'
import { cookieStorage } from '../session/cookie-storage.js'
import { freshLogin } from '../session/fresh-login.js'
import { createSeal } from '../session/seal.js'
import { sessionStorage } from '../session/session-storage.js'
import { createSessions } from '../session/session.js'
import { createTransactions } from '../session/transaction.js'
import { sessionAccessToken } from '../session/session-tokens.js'
import { createRefresher } from '../tokens/refresh.js'
import { createRevoke } from '../tokens/revoke.js'
import { attachAuth } from './auth.js'
import { createCallback } from './callback.js'
import { createLogin } from './login.js'
import { createLogout } from './logout.js'
import {
  checkedDurations,
  checkedMaxTransactions,
  checkedName,
  checkedParameters,
  checkedResource,
  checkedScope,
  checkedSecrets,
  loginOptionChecks,
  type OAuthLoginOptions,
} from './oauth-login-options.js'
import { createRefusals } from './refusals.js'
import { forbidStoring, requestPath, type Middleware } from './request.js'
import { localPath } from './return-to.js'
import { checkedCredentials, checkedServer } from './server-options.js'
import { SessionSource } from './session-source.js'
import { checkedSite } from './site.js'

type Route = (req: IncomingMessage, res: ServerResponse) => Promise<void>

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
  const parameters = checkedParameters(options, scope, check)
  const resource = checkedResource(options.resource, check)
  const durations = checkedDurations(options, check)
  const name = checkedName(options.name ?? 'oauth', check)
  const storageKind = check.oneOf('storage', options.storage, ['cookie', 'session'])
  const responseMode = check.oneOf('responseMode', options.responseMode, ['query', 'form_post'], 'query')
  const onError = check.oneOf('onError', options.onError, ['answer', 'next'], 'answer')
  check.function('onLogin', options.onLogin)
  check.function('onEvent', options.onEvent)
  check.function('fetch', options.fetch)
  const { clientId, userinfo: wantsUserinfo = false } = options

  const now = () => Math.floor(Date.now() / 1000)
  const emit = emitter(options.onEvent)
  const http = httpClient(options.fetch, durations.timeout)
  const fixedMetadata = server.endpoints && configuredMetadata(server.endpoints, server.issuer)
  const client = createClient({
    clientId,
    redirectUri: site.redirectUri,
    credentials,
    metadata: fixedMetadata
      ? async () => fixedMetadata
      : discoveredMetadata({ issuer: server.issuer ?? '', http, emit, now }),
    http,
    clockTolerance: durations.clockTolerance,
    emit,
    now,
  })

  // What one app sealed must not open at another that was given the same secret, such as the staging environment.
  const place = JSON.stringify([name, server.issuer ?? server.endpoints?.authorization, clientId])
  const sealFor = <T>(purpose: string) => createSeal<T>(secrets, `${purpose} ${place}`)
  // Browsers refuse a cookie with this prefix from any other host, and over http.
  const cookieName = site.secure ? `__Host-${name}` : name
  const transactions = createTransactions({
    name: cookieName,
    seal: sealFor('login'),
    secure: site.secure,
    crossSite: responseMode === 'form_post',
    lifetime: durations.transactionLifetime,
    most: checkedMaxTransactions(options.maxTransactions, check),
    now,
  })
  const refresher = createRefresher({ emit, now })
  const sessions = createSessions({
    storage:
      storageKind === 'cookie'
        ? cookieStorage({
            name: cookieName,
            seal: sealFor('session'),
            secure: site.secure,
            now,
            latest: refresher.latest,
          })
        : sessionStorage({
            name,
            sessionSeal: sealFor('stored session'),
            tokensSeal: sealFor('stored tokens'),
            keepSessionData: options.keepSessionData ?? false,
            storeTimeout: durations.storeTimeout,
            now,
          }),
    idleLifetime: durations.idleLifetime,
    absoluteLifetime: durations.absoluteLifetime,
    now,
  })

  const own = Object.values(site.paths).map((path) => `${site.basePath}${path}`)
  const safePath = (byDefault: string) => (value: unknown) => {
    const path = localPath(value, site.origin)
    // Back to one of our own paths would be a circle, or a sign-out nobody asked for.
    return path === undefined || own.includes(path.split(/[?#]/, 1)[0] ?? '') ? byDefault : path
  }

  const fresh = freshLogin(cookieName, site.secure)
  const login = createLogin({
    client,
    sessions,
    transactions,
    scope,
    resource,
    parameters,
    allowedInQuery: options.queryParameters ?? [],
    responseMode,
    wantsUserinfo,
    safeReturnTo: safePath(site.returnTo),
  })
  const callback = createCallback({
    client,
    http,
    transactions,
    sessions,
    freshLogin: fresh,
    login,
    responseMode,
    wantsUserinfo,
    onLogin: options.onLogin,
    returnTo: site.returnTo,
    emit,
  })
  const revoke = createRevoke(client, emit)
  const logout = createLogout({
    client,
    revoke,
    sessions,
    freshLogin: fresh,
    origin: site.origin,
    byGet: options.logoutByGet ?? false,
    safeReturnTo: safePath(site.postLogoutReturnTo),
    emit,
  })

  const refusals = createRefusals({
    onError,
    loginPath: `${site.basePath}${site.paths.login}`,
    returnTo: site.returnTo,
    freshLogin: fresh,
    forDeveloper: !site.secure,
    emit,
  })
  const accessToken = sessionAccessToken({
    sessions,
    refresher,
    grant: (tokens, { subject }) => refreshTokenGrant(client, tokens, subject, resource),
    discard: (tokens) => void revoke(tokens),
    now,
  })
  const source = { sessions, login, refusals, accessToken, clientId }

  const routes = new Map<string, Route>([
    [site.paths.login, toldAsLogin(onlyGet(login.fromRequest))],
    [site.paths.callback, toldAsLogin(callback)],
    [site.paths.logout, logout],
  ])

  return (req, res, next) => {
    attachAuth(req, new SessionSource(req, res, next, source))
    const route = routes.get(requestPath(req))
    if (!route) {
      next()
      return
    }
    forbidStoring(res) // also when the app's error handler answers: the URL may hold a code
    route(req, res)
      .catch((error: unknown) => refusals.answer(error, req, res, next))
      .catch(next) // a mistake on the way to an answer must not leave the request open
  }

  function toldAsLogin(route: Route): Route {
    return async (req, res) => {
      try {
        await route(req, res)
      } catch (error) {
        const failure = isOAuthError(error)
          ? error
          : new OAuthError('login_refused', { reason: 'threw', cause: error })
        emit({ type: 'login_failed', code: failure.code, error: failure })
        throw error
      }
    }
  }
}

function onlyGet(route: Route): Route {
  return async (req, res) => {
    if (req.method === 'GET') return route(req, res)
    throw new OAuthError('method_not_allowed', { headers: { allow: 'GET' } })
  }
}
