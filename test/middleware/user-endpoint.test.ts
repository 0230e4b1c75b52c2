/** The user endpoint: what it tells, whom, and that asking it changes nothing. */
import express from 'express'
import session from 'express-session'
import { describe, expect, test } from 'vitest'
import { getAuth, memoryStore, oauthLogin, type UserEndpointOptions } from '../../lib/index.js'
import { storages, type App, type AppOptions, type LoginOptions } from '../support/app.js'
import { openBrowser, type Browser, type Page } from '../support/browser.js'
import { leaks } from '../support/canaries.js'
import { countingStore, sessionOver } from '../support/express-session.js'
import { withClaims } from '../support/faulty-server/faults/modules-basic.js'
import { breakableStore } from '../support/open-store.js'
import { bare, cookieHeader, ownForm, setsSession, typed } from '../support/requests.js'
import { serve, type Handler } from '../support/serve.js'
import { registration, startStage, type StageOptions } from '../support/stage.js'
import { travel } from '../support/time.js'

const fetched = { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors', accept: '*/*' }
const script = { ...fetched, 'x-csrf': '1' }

const told = {
  sub: 'subject-1',
  name: 'Demo User',
  given_name: 'Demo',
  family_name: 'User',
  preferred_username: 'demo',
  email: 'demo@example.com',
  email_verified: true,
  picture: 'https://pictures.example/demo.png',
}
/** With what a server may say beside what pages show. */
const profile = withClaims(() => ({ ...told, roles: ['admin'], at_hash: 'abc', phone_number: '+49 1' }))

interface UserOptions extends Omit<StageOptions, 'server'> {
  readonly user?: LoginOptions['user']
}

async function startUserStage({ user = true, options, ...rest }: UserOptions = {}) {
  const stage = await startStage({ ...rest, server: { fault: profile }, options: { user, ...options } })
  const ask = (browser: Browser | string, headers: Record<string, string> = script) =>
    asked(stage.app, browser, headers)
  return { ...stage, ask }
}

async function asked(app: App, user: Browser | string, headers: Record<string, string>, path = '/user') {
  const cookie = typeof user === 'string' ? user : await cookieHeader(user, app.url)
  return bare(app.url + path, { ...headers, ...(cookie !== '' && { cookie }) })
}

const content = ({ status, body }: Page): unknown => [status, JSON.parse(body)]

const places = [
  { framework: 'express5', storage: 'cookie' },
  { framework: 'express4', storage: 'cookie' },
  { framework: 'connect', storage: 'session' },
] as const

describe.each(places)('%j', (where) => {
  test('tells a script of this site who is signed in', async () => {
    const { app, ask, signedIn } = await startUserStage({
      ...where,
      routes: ({ get }) => get('/token', (req, res) => res.end(String(getAuth(req).csrfToken))),
    })
    const browser = await signedIn()
    const answer = await ask(browser)
    const csrf_token = (await browser.visit(`${app.url}/token`)).body
    expect(content(answer)).toEqual([
      200,
      {
        claims: told,
        scope: 'openid',
        session_expires_in: expect.closeTo(86_400, -1),
        logout_url: '/logout',
        csrf_token,
      },
    ])
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
      vary: 'Cookie',
      'x-content-type-options': 'nosniff',
    })
    expect(await browser.fetch('/user', { headers: { 'x-csrf': '1' } })).toMatchObject({ status: 200 })
  })

  test('tells nobody where the login is', async () => {
    const { ask } = await startUserStage(where)
    const answer = await ask('')
    expect(content(answer)).toEqual([
      401,
      { error: 'login_required', error_description: 'You need to sign in.', login_url: '/login' },
    ])
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', vary: 'Cookie' })
  })
})

test('whenNobody "null": nobody is 200 null', async () => {
  const { app, ask, signedIn } = await startUserStage({ user: { whenNobody: 'null' } })
  const nobody = await ask('')
  expect([...(content(nobody) as unknown[]), nobody.headers['cache-control']]).toEqual([
    200,
    null,
    'no-store',
  ])
  const browser = await signedIn()
  expect((await ask(browser)).body).toContain('subject-1')
  await app.login.endSessions('subject-1')
  expect(content(await ask(browser))).toEqual([200, null])
})

