/** A Backend for Frontend in a process of its own, and a look into that process. */
import { createServer } from 'node:http'
import express, { type ErrorRequestHandler, type RequestHandler } from 'express'
import {
  getAuth,
  oauthLogin,
  oauthProxy,
  requireLogin,
  upgradeListener,
  type OAuthLoginOptions,
} from 'express-oauth-kit'
import { listening } from '../../support/listening.js'
import { serveCommands } from '../support/worker.js'

export interface BffWorker {
  readonly args: Pick<OAuthLoginOptions, 'issuer' | 'clientId'> & {
    readonly clientSecret: string
    /** The API behind it. */
    readonly target: string
  }
  /** Its address. */
  readonly ready: string
  readonly commands: BffCommands
}

export interface BffCommands {
  look(): Look
}

export interface Look {
  /** Bytes, after the garbage was collected where that can be asked for. */
  readonly rss: number
  /** Connections that are open, to browsers and to the API. */
  readonly sockets: number
  /** Middleware of the package that called `next` more than once. */
  readonly doubleNexts: number
  /** What reached the error handler or the process without being a refusal, by its message. */
  readonly mistakes: readonly string[]
}

const collectGarbage = globalThis.gc

void serveCommands<BffWorker>(async ({ target, ...client }) => {
  const server = createServer()
  const url = await listening(server, 'localhost')
  const mistakes: string[] = []
  let doubleNexts = 0

  const once =
    (middleware: RequestHandler): RequestHandler =>
    (req, res, next) => {
      let calls = 0
      return middleware(req, res, (error) => {
        calls += 1
        if (calls > 1) doubleNexts += 1
        next(error)
      })
    }
  process.on('uncaughtException', (error) => mistakes.push(`uncaught: ${error.message}`))
  process.on('warning', ({ message }) => mistakes.push(`warning: ${message}`))

  const login = oauthLogin({
    ...client,
    baseUrl: url,
    storage: 'cookie',
    secrets: ['of this process, and long enough to be one'],
    apis: [`${target}/`],
  })
  const proxy = oauthProxy({ prefix: '/api', target, token: 'user', webSockets: { login } })
  const app = express()
  app.use(once(login), once(proxy))
  app.get('/me', once(requireLogin()), (req, res) => void res.send(getAuth(req).subject))
  app.get('/fetched', once(requireLogin()), async (req, res) => {
    const answer = await getAuth(req).fetch(`${target}/stream?chunks=20`)
    res.send(await answer.text())
  })
  const onError: ErrorRequestHandler = (error: Error & { status?: number }, _req, res, _next) => {
    // A browser that is gone is nobody's mistake; an answer that began twice is.
    if (error.status === undefined || error.status === 500) mistakes.push(`${error.name}: ${error.message}`)
    if (!res.headersSent) res.status(error.status ?? 500).end()
  }
  app.use(onError)
  server.on('request', app)
  server.on('upgrade', upgradeListener(proxy.upgrade))
  return {
    ready: url,
    commands: {
      look() {
        collectGarbage?.()
        const resources = process.getActiveResourcesInfo()
        const sockets = resources.filter((name) => name === 'TCPSocketWrap').length
        return { rss: process.memoryUsage.rss(), sockets, doubleNexts, mistakes }
      },
    },
  }
})
