/** Threats to what a session lets a browser do: requests that another site makes it send, and names that a client gives itself. */
import express from 'express'
import { describe, expect, it } from 'vitest'
import { csrfProtection, oauthBearer, requireLogin, requireScope, type Auth } from '../../lib/index.js'
import { storages } from '../support/app.js'
import { bare, cookieHeader, ownForm, ownScript, typed } from '../support/requests.js'
import type { Handler } from '../support/serve.js'
import { startStage } from '../support/stage.js'
import { audience, startIssuer } from './guard/issuer.js'

const evil = 'https://evil.example'
const sibling = 'https://blog.app.example'

describe('T108 a request that another site makes the browser send', () => {
  const urlencoded = { 'content-type': 'application/x-www-form-urlencoded' }
  const simple = ['application/x-www-form-urlencoded', 'multipart/form-data; boundary=a', 'text/plain']
  const overrides: readonly [path: string, headers: Record<string, string>][] = [
    ['/own', {}],
    ['/own?_method=GET', {}],
    ['/own?csrf_token=', {}],
    ['/own', { 'x-http-method-override': 'GET' }],
    ['//own', {}],
    ['/own/../own', {}],
  ]
  /** As browsers send them; the ones of old say no more than `Origin`, or nothing. */
  const attacks: Readonly<Record<string, Record<string, string>>> = {
    'a form elsewhere': { ...typed, 'sec-fetch-site': 'cross-site', origin: evil },
    'a form of a sibling': { ...typed, 'sec-fetch-site': 'same-site', origin: sibling },
    'a form in a sandbox': { ...typed, 'sec-fetch-site': 'cross-site', origin: 'null' },
    'a script elsewhere, without CORS': {
      'sec-fetch-mode': 'no-cors',
      'sec-fetch-site': 'cross-site',
      origin: evil,
    },
    'a script of a sibling, without CORS': {
      'sec-fetch-mode': 'no-cors',
      'sec-fetch-site': 'same-site',
      origin: sibling,
    },
    'a script elsewhere that CORS lets in': { ...ownScript, 'sec-fetch-site': 'cross-site', origin: evil },
    'a script of a sibling that CORS lets in': {
      ...ownScript,
      'sec-fetch-site': 'same-site',
      origin: sibling,
    },
    'a form elsewhere, of old': { accept: 'text/html', origin: evil },
    'a form elsewhere, in a sandbox of old': { accept: 'text/html', origin: 'null' },
    'a form elsewhere, of long ago': { accept: 'text/html', referer: `${evil}/` },
    'a script elsewhere, of old': { 'x-csrf': '1', origin: evil },
    'a page of this host over http': { 'x-csrf': '1', origin: 'http://localhost' },
  }

  it.each(storages)('reaches no route of the application, storage %s', async (storage) => {
    let reached = 0
    const { app, signedIn } = await startStage({
      storage,
      routes({ use }) {
        use(express.urlencoded() as Handler)
        use(express.text() as Handler)
        use(csrfProtection())
        use((_req, res) => {
          reached += 1
          res.end()
        })
      },
    })
    const cookie = await cookieHeader(await signedIn(), app.url)
    const body = 'csrf_token=&csrf_token=x&_method=GET'
    const variants = [...simple.map((type) => ['/own', { 'content-type': type }] as const), ...overrides]
    for (const [what, headers] of Object.entries(attacks)) {
      const pages = variants.map(([path, more]) =>
        bare(app.url + path, { ...urlencoded, ...headers, ...more, cookie }, { method: 'POST', body }),
      )
      const statuses = (await Promise.all(pages)).map(({ status }) => status)
      expect([what, new Set(statuses)]).toEqual([what, new Set([403])])
    }
    expect(reached).toBe(0)
    for (const headers of [ownForm, ownScript])
      expect((await bare(`${app.url}/own`, { ...headers, cookie }, { method: 'POST' })).status).toBe(200)
    expect(reached).toBe(2)
  })

  it('reads nothing from the user endpoint, by whatever tag or script', async () => {
    const { app, signedIn } = await startStage({ options: { user: true } })
    const cookie = await cookieHeader(await signedIn(), app.url)
    for (const [what, headers] of Object.entries(attacks)) {
      const { status, body } = await bare(`${app.url}/user`, { ...headers, cookie })
      expect([what, status, body.includes('subject-1')]).toEqual([what, 403, false])
    }
    const told = app.events.filter(({ type }) => type === 'request_rejected')
    expect(told).toHaveLength(Object.keys(attacks).length)
    expect(told[0]).toMatchObject({ code: 'csrf_rejected', error: { reason: 'cross_site' } })
    expect((await bare(`${app.url}/user`, { ...ownScript, cookie })).body).toContain('subject-1')
  })
})