describe('claims', () => {
  const claimsBy = async (claims: UserEndpointOptions['claims']) => {
    const { app, ask, signedIn } = await startUserStage({ user: { ...(claims && { claims }) } })
    const { status, body } = await ask(await signedIn())
    const { claims: shown, error } = JSON.parse(status === 500 && !body.startsWith('{') ? '{}' : body)
    return [status, shown ?? error, app.errors]
  }

  test('by name, as far as there are any', async () => {
    const list = ['sub', 'roles', 'missing', 'toString', '__proto__']
    const claims = claimsBy(list)
    expect(await claims).toEqual([200, { sub: 'subject-1', roles: ['admin'] }, []])
    expect(await claimsBy([])).toEqual([200, {}, []])
  })

  test('made by a function of the app, at once or later', async () => {
    expect(await claimsBy(({ subject, scopes }) => ({ id: subject, scopes }))).toEqual([
      200,
      { id: 'subject-1', scopes: ['openid'] },
      [],
    ])
    expect(await claimsBy(async ({ claims }) => ({ roles: claims['roles'] }))).toEqual([
      200,
      { roles: ['admin'] },
      [],
    ])
  })

  test.each([undefined, null, 'subject-1', ['subject-1'], true])('a function that gives %j', async (made) => {
    expect(await claimsBy(() => made as never)).toEqual([500, 'invalid_configuration', []])
  })

  test.each([new Error('the database is down'), 'route', undefined])(
    'a function that throws %s',
    async (what) => {
      const [status, , errors] = await claimsBy(() => {
        throw what
      })
      expect([status, (errors as unknown[]).length]).toEqual([500, 1])
    },
  )
})

describe('who may ask', () => {
  const visitors: readonly [who: string, headers: Record<string, string>, status: number][] = [
    ['a script of this site', script, 200],
    ['an older browser', { origin: 'SELF', 'x-csrf': '1' }, 200],
    ['a script without the header', fetched, 403],
    ['a script of a sibling', { ...script, 'sec-fetch-site': 'same-site' }, 403],
    ['a script of another site', { ...script, 'sec-fetch-site': 'cross-site' }, 403],
    ['an older browser elsewhere', { origin: 'https://evil.example', 'x-csrf': '1' }, 403],
    ['who says nothing', { 'x-csrf': '1' }, 403],
    ['a script tag elsewhere', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' }, 403],
    ['a script tag of this site', { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'no-cors' }, 403],
    ['a visit', typed, 403],
    ['a link of this site', ownForm, 403],
  ]

  test('scripts of this site, signed in or not; others do not even learn which', async () => {
    const { app, ask, signedIn } = await startUserStage({ user: { whenNobody: 'null' } })
    const user = await signedIn()
    for (const [who, headers, status] of visitors) {
      const sent = headers['origin'] === 'SELF' ? { ...headers, origin: app.url } : headers
      const answers = [await ask(user, sent), await ask('', sent)]
      expect([who, ...answers.map((answer) => answer.status)]).toEqual([who, status, status])
      expect(answers.map(({ headers: { 'cache-control': control } }) => control)).toEqual([
        'no-store',
        'no-store',
      ])
      const [signedInBody, nobodysBody] = answers.map(({ body }) => body)
      expect([who, signedInBody === nobodysBody]).toEqual([who, status === 403])
      expect([who, signedInBody?.includes('subject-1')]).toEqual([who, status === 200])
    }
  })

  test('another name of the header', async () => {
    const { ask, signedIn } = await startUserStage({ user: { header: 'X-Shop' } })
    const browser = await signedIn()
    expect((await ask(browser, { ...fetched, 'x-shop': 'a' })).status).toBe(200)
    expect((await ask(browser)).status).toBe(403)
  })

  test('a foreign page reads nothing where the app allows every origin (CORS)', async () => {
    const cors: Handler = (req, res, next) => {
      res.setHeader('access-control-allow-origin', req.headers.origin ?? '*')
      res.setHeader('access-control-allow-credentials', 'true')
      res.setHeader('access-control-allow-headers', 'x-csrf')
      if (req.method === 'OPTIONS') res.end()
      else next()
    }
    const { ask, signedIn } = await startUserStage({ before: [cors] })
    const browser = await signedIn()
    const origin = 'https://evil.example'
    for (const headers of [
      { ...script, origin, 'sec-fetch-site': 'cross-site' },
      { origin, 'x-csrf': '1' },
    ]) {
      const answer = await ask(browser, headers)
      expect(answer.headers['access-control-allow-origin']).toBe(origin)
      expect([answer.status, answer.body.includes('subject-1')]).toEqual([403, false])
    }
  })
})

test('GET and HEAD are answered, and nothing else', async () => {
  const { app, signedIn } = await startUserStage()
  const cookie = await cookieHeader(await signedIn(), app.url)
  const head = await bare(`${app.url}/user`, { ...script, cookie }, { method: 'HEAD' })
  expect([head.status, head.body, head.headers['cache-control']]).toEqual([200, '', 'no-store'])
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
    const page = await bare(`${app.url}/user`, { ...script, cookie }, { method })
    expect([page.status, page.headers['allow'], page.body.includes('subject-1')]).toEqual([
      405,
      'GET, HEAD',
      false,
    ])
  }
})

