/** Threats to the session itself: fixed, replayed, outlived, mixed up, or let in when something fails. */
import { describe, expect, it } from 'vitest'
import { getAuth, oauthBearer, oauthLogin, requireLogin } from '../../lib/index.js'
import { attachAuth } from '../../lib/middleware/auth.js'
import { storages } from '../support/app.js'
import { openBrowser, type Browser } from '../support/browser.js'
import { startFaultyServer, type Fault } from '../support/faulty-server.js'
import { withClaims } from '../support/faulty-server/faults/modules-basic.js'
import { countingStore, sessionOver, type Breaks } from '../support/express-session.js'
import { bare, cookieHeader, setsSession, typed, withNewCookies } from '../support/requests.js'
import { chain, serve, type Handler } from '../support/serve.js'
import { registration, startStage, type StageOptions } from '../support/stage.js'
import { travel } from '../support/time.js'

describe('T25 whoever is not known to be somebody', () => {
  const planted: Readonly<Record<string, unknown>> = {
    'an error': new Error('configuration'),
    'a user': { kind: 'session', subject: 'admin', claims: {}, scopes: ['read:projects'] },
    true: true,
    'an empty object': {},
  }

  it.each(Object.entries(planted))('%s in req.auth is nobody to the guards', async (_what, auth) => {
    const plants: Handler = (request, _response, next) => {
      Object.defineProperty(request, 'auth', { value: auth, configurable: true, writable: true })
      next()
    }
    const { app } = await startStage({ before: [plants] })
    for (const path of ['/private', '/scoped'])
      expect((await bare(app.url + path, { accept: 'application/json' })).status).toBe(401)
    const guardAlone = await serve(() => chain(plants, requireLogin(), greets))
    expect((await bare(guardAlone)).status).toBe(500)
  })

  it.each([
    'x',
    'eyJhbGciOiJkaXIifQ....',
    '2~x',
    '%',
    '%E0%A4%A',
    'j:{}',
    'j:null',
    'null',
    '"',
    'a.b.c.d.e',
  ])('the session cookie %s is nobody', async (value) => {
    const { app } = await startStage()
    expect((await bare(`${app.url}/private`, { cookie: `oauth=${value}` })).status).toBe(401)
  })

  it('a bearer token that cannot be checked is not let in', async () => {
    const server = await startFaultyServer({ fault: 'discovery-down' })
    const url = await serve(() => chain(oauthBearer({ issuer: server.issuer, audience: 'api' }), greets))
    const claims = { iss: server.issuer, aud: 'api', exp: Math.floor(Date.now() / 1_000) + 60 }
    const token = [{ alg: 'RS256', kid: 'a', typ: 'at+jwt' }, claims, 'signature'].map(encoded).join('.')
    expect((await bare(url, { authorization: `Bearer ${token}` })).status).toBe(503)
  })

  it('a failure without a reason is a failure', async () => {
    const attaches: Handler = (request, response, next) => {
      // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- JavaScript may reject with nothing, and that must not let anybody in
      const confirm = async () => Promise.reject(undefined)
      const refuse = () => void response.writeHead(503).end()
      const covers = () => true
      const shortcoming = () => undefined
      attachAuth(request, { peek: () => undefined, confirm, refuse, covers, shortcoming })
      next()
    }
    const url = await serve(() => chain(attaches, requireLogin(), greets))
    expect((await bare(url)).status).toBe(503)
  })

  it.each<[string, () => false | Promise<never>]>([
    ['refuses', () => false],
    ['fails for', async () => Promise.reject(new Error('the database is down'))],
  ])('nor a user that onLogin %s', async (_how, onLogin) => {
    const { app } = await startStage({ options: { onLogin } })
    const browser = openBrowser()
    const page = await browser.visit(`${app.url}/private`)
    expect([403, 500]).toContain(page.status)
    expect(browser.responses.some(setsSession)).toBe(false)
  })

  it.each([null, 0, '', true, 'no'])('nor one for whom onLogin gives %j', async (outcome) => {
    const { app } = await startStage({ options: { onLogin: () => outcome as never } })
    const browser = openBrowser()
    await browser.visit(`${app.url}/private`)
    expect(browser.responses.some(setsSession)).toBe(false)
  })
})

