/** Threats to the way out: what starts a login, where it leads, and what it leaves behind. */
import express from 'express'
import { describe, expect, it } from 'vitest'
import { oauthLogin } from '../../lib/index.js'
import { storages } from '../support/app.js'
import { openBrowser } from '../support/browser.js'
import { everythingIn, leaks } from '../support/canaries.js'
import { startFaultyServer } from '../support/faulty-server.js'
import { metadata } from '../support/faulty-server/discovery.js'
import { countingStore, sessionOver } from '../support/express-session.js'
import { absoluteForm, bare, cookieHeader, location, sentParameter, typed } from '../support/requests.js'
import { serve } from '../support/serve.js'
import { travel } from '../support/time.js'
import { registration, startStage } from '../support/stage.js'

describe('T4 parallel tabs', () => {
  it.each(storages)('finish in reverse order with storage %s', async (storage) => {
    const { app, pending } = await startStage({ storage })
    const browser = openBrowser()
    const callbacks: string[] = []
    for (const tab of [1, 2, 3, 4, 5]) callbacks.push(await pending(browser, `/login?returnTo=/tab${tab}`))
    const ends = []
    for (const callback of callbacks.toReversed()) {
      ends.push(location(await browser.visit(callback, { follow: false })))
    }
    expect(ends).toEqual(['/tab5', '/tab4', '/tab3', '/tab2', '/tab1'])
    expect(await browser.cookieNames(app.url)).not.toContainEqual(expect.stringContaining('.login.'))
  })

  it('by the hundred keep the Cookie header short, and the last eight can be finished', async () => {
    expect(await finishedOfLastEight(() => travel(1))).toBe(8)
  })

  it('the same when all are opened in one second', async () => {
    expect(await finishedOfLastEight(() => travel(0))).toBe(8)
  })

  async function finishedOfLastEight(pause: () => void): Promise<number> {
    const { app, server, pending } = await startStage()
    const browser = openBrowser()
    const callbacks: string[] = []
    for (let tab = 0; tab < 100; tab += 1) {
      callbacks.push(await pending(browser))
      pause()
    }
    expect((await cookieHeader(browser, app.url)).length).toBeLessThan(4_096)
    for (const callback of callbacks.slice(-8)) await browser.visit(callback, { follow: false })
    return server.counts.token
  }
})

describe('T5 flood of the login path', () => {
  it('of 2 000 requests without cookies leaves nothing in the session store', async () => {
    const { store, calls } = countingStore()
    const { app } = await startStage({ storage: 'session', before: [sessionOver(store)] })
    for (let round = 0; round < 40; round += 1) {
      const pages = await Promise.all(Array.from({ length: 50 }, async () => bare(`${app.url}/login`, typed)))
      expect(new Set(pages.map(({ status }) => status))).toEqual(new Set([302]))
    }
    expect(calls).toEqual({ get: 0, set: 0, destroy: 0 })
  })
})

describe('T5 flood from a page of another site', () => {
  const paths = ['/login', '/callback?state=an-unknown-state-of-22&code=a', '/private']
  it.each(paths)('that shows %s in frames begins no login', async (path) => {
    const { app } = await startStage({ options: { responseMode: 'form_post' } })
    const frame = { ...typed, 'sec-fetch-dest': 'iframe', 'sec-fetch-site': 'cross-site' }
    const page = await bare(app.url + path, frame)
    expect(page).toMatchObject({
      setCookies: [],
      headers: { 'content-type': 'application/json; charset=utf-8' },
    })
  })

  it.each(paths)('that loads %s as an image or script begins no login', async (path) => {
    const { app } = await startStage({ options: { responseMode: 'form_post' } })
    for (const mode of ['no-cors', 'cors', 'same-origin', 'websocket']) {
      const page = await bare(app.url + path, {
        ...typed,
        'sec-fetch-mode': mode,
        'sec-fetch-site': 'cross-site',
      })
      expect(page.setCookies).toEqual([])
      expect(page.status).toBeGreaterThanOrEqual(400)
    }
  })
})