test('is off unless it is given: an app may have a /user of its own', async () => {
  const own: NonNullable<AppOptions['routes']> = ({ get }) => get('/user', (_req, res) => res.end('own'))
  for (const user of [undefined, false] as const) {
    const { app, signedIn } = await startStage({ routes: own, options: user === false ? { user } : {} })
    expect((await asked(app, await signedIn(), script)).body).toBe('own')
  }
})

test('at another path', async () => {
  const { app, signedIn } = await startUserStage({ options: { paths: { user: '/me', logout: '/bye' } } })
  const browser = await signedIn()
  expect((await asked(app, browser, script)).status).toBe(404)
  const answer = await asked(app, browser, script, '/me?x=1')
  expect(JSON.parse(answer.body)).toMatchObject({ logout_url: '/bye' })
})

test('below a base path', async () => {
  const secrets = ['Zp3vKq8sXw1yB5nM7tRc2dFg4hJk6lQa']
  const { app, server, signedIn } = await startUserStage({ options: { secrets } })
  const cookie = await cookieHeader(await signedIn(), app.url)
  const options = { ...registration(server), secrets, storage: 'cookie', user: true } as const
  const url = await serve((origin) =>
    express().use('/shop', oauthLogin({ ...options, baseUrl: `${origin}/shop` })),
  )
  const answer = await bare(`${url}/shop/user`, { ...script, cookie })
  expect(JSON.parse(answer.body)).toMatchObject({ logout_url: '/shop/logout' })
  expect(JSON.parse((await bare(`${url}/shop/user`, script)).body)).toMatchObject({
    login_url: '/shop/login',
  })
})

test('no login ends there', async () => {
  const { app } = await startUserStage()
  const browser = openBrowser()
  await browser.visit(`${app.url}/login?returnTo=/user`)
  expect(new URL(browser.page.url).pathname).toBe('/')
})

describe('asking is no use of the session', () => {
  const options = { idleLifetime: 3_600, absoluteLifetime: 7_200 }
  const secondsLeft = ({ body }: Page) => (JSON.parse(body) as Record<string, unknown>)['session_expires_in']

  test.each(storages)('storage %s: whoever only asks is signed out in time', async (storage) => {
    const { app, ask, signedIn } = await startUserStage({ storage, options })
    travel(0)
    const browser = await signedIn()
    const cookie = await cookieHeader(browser, app.url)
    const left: unknown[] = []
    for (let poll = 0; poll < 4; poll += 1) {
      const answer = await ask(cookie)
      left.push(answer.status === 200 ? secondsLeft(answer) : answer.status)
      expect(answer.setCookies).toEqual([])
      travel(1_199)
    }
    expect(left).toEqual([3_600, 2_401, 1_202, 3])
    travel(4)
    expect((await ask(cookie)).status).toBe(401)
    expect((await asked(app, cookie, { accept: 'application/json' }, '/private')).status).toBe(401)
  })

  test.each(storages)('storage %s: a use in between prolongs, up to the whole lifetime', async (storage) => {
    const { app, ask, signedIn } = await startUserStage({ storage, options })
    travel(0)
    const browser = await signedIn()
    const left: unknown[] = []
    for (let use = 0; use < 3; use += 1) {
      travel(1_800)
      await browser.visit(`${app.url}/private`)
      left.push(secondsLeft(await ask(browser)))
    }
    expect(left).toEqual([3_600, 3_600, 1_800])
  })

  test('a handler before it that reads req.auth later, such as a logger, is no use either', async () => {
    const logs: unknown[] = []
    const logger: Handler = (req, res, next) => {
      const { end } = res
      res.end = (...rest: unknown[]) => {
        logs.push((req as { auth?: { subject: string } }).auth?.subject)
        return end.apply(res, rest as never)
      }
      next()
    }
    const { ask, signedIn } = await startUserStage({ options, before: [logger] })
    const browser = await signedIn()
    travel(1_800)
    expect((await ask(browser)).setCookies).toEqual([])
    expect(logs.at(-1)).toBe('subject-1')
  })

  test('express-session that rolls prolongs its own cookie, and not who is signed in', async () => {
    const rolling = session({
      secret: 'of the session cookie',
      resave: false,
      saveUninitialized: false,
      rolling: true,
      cookie: { maxAge: 36_000_000 },
    })
    const { app, ask, signedIn } = await startUserStage({
      storage: 'session',
      before: [rolling as unknown as Handler],
      options,
    })
    travel(0)
    const cookie = await cookieHeader(await signedIn(), app.url)
    travel(3_599)
    const answer = await ask(cookie)
    expect([secondsLeft(answer), setsSession(answer)]).toEqual([1, true])
    travel(1)
    expect((await ask(cookie)).status).toBe(401)
  })

  test('nor is an access token refreshed, or anybody asked but the store', async () => {
    const { store, calls } = breakableStore()
    const { server, ask, signedIn } = await startUserStage({ options: { store } })
    const browser = await signedIn()
    travel(3_601)
    const [requests, before] = [server.requests.length, calls.length]
    expect((await ask(browser)).status).toBe(200)
    expect(server.requests).toHaveLength(requests)
    expect(calls.slice(before).map((call) => call.split(' ')[0])).toEqual(['get'])
  })
})