describe('T26 session fixation', () => {
  const withVisit: Handler = (request, _response, next) => {
    Object.assign((request as unknown as { session: object }).session, { visited: true })
    next()
  }

  it('the session id of before the login is worth nothing afterwards', async () => {
    const { store, entries } = countingStore()
    const { app } = await startStage({ storage: 'session', before: [sessionOver(store), withVisit] })
    const browser = openBrowser()
    await browser.visit(`${app.url}/open`)
    const fixed = await cookieHeader(browser, app.url)
    expect(fixed).toMatch(/^connect\.sid=/)
    const before = Object.keys(entries())
    expect((await browser.visit(`${app.url}/private`)).status).toBe(200)
    expect(await cookieHeader(browser, app.url)).not.toBe(fixed)
    expect(Object.keys(entries()).filter((key) => before.includes(key))).toEqual([])
    expect(await isIn(app.url, fixed)).toBe(false)
  })

  it.each([
    [false, {}],
    [['cart'], { cart: 'a book' }],
    [true, { cart: 'a book', role: 'admin' }],
  ] as const)('of what was in it, keepSessionData %j keeps %o', async (keepSessionData, kept) => {
    const { store, entries } = countingStore()
    const fills: Handler = (request, _response, next) => {
      const { session } = request as unknown as { session: Record<string, unknown> }
      if (request.url === '/open') Object.assign(session, { cart: 'a book', role: 'admin', oauth: 'forged' })
      next()
    }
    const { app } = await startStage({
      storage: 'session',
      options: { keepSessionData },
      before: [sessionOver(store), fills],
    })
    const browser = openBrowser()
    await browser.visit(`${app.url}/open`)
    expect((await browser.visit(`${app.url}/private`)).status).toBe(200)
    const [, text = '{}'] = Object.entries(entries()).find(([key]) => !key.startsWith('oauth-tokens-')) ?? []
    const { cookie: _cookie, oauth, ...rest } = JSON.parse(text) as Record<string, unknown>
    expect(rest).toEqual(kept)
    expect(oauth).not.toBe('forged')
  })

  it.each(storages)('another login makes another session with storage %s', async (storage) => {
    const { app, signedIn } = await startStage({ storage })
    const browser = await signedIn()
    const first = await cookieHeader(browser, app.url)
    await browser.visit(`${app.url}/login`)
    const second = await cookieHeader(browser, app.url)
    expect(second).not.toBe(first)
    expect(await isIn(app.url, first)).toBe(storage === 'cookie') // a sealed cookie lives until its end
    expect(await isIn(app.url, second)).toBe(true)
  })
})

describe('T26 a second login', () => {
  it('leaves no tokens of the first one behind', async () => {
    const { store, entries } = countingStore()
    const { app, signedIn } = await startStage({ storage: 'session', before: [sessionOver(store)] })
    const browser = await signedIn()
    await browser.visit(`${app.url}/login`)
    const keys = Object.keys(entries()).map((key) => (key.startsWith('oauth-tokens-') ? 'tokens' : 'session'))
    expect(keys.toSorted()).toEqual(['session', 'tokens'])
  })
})

describe('T33 a session cookie after the logout', () => {
  /** With storage `cookie` it is the process that remembers. */
  it.each(storages)('is worth nothing with storage %s', async (storage) => {
    const { app, signedIn } = await startStage({ storage })
    const browser = await signedIn()
    const cookie = await cookieHeader(browser, app.url)
    expect(await isIn(app.url, cookie)).toBe(true)
    await browser.fetch('/logout', { method: 'POST' })
    expect(await isIn(app.url, cookie)).toBe(false)
  })
})

