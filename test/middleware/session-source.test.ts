import type { IncomingMessage } from 'node:http'
import { inspect } from 'node:util'
import cookieParser from 'cookie-parser'
import type { Response } from 'express'
import { expect, test } from 'vitest'
import { getAuth, isOAuthError, requireLogin } from '../../lib/index.js'
import { storages } from '../support/app.js'
import { leaks } from '../support/canaries.js'
import { openBrowser } from '../support/browser.js'
import { json } from '../support/faulty-server/answer.js'
import type { Handler } from '../support/serve.js'
import { startStage } from '../support/stage.js'

type WithAuth = IncomingMessage & { auth?: unknown }

test.each(storages)('nothing is looked up before someone asks, with storage "%s"', async (storage) => {
  const { app, signedIn } = await startStage({
    storage,
    routes: ({ get }) => get('/reads', (req: WithAuth, res) => res.end(req.auth ? 'signed in' : 'nobody')),
  })
  const browser = await signedIn()
  const untouched = await browser.visit(`${app.url}/open`)
  expect([untouched.headers['cache-control'], untouched.headers['vary']]).toEqual([undefined, undefined])
  const reads = await browser.visit(`${app.url}/reads`)
  expect([reads.body, reads.headers['cache-control']]).toEqual(['signed in', 'private, no-store'])
  expect(reads.headers['vary']).toContain('Cookie')
  expect(reads.setCookies).toEqual([])
})

test('an app may cache what it likes, by saying so', async () => {
  const { app, signedIn } = await startStage({
    routes: ({ get }) =>
      get('/own', (req: WithAuth, res) => {
        res.setHeader('cache-control', 'private, max-age=5')
        res.end(req.auth ? 'signed in' : 'nobody')
      }),
  })
  const browser = await signedIn()
  expect((await browser.visit(`${app.url}/own`)).headers['cache-control']).toBe('private, max-age=5')
})

test('a logged req.auth shows no token, and neither does JSON', async () => {
  let logged = ''
  const { app, server, signedIn } = await startStage({
    routes: ({ get }) =>
      get('/log', (req: WithAuth, res) => {
        logged = inspect(req.auth, { depth: 9, showHidden: true }) + JSON.stringify(req.auth)
        res.end()
      }),
  })
  const browser = await signedIn()
  await browser.visit(`${app.url}/log`)
  expect(logged).toContain('subject')
  expect(leaks([{ where: 'the log', text: logged }], server.secrets)).toEqual([])
})

test('getAuth without a session is login_required; without oauthLogin it is a mistake', async () => {
  const codes: unknown[] = []
  const codeOf = (req: IncomingMessage) => {
    try {
      getAuth(req)
    } catch (error) {
      codes.push(isOAuthError(error) && [error.code, error.status])
    }
  }
  const { app } = await startStage({
    before: [
      (req, _res, next) => {
        codeOf(req)
        next()
      },
    ],
    routes: ({ get }) =>
      get('/asks', (req, res) => {
        codeOf(req)
        res.end()
      }),
  })
  await openBrowser().visit(`${app.url}/asks`)
  expect(codes).toEqual([
    ['invalid_configuration', 500],
    ['login_required', 401],
  ])
})

test('the user in req.auth is what the server said', async () => {
  const found: unknown[] = []
  const { app, server, signedIn } = await startStage({
    options: { scope: 'openid read:projects' },
    routes: ({ get }) =>
      get('/who', async (req, res) => {
        const auth = getAuth(req)
        const { kind, subject, issuer, scopes, clientId, expiresAt } = auth
        found.push({ kind, subject, issuer, scopes, clientId, expiresAt, token: await auth.accessToken() })
        res.end()
      }),
  })
  const browser = await signedIn()
  await browser.visit(`${app.url}/who`)
  const week = 604_800
  expect(found).toEqual([
    {
      kind: 'session',
      subject: expect.any(String),
      issuer: server.issuer,
      scopes: ['openid', 'read:projects'],
      clientId: server.clientId,
      expiresAt: expect.closeTo(Date.now() / 1000 + week, -2),
      token: expect.any(String),
    },
  ])
})

test('leaves cookies to a parser of the app, also one that comes later and verifies them', async () => {
  const { app, signedIn } = await startStage({
    routes: ({ use, get }) => {
      use((req: WithAuth, _res, next) => {
        void req.auth
        next()
      })
      use(cookieParser('a secret of the app') as Handler)
      get('/sign', (_req, res) => (res as Response).cookie('own', 'value', { signed: true }).end())
      get('/signed', (req, res) => (res as Response).json((req as { signedCookies?: object }).signedCookies))
    },
  })
  const browser = await signedIn()
  await browser.visit(`${app.url}/sign`)
  expect((await browser.visit(`${app.url}/signed`)).body).toBe('{"own":"value"}')
})

test.each(storages)(
  'a session that ended in a request is over for all of it, storage %s',
  async (storage) => {
    const { app, server, signedIn } = await startStage({
      storage,
      routes: ({ get }) =>
        get('/twice', requireLogin(), async (req, res) => {
          const reasons: unknown[] = []
          for (let time = 0; time < 2; time += 1) {
            await getAuth(req)
              .accessToken({ forceRefresh: true })
              .catch((error: unknown) => reasons.push(isOAuthError(error) && error.reason))
          }
          res.end(JSON.stringify(reasons))
        }),
    })
    const browser = await signedIn()
    server.misbehave({ answerToken: () => json({ error: 'invalid_grant' }, 400) })
    const { body } = await browser.visit(`${app.url}/twice`)
    expect(body).toBe('["refresh_refused","session_ended"]')
  },
)
