/** Proxies to one API: ours with a user's session and its CSRF check, and those of others, which forward what comes. */
import { Agent, createServer, type RequestListener } from 'node:http'
import express from 'express'
import { createProxyMiddleware } from 'http-proxy-middleware'
import { createProxyServer } from 'httpxy'
import { oauthLogin, oauthProxy } from '../dist/index.js'
import { serveCommands } from '../test/campaigns/support/worker.js'
import { listening } from '../test/support/listening.js'
import { usage, type Usage } from './usage.js'

export const proxyNames = [
  'httpxy',
  'httpxy again',
  'httpxy without Express',
  'http-proxy-middleware',
  'oauthProxy',
] as const

export interface ProxyWorker {
  readonly args: {
    readonly issuer: string
    readonly clientId: string
    readonly clientSecret: string
    readonly target: string
  }
  /** Their addresses, in the order of the names. */
  readonly ready: readonly string[]
  readonly commands: { usage(): Usage }
}

void serveCommands<ProxyWorker>(async ({ target, ...client }) => {
  const apps: Record<(typeof proxyNames)[number], (baseUrl: string) => RequestListener> = {
    httpxy: () => httpxy(target),
    'httpxy again': () => httpxy(target),
    'httpxy without Express': () => {
      const proxy = createProxyServer({ target })
      return (req, res) => void proxy.web(req, res)
    },
    'http-proxy-middleware': () => {
      const app = express()
      return app.use(
        createProxyMiddleware({ target, pathFilter: '/api', agent: new Agent({ keepAlive: true }) }),
      )
    },
    oauthProxy: (baseUrl) => {
      const app = express()
      const secrets = ['a secret of thirty-two bytes or more']
      app.use(oauthLogin({ ...client, baseUrl, secrets, storage: 'cookie', onEvent: () => undefined }))
      app.use(oauthProxy({ prefix: '/api', target: `${target}/api`, token: 'user' }))
      app.get('/', (_req, res) => void res.send('home'))
      return app
    },
  }
  const ready: string[] = []
  for (const name of proxyNames) {
    const server = createServer()
    const baseUrl = await listening(server, 'localhost')
    server.on('request', apps[name](baseUrl))
    ready.push(baseUrl)
  }
  return { ready, commands: { usage } }
})

function httpxy(target: string): RequestListener {
  const proxy = createProxyServer({ target })
  const app = express()
  return app.use((req, res) => void proxy.web(req, res))
}