describe('T7 PKCE downgrade', () => {
  it('the verifier goes along to a server that says nothing of PKCE', async () => {
    const { server, signedIn } = await startStage({
      server: {
        fault: {
          metadata: (op) => ({ ...metadata(op), code_challenge_methods_supported: undefined }),
          authorizationComplaints: () => [],
        },
      },
    })
    await signedIn()
    const { body } = server.requests.find(({ endpoint }) => endpoint === 'token') ?? {}
    expect(body?.get('code_verifier')).toMatch(/^[\w-]{43,}$/)
  })

  it.each([[['plain']], [[]], ['S256'], [null]])(
    'a server that offers %j is not gone to',
    async (code_challenge_methods_supported) => {
      const { app, server } = await startStage({
        server: { fault: { metadata: (op) => ({ ...metadata(op), code_challenge_methods_supported }) } },
      })
      expect(await bare(`${app.url}/login`, typed)).toMatchObject({ status: 502, setCookies: [] })
      expect(server.counts.authorize).toBe(0)
    },
  )
})

describe('T15 parameters injected into the authorization request', () => {
  const own = {
    client_id: 'client-1',
    response_type: 'code',
    scope: 'openid',
    code_challenge_method: 'S256',
  } as const
  const names = (
    'client_id redirect_uri response_type response_mode scope state nonce resource code_challenge ' +
    'code_challenge_method request request_uri prompt registration __proto__ constructor scope[] SCOPE client%5fid'
  ).split(' ')
  const queries = [
    ...names.map((name) => `${name}=evil`),
    ...names.map((name) => `${name}=evil&${name}=worse`),
    ...names.map((name) => `login_hint=a%26${name}%3Devil`),
    ...names.map((name) => `returnTo=/a%26${name}%3Devil`),
    ...names.map((name) => `returnTo=/a%23%26${name}%3Devil`),
    ...names.map((name) => `returnTo=/a?${name}=evil&${name}=evil`),
  ]

  it.each(queries)('%s', async (query) => {
    const { app, server } = await startStage({ options: { queryParameters: ['login_hint'] } })
    const page = await bare(`${app.url}/login?${query}`, typed)
    const sent = new URL(location(page)).searchParams
    const login_hint = new URLSearchParams(query).get('login_hint')
    expect(Object.fromEntries(sent)).toEqual({
      ...own,
      redirect_uri: app.callbackUrl,
      state: expect.stringMatching(/^[\w-]{22}$/),
      nonce: expect.stringMatching(/^[\w-]{22}$/),
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      ...(login_hint !== null && { login_hint }),
    })
    expect([...sent.keys()].length).toBe(new Set(sent.keys()).size)
    expect(location(page)).toMatch(new RegExp(`^${server.issuer}/authorize\\?`))
  })

  it('a parameter that may be set is refused when it comes twice', async () => {
    const { app } = await startStage({ options: { queryParameters: ['login_hint'] } })
    expect(await bare(`${app.url}/login?login_hint=a&login_hint=b`, typed)).toMatchObject({ status: 400 })
  })

  it.each(['redirect_uri', 'client_id', 'state', 'nonce', 'code_challenge', 'response_mode', 'request_uri'])(
    'the option queryParameters cannot name %s',
    (name) => {
      expect(() => oauthLogin({ ...valid, queryParameters: [name] })).toThrow('queryParameters')
      expect(() => oauthLogin({ ...valid, authorizationParameters: { [name]: 'x' } })).toThrow(name)
    },
  )
})

