/** Connections: a signed-in user links accounts at other providers, and the app acts on them for years. */

import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { asError } from '../app-answer.js'
import { createConnectionChanges } from '../connections/connection-changes.js'
import { createConnectionPlaces } from '../connections/connection-places.js'
import { createConnectionRevocation } from '../connections/connection-revocation.js'
import { boundedConnectionStore, checkedConnectionStore } from '../connections/connection-store.js'
import { createConnectionTokens } from '../connections/connection-tokens.js'
import { createConnections, type Connection } from '../connections/connection.js'
import { grantSeal } from '../connections/grant.js'
import { createLinking } from '../connections/linking.js'
import { createProvider, type Provider } from '../connections/provider.js'
import { createSweep, type CheckOptions, type CheckResult } from '../connections/sweep.js'
import { OAuthError } from '../errors.js'
import { emitter } from '../events.js'
import { httpClient } from '../http.js'
import { createSeal } from '../seal.js'
import { checkedSecrets } from '../secret.js'
import { varyByCookie } from '../session/cookies.js'
import { createTransactions } from '../session/transaction.js'
import { createLeases } from '../stores/leases.js'
import { scopedStore } from '../stores/store.js'
import { createGate } from '../tokens/gate.js'
import { createOutcomes } from '../tokens/outcomes.js'
import { createRefresher, type Refresher } from '../tokens/refresh.js'
import { browserSource } from './auth.js'
import { createConnect, type ConnectTransaction } from './connect.js'
import { createConnectOutcomes, type ConnectOutcome } from './connect-outcome.js'
import { createConnectionRoutes } from './connection-routes.js'
import { checkedConnectionsPage, connectionsPage } from './connections-page.js'
import { checkedCsrfHeader } from './csrf.js'
import {
  checkedConnectionsSite,
  checkedProviders,
  connectionsOptionChecks,
  redirectUri,
  type OAuthConnectionsOptions,
} from './oauth-connections-options.js'
import { checkedName } from './oauth-login-options.js'
import { forbidStoring, requestPath, type Middleware } from './request.js'

/** The connections of one owner. */
export interface OwnerConnections {
  /** All of them, the oldest first. */
  list(): Promise<readonly Connection[]>
  /** Throws `connection_not_found`, also for those of others. */
  get(id: string): Promise<Connection>
  /**
   * Ends and forgets all of them, for "delete my account". Sign the user out first: one that is being connected at this
   * moment would come after. What could not be revoked within two seconds and a half is not tried again.
   */
  removeAll(): Promise<void>
}

export interface RedirectUri {
  /** By its name in the option `providers`. */
  readonly provider: string
  readonly redirectUri: string
}

/** The middleware, and what an app does with connections. */
export interface OAuthConnections extends Middleware {
  /**
   * The connections of an owner, also outside a request: in jobs and webhooks. Throws `access_denied` for what is no name,
   * such as the user of a request that nobody signed in for.
   */
  for(owner: string): OwnerConnections
  /**
   * What to register at each provider, to the letter: for this `baseUrl`, or for those of other environments of the app, in
   * their order and in that of `providers`. Throws `invalid_configuration` for a `baseUrl` that cannot be.
   */
  redirectUris(...baseUrls: readonly string[]): readonly RedirectUri[]
  /**
   * Tries all connections that were not tried for a while, and revokes what could not be revoked before. For a scheduled job:
   * it may be stopped at any moment and goes on where it stopped, and of several instances one is at it.
   * Throws `store_unavailable`.
   */
  check(options?: CheckOptions): Promise<CheckResult>
  /** Seals all tokens with the first of `secrets`, so that the others can be taken out. How many it sealed anew. */
  reseal(): Promise<number>
  /** What came of the last connecting in this session, once: for a page of the app's own. */
  outcome(req: IncomingMessage, res: ServerResponse): ConnectOutcome | undefined
}

/**
 * Mount it behind `oauthLogin`. Throws `invalid_configuration` for options that cannot work.
 */
