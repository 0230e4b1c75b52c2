/** One instance of an application that has several, in a process of its own: for each store and storage a port. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { RedisStore } from 'connect-redis'
import express, { type ErrorRequestHandler, type Express } from 'express'
import session, { type Store as SessionStore } from 'express-session'
import { Redis } from 'ioredis'
import { Pool } from 'pg'
import { createClient } from 'redis'
import {
  getAuth,
  isOAuthError,
  oauthLogin,
  postgresStore,
  redisStore,
  requireLogin,
  type Store,
} from 'express-oauth-kit'
import { listening } from '../../support/listening.js'
import { noteStalls, type Stall, type Time } from '../support/stalls.js'
import { serveCommands } from '../support/worker.js'
import { SharedSessions } from './shared-sessions.js'

export const storeNames = ['redis', 'postgres'] as const
export type StoreName = (typeof storeNames)[number]
export const storages = ['cookie', 'session'] as const
export type Storage = (typeof storages)[number]

export interface InstanceWorker {
  readonly args: InstanceSetup
  /** Where it is, by store and storage. */
  readonly ready: Readonly<Record<StoreName, Readonly<Record<Storage, string>>>>
  readonly commands: InstanceCommands
}

interface InstanceSetup {
  readonly issuer: string
  readonly clientSecret: string
  readonly redis: { readonly url: string; readonly client: 'node-redis' | 'ioredis' }
  readonly postgres: { readonly connectionString: string }
  /** Milliseconds beyond which a stretch without running is noted. */
  readonly longestStall: number
}

interface InstanceCommands {
  /** What was seen since the start. */
  seen(): Readonly<Record<StoreName, Seen>>
  /** From now on stops before each refresh request, when the lease is taken, for as long as it lives. */
  stopBeforeGrants(): void
  /** How many requests stand there. */
  stopped(): number
  stalls(): readonly Stall[]
}

export interface Seen {
  /** How often a lease was not to be had, and had to be waited for. */
  waits: number
  /** What the server took for each refresh. */
  readonly latencies: Time[]
}

/** What a page says of the user's token. */
export interface Told {
  readonly token: string
  readonly subject: string | undefined
}

let isStopping = false
let stopped = 0

void serveCommands<InstanceWorker>(async (setup) => {
  const seen = { redis: { waits: 0, latencies: [] }, postgres: { waits: 0, latencies: [] } }
  const { stalls } = noteStalls(setup.longestStall)
  const start = async (name: StoreName, stores: Stores) => ({
    cookie: await startApp(setup, { name, storage: 'cookie', ...stores, seen: seen[name] }),
    session: await startApp(setup, { name, storage: 'session', ...stores, seen: seen[name] }),
  })
  return {
    ready: {
      redis: await start('redis', await redisStores(setup)),
      postgres: await start('postgres', await postgresStores(setup)),
    },
    commands: {
      seen: () => seen,
      stopBeforeGrants: () => void (isStopping = true),
      stopped: () => stopped,
      stalls: () => stalls,
    },
  }
})

interface Stores {
  readonly tokens: Store
  readonly sessions: SessionStore
}

const prefixes = { tokens: 'tokens:', sessions: 'sessions:' }

/** Clients as in the README. connect-redis knows node-redis only; what the other instances keep looks the same. */
async function redisStores({ redis: { url, client } }: InstanceSetup): Promise<Stores> {
  if (client === 'ioredis') {
    const ioredis = new Redis(url, {
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      connectTimeout: 2_000,
      socketTimeout: 2_000,
      retryStrategy: () => 200,
    })
    ioredis.on('error', (error) => console.error('Redis:', error.message))
    await once(ioredis, 'ready')
    return {
      tokens: redisStore(ioredis, { prefix: prefixes.tokens }),
      sessions: new SharedSessions(redisStore(ioredis, { prefix: prefixes.sessions })),
    }
  }
  const nodeRedis = createClient({
    url,
    disableOfflineQueue: true,
    pingInterval: 1_000,
    socket: { reconnectStrategy: 200, connectTimeout: 2_000, socketTimeout: 2_000 },
  })
  nodeRedis.on('error', (error: Error) => console.error('Redis:', error.message))
  await nodeRedis.connect()
  return {
    tokens: redisStore(nodeRedis, { prefix: prefixes.tokens }),
    sessions: new RedisStore({ client: nodeRedis, prefix: prefixes.sessions }),
  }
}

