/** An app behind nginx: pages of one user each, a page for all, and an API behind the app that wants its answers cached. */
import { createServer } from 'node:http'
import express from 'express'
import {
  getAuth,
  memoryStore,
  oauthLogin,
  oauthProxy,
  optionalLogin,
  requireLogin,
} from '../../../lib/index.js'
import { listening, stopped } from '../../support/listening.js'
import { startNginx, type NginxOptions } from '../../support/nginx.js'
import { registration } from '../../support/stage.js'
import { startUserServer, type UserServer } from '../../support/user-server.js'

export interface Site {
  /** As browsers know it: nginx. */
  readonly url: string
  readonly users: UserServer
  close(): Promise<void>
}

/** Seconds that access tokens live: new ones go out as cookies in the middle of it. */
const tokenLife = 3

/** `sizeOf` says how much the app knows of each user, in characters. */
function subjectOf(req: object): unknown {
  return 'auth' in req ? (req.auth as { subject?: string } | undefined)?.subject : undefined
}

export async function startSite(
  nginxOptions: Omit<NginxOptions, 'upstream'>,
  sizeOf: (user: string) => number,
): Promise<Site> {
  const server = createServer()
  const nginx = await startNginx({ ...nginxOptions, upstream: await listening(server) })
  const users = await startUserServer({ life: tokenLife })
  const api = createServer((req, res) => {
    const owner = users.ownerOf(req.headers.authorization?.split(' ')[1] ?? '')
    res.writeHead(200, {
      'content-type': 'application/json',
      'cache-control': 'public, max-age=60',
      expires: new Date(Date.now() + 60_000).toUTCString(),
      'x-accel-expires': '60',
      'set-cookie': `of-the-api=${owner}`,
    })
    res.end(JSON.stringify({ user: owner }))
  })
  const target = await listening(api)

  const app = express()
  app.get('/open', (_req, res) => void res.set('cache-control', 'public, max-age=60').json({}))
  app.use(
    oauthLogin({
      ...registration(users.server),
      baseUrl: nginx.url,
      storage: 'cookie',
      store: memoryStore(),
      secrets: ['of this site and of no other, long enough'],
      onLogin: ({ claims }) => ({ ...claims, about: 'x'.repeat(sizeOf(String(claims['sub']))) }),
      user: true,
    }),
    oauthProxy({ prefix: '/api', target, token: 'user' }),
  )
  app.get('/page', requireLogin(), (req, res) => void res.json({ user: getAuth(req).subject }))
  app.get('/greeting', (req, res) => void res.json({ user: subjectOf(req) }))
  app.get('/maybe', optionalLogin(), (req, res) => {
    res.json({ user: subjectOf(req) })
  })
  app.get('/token', requireLogin(), async (req, res) => {
    res.json({ user: users.ownerOf(await getAuth(req).accessToken()) })
  })
  server.on('request', app)
  users.server.register(`${nginx.url}/callback`, `${nginx.url}/`)
  return {
    url: nginx.url,
    users,
    async close() {
      await nginx.stop()
      await Promise.all([stopped(server), stopped(api), users.server.close()])
    },
  }
}
