/** A session that came back and does not open: after a restart with other secrets, or from an instance that has others. */
import { createServer, type RequestListener } from 'node:http'
import express from 'express'
import session from 'express-session'
import { expect, onTestFinished, test } from 'vitest'
import { getAuth, oauthLogin, requireLogin } from '../../lib/index.js'
import { storages, type Storage } from '../support/app.js'
import { openBrowser } from '../support/browser.js'
import { canary } from '../support/canaries.js'
import { listening, stopped } from '../support/listening.js'
import type { Handler } from '../support/serve.js'
import { registration } from '../support/stage.js'
import { startUserServer } from '../support/user-server.js'

interface Instance {
  readonly secret: string
  /** That of express-session. */
  readonly cookieSecret: string
}

/** One address, behind which one of several instances answers each request. */
async function startInstances(storage: Storage, instances: readonly Instance[]) {
  const login = await startUserServer({ life: 3_600 })
  const server = createServer()
  const url = await listening(server, 'localhost')
  onTestFinished(async () => {
    await stopped(server)
    await login.server.close()
  })
  login.server.register(`${url}/callback`, `${url}/`)
  const store = new session.MemoryStore()
  const listeners = instances.map(({ secret, cookieSecret }): RequestListener => {
    const app = express()
    if (storage === 'session')
      app.use(session({ secret: cookieSecret, resave: false, saveUninitialized: false, store }))
    const options = { ...registration(login.server), baseUrl: url, storage, secrets: [secret] }
    app.use(oauthLogin({ ...options, onEvent: () => undefined }) as Handler)
    app.get('/private', requireLogin(), (req, res) => void res.send(getAuth(req).subject))
    return app as RequestListener
  })
  let answers: (path: string) => number = () => 0
  server.on('request', (req, res) => listeners[answers(req.url ?? '')]?.(req, res))
  return {
    private: `${url}/private`,
    login,
    browser: await login.openBrowser('alice', openBrowser()),
    /** From now on, the instance of this number answers. */
    answeredBy: (choose: typeof answers) => void (answers = choose),
  }
}

const secrets = [canary('cookie-secret'), canary('cookie-secret-2')]
const [one, two] = secrets.map((secret) => ({ secret, cookieSecret: 'same' })) as [Instance, Instance]

test.each([
  ['cookie', 'other secrets', two],
  ['session', 'other secrets', two],
  ['session', 'another secret of express-session', { ...one, cookieSecret: 'other' }],
] as const)(
  'a restart with %s, and %s, a moment after a login is another login',
  async (storage, _what, restarted) => {
    const stage = await startInstances(storage, [one, restarted])
    const { browser } = stage
    expect(await browser.visit(stage.private)).toMatchObject({ status: 200, body: 'alice' })
    stage.answeredBy(() => 1)
    expect(await browser.visit(stage.private)).toMatchObject({ status: 200, body: 'alice' })
    expect(stage.login.server.counts.authorize).toBe(2)
  },
)

test.each(storages)('instances with different secrets are no circle (%s)', async (storage) => {
  const stage = await startInstances(storage, [one, two])
  // Whoever signs a user in is never who shows the page.
  stage.answeredBy((path) => (path.startsWith('/private') ? 1 : 0))
  const page = await stage.browser.visit(stage.private)
  expect([page.status, stage.login.server.counts.authorize]).toEqual([400, 2])
  expect(page.body).toContain('session_not_kept')
})

test.each(storages)('a browser that keeps no session is told so at once (%s)', async (storage) => {
  const stage = await startInstances(storage, [one])
  const { browser } = stage
  const { setCookie } = browser.jar
  browser.jar.setCookie = (async (cookie: { key: string }, ...rest: unknown[]) =>
    ['oauth', 'connect.sid'].includes(cookie.key)
      ? undefined
      : Reflect.apply(setCookie, browser.jar, [cookie, ...rest])) as never
  const page = await browser.visit(stage.private)
  expect([page.status, stage.login.server.counts.authorize]).toEqual([400, 1])
  expect(page.body).toContain('session_not_kept')
})