async function postgresStores({ postgres }: InstanceSetup): Promise<Stores> {
  const pool = new Pool({
    ...postgres,
    max: 8,
    connectionTimeoutMillis: 2_000,
    query_timeout: 2_000,
    statement_timeout: 2_000,
    keepAlive: true,
  })
  pool.on('error', (error) => console.error('PostgreSQL:', error.message))
  const [tokens, sessions] = [postgresStore(pool), postgresStore(pool, { table: 'app_sessions' })]
  await Promise.all([tokens.migrate(), sessions.migrate()])
  return { tokens, sessions: new SharedSessions(sessions) }
}

/** One application, of those that an instance has. */
interface Part extends Stores {
  readonly name: StoreName
  readonly storage: Storage
  readonly seen: Seen
}

async function startApp(setup: InstanceSetup, part: Part): Promise<string> {
  const server = createServer()
  server.keepAliveTimeout = 0 // never: a connection that ends just when it is used again says nothing about the app
  const url = await listening(server, 'localhost')
  server.on('request', application(setup, url, part))
  return url
}

function application({ issuer, clientSecret }: InstanceSetup, url: string, part: Part): Express {
  const { name, storage, tokens, sessions, seen } = part
  const app = express()
  if (storage === 'session')
    app.use(session({ secret: 'of all instances', resave: false, saveUninitialized: false, store: sessions }))
  app.use(
    oauthLogin({
      issuer,
      clientId: name,
      clientSecret,
      baseUrl: url,
      secrets: ['a secret of thirty-two bytes or more'],
      scope: 'openid offline_access',
      authorizationParameters: { prompt: 'consent' },
      queryParameters: ['login_hint'],
      storage,
      store: watched(tokens, seen),
      fetch: stoppable(seen),
    }),
  )
  app.get('/page', requireLogin(), (req, res) => res.json({ subject: getAuth(req).subject }))
  app.get('/token', requireLogin(), async (req, res) => {
    const auth = getAuth(req)
    res.json({ token: await auth.accessToken(), subject: auth.subject } satisfies Told)
  })
  app.use(errorPage)
  return app
}

const errorPage: ErrorRequestHandler = (error, _req, res, next) => {
  if (res.headersSent || !isOAuthError(error)) return next(error)
  return res
    .status(error.status)
    .set(error.headers)
    .send(`${error.code} ${error.reason ?? ''}`)
}

/** Counts the leases that somebody else has. Looks that are less than a second apart are of one wait. */
function watched(store: Store, seen: Seen): Store {
  const lastMisses = new Map<string, number>()
  return {
    ...store,
    async add(key, value, ttl) {
      const added = await store.add(key, value, ttl)
      if (added || !key.includes('lease:')) return added
      const now = performance.now()
      if (now - (lastMisses.get(key) ?? -Infinity) > 1_000) seen.waits += 1
      lastMisses.set(key, now)
      return added
    },
  }
}

function stoppable({ latencies }: Seen): typeof fetch {
  return async (input, init) => {
    if (!isRefresh(init?.body)) return fetch(input, init)
    if (isStopping) {
      stopped += 1
      await new Promise(() => undefined)
    }
    const start = performance.now()
    const response = await fetch(input, init)
    latencies.push({ took: performance.now() - start, at: Date.now() })
    return response
  }
}

function isRefresh(body: RequestInit['body']): boolean {
  return body instanceof URLSearchParams && body.get('grant_type') === 'refresh_token'
}
