import express from 'express'
import { describe, expect, onTestFinished, test } from 'vitest'
import { frameworks, startApp, storages, type LoginOptions } from '../support/app.js'
import { openBrowser } from '../support/browser.js'
import { withClaims } from '../support/faulty-server/faults/modules-basic.js'
import { withLogoutClaims } from '../support/faulty-server/faults/modules-logout.js'
import { now } from '../support/faulty-server/provider.js'
import { isGoodCookie, isSignedIn, logoutPaths, tell, tellBy } from '../support/logout.js'
import { breakableStore } from '../support/open-store.js'
import { bare, cookieHeader, setsSession } from '../support/requests.js'
import type { Handler } from '../support/serve.js'
import { registration, startStage, type StageOptions } from '../support/stage.js'
import { travel } from '../support/time.js'

const withPaths = (options: Partial<LoginOptions> = {}): Partial<LoginOptions> => ({
  paths: logoutPaths,
  ...options,
})
const stageWith = async (stage: StageOptions = {}) =>
  startStage({ ...stage, options: withPaths(stage.options) })

/** The user, but not the session. */
const ofUser = withLogoutClaims(() => ({ sid: undefined }))

describe.each(frameworks)('%s', (framework) => {
  describe.each(storages)('with storage "%s"', (storage) => {
    test('a sign-out at the server ends the session here', async () => {
      const { app, server, signedIn } = await stageWith({ framework, storage })
      const browser = await signedIn()
      const page = await tell(app, await server.logoutToken())
      expect([page.status, page.body, page.headers['cache-control']]).toEqual([200, '', 'no-store'])
      expect(await isSignedIn(browser, app)).toBe(false)
      expect(app.events.at(-1)).toEqual({ type: 'server_logout', channel: 'back', subject: 'subject-1' })
      expect((await browser.visit(`${app.url}/private`)).url).toBe(`${app.url}/private`)
      expect(server.counts.authorize).toBe(2)
    })
  })
})

