/**
 * Applications over Redis in a process of their own: sessions by connect-redis, and what instances share by
 * `redisStore`, with the settings that the README recommends. A request can be made to stand still at a point.
 */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { RedisStore } from 'connect-redis'
import express, { type ErrorRequestHandler, type Express } from 'express'
import session from 'express-session'
import { oauthLogin, redisStore, type OAuthLoginOptions, type Store } from 'express-oauth-kit'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { addRoutes } from './routes.js'
import { watchStalls } from './stalls.js'
import { standing, stoppingFetch, stoppingSessions, stoppingStore, withStop } from './stops.js'
import { serveCommands } from './worker.js'

export interface SharedApp {
  readonly setup: Pick<OAuthLoginOptions, 'issuer' | 'clientId' | 'storage'> & Partial<OAuthLoginOptions>
  readonly redis: string
  /** Whose client the package's store gets. (connect-redis takes the one of node-redis only.) */
  readonly client: 'node-redis' | 'ioredis'
}

export interface SharedAppWorker {
  readonly args: { readonly apps: readonly SharedApp[] }
  readonly ready: undefined
  readonly commands: SharedAppCommands
}

export interface SharedAppCommands {
  /** From now on answers, at these ports or any; gives where each application is. */
  open(ports?: readonly number[]): Promise<string[]>
  /** Users whose requests stand still. */
  standing(): string[]
  /** The longest stretch, in milliseconds, in which the process did not run since this was last asked. */
  stalled(): number
}

void serveCommands<SharedAppWorker>(async ({ apps }) => {
  const stalls = watchStalls()
  const clients = await Promise.all(apps.map(async (app) => clientsOf(app)))
  return {
    ready: undefined,
    commands: {
      open: async (ports) =>
        Promise.all(apps.map(async ({ setup }, index) => start(setup, clients[index]!, ports?.[index] ?? 0))),
      standing,
      stalled: stalls.longest,
    },
  }
})

interface Clients {
  readonly sessions: session.Store
  readonly store: Store
}

async function clientsOf({ setup, redis, client }: SharedApp): Promise<Clients> {
  const forSessions = await nodeRedis(redis)
  const shared = client === 'ioredis' ? await ioredis(redis) : forSessions
  const prefix = `${setup.storage}-${client}:`
  return {
    sessions: inTime(new RedisStore({ client: forSessions, prefix: `sess-${prefix}`, ttl: 3_600 })),
    store: redisStore(shared, { prefix }),
  }
}

/** The README's settings. */
async function nodeRedis(url: string) {
  const client = createClient({
    url,
    disableOfflineQueue: true,
    pingInterval: 1000,
    socket: { reconnectStrategy: 200, connectTimeout: 2000, socketTimeout: 2000 },
  })
  client.on('error', () => undefined)
  await client.connect()
  return client
}

async function ioredis(url: string): Promise<Redis> {
  const client = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 2000,
    socketTimeout: 2000,
    retryStrategy: () => 200,
    // A Redis that is still reading what it kept is asked again so soon; by default after a second.
    maxLoadingRetryTime: 200,
  })
  client.on('error', () => undefined)
  await once(client, 'ready')
  return client
}

/** Milliseconds. */
const longestGet = 2_000
const longestTouch = 250

/**
 * express-session waits for its store without an end, also with an answer that is ready, and node-redis gives a silent
 * connection up only when it has nothing to send either. So an app needs deadlines of its own.
 */
function inTime(sessions: session.Store): session.Store {
  const { get, touch } = sessions
  sessions.get = (id, done) => {
    const late = () => done(new Error('the session store gave no answer'))
    get.call(sessions, id, firstOf(done, late, longestGet))
  }
  // Nobody has to know whether it was done.
  sessions.touch = (id, value, done = () => undefined) =>
    touch?.call(sessions, id, value, firstOf(done, done, longestTouch))
  return sessions
}

function firstOf<A extends unknown[]>(done: (...outcome: A) => void, late: () => void, most: number) {
  let isDone = false
  const first = (finish: () => void) => {
    clearTimeout(timer)
    if (!isDone) finish()
    isDone = true
  }
  const timer = setTimeout(() => first(late), most)
  return (...outcome: A) => first(() => done(...outcome))
}

async function start(setup: SharedApp['setup'], clients: Clients, port: number): Promise<string> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, 'localhost', resolve)
  })
  const url = `http://localhost:${portOf(server)}`
  const options = { baseUrl: url, secrets: ['a secret of thirty-two bytes or more'], ...setup }
  server.on('request', application(options, clients))
  return url
}

function portOf(server: Server): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

function application(options: OAuthLoginOptions, { sessions, store }: Clients): Express {
  const app = express()
  app.use(withStop)
  if (options.storage === 'session') {
    const secret = 'of the session cookie only'
    const settings = { secret, resave: false, saveUninitialized: false, store: stoppingSessions(sessions) }
    app.use(session(settings), sessionsFailed)
  }
  app.use(oauthLogin({ ...options, store: stoppingStore(store), fetch: stoppingFetch }))
  addRoutes(app)
  return app
}

/** express-session hands on whatever its store failed with; an app says that this is a matter of time. */
const sessionsFailed: ErrorRequestHandler = (error, _req, res, next) => {
  if (res.headersSent) next(error)
  else res.status(503).send('sessions_unavailable')
}
