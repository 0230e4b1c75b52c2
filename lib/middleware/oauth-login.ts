/** Signs users in: answers the login, callback and logout paths, and puts `req.auth` on every other request. */

import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { isOAuthError, OAuthError } from '../errors.js'
import { emitter } from '../events.js'
import { httpClient } from '../http.js'
import { createClient } from '../oauth/client.js'
import { derivedDPoPKeys } from '../oauth/dpop-keys.js'
import { checkedImpliedScopes } from '../oauth/implied-scopes.js'
import { refreshTokenGrant } from '../oauth/refresh-token.js'
import { firstUse } from '../oauth/replay.js'
import { checkedResource, checkedScope } from '../oauth/requested-access.js'
import { revoke as revokeTokens } from '../oauth/revocation.js'
import { configuredMetadata, discoveredMetadata } from '../oauth/server-metadata.js'
import { checkedAlgorithms, checkedCredentials, checkedServer } from '../oauth/server-options.js'
import type { TokenSet } from '../oauth/token-set.js'
import { createSeal } from '../seal.js'
import { checkedSecrets } from '../secret.js'
import { cookieStorage } from '../session/cookie-storage.js'
import { createEndings } from '../session/endings.js'
import { expressSessionAccess } from '../session/express-session.js'
import { freshLogin } from '../session/fresh-login.js'
import { createFurtherTokens } from '../session/further-tokens.js'
import { sessionStorage } from '../session/session-storage.js'
import { createSessions, type SessionStorage } from '../session/session.js'
import { createSessionTokens } from '../session/session-tokens.js'
import { expressTokenRecords, sharedTokenRecords } from '../session/token-records.js'
import { createTransactions, type Transaction } from '../session/transaction.js'
import { createLeases } from '../stores/leases.js'
import { isMemoryStore, memoryStore } from '../stores/memory-store.js'
import { checkedStore, scopedStore } from '../stores/store.js'
import { apiFetch } from '../tokens/api-fetch.js'
import { createGate } from '../tokens/gate.js'
import { createOutcomes } from '../tokens/outcomes.js'
import { createRefresher } from '../tokens/refresh.js'
import { createRevoke } from '../tokens/revoke.js'
import { rotationWarning } from '../tokens/rotation-warning.js'
import { attachSession, type BrowserSource } from './auth.js'
import { createBackchannelLogout } from './backchannel-logout.js'
import { createCallback } from './callback.js'
import { createFrontchannelLogout } from './frontchannel-logout.js'
import { createLogin } from './login.js'
import { createLogout } from './logout.js'
import {
  checkedApiList,
  checkedDurations,
  checkedMaxTransactions,
  checkedName,
  checkedParameters,
  loginOptionChecks,
  type OAuthLoginOptions,
} from './oauth-login-options.js'
import { createRefusals } from './refusals.js'
import { forbidStoring, requestPath, type Middleware } from './request.js'
import { localPath } from './return-to.js'
import { SessionSource } from './session-source.js'
import { checkedSite } from './site.js'
import { createUpgrades, type Upgrades } from './upgrades.js'
import { checkedUserEndpoint, createUserEndpoint } from './user-endpoint.js'

type Route = (req: IncomingMessage, res: ServerResponse, source: BrowserSource) => Promise<void>

/** The middleware, what an administrator does with sessions, and what WebSockets need. */
export interface OAuthLogin extends Middleware, Upgrades {
  /**
   * Signs a user out everywhere: all sessions that began until now. `subject` is the server's name for the user, as in
   * `getAuth(req).subject`. It reaches all instances that share the store. Throws `store_unavailable`.
   */
  endSessions(subject: string): Promise<void>
  /** Ends one session, by its `getAuth(req).sessionId`. Throws `store_unavailable`. */
  endSession(sessionId: string): Promise<void>
}

/**
 * Mount it before the routes that need a user, and after express-session with `storage: 'session'`.
 * Throws `invalid_configuration` for options that cannot work.
 */