export function oauthConnections(options: OAuthConnectionsOptions): OAuthConnections {
  const check = connectionsOptionChecks(options)
  const site = checkedConnectionsSite(options, check)
  const secrets = checkedSecrets('secrets', options.secrets, check)
  const name = checkedName(options.name ?? 'oauth', check)
  const header = checkedCsrfHeader(options.header, check)
  const timeout = check.seconds('timeout', options.timeout, { default: 5, min: 0.1, max: 600 })
  const storeTimeout = check.seconds('storeTimeout', options.storeTimeout, { default: 2, min: 0.1, max: 600 })
  const clockTolerance = check.seconds('clockTolerance', options.clockTolerance, { default: 30, max: 300 })
  const lifetime = check.seconds('transactionLifetime', options.transactionLifetime, {
    default: 600,
    min: 10,
  })
  const page = checkedConnectionsPage(options.page, check)
  check.function('owner', options.owner)
  check.function('onEvent', options.onEvent)
  check.function('fetch', options.fetch)

  const now = () => Math.floor(Date.now() / 1000)
  const emit = emitter(options.onEvent)
  const store = boundedConnectionStore(checkedConnectionStore(options.store, check), storeTimeout)
  const shared = scopedStore(store.shared, { scope: `connections ${name}`, timeout: storeTimeout })
  const parts = {
    secrets,
    http: httpClient(options.fetch, timeout),
    fetch: options.fetch ?? globalThis.fetch,
    timeout,
    clockTolerance,
    emit,
    now,
  }
  const providers: ReadonlyMap<string, Provider> = checkedProviders(
    options.providers,
    (key, provider) =>
      createProvider(key, provider, check, {
        ...parts,
        redirectUri: redirectUri(options.baseUrl, site, key),
      }),
    check,
  )

  const seal = grantSeal(createSeal(secrets, `connection tokens ${name}`))
  const changes = createConnectionChanges(store)
  const leases = createLeases(shared)
  const outcomes = createOutcomes({
    store: shared,
    seal: createSeal(secrets, `connection refresh outcome ${name}`),
    // Nobody may ask for a connection for a while, and what was granted meanwhile must not be lost.
    lifetime: 3_600,
  })
  // A gate for each: one provider that hangs must not keep the others waiting.
  const refreshers = new Map<string, Refresher>(
    [...providers.keys()].map((key) => [
      key,
      createRefresher({ leases, outcomes, gate: createGate(), emit }),
    ]),
  )
  const refresher = (provider: string): Refresher => {
    const found = refreshers.get(provider)
    if (found) return found
    throw new OAuthError('provider_not_found')
  }
  const places = createConnectionPlaces({ providers, seal })
  const records = { store, changes, providers, places, seal, emit, now }
  const revocation = createConnectionRevocation({ ...records, outcomes })
  const tokens = createConnectionTokens({ ...records, revocation, outcomes, refresher })
  const linking = createLinking({ ...records, revocation })
  const connections = createConnections({ ...records, revocation, tokens })
  const sweep = createSweep({ store, changes, connections, seal, leases, emit, now })

  // What one app sealed must not open at another that was given the same secret, such as the staging environment.
  const place = JSON.stringify([name, options.baseUrl, site.path])
  // Two of one app have one name, or neither could read what the other keeps; what each has in flight is its own.
  const tag = createHash('sha256').update(place).digest('base64url').slice(0, 6)
  const cookieName = `${site.secure ? '__Host-' : ''}${name}.${tag}`
  const connectOutcomes = createConnectOutcomes({
    name: cookieName,
    seal: createSeal(secrets, `connect outcome ${place}`),
    secure: site.secure,
  })
  const connect = createConnect({
    transactions: createTransactions<ConnectTransaction>({
      name: cookieName,
      kind: 'connect',
      seal: createSeal(secrets, `connect ${place}`),
      store: shared,
      secure: site.secure,
      crossSite: false,
      lifetime,
      most: 8,
      now,
    }),
    outcomes: connectOutcomes,
    linking,
    owner: options.owner,
    emit,
  })
  const routes = createConnectionRoutes({
    store,
    changes,
    connections,
    providers,
    connect,
    outcomes: connectOutcomes,
    sendPage:
      page && connectionsPage({ ...page, path: `${site.basePath}${site.path}`, home: `${site.basePath}/` }),
    csrf: { header, forms: true },
    origin: site.origin,
    returnTo: site.returnTo,
    emit,
  })

  const middleware: Middleware = (req, res, next) => {
    const path = requestPath(req)
    if (path !== site.path && !path.startsWith(`${site.path}/`)) {
      next()
      return
    }
    const segments = path.slice(site.path.length).split('/').slice(1)
    const route = routes(req, segments.at(-1) === '' ? segments.slice(0, -1) : segments)
    if (!route) {
      next()
      return
    }
    const source = browserSource(req)
    if (!source) {
      next(notMounted())
      return
    }
    varyByCookie(res)
    forbidStoring(res)
    route(req, res, source)
      .catch((error: unknown) => {
        // Nobody is there any more, so nobody is told.
        if (!res.destroyed) source.refuse(asError(error, 'oauthConnections'), req, res, next, site.returnTo)
      })
      .catch(next) // a mistake on the way to an answer must not leave the request open
  }

  return Object.assign(middleware, {
    for(owner: string): OwnerConnections {
      // Without a name, none would be asked for, and every connection would be theirs.
      if (typeof owner !== 'string' || owner === '') throw noOwner()
      return {
        list: async () => (await store.list(owner)).map(connections.connection),
        get: async (id) => connections.connection(await changes.get(id, owner)),
        removeAll: () => connections.removeAll(owner),
      }
    },
    redirectUris: (...baseUrls: readonly string[]) =>
      (baseUrls.length === 0 ? [options.baseUrl] : baseUrls).flatMap((baseUrl) =>
        [...providers.keys()].map((provider) => ({
          provider,
          redirectUri: redirectUri(baseUrl, site, provider),
        })),
      ),
    check: sweep.check,
    reseal: sweep.reseal,
    outcome(req: IncomingMessage, res: ServerResponse) {
      const session = browserSource(req)?.peek()?.sessionId
      return session === undefined ? undefined : connectOutcomes.take(req, res, session)
    },
  })
}

function noOwner(): OAuthError {
  return new OAuthError('access_denied', {
    message: 'connections.for() needs the name of an owner',
    reason: 'no_owner',
    hint: 'Give the text that "owner" gives, or the "sub" of the user. Is anybody signed in?',
  })
}

function notMounted(): OAuthError {
  return new OAuthError('invalid_configuration', {
    message:
      'oauthConnections: oauthLogin has not seen this request; mount it with app.use() before the connections',
  })
}