describe.each(storages)('with storage "%s"', (storage) => {
  test('a token with sid ends that session and no other of the user', async () => {
    const { app, server, signedIn } = await stageWith({ storage })
    const first = await signedIn()
    const token = await server.logoutToken()
    const second = await signedIn()
    expect((await tell(app, token)).status).toBe(200)
    expect([await isSignedIn(first, app), await isSignedIn(second, app)]).toEqual([false, true])
  })

  test('a token with sub alone ends all that began before it was issued, and no later one', async () => {
    const { app, server, signedIn } = await stageWith({ storage, server: { fault: ofUser } })
    const [first, second] = [await signedIn(), await signedIn()]
    const token = await server.logoutToken()
    travel(2)
    const third = await signedIn()
    expect((await tell(app, token)).status).toBe(200)
    expect([await isSignedIn(first, app), await isSignedIn(second, app)]).toEqual([false, false])
    expect(await isSignedIn(third, app)).toBe(true)
  })

  test.each([
    ['behind ours', -20, -10, false],
    ['ahead of ours', 20, 10, true],
  ])('which came first is judged by the clock of the server, %s', async (_how, login, logout, lives) => {
    const { app, server, signedIn } = await stageWith({
      storage,
      server: {
        fault: {
          ...withClaims(() => ({ iat: now() + login })),
          ...withLogoutClaims(() => ({ sid: undefined, iat: now() + logout })),
        },
      },
    })
    const browser = await signedIn()
    expect((await tell(app, await server.logoutToken())).status).toBe(200)
    expect(await isSignedIn(browser, app)).toBe(lives)
  })

  test('an access token is not given out any more either', async () => {
    const { app, server, signedIn } = await stageWith({ storage })
    const browser = await signedIn()
    const cookie = await cookieHeader(browser, app.url)
    await tell(app, await server.logoutToken())
    expect((await bare(`${app.url}/scoped`, { accept: 'application/json', cookie })).status).toBe(401)
  })

  test('what onLogin returns does not change which session of the server it is', async () => {
    const onLogin = () => ({ sid: 'another', iat: 4_000_000_000, sub: 'another' })
    const { app, server, signedIn } = await stageWith({ storage, options: { onLogin } })
    const [first, second] = [await signedIn(), await signedIn()]
    await tell(app, await server.logoutToken())
    expect([await isSignedIn(first, app), await isSignedIn(second, app)]).toEqual([true, false])
    server.misbehave(ofUser)
    await tell(app, await server.logoutToken())
    expect(await isSignedIn(first, app)).toBe(false)
  })

  describe('a login under way when its user is signed out', () => {
    async function inFlight(logouts: number) {
      let left = logouts
      const stage = await stageWith({
        storage,
        options: {
          queryParameters: ['max_age', 'scope'],
          onLogin: async () => {
            if (left-- > 0) await tell(stage.app, await stage.server.logoutToken())
          },
        },
      })
      return stage
    }

    test('starts again, and ends where it was to end', async () => {
      const { app, server } = await inFlight(1)
      const browser = openBrowser()
      const page = await browser.visit(`${app.url}/login?max_age=600&scope=profile&returnTo=/private`)
      expect([page.status, page.url]).toEqual([200, `${app.url}/private`])
      expect(server.counts).toMatchObject({ authorize: 2, token: 2, revocation: expect.any(Number) })
      const asked = server.requests.filter(({ endpoint }) => endpoint === 'authorize')
      const wanted = asked.map(({ query }) => [query.get('scope'), query.get('max_age')])
      expect(wanted).toEqual([
        ['openid profile', '600'],
        ['openid profile', '600'],
      ])
      expect(app.events.map(({ type }) => type)).toContain('login_restarted')
      expect(browser.responses.filter(setsSession).length).toBeGreaterThan(0)
      // The tokens of the first attempt are nobody's.
      expect(server.requests.filter(({ endpoint }) => endpoint === 'revocation').length).toBeGreaterThan(0)
    })

    test('and does not go round for ever', async () => {
      const { app, server } = await inFlight(9)
      const browser = openBrowser()
      const page = await browser.visit(`${app.url}/private`)
      expect([page.status, server.counts.authorize]).toEqual([401, 2])
      expect(browser.responses.some(setsSession)).toBe(false)
      expect(app.events.at(-1)).toMatchObject({ type: 'login_failed', code: 'login_required' })
    })

    test('also when the end is told by user', async () => {
      const { app, server, pending } = await stageWith({ storage })
      const browser = openBrowser()
      const callback = await pending(browser, '/login?returnTo=/private')
      server.misbehave({
        ...withLogoutClaims(() => ({ sid: undefined, iat: now() + 20 })),
      })
      await tell(app, await server.logoutToken())
      const page = await browser.visit(callback, { follow: false })
      expect([page.status, setsSession(page)]).toEqual([302, false])
      travel(25)
      expect((await browser.visit(page.headers.location ?? '')).status).toBe(200)
      expect(await isSignedIn(browser, app)).toBe(true)
    })
  })
})

describe('the request', () => {
  const parsers: Record<string, Handler> = {
    'express.urlencoded()': express.urlencoded({ extended: false }) as Handler,
    'express.urlencoded({ extended: true })': express.urlencoded({ extended: true }) as Handler,
    'express.text()': express.text({ type: '*/*' }) as Handler,
    'express.json()': express.json() as Handler,
  }

  test.each(Object.entries(parsers))('may have been parsed by %s', async (_name, parser) => {
    const { app, server, signedIn } = await stageWith({ before: [parser] })
    const browser = await signedIn()
    expect((await tell(app, await server.logoutToken())).status).toBe(200)
    expect(await isSignedIn(browser, app)).toBe(false)
  })

  test.each(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'])('%s is not how it is done', async (method) => {
    const { app } = await stageWith()
    const page = await bare(app.url + logoutPaths.backchannelLogout, {}, { method })
    expect([page.status, page.headers['allow'], page.headers['cache-control']]).toEqual([
      405,
      'POST',
      'no-store',
    ])
  })

  const bodies: [string, (token: string) => string, headers?: Record<string, string>][] = [
    ['nothing', () => ''],
    ['an empty token', () => 'logout_token='],
    ['another field', (token) => `token=${token}`],
    ['two tokens', (token) => `logout_token=${token}&logout_token=${token}`],
    ['a list', (token) => `logout_token[]=${token}`],
    ['JSON', (token) => JSON.stringify({ logout_token: token }), { 'content-type': 'application/json' }],
    ['text', (token) => `logout_token=${token}`, { 'content-type': 'text/plain' }],
  ]
  describe.each([false, true])('parsed by the app before: %s', (isParsed) => {
    test.each(bodies)('with %s is refused', async (_what, body, headers) => {
      const { app, server, signedIn } = await stageWith({
        before: isParsed ? [express.urlencoded({ extended: true }) as Handler] : [],
      })
      const browser = await signedIn()
      const page = await tellBy(app, body(await server.logoutToken()), headers)
      expect([page.status, JSON.parse(page.body)]).toEqual([
        400,
        { error: 'invalid_request', error_description: 'The request was malformed.' },
      ])
      expect(await isSignedIn(browser, app)).toBe(true)
    })
  })

  test('is no matter of onError: the server gets its answer', async () => {
    const { app } = await stageWith({ options: { onError: 'next' } })
    const page = await tell(app, 'a.b.c')
    expect([page.status, page.headers['content-type']]).toEqual([400, 'application/json; charset=utf-8'])
    expect(app.errors).toEqual([])
  })

  test('why a token was refused is told to the app, and not to whoever sent it', async () => {
    const { app, server, signedIn } = await stageWith()
    await signedIn()
    server.misbehave('logout-token-iss-slash')
    const page = await tell(app, await server.logoutToken())
    expect(JSON.parse(page.body)).toEqual({
      error: 'invalid_request',
      error_description: 'The logout token is not valid.',
    })
    expect(app.events.at(-1)).toMatchObject({ type: 'token_rejected', error: { reason: 'issuer' } })
  })
})