describe('T119 names that a client gives itself', () => {
  const admin = 'admin'
  const names = [
    'x-user',
    'x_user',
    'x-user-id',
    'x-remote-user',
    'remote-user',
    'remote_user',
    'x-forwarded-user',
    'x_forwarded_user',
    'x-forwarded-email',
    'x-forwarded-preferred-username',
    'x-forwarded-groups',
    'x-forwarded-access-token',
    'x-auth-request-user',
    'x-auth-request-email',
    'x_auth_request_email',
    'x-auth-request-groups',
    'x-auth-request-access-token',
    'x-authenticated-user',
    'x-webauth-user',
    'x-ms-client-principal-name',
    'x-amzn-oidc-identity',
    'x-goog-authenticated-user-email',
    'x-token-subject',
    'x-userinfo',
    'x-scope',
    'x-scopes',
    'x-session-id',
    'oidc_claim_sub',
    'oidc-claim-sub',
    'x-original-user',
    'auth',
    'from',
  ]
  const spoofed = Object.fromEntries(names.map((name) => [name, admin]))
  const further = {
    ...spoofed,
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'https',
    'x-forwarded-for': '127.0.0.1',
    'x-original-url': '/open',
    'x-rewrite-url': '/open',
    forwarded: 'for=127.0.0.1;host=evil.example',
  }

  /** Everything a handler can see of who a request is from. */
  const told: Handler = (req, res) => {
    const { auth } = req as { auth?: Auth }
    res.end(JSON.stringify({ auth: auth ?? null, subject: auth?.subject, scopes: auth?.scopes }))
  }

  it.each(storages)('change nothing of a session, storage %s', async (storage) => {
    const { app, signedIn } = await startStage({
      storage,
      options: { user: true },
      routes({ get }) {
        get('/told', told)
        get('/claims', requireLogin(), told)
        get('/projects', requireScope('read:projects'), told)
      },
    })
    const cookie = await cookieHeader(await signedIn(), app.url)
    const statuses: number[] = []
    for (const path of ['/told', '/claims', '/projects', '/private', '/user', '/logout']) {
      for (const who of [{}, { cookie }]) {
        const [plain, lying] = [
          await bare(app.url + path, { ...ownScript, ...who }),
          await bare(app.url + path, { ...further, ...ownScript, ...who }),
        ]
        expect([path, lying.status, unchanging(lying.body)]).toEqual([
          path,
          plain.status,
          unchanging(plain.body),
        ])
        expect(lying.body).not.toContain(admin)
        expect(lying.headers.location).toBe(plain.headers.location)
        statuses.push(plain.status)
      }
    }
    expect(statuses).toEqual([200, 200, 401, 200, 401, 403, 401, 200, 401, 200, 405, 405])
  })

  it('change nothing of a token, or of its absence', async () => {
    const issuer = await startIssuer()
    const bearer = oauthBearer({ issuer: issuer.url, audience, mode: 'optional' })
    const { app } = await startStage({
      routes({ use }) {
        use(bearer)
        use(told)
      },
    })
    for (const who of [{}, { authorization: `Bearer ${issuer.token()}` }]) {
      const plain = await bare(app.url, who)
      const lying = await bare(app.url, { ...further, ...who })
      expect([lying.status, lying.body]).toEqual([200, plain.body])
    }
  })

  it('lead no login elsewhere', async () => {
    const { app, server } = await startStage()
    const login = await bare(`${app.url}/login`, { ...typed, ...further })
    const target = new URL(login.headers.location ?? '')
    expect([target.origin, target.searchParams.get('redirect_uri')]).toEqual([server.issuer, app.callbackUrl])
    expect(login.headers.location).not.toMatch(/evil|admin/)
  })

  /** Without the seconds, which pass. */
  function unchanging(body: string): string {
    return body.replace(/"session_expires_in":\d+/, '')
  }
})