describe('T49 logout CSRF', () => {
  const json = { accept: 'application/json' }
  it.each<[string, string, Record<string, string>]>([
    ['a form of another site', 'POST', { ...typed, 'sec-fetch-site': 'cross-site' }],
    ['a form of a sibling domain', 'POST', { ...typed, 'sec-fetch-site': 'same-site' }],
    ['a script of another site', 'POST', { ...json, origin: 'https://evil.example' }],
    ['a page without an origin', 'POST', { ...json, origin: 'null' }],
    ['a similar origin', 'POST', { ...json, origin: 'http://localhost.evil.example' }],
    ['a client that says nothing', 'POST', json],
    ['a link of another site', 'GET', { ...typed, 'sec-fetch-site': 'cross-site' }],
    ['an image of another site', 'GET', { 'sec-fetch-mode': 'no-cors', 'sec-fetch-site': 'cross-site' }],
    ['a client that says nothing, by GET', 'GET', json],
    [
      'a frame of another site',
      'GET',
      { ...typed, 'sec-fetch-site': 'cross-site', 'sec-fetch-dest': 'iframe' },
    ],
    [
      'a form in a frame of a sibling',
      'POST',
      { ...typed, 'sec-fetch-site': 'same-site', 'sec-fetch-dest': 'iframe' },
    ],
    ['a beacon of another site', 'POST', { 'sec-fetch-mode': 'no-cors', 'sec-fetch-site': 'cross-site' }],
    [
      'a script of a sibling',
      'POST',
      { 'sec-fetch-mode': 'cors', 'sec-fetch-site': 'same-site', 'x-csrf': '1' },
    ],
    ['an extension', 'POST', { 'sec-fetch-mode': 'cors', 'sec-fetch-site': 'none', 'x-csrf': '1' }],
    ['a speculation of the address bar', 'GET', { ...typed, 'sec-purpose': 'prefetch;prerender' }],
  ])('%s signs nobody out', async (_what, method, headers) => {
    const { app, server, signedIn } = await startStage({ options: { logoutByGet: true } })
    const cookie = await cookieHeader(await signedIn(), app.url)
    for (const field of ['', '?csrf_token=', '?csrf_token=wrong', '?csrf_token=a&csrf_token=b']) {
      const page = await bare(`${app.url}/logout${field}`, { ...headers, cookie }, { method })
      expect(page).toMatchObject({ status: 403, setCookies: [] })
    }
    expect(server.counts.endSession).toBe(0)
    expect(await isIn(app.url, cookie)).toBe(true)
  })

  it.each<[string, Record<string, string>]>([
    ['an image', { 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' }],
    ['a prefetch', { ...typed, 'sec-purpose': 'prefetch' }],
  ])('nor does %s of the site itself, where a link would', async (_what, headers) => {
    const { app, signedIn } = await startStage({ options: { logoutByGet: true } })
    const cookie = await cookieHeader(await signedIn(), app.url)
    const page = await bare(`${app.url}/logout`, { ...headers, 'sec-fetch-site': 'same-origin', cookie })
    expect(page.setCookies).toEqual([])
  })

  it('by GET is not there unless it is asked for', async () => {
    const { app, signedIn } = await startStage()
    const cookie = await cookieHeader(await signedIn(), app.url)
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']) {
      const headers = { ...typed, 'sec-fetch-site': 'same-origin', cookie }
      const page = await bare(`${app.url}/logout`, headers, { method })
      expect(page).toMatchObject({ status: 405, headers: { allow: 'POST' }, setCookies: [] })
    }
  })
})

describe('T35 a cookie from long ago', () => {
  const cases: [string, number, number, number, boolean][] = [
    ['within both lifetimes', 86_000, 86_400, 604_800, true],
    ['after 25 hours unused', 25 * 3_600, 86_400, 604_800, false],
    ['after eight days', 8 * 86_400, 30 * 86_400, 604_800, false],
    ['at the very end of the idle time', 3_600, 3_600, 604_800, false],
    ['a second before', 3_599, 3_600, 604_800, true],
    ['at the very end of the session', 7_200, 86_400, 7_200, false],
  ]
  describe.each(storages)('storage %s', (storage) => {
    it.each(cases)('%s', async (_when, age, idleLifetime, absoluteLifetime, lives) => {
      const { app, signedIn } = await startStage({ storage, options: { idleLifetime, absoluteLifetime } })
      const cookie = await cookieHeader(await signedIn(), app.url)
      travel(age)
      expect(await isIn(app.url, cookie)).toBe(lives)
    })
  })

  it('does not live on because it is used', async () => {
    const { app, signedIn } = await startStage({ options: { idleLifetime: 3_600, absoluteLifetime: 7_200 } })
    let cookie = await cookieHeader(await signedIn(), app.url)
    const lives: boolean[] = []
    for (let use = 0; use < 5; use += 1) {
      travel(1_800)
      const page = await bare(`${app.url}/private`, { ...typed, cookie })
      lives.push(page.status === 200)
      cookie = withNewCookies(cookie, page)
    }
    expect(lives).toEqual([true, true, true, false, false])
  })

  it.each(storages)('a login in flight ends after ten minutes, storage %s', async (storage) => {
    const { app, server, pending } = await startStage({ storage })
    const browser = openBrowser()
    const callback = await pending(browser)
    const headers = { ...typed, cookie: await cookieHeader(browser, app.url) }
    travel(600)
    expect(setsSession(await bare(callback, headers))).toBe(false)
    expect(server.counts.token).toBe(0)
  })
})

const [a, b] = ['Zp3vKq8sXw1yB5nM7tRc2dFg4hJk6lQa', 'mN8bV7cX6zL5kJ4hG3fD2sA1qWeRtYuI'] as const

describe('T36 rotation of the secret', () => {
  const tokenRoute: NonNullable<StageOptions['routes']> = ({ get }) =>
    get('/token', async (request, response) => response.end(await getAuth(request).accessToken()))

  it('signs nobody out while both are known, and everybody of the old one at the end', async () => {
    const server = await startFaultyServer()
    const client = { issuer: server.issuer, clientId: server.clientId, clientSecret: server.clientSecret }
    const stages = []
    for (const secrets of [[a], [b, a], [b]])
      stages.push(await startStage({ options: { ...client, secrets }, routes: tokenRoute }))
    const [before, overlap, after] = stages.map(({ app }) => app)
    if (!before || !overlap || !after) throw new Error('three applications are needed')
    server.register(before.callbackUrl)
    const users = await Promise.all(Array.from({ length: 20 }, async () => openBrowser()))
    await Promise.all(users.map(async (user) => user.visit(`${before.url}/private`)))
    const cookies = await Promise.all(users.map(async (user) => cookieHeader(user, before.url)))
    const seen = async (url: string) =>
      (await Promise.all(cookies.map(async (cookie) => isIn(url, cookie)))).filter(Boolean).length
    expect(await seen(overlap.url)).toBe(20)
    expect(await seen(after.url)).toBe(0)

    travel(2 * 3_600)
    const [cookie = ''] = cookies
    const renewed = await bare(`${overlap.url}/private`, { ...typed, cookie })
    const fresh = withNewCookies(cookie, renewed)
    expect(await isIn(after.url, fresh)).toBe(true)
    expect((await bare(`${after.url}/token`, { ...typed, cookie: fresh })).status).toBe(200)
    expect(await isIn(before.url, fresh)).toBe(false)
  })
})

describe('T41 many users at once', () => {
  it.each(storages)('each gets what is theirs, storage %s', async (storage) => {
    const fault = withClaims((_op, { code }) => ({ sub: `subject of ${code}`, nonce_of: code }))
    const { app } = await startStage({ storage, server: { fault } })
    const users = Array.from({ length: 30 }, () => openBrowser())
    const subjects = await Promise.all(users.map(async (user) => subjectOf(user, app.url)))
    expect(new Set(subjects).size).toBe(30)
    const wrong = await Promise.all(
      Array.from({ length: 300 }, async (_, index) => {
        const user = users[index % 30]
        return user && (await subjectOf(user, app.url)) !== subjects[index % 30]
      }),
    )
    expect(wrong.filter(Boolean)).toEqual([])
  })

  async function subjectOf(user: Browser, url: string): Promise<string> {
    const { body } = await user.visit(`${url}/private`)
    return (JSON.parse(body) as { sub: string }).sub
  }
})

describe('T45 prototype pollution', () => {
  const evil =
    '{"__proto__":{"polluted":"yes","scopes":["read:projects"]},"constructor":{"prototype":{"polluted":"yes"}}}'

  it('by claims', async () => {
    const fault = withClaims(() => JSON.parse(evil) as Record<string, unknown>)
    const { app, signedIn } = await startStage({ server: { fault }, options: { userinfo: true } })
    const browser = await signedIn()
    expect((await browser.visit(`${app.url}/scoped`, { follow: false })).status).toBe(403)
    expectClean()
  })

  it('by userinfo', async () => {
    const fault: Fault = {
      userinfo: (_op, { subject }) => ({ ...(JSON.parse(evil) as object), sub: subject }),
    }
    const { app, signedIn } = await startStage({ server: { fault }, options: { userinfo: true } })
    const browser = await signedIn()
    expect((await browser.visit(`${app.url}/scoped`, { follow: false })).status).toBe(403)
    expectClean()
  })

  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf'])(
    'by the name %s',
    async (name) => {
      const { app, server, pending } = await startStage({
        options: { queryParameters: [name, 'ui_locales'] },
      })
      await bare(`${app.url}/login?${name}=evil&${name}[polluted]=yes`, typed)
      await bare(`${app.url}/private`, {
        ...typed,
        cookie: `${name}=x; oauth=${name}; oauth.login.${name}=x`,
      })
      const browser = openBrowser()
      const callback = await pending(browser)
      const page = await browser.visit(`${callback}&error=${name}&error_description=${name}`, {
        follow: false,
      })
      expect(page.status).toBe(400)
      expect(server.counts.token).toBe(0)
      expectClean()
    },
  )

  it.each(['__proto__', 'constructor', 'toString'])('a token whose kid is %s is refused', async (kid) => {
    const server = await startFaultyServer()
    const url = await serve(() =>
      chain(oauthBearer({ issuer: server.issuer, audience: 'api' }), requireLogin()),
    )
    const claims = { iss: server.issuer, aud: 'api', exp: Math.floor(Date.now() / 1_000) + 60, scope: kid }
    const token = [{ alg: 'RS256', kid, typ: 'at+jwt' }, claims, 'signature'].map(encoded).join('.')
    expect((await bare(url, { authorization: `Bearer ${token}` })).status).toBe(401)
    expectClean()
  })

  function expectClean(): void {
    expect(({} as Record<string, unknown>)['polluted']).toBe(undefined)
    expect(({} as Record<string, unknown>)['scopes']).toBe(undefined)
  }
})