describe('a failure is not a logout, and the server may try again', () => {
  const outages: [string, (method: string, keys: string) => boolean][] = [
    ['altogether', () => true],
    ['for marks', (_method, keys) => keys.includes('ended:')],
    ['for writing', (method) => method !== 'get'],
    ['for remembering the token', (method, keys) => method !== 'get' && keys.includes('used:')],
  ]
  describe.each(['one session', 'all of a user'])('of %s', (which) => {
    test.each(outages)('while the store is away %s', async (_what, rule) => {
      const { store, breaks } = breakableStore()
      const fault = which === 'one session' ? {} : ofUser
      const { app, server, signedIn } = await stageWith({ options: { store }, server: { fault } })
      const cookie = await cookieHeader(await signedIn(), app.url)
      const token = await server.logoutToken()
      breaks(rule)
      const page = await tell(app, token)
      expect([page.status, JSON.parse(page.body), page.headers['cache-control']]).toEqual([
        400,
        { error: 'store_unavailable', error_description: 'The logout failed. Send it again.' },
        'no-store',
      ])
      expect(app.events.at(-1)).toMatchObject({ type: 'request_failed', code: 'store_unavailable' })
      breaks(() => false)
      expect((await tell(app, token)).status).toBe(200)
      expect(await isGoodCookie(cookie, app)).toBe(false)
      expect((await tell(app, token)).status).toBe(400)
    })
  })

  test('while the keys cannot be had', async () => {
    const { app, server, pending } = await stageWith()
    await pending(openBrowser())
    server.misbehave({ answerJwks: () => (response) => void response.destroy() })
    const page = await tell(app, await server.logoutToken())
    expect([page.status, JSON.parse(page.body).error]).toEqual([400, 'key_set_unavailable'])
    expect(app.events.at(-1)).toMatchObject({ type: 'request_failed', code: 'key_set_unavailable' })
    server.misbehave()
    travel(60)
    expect((await tell(app, await server.logoutToken())).status).toBe(200)
  })
})

test('a path that is not given is not there', async () => {
  const { app, server, signedIn } = await startStage()
  const browser = await signedIn()
  expect((await tell(app, await server.logoutToken())).status).toBe(404)
  expect(await isSignedIn(browser, app)).toBe(true)
})

test('two instances that share a store know of each other', async () => {
  const { store } = breakableStore()
  const secrets = ['of-both-instances-and-long-enough-0']
  const { app, server, signedIn } = await stageWith({ options: { store, secrets } })
  const second = await startApp({ options: { ...registration(server), ...withPaths({ store, secrets }) } })
  onTestFinished(() => second.close())
  const browser = await signedIn()
  const cookie = await cookieHeader(browser, app.url)
  expect(await isGoodCookie(cookie, second)).toBe(true)
  const token = await server.logoutToken()
  expect((await tell(second, token)).status).toBe(200)
  expect(await isGoodCookie(cookie, app)).toBe(false)
  expect((await tell(app, token)).status).toBe(400)
})
