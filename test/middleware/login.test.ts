import { describe, expect, test } from 'vitest'
import { startLogin, type OAuthLoginOptions, type StartLoginOptions } from '../../lib/index.js'
import { openBrowser } from '../support/browser.js'
import { bare, location, typed } from '../support/requests.js'
import { startStage } from '../support/stage.js'

/** The parameters that a login path sends to the authorization server. */
async function sent(path: string, options: Partial<OAuthLoginOptions> = {}, start?: StartLoginOptions) {
  const { app } = await startStage({
    options,
    routes: ({ get }) => get('/start', (req, res) => startLogin(req, res, start)),
  })
  return new URL(location(await bare(`${app.url}${path}`, typed))).searchParams
}

test('a login asks for a code, with PKCE, state and nonce, and for the scopes in their order', async () => {
  const parameters = await sent('/login', { scope: 'openid b:y a:x B:y' })
  expect(Object.fromEntries(parameters)).toEqual({
    response_type: 'code',
    client_id: 'client-1',
    redirect_uri: expect.stringMatching(/^http:\/\/localhost:\d+\/callback$/),
    scope: 'openid b:y a:x B:y',
    state: expect.stringMatching(/^[\w-]{22}$/),
    nonce: expect.stringMatching(/^[\w-]{22}$/),
    code_challenge: expect.stringMatching(/^[\w-]{43}$/),
    code_challenge_method: 'S256',
  })
})

test('no two logins share a value', async () => {
  const { app } = await startStage()
  const logins = await Promise.all(
    Array.from({ length: 20 }, async () => location(await bare(`${app.url}/login`, typed))),
  )
  for (const name of ['state', 'nonce', 'code_challenge']) {
    expect(new Set(logins.map((login) => new URL(login).searchParams.get(name))).size).toBe(20)
  }
})

test('the query sets only what the options allow', async () => {
  const path = '/login?login_hint=alice&ui_locales=de&prompt=login&scope=admin'
  const parameters = await sent(path, { queryParameters: ['login_hint', 'ui_locales'] })
  expect(parameters.get('login_hint')).toBe('alice')
  expect(parameters.get('ui_locales')).toBe('de')
  expect(parameters.get('prompt')).toBeNull()
  expect(parameters.get('scope')).toBe('openid')
})

test('scopes from an allowed query are added, never put in place of others', async () => {
  const parameters = await sent('/login?scope=read:projects%20openid', { queryParameters: ['scope'] })
  expect(parameters.get('scope')).toBe('openid read:projects')
})

test.each([
  '/login?max_age=soon',
  '/login?max_age=-1',
  '/login?scope=a%20%20b',
  '/login?max_age=1&max_age=2',
])('%s is refused', async (path) => {
  const { app } = await startStage({ options: { queryParameters: ['max_age', 'scope'] } })
  expect(await bare(`${app.url}${path}`, typed)).toMatchObject({ status: 400, setCookies: [] })
})

describe('startLogin', () => {
  test('asks for more scope and sets parameters', async () => {
    const parameters = await sent(
      '/start',
      { authorizationParameters: { prompt: 'consent', audience: 'api' } },
      { scope: 'write:projects', parameters: { prompt: 'login', max_age: 0, acr_values: 'gold' } },
    )
    expect(Object.fromEntries(parameters)).toMatchObject({
      scope: 'openid write:projects',
      prompt: 'login',
      audience: 'api',
      max_age: '0',
      acr_values: 'gold',
    })
  })

  test('asks again for what was granted before', async () => {
    const { app, signedIn } = await startStage({
      routes: ({ get }) => {
        get('/one', (req, res) => startLogin(req, res, { scope: 'read:projects', returnTo: '/open' }))
        get('/two', (req, res) => startLogin(req, res, { scope: 'write:projects' }))
      },
    })
    const browser = await signedIn()
    await browser.visit(`${app.url}/one`)
    const page = await browser.visit(`${app.url}/two`, { follow: false })
    expect(new URL(location(page)).searchParams.get('scope')).toBe('openid read:projects write:projects')
  })

  test('refuses parameters that only the package may set', async () => {
    const { app, server } = await startStage({
      routes: ({ get }) =>
        get('/start', (req, res) =>
          startLogin(req, res, { parameters: { redirect_uri: 'https://evil.example' } }),
        ),
    })
    expect(await bare(`${app.url}/start`, typed)).toMatchObject({ status: 500, setCookies: [] })
    expect(server.counts.authorize).toBe(0)
  })
})

describe('who may start a login', () => {
  const kinds: [what: string, headers: Record<string, string>, status: number][] = [
    ['a page visit', { 'sec-fetch-mode': 'navigate', accept: 'text/html' }, 302],
    ['an old browser', { accept: 'text/html,*/*' }, 302],
    ['a client that tells nothing', {}, 302],
    ['fetch()', { 'sec-fetch-mode': 'cors', accept: '*/*' }, 401],
    ['XMLHttpRequest of an old browser', { 'x-requested-with': 'XMLHttpRequest', accept: 'text/html' }, 401],
    ['a client that wants JSON', { accept: 'application/json' }, 401],
    ['a prefetch', { 'sec-fetch-mode': 'navigate', 'sec-purpose': 'prefetch', accept: 'text/html' }, 401],
  ]
  test.each(kinds)('%s', async (_what, headers, status) => {
    const { app } = await startStage()
    const answer = await bare(`${app.url}/login`, headers)
    expect(answer.status).toBe(status)
    expect(answer.setCookies.length).toBe(status === 302 ? 1 : 0)
  })

  test('a script on a guarded page is told where the login is; a page visit goes there', async () => {
    const { app } = await startStage()
    const script = await bare(`${app.url}/private?x=1`, { 'sec-fetch-mode': 'cors' })
    expect(JSON.parse(script.body)).toMatchObject({ error: 'login_required', login_url: '/login' })
    const visit = await bare(`${app.url}/private?x=1`, typed)
    expect([visit.status, location(visit)]).toEqual([302, '/login?returnTo=%2Fprivate%3Fx%3D1'])
    const posted = await bare(`${app.url}/private?x=1`, typed, { method: 'POST' })
    expect([404, 303]).toContain(posted.status)
  })
})

test('below a path, the public URL decides what is sent and where users land', async () => {
  const { app, server } = await startStage({
    options: { paths: { login: '/auth/in', callback: '/auth/back' } },
  })
  server.register(`${app.url}/auth/back`)
  const browser = openBrowser()
  const page = await browser.visit(`${app.url}/auth/in`)
  expect(new URL(page.url).pathname).toBe('/')
  expect((await browser.visit(`${app.url}/private`)).status).toBe(200)
  expect((await bare(`${app.url}/login`, typed)).status).toBe(404)
})
