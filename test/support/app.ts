/** A small application under test: login, a few pages, and a record of events and errors. */
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import connect from 'connect'
import express from 'express'
import express4 from 'express4'
import session from 'express-session'
import { getAuth, memoryStore, oauthLogin, requireLogin, requireScope } from '../../lib/index.js'
import { canary, type Secret } from './canaries.js'
import { listening, stopped } from './listening.js'

export const frameworks = ['express5', 'express4', 'connect'] as const
export const storages = ['cookie', 'session'] as const

export type Framework = (typeof frameworks)[number]
export type Storage = (typeof storages)[number]
export type LoginOptions = Parameters<typeof oauthLogin>[0]
type LoginEvent = Parameters<NonNullable<LoginOptions['onEvent']>>[0]

type Next = (error?: unknown) => void
type Handler = (request: IncomingMessage, response: ServerResponse, next: Next) => unknown

export interface AppOptions {
  /** Default: `express5`. */
  readonly framework?: Framework
  /** Default: `cookie`. */
  readonly storage?: Storage
  /** Options of `oauthLogin` beyond, or instead of, those the application sets itself. */
  readonly options: Partial<LoginOptions> & Pick<LoginOptions, 'clientId'>
  /** Mounted before the login, such as a body parser or helmet. */
  readonly before?: readonly Handler[]
  /** Pages beyond the standing ones. */
  readonly routes?: (router: Router) => void
  /** What listens to upgrades. Default: nobody. */
  readonly upgrades?: (login: ReturnType<typeof oauthLogin>) => UpgradeListener
}

export type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

export interface App {
  readonly url: string
  readonly callbackUrl: string
  /** What `onEvent` was told. */
  readonly events: readonly LoginEvent[]
  /** What reached the application's error handler. */
  readonly errors: readonly unknown[]
  /** Values that only the application knows. */
  readonly secrets: readonly Secret[]
  /** What an administrator does with sessions. */
  readonly login: Pick<ReturnType<typeof oauthLogin>, 'endSession' | 'endSessions'>
  close(): Promise<void>
}

/** What the three frameworks have in common. */
export interface Router {
  readonly listener: RequestListener
  use(handler: Handler): void
  get(path: string, ...handlers: Handler[]): void
  onError(handler: (error: unknown, response: ServerResponse) => void): void
}

export async function startApp(app: AppOptions): Promise<App> {
  const server = createServer()
  const url = await listening(server, 'localhost')
  const cookieSecret = canary('cookie-secret')
  const events: LoginEvent[] = []
  const errors: unknown[] = []
  const { onEvent, ...options } = app.options
  const login = oauthLogin({
    baseUrl: url,
    storage: app.storage ?? 'cookie',
    secrets: [cookieSecret],
    store: memoryStore(),
    ...options,
    onEvent: (event: LoginEvent) => {
      events.push(event)
      onEvent?.(event)
    },
  })
  server.on('request', routed(app, login, errors).listener)
  const upgraded = new Set<Duplex>()
  if (app.upgrades) {
    // The server counts them no longer.
    server.on('upgrade', (_request, socket: Duplex) => upgraded.add(socket))
    server.on('upgrade', app.upgrades(login))
  }
  return {
    url,
    callbackUrl: `${url}/callback`,
    events,
    errors,
    secrets: [{ role: 'cookie secret', value: cookieSecret }],
    login,
    close: async () => {
      for (const socket of upgraded) socket.destroy()
      await stopped(server)
    },
  }
}

function routed(app: AppOptions, login: Handler, errors: unknown[]): Router {
  const router = routers[app.framework ?? 'express5']()
  for (const handler of app.before ?? []) router.use(handler)
  if (app.storage === 'session') router.use(memorySession())
  router.use(login)
  router.get('/open', showHome)
  router.get('/private', requireLogin(), showClaims)
  router.get('/scoped', requireScope('read:projects'), (_request, response) => response.end('projects'))
  app.routes?.(router)
  router.onError((error, response) => {
    errors.push(error)
    response.statusCode = statusOf(error)
    response.end('the application had an error')
  })
  return router
}

const routers: Readonly<Record<Framework, () => Router>> = {
  express5: () => expressRouter(express),
  express4: () => expressRouter(express4),
  connect: connectRouter,
}

function expressRouter(framework: typeof express): Router {
  const app = framework()
  return {
    listener: app,
    use: (handler) => app.use(handler),
    get: (path, ...handlers) => app.get(path, ...handlers),
    onError: (handler) =>
      app.use((error: unknown, _request: IncomingMessage, response: ServerResponse, _next: Next) =>
        handler(error, response),
      ),
  }
}

function connectRouter(): Router {
  const app = connect()
  return {
    listener: app,
    use: (handler) => app.use(handler),
    get: (path, ...handlers) => {
      for (const handler of handlers) app.use(path, handler)
    },
    onError: (handler) =>
      app.use((error: unknown, _request: IncomingMessage, response: ServerResponse, _next: Next) =>
        handler(error, response),
      ),
  }
}

function memorySession(): Handler {
  const middleware = session({
    secret: 'of the session cookie only',
    resave: false,
    saveUninitialized: false,
  })
  return middleware as Handler
}

function showHome(_request: IncomingMessage, response: ServerResponse): void {
  response.setHeader('content-type', 'text/html; charset=utf-8')
  response.end(
    '<!doctype html><title>Open to all</title><a href="/private">Private</a>' +
      '<form method="post" action="/logout"><button>Sign out</button></form>',
  )
}

function showClaims(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify(getAuth(request).claims))
}

function statusOf(error: unknown): number {
  const status = error instanceof Error && 'status' in error ? error.status : undefined
  return typeof status === 'number' ? status : 500
}