describe('T17 host header injection', () => {
  const forged = {
    host: 'evil.example',
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'https',
    'x-forwarded-port': '444',
    'x-original-host': 'evil.example',
    forwarded: 'host=evil.example;proto=https',
  }

  it.each([...Object.entries(forged).map(([name, value]) => ({ [name]: value })), forged])(
    'by %o changes no address',
    async (headers) => {
      const { app } = await startStage()
      const login = await bare(`${app.url}/login`, { ...typed, ...headers })
      expect(sentParameter(login, 'redirect_uri')).toBe(app.callbackUrl)
      const guarded = await bare(`${app.url}/private`, { ...typed, ...headers })
      expect(location(guarded)).toBe('/login?returnTo=%2Fprivate')
      const told = await bare(`${app.url}/private`, { ...headers, 'sec-fetch-mode': 'cors' })
      expect(JSON.parse(told.body)).toMatchObject({ login_url: '/login' })
    },
  )

  it('changes no address that a logout leads to', async () => {
    const { app, signedIn } = await startStage()
    const cookie = await cookieHeader(await signedIn(), app.url)
    const headers = { ...typed, ...forged, 'sec-fetch-site': 'same-origin', cookie }
    const page = await bare(`${app.url}/logout`, headers, { method: 'POST' })
    const target = new URL(String(page.headers['refresh']).replace(/^0; url=/, ''))
    expect(target.searchParams.get('post_logout_redirect_uri')).toBe(`${app.url}/`)
  })

  it('by a request target in absolute form', async () => {
    const { app } = await startStage()
    const answers = [
      await absoluteForm(app.url, 'http://evil.example/login', typed),
      await absoluteForm(app.url, 'http://evil.example/private', typed),
    ]
    expect(JSON.stringify(answers.map(({ headers }) => headers))).not.toContain('//evil.example')
  })
})

describe('T18 trust proxy', () => {
  it('makes no forged header count', async () => {
    const { login } = await trustingApp()
    const page = await bare(`${login}/login`, {
      ...typed,
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'evil.example',
      'x-forwarded-for': '127.0.0.1',
    })
    expect(sentParameter(page, 'redirect_uri')).toBe('https://app.example/callback')
    expect(page.setCookies).toEqual([
      expect.stringMatching(
        /^__Host-oauth\.login\.[\w-]+=[^;]+; Max-Age=600; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
      ),
    ])
  })

  it.each(['http://app.example', 'http://10.0.0.1', 'http://localhost.evil.example', 'http://[::2]'])(
    'a base URL %s without https is refused',
    (baseUrl) => {
      expect(() => oauthLogin({ ...valid, baseUrl })).toThrow('is not https')
    },
  )

  async function trustingApp() {
    const server = await startFaultyServer({ redirectUri: 'https://app.example/callback' })
    const app = express()
      .set('trust proxy', true)
      .use(oauthLogin({ ...valid, ...registration(server) }))
    return { login: await serve(() => app) }
  }
})

describe('T22 a posted form', () => {
  it.each(['/login', '/callback', '/logout', '/private', '/scoped', '/open'])(
    'to %s is never sent on',
    async (path) => {
      const { app } = await startStage({ options: { responseMode: 'form_post' } })
      const form = { ...typed, 'content-type': 'application/x-www-form-urlencoded' }
      for (const body of ['', 'state=a&code=b', 'password=secret']) {
        const { status } = await bare(app.url + path, form, { method: 'POST', body })
        expect([200, 302, 303, 400, 403, 404, 405]).toContain(status)
      }
    },
  )
})

describe('T6 the verifier', () => {
  it.each(storages)('is in no address, cookie, event or error with storage %s', async (storage) => {
    const { app, server, signedIn } = await startStage({ storage })
    const { responses } = await signedIn()
    const verifiers = server.secrets.filter(({ role }) => role === 'verifier')
    expect(verifiers).toHaveLength(1)
    const shown = { where: 'the browser', text: everythingIn([responses, app.events, app.errors]) }
    expect(leaks([shown], verifiers)).toEqual([])
  })
})

const valid = {
  issuer: 'https://issuer.example',
  clientId: 'client-1',
  clientSecret: 'of the client',
  baseUrl: 'https://app.example',
  storage: 'cookie',
  secrets: ['Zp3vKq8sXw1yB5nM7tRc2dFg4hJk6lQa'],
} as const
