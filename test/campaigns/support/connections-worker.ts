/**
 * One instance of an application whose users connect accounts, in a process of its own, over PostgreSQL with the settings
 * that the README recommends. It can be made to stand still at a point.
 */
import { createServer } from 'node:http'
import express, { type ErrorRequestHandler } from 'express'
import { Pool } from 'pg'
import {
  isOAuthError,
  oauthConnections,
  oauthLogin,
  postgresConnectionStore,
  requireLogin,
  type CheckResult,
  type ConnectionProvider,
  type OAuthConnections,
} from 'express-oauth-kit'
import { noteStalls, watchStalls, type Stall } from './stalls.js'
import {
  standing,
  stoppingConnectionStore,
  stoppingFetch,
  stoppingJob,
  withStop,
  type Stop,
} from './stops.js'
import { serveCommands } from './worker.js'

export interface ConnectionsWorker {
  readonly args: ConnectionsSetup
  readonly ready: undefined
  readonly commands: ConnectionsCommands
}

interface ServerSetup {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
}

export interface ProviderSetup extends ServerSetup {
  /** A call that tells whose token it is; it is the API, too. */
  readonly me: string
}

export interface ConnectionsSetup {
  /** Where users sign in. */
  readonly login: ServerSetup
  readonly providers: Readonly<Record<string, ProviderSetup>>
  readonly connectionString: string
  /** Whether somebody stands still for longer than a server or a store may take. */
  readonly isPatient?: boolean
}

interface ConnectionsCommands {
  /** From now on answers, at this port or any; gives where it is. */
  open(port?: number): Promise<string>
  redirectUris(): readonly { readonly provider: string; readonly redirectUri: string }[]
  /** Uses connections as a job does, all at the same time. */
  use(uses: readonly Use[]): Promise<Used[]>
  check(options: CheckSetup): Promise<CheckResult>
  /** Users who stand still. */
  standing(): string[]
  /** The longest stretch, in milliseconds, in which the process did not run since this was last asked. */
  stalled(): number
  stalls(): readonly Stall[]
}

export interface Use {
  readonly owner: string
  readonly id: string
  /** Whether the token is to be renewed before, good or not. */
  readonly forceRefresh?: boolean
  readonly stop?: Stop
}

/** What came of it. */
export interface Used {
  /** The account that the API knows the token by, and the one that the connection is of. */
  readonly account?: string
  readonly connected?: string
  /** What was thrown, or the status of another answer. */
  readonly failure?: string
  /** Milliseconds: how long it took, and when it was done. */
  readonly took: number
  readonly at: number
}

interface CheckSetup {
  readonly olderThan: number
  readonly perSecond: number
  readonly stop?: Stop
}

/** Milliseconds beyond which a stretch without running is noted. */
const longestStall = 40

void serveCommands<ConnectionsWorker>(async (setup) => {
  const watched = watchStalls()
  const { stalls } = noteStalls(longestStall)
  const pool = new Pool({
    connectionString: setup.connectionString,
    max: 8,
    connectionTimeoutMillis: 2_000,
    query_timeout: 2_000,
    statement_timeout: 2_000,
    keepAlive: true,
  })
  pool.on('error', () => undefined)
  const store = postgresConnectionStore(pool)
  await store.migrate()
  let connections: OAuthConnections | undefined

  async function open(port = 0): Promise<string> {
    const server = createServer()
    server.keepAliveTimeout = 0 // never: a connection that ends just when it is used again says nothing about the app
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(port, 'localhost', resolve)
    })
    const address = server.address()
    const url = `http://localhost:${typeof address === 'object' && address !== null ? address.port : port}`
    const app = express()
    const secrets = ['a secret of thirty-two bytes or more']
    app.use(withStop, oauthLogin({ ...setup.login, storage: 'cookie', baseUrl: url, secrets }))
    const own = (connections = oauthConnections({
      baseUrl: url,
      secrets,
      store: stoppingConnectionStore(store),
      fetch: stoppingFetch,
      ...(setup.isPatient && { timeout: 60, storeTimeout: 60 }),
      providers: Object.fromEntries(
        Object.entries(setup.providers).map(([name, provider]) => [name, providerAt(provider)]),
      ),
    }))
    app.use(requireLogin(), own)
    app.get('/', (_req, res) => res.send('<!doctype html><title>At home</title>'))
    app.use(errorPage)
    server.on('request', app)
    return url
  }

  async function useOne({ owner, id, forceRefresh = false, stop }: Use): Promise<Used> {
    const start = performance.now()
    const times = () => ({ took: performance.now() - start, at: Date.now() })
    try {
      return await stoppingJob(stop, async () => {
        if (!connections) throw new Error('it is not open yet')
        const connection = await connections.for(owner).get(id)
        if (forceRefresh) await connection.accessToken({ forceRefresh })
        const response = await connection.fetch(setup.providers[connection.provider]?.me ?? '')
        if (response.status !== 200) return { failure: `status ${response.status}`, ...times() }
        const me = (await response.json()) as { sub: string }
        return { account: me.sub, connected: connection.account_id, ...times() }
      })
    } catch (error) {
      const failure = isOAuthError(error) ? `${error.code} ${error.reason ?? ''}`.trim() : String(error)
      return { failure, ...times() }
    }
  }

  return {
    ready: undefined,
    commands: {
      open,
      redirectUris: () => connections?.redirectUris() ?? [],
      use: (uses) => Promise.all(uses.map(useOne)),
      check: ({ stop, ...options }) =>
        stoppingJob(stop, async () => {
          if (!connections) throw new Error('it is not open yet')
          return connections.check(options)
        }),
      standing,
      stalled: watched.longest,
      stalls: () => stalls,
    },
  }
})

function providerAt({ issuer, clientId, clientSecret, me }: ProviderSetup): ConnectionProvider {
  return {
    issuer,
    clientId,
    clientSecret,
    scope: 'openid offline_access',
    authorizationParameters: { prompt: 'consent' },
    test: { url: me },
    accountId: (account) => account.sub as string,
    label: (account) => `The projects of ${account.sub}`,
    allow: [`${issuer}/`],
  }
}

const errorPage: ErrorRequestHandler = (error, _req, res, next) => {
  if (res.headersSent || !isOAuthError(error)) return next(error)
  return res
    .status(error.status)
    .set(error.headers)
    .send(`${error.code} ${error.reason ?? ''}`.trim())
}