describe('the session is confirmed', () => {
  test.each(storages)('storage %s: one that was ended elsewhere is nobody', async (storage) => {
    const { app, ask, signedIn } = await startUserStage({ storage })
    const [one, other] = [await signedIn(), await signedIn()]
    const cookie = await cookieHeader(one, app.url)
    await one.fetch('/logout', { method: 'POST' })
    expect((await ask(cookie)).status).toBe(401)
    expect((await ask(other)).status).toBe(200)
    await app.login.endSessions('subject-1')
    expect((await ask(other)).status).toBe(401)
  })

  test.each(['401', 'null'] as const)(
    'a store that is away is a 503, whenNobody "%s"',
    async (whenNobody) => {
      const { store, breaks } = breakableStore()
      const { ask, signedIn } = await startUserStage({ user: { whenNobody }, options: { store } })
      const browser = await signedIn()
      breaks((method) => method === 'get')
      const answer = await ask(browser)
      expect([answer.status, answer.headers['retry-after'], answer.setCookies]).toEqual([503, '5', []])
      breaks(() => false)
      expect((await ask(browser)).status).toBe(200)
    },
  )

  test.each(['401', 'null'] as const)('and so is express-session\'s, whenNobody "%s"', async (whenNobody) => {
    const { store, breaks } = countingStore()
    const { ask, signedIn } = await startUserStage({
      user: { whenNobody },
      storage: 'session',
      before: [sessionOver(store)],
    })
    const browser = await signedIn()
    breaks((method, key) => (method === 'get' && key.startsWith('oauth-tokens') ? 'fails' : undefined))
    expect((await ask(browser)).status).toBe(503)
  })
})

test.each(storages)('storage %s: no token, secret or session id is told', async (storage) => {
  const { app, server, ask, signedIn } = await startUserStage({
    storage,
    options: { scope: 'openid profile email' },
    user: { claims: (auth) => ({ everything: auth }) },
  })
  const browser = await signedIn()
  const cookies = (await browser.jar.getCookies(app.url)).map(({ key, value }) => ({ role: key, value }))
  const answer = await ask(browser)
  expect(answer.status).toBe(200)
  const roles = new Set(server.secrets.map(({ role }) => role))
  for (const role of ['access token', 'refresh token', 'ID token']) expect(roles).toContain(role)
  const text = `${answer.body} ${JSON.stringify(answer.headers)}`
  expect(leaks([{ where: 'the answer', text }], [...server.secrets, ...app.secrets, ...cookies])).toEqual([])
  expect(text).not.toMatch(/eyJ|_token"(?<!"csrf_token")/)
})

test.each<[Partial<LoginOptions>, string]>([
  [{ user: 'yes' as never }, '"user" is "yes"; give an object with claims, whenNobody, header'],
  [{ user: null as never }, '"user" is null; give an object'],
  [{ user: { claim: ['sub'] } as never }, '"user.claim" is not known; did you mean "claims"?'],
  [{ user: { claims: 'sub' as never } }, '"user.claims" is no list of names; give a list such as'],
  [{ user: { claims: ['sub', ''] } }, '"user.claims" is no list of names'],
  [{ user: { whenNobody: '200' as never } }, '"user.whenNobody" is "200"; set it to "401" or "null"'],
  [{ user: { header: 'Accept' } }, '"user.header" is "accept", which pages of other sites can send'],
  [{ paths: { user: '/me' } }, '"paths.user" is set, and the option "user" is not; set "user" to true'],
  [{ user: true, paths: { user: 'me' } }, '"paths.user" is "me"; give a path that begins with "/"'],
  [{ user: true, paths: { login: '/user' } }, '"paths" has the same path twice'],
])('%j is refused', (change, message) => {
  const options = {
    issuer: 'https://auth.example.com',
    clientId: 'app',
    baseUrl: 'https://app.example.com',
    storage: 'cookie',
    secrets: ['Zp3vKq8sXw1yB5nM7tRc2dFg4hJk6lQa'],
    store: memoryStore(),
    ...change,
  } as LoginOptions
  expect(() => oauthLogin(options)).toThrow(message)
})