describe('T46 the session store', () => {
  const impatient = { storeTimeout: 0.2 }
  const tokens: Breaks = (_method, key) => (key.startsWith('oauth-tokens-') ? 'fails' : undefined)
  const hanging: Breaks = (_method, key) => (key.startsWith('oauth-tokens-') ? 'hangs' : undefined)

  it.each<[string, Breaks]>([
    ['fails', tokens],
    ['hangs', hanging],
  ])('%s: 503, and the session lives on when it is back', async (_how, rule) => {
    const { store, breaks } = countingStore()
    const { app, signedIn } = await startStage({
      storage: 'session',
      options: impatient,
      before: [sessionOver(store)],
    })
    const cookie = await cookieHeader(await signedIn(), app.url)
    breaks(rule)
    const start = performance.now()
    for (const headers of [typed, { accept: 'application/json' }]) {
      const page = await bare(`${app.url}/private`, { ...headers, cookie })
      expect(page).toMatchObject({ status: 503, headers: { 'retry-after': '5' } })
    }
    expect(performance.now() - start).toBeLessThan(2_000)
    breaks(() => undefined)
    expect(await isIn(app.url, cookie)).toBe(true)
  })

  it.each(['get', 'destroy'] as const)('is down at logout (%s): the session lives on', async (method) => {
    const { store, breaks } = countingStore()
    const { app, signedIn } = await startStage({ storage: 'session', before: [sessionOver(store)] })
    const browser = await signedIn()
    const cookie = await cookieHeader(browser, app.url)
    breaks((called, key) => (called === method && key.startsWith('oauth-tokens-') ? 'fails' : undefined))
    expect(await browser.fetch('/logout', { method: 'POST' })).toMatchObject({ status: 503 })
    breaks(() => undefined)
    expect(await isIn(app.url, cookie)).toBe(true)
  })

  it.each(['set', 'destroy'] as const)(
    'is down at the callback (%s): nobody is signed in',
    async (method) => {
      const { store, breaks } = countingStore()
      const { app, pending } = await startStage({ storage: 'session', before: [sessionOver(store)] })
      const browser = openBrowser()
      const callback = await pending(browser)
      breaks((called) => (called === method ? 'fails' : undefined))
      const page = await browser.visit(callback, { follow: false })
      expect(page).toMatchObject({ status: 503, headers: { 'retry-after': '5' } })
      breaks(() => undefined)
      expect(await isIn(app.url, await cookieHeader(browser, app.url))).toBe(false)
    },
  )

  it('that loses the tokens alone at the callback leaves no half session', async () => {
    const { store, breaks } = countingStore()
    const { pending } = await startStage({ storage: 'session', before: [sessionOver(store)] })
    const browser = openBrowser()
    const callback = await pending(browser)
    breaks((called, key) => (called === 'set' && key.startsWith('oauth-tokens-') ? 'fails' : undefined))
    const page = await browser.visit(callback, { follow: false })
    expect(page.status).toBe(503)
    expect(setsSession(page)).toBe(false)
  })

  it('that fails during a second login leaves the first session alone', async () => {
    const { store, breaks } = countingStore()
    const { app, pending, signedIn } = await startStage({ storage: 'session', before: [sessionOver(store)] })
    const browser = await signedIn()
    const cookie = await cookieHeader(browser, app.url)
    const callback = await pending(browser)
    breaks((called) => (called === 'set' ? 'fails' : undefined))
    expect((await browser.visit(callback, { follow: false })).status).toBe(503)
    breaks(() => undefined)
    expect(await isIn(app.url, cookie)).toBe(true)
  })

  it('that loses its connection: 503, not an anonymous 200', async () => {
    const { store } = countingStore()
    const server = await startFaultyServer()
    const url = await serve((baseUrl) => {
      const login = oauthLogin({ ...registration(server), baseUrl, storage: 'session', secrets: [a] })
      return chain(sessionOver(store), login, requireLogin(), greets)
    })
    expect((await bare(url, { accept: 'application/json' })).status).toBe(401)
    store.emit('disconnect')
    expect((await bare(url, { accept: 'application/json' })).status).toBe(503)
    expect((await bare(`${url}/login`, typed)).status).toBe(503)
    store.emit('connect')
    expect((await bare(url, { accept: 'application/json' })).status).toBe(401)
  })
})

const greets: Handler = (_request, response) => response.end('hello')

async function isIn(url: string, cookie: string): Promise<boolean> {
  return (await bare(`${url}/private`, { ...typed, cookie })).status === 200
}

function encoded(part: unknown): string {
  return Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url')
}
