/** Applications in a process of their own, with the package as its users get it, and a look into that process. */
import dns from 'node:dns'
import { createServer } from 'node:http'
import express, { type Express } from 'express'
import session, { MemoryStore } from 'express-session'
import {
  clientCredentials,
  oauthBearer,
  oauthLogin,
  type ClientCredentialsOptions,
  type OAuthBearerOptions,
  type OAuthErrorCode,
  type OAuthEvent,
  type OAuthLoginOptions,
} from 'express-oauth-kit'
import { listening } from '../../support/listening.js'
import { apiAudience } from './api.js'
import { leap, travel } from './clock.js'
import { addRoutes } from './routes.js'
import { watchStalls } from './stalls.js'
import { serveCommands } from './worker.js'

/** One application for each; what is left out is set here. */
export type AppSetup = Pick<OAuthLoginOptions, 'issuer' | 'clientId' | 'storage'> & Partial<OAuthLoginOptions>

export interface AppWorker {
  readonly args: { readonly apps: readonly AppSetup[] }
  /** Where the applications are, in their order. */
  readonly ready: readonly string[]
  readonly commands: AppCommands
}

export interface AppCommands {
  /** What happened in all of its applications since it was last asked. */
  events(): ToldEvent[]
  /** Whether the names of servers can be resolved. */
  resolve(works: boolean): void
  /** The longest stretch, in milliseconds, in which the process did not run since this was last asked. */
  stalled(): number
  /** Starts all applications anew at their addresses: what they remembered is gone. */
  restart(): void
  /** Puts the clock forward by so many seconds, where it stands still. */
  travel(seconds: number): void
  /** Puts the clock forward by so many seconds, from where it runs on. */
  leap(seconds: number): void
  /**
   * What the process holds, after its garbage was collected. Sessions in a store end here: an app keeps them elsewhere.
   */
  measure(): Promise<Holdings>
}

export interface ToldEvent {
  readonly type: OAuthEvent['type']
  readonly code?: OAuthErrorCode
}

export interface Holdings {
  /** Bytes. */
  readonly rss: number
  readonly heapUsed: number
  readonly external: number
  /** What keeps the process alive, counted by kind. */
  readonly resources: Readonly<Record<string, number>>
}

const collectGarbage = globalThis.gc

/** Of all applications. */
const stores: MemoryStore[] = []

void serveCommands<AppWorker>(async ({ apps }) => {
  let events: ToldEvent[] = []
  const names = localNames()
  const stalls = watchStalls()
  const keep = (event: OAuthEvent) =>
    void events.push({ type: event.type, ...('code' in event && { code: event.code }) })
  const started = await Promise.all(apps.map(async (setup) => startApp(setup, keep)))
  return {
    ready: started.map(({ url }) => url),
    commands: {
      events: () => {
        const told = events
        events = []
        return told
      },
      stalled: stalls.longest,
      restart: () => started.forEach((one) => one.restart()),
      resolve: (works) => names.resolve(works),
      travel,
      leap,
      measure,
    },
  }
})

async function startApp(
  setup: AppSetup,
  onEvent: (event: OAuthEvent) => void,
): Promise<{ url: string; restart(): void }> {
  const server = createServer()
  server.keepAliveTimeout = 0 // never: a connection that ends just when it is used again says nothing about the app
  const url = await listening(server, 'localhost')
  const start = () =>
    application({ baseUrl: url, secrets: ['a secret of thirty-two bytes or more'], ...setup, onEvent })
  let app = start()
  server.on('request', (req, res) => app(req, res))
  return { url, restart: () => void (app = start()) }
}

function application(options: OAuthLoginOptions): Express {
  const app = express()
  if (options.storage === 'session') {
    const store = new MemoryStore()
    stores.push(store)
    const secret = 'of the session cookie only'
    app.use(session({ secret, resave: false, saveUninitialized: false, store }))
  }
  // A server without a name issues no tokens that an API could tell from others.
  if (options.issuer !== undefined)
    app.use('/api', oauthBearer(apiOptions(options)), (_req, res) => res.send('in'))
  app.use(oauthLogin(options))
  app.get('/service', async ({ query: { resource } }, res) => {
    const request = typeof resource === 'string' ? { resource } : {}
    res.send(await clientCredentials(serviceOptions(options)).accessToken(request))
  })
  addRoutes(app)
  return app
}

/** The same client on its own, which remembers nothing from one request to the next. */
function serviceOptions(options: OAuthLoginOptions) {
  const { issuer = '', clientId, clientSecret = '', timeout = 5 } = options
  return {
    issuer,
    clientId,
    clientSecret,
    timeout,
    onEvent: () => undefined,
  } satisfies ClientCredentialsOptions
}

/** The server's access tokens are opaque: it is asked about each. */
function apiOptions(options: OAuthLoginOptions): OAuthBearerOptions {
  const { issuer, clientId, clientSecret, timeout, onEvent } = serviceOptions(options)
  const introspection = { clientId, clientSecret }
  return { issuer, audience: apiAudience, introspection, timeout, onEvent }
}

/** Names below `.localhost` are this machine's wherever it runs, or are not to be had at all. */
function localNames(): { resolve(works: boolean): void } {
  const lookup = dns.lookup
  let isWorking = true
  dns.lookup = Object.assign(resolveLocal, lookup)

  function resolveLocal(...[host, options, done]: Parameters<typeof lookupAll>): void {
    if (!host.endsWith('.localhost')) lookupAll(host, options, done)
    else if (isWorking) setImmediate(() => done(null, [{ address: '127.0.0.1', family: 4 }]))
    else
      setImmediate(() =>
        done(Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' }), []),
      )
  }
  function lookupAll(
    host: string,
    options: dns.LookupAllOptions,
    done: (error: NodeJS.ErrnoException | null, addresses: dns.LookupAddress[]) => void,
  ): void {
    lookup(host, options, done)
  }
  return { resolve: (works) => void (isWorking = works) }
}

async function measure(): Promise<Holdings> {
  await Promise.all(stores.map((store) => new Promise<void>((resolve) => store.clear(() => resolve()))))
  for (let rounds = 0; rounds < 5; rounds += 1) {
    collectGarbage?.()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const { rss, heapUsed, external } = process.memoryUsage()
  const resources: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1
  return { rss, heapUsed, external, resources }
}