export function oauthLogin(options: OAuthLoginOptions): OAuthLogin {
  const check = loginOptionChecks(options)
  const site = checkedSite(options, check)
  const scope = checkedScope(options.scope ?? 'openid', check)
  const server = checkedServer(options, ['authorization', 'token'], scope, check)
  const credentials = checkedCredentials(options, check)
  const secrets = checkedSecrets('secrets', options.secrets, check)
  const parameters = checkedParameters(options, scope, check)
  const resource = checkedResource(options.resource, check)
  const apis = checkedApiList(options.apis, check)
  const covers = checkedImpliedScopes(options.impliedScopes, check)
  const durations = checkedDurations(options, check)
  const name = checkedName(options.name ?? 'oauth', check)
  const storageKind = check.oneOf('storage', options.storage, ['cookie', 'session'])
  const responseMode = check.oneOf('responseMode', options.responseMode, ['query', 'form_post'], 'query')
  const wantsDPoP = check.boolean('dpop', options.dpop)
  const onError = check.oneOf('onError', options.onError, ['answer', 'next'], 'answer')
  check.function('onLogin', options.onLogin)
  check.function('onEvent', options.onEvent)
  check.function('fetch', options.fetch)
  const user = checkedUserEndpoint(options.user, check)
  const { clientId, userinfo: wantsUserinfo = false } = options

  const now = () => Math.floor(Date.now() / 1000)
  const emit = emitter(options.onEvent)
  const http = httpClient(options.fetch, durations.timeout)
  const fixedMetadata = server.endpoints && configuredMetadata(server.endpoints, server.issuer)
  const issuer = fixedMetadata?.issuer ?? server.issuer ?? ''
  // What one app sealed must not open at another that was given the same secret, such as the staging environment.
  const place = JSON.stringify([name, server.issuer ?? server.endpoints?.authorization, clientId])
  const dpopKeys = derivedDPoPKeys(secrets, { purpose: `dpop key ${place}`, isWanted: wantsDPoP, now })
  const client = createClient({
    clientId,
    redirectUri: site.redirectUri,
    credentials,
    metadata: fixedMetadata ? async () => fixedMetadata : discoveredMetadata({ issuer, http, emit, now }),
    http,
    algorithms: checkedAlgorithms(options.algorithms, check),
    clockTolerance: durations.clockTolerance,
    dpopKeys,
    timeout: durations.timeout,
    emit,
    now,
  })

  const sealFor = <T>(purpose: string) => createSeal<T>(secrets, `${purpose} ${place}`)
  // Browsers refuse a cookie with this prefix from any other host, and over http.
  const cookieName = site.secure ? `__Host-${name}` : name
  const givenStore = checkedStore(options.store, check)
  const isShared = givenStore !== undefined && !isMemoryStore(givenStore)
  const store = scopedStore(givenStore ?? memoryStore(), {
    scope: createHash('sha256').update(place).digest('base64url').slice(0, 16),
    timeout: isShared ? durations.storeTimeout : Infinity,
  })
  const endings = createEndings({ store, absoluteLifetime: durations.absoluteLifetime, now })
  const transactions = createTransactions<Transaction>({
    name: cookieName,
    kind: 'login',
    seal: sealFor('login'),
    store,
    secure: site.secure,
    crossSite: responseMode === 'form_post',
    lifetime: durations.transactionLifetime,
    most: checkedMaxTransactions(options.maxTransactions, check),
    now,
  })
  const sessions = createSessions({
    storage: storageKind === 'cookie' ? inCookies() : inExpressSession(),
    endings,
    idleLifetime: durations.idleLifetime,
    absoluteLifetime: durations.absoluteLifetime,
    now,
  })
  const outcomes = createOutcomes({ store, seal: sealFor('refresh outcome') })
  const revoke = createRevoke((tokens) => revokeTokens(client, tokens), emit)
  const warnOfRotation = givenStore ? undefined : rotationWarning()
  const sessionTokens = createSessionTokens({
    sessions,
    refresher: createRefresher({ leases: createLeases(store), outcomes, gate: createGate(), emit }),
    outcomes,
    furtherTokens: createFurtherTokens({ store, seal: sealFor('further token'), now }),
    resource,
    dpopKeys,
    async grant(tokens, { subject }, request) {
      const renewed = await refreshTokenGrant(client, tokens, subject, request)
      warnOfRotation?.(tokens, renewed)
      return renewed
    },
    revoke,
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
    issuer: server.issuer,
    origin: site.origin,
    sessions,
    transactions,
    scope,
    resource,
    parameters,
    allowedInQuery: options.queryParameters ?? [],
    responseMode,
    wantsUserinfo,
    demandSeal: sealFor('step up'),
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
    noteSid: site.paths.frontchannelLogout === undefined ? undefined : endings.noteSid,
    discard: (tokens) => void revoke(tokens),
    returnTo: site.returnTo,
    emit,
  })
  const logout = createLogout({
    client,
    revoke,
    sessions,
    sessionTokens,
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
    stepUpQuery: login.stepUpQuery,
    forDeveloper: !site.secure,
    emit,
  })
  const source = {
    sessions,
    login,
    refusals,
    freshLogin: fresh,
    sessionTokens,
    apiFetch: apiFetch({ apis, fetch: options.fetch ?? globalThis.fetch }),
    clientId,
    origin: site.origin,
    covers,
    clock: client,
  }

  const routes = new Map<string, Route>([
    [site.paths.login, toldAsLogin(login.fromRequest)],
    [site.paths.callback, toldAsLogin(callback)],
    [site.paths.logout, logout],
  ])
  const { user: userPath, backchannelLogout, frontchannelLogout } = site.paths
  if (user && userPath !== undefined) {
    const logoutUrl = `${site.basePath}${site.paths.logout}`
    routes.set(userPath, createUserEndpoint({ settings: user, sessions, logoutUrl }))
  }
  /** To ask whether a session lives is no use of it. */
  const unnoticed = { ...source, sessions: { ...sessions, read: sessions.find } }
  if (backchannelLogout !== undefined) {
    const isFirstUse = firstUse(store)
    routes.set(backchannelLogout, createBackchannelLogout({ client, issuer, endings, isFirstUse, emit }))
  }
  if (frontchannelLogout !== undefined) {
    const logoutInFrame = createFrontchannelLogout({ issuer, sessions, endings, freshLogin: fresh, emit })
    routes.set(frontchannelLogout, logoutInFrame)
  }

  const middleware: Middleware = (req, res, next) => {
    const path = requestPath(req)
    const session = new SessionSource(req, res, next, path === userPath ? unnoticed : source)
    attachSession(req, session)
    const route = routes.get(path)
    if (!route) {
      next()
      return
    }
    forbidStoring(res) // also when the app's error handler answers: the URL may hold a code
    route(req, res, session)
      .catch((error: unknown) => refusals.answer(error, req, res, next))
      .catch(next) // a mistake on the way to an answer must not leave the request open
  }
  return Object.assign(middleware, {
    ...createUpgrades({
      source,
      sessions,
      refusals,
      origin: site.origin,
      storeTimeout: durations.storeTimeout,
    }),
    endSession: (sessionId: string) => endings.endSession(sessionId),
    endSessions: (subject: string) => endings.endSubject(issuer, subject),
  })

  function inCookies(): SessionStorage {
    return cookieStorage({
      name: cookieName,
      sessionSeal: sealFor('session'),
      tokensSeal: sealFor('session tokens'),
      secure: site.secure,
      now,
    })
  }

  function inExpressSession(): SessionStorage {
    const expressSession = expressSessionAccess()
    const { storeTimeout } = durations
    const seal = sealFor<TokenSet>('stored tokens')
    return sessionStorage({
      name,
      seal: sealFor('stored session'),
      expressSession,
      records: isShared
        ? sharedTokenRecords(store, { seal, now })
        : expressTokenRecords({ seal, expressSession, timeout: storeTimeout, now }),
      keepSessionData: options.keepSessionData ?? false,
      storeTimeout,
    })
  }

  function toldAsLogin(route: Route): Route {
    return async (...visit) => {
      try {
        await route(...visit)
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
