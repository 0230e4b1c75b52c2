/** Threats to sign-outs that others ask for: forged, replayed, misdirected, or a way to wear the application out. */
import express from 'express'
import { describe, expect, it } from 'vitest'
import helmet from 'helmet'
import { memoryStore } from '../../lib/stores/memory-store.js'
import type { Store } from '../../lib/stores/store.js'
import { storages } from '../support/app.js'
import { openBrowser } from '../support/browser.js'
import { withClaims } from '../support/faulty-server/faults/modules-basic.js'
import { logoutTokenFaults } from '../support/faulty-server/faults/logout-token.js'
import { logoutModules, withLogoutClaims } from '../support/faulty-server/faults/modules-logout.js'
import type { FaultName } from '../support/faulty-server.js'
import { isGoodCookie, isSignedIn, logoutPaths, tell, tellBy } from '../support/logout.js'
import { breakableStore } from '../support/open-store.js'
import { bare, cookieHeader, ownForm } from '../support/requests.js'
import type { Handler } from '../support/serve.js'
import { startStage, type StageOptions } from '../support/stage.js'
import { travel } from '../support/time.js'

const stageWith = async (stage: StageOptions = {}) =>
  startStage({ ...stage, options: { paths: logoutPaths, algorithms: ['RS256'], ...stage.options } })

const forged = [
  ...Object.keys(logoutTokenFaults),
  ...Object.keys(logoutModules).filter((name) => name.includes('rpinitlogout-')),
] as FaultName[]

describe('T52: a forged logout token', () => {
  it('comes in more than twenty kinds', () => {
    expect(forged.length).toBeGreaterThan(20)
  })

  it.each(forged)('T52: %s', async (fault) => {
    const { app, server, signedIn } = await stageWith({ server: { fault } })
    const browser = await signedIn()
    const page = await tell(app, await server.logoutToken())
    expect(page.status).toBe(400)
    expect(JSON.parse(page.body)).toEqual({
      error: 'invalid_request',
      error_description: 'The logout token is not valid.',
    })
    expect(page.headers['cache-control']).toBe('no-store')
    expect(page.setCookies).toEqual([])
    expect(await isSignedIn(browser, app)).toBe(true)
    expect(server.counts.revocation).toBe(0)
  })

  it('T52: the ID token of the user, from the server itself', async () => {
    const { app, server, signedIn } = await stageWith()
    const browser = await signedIn()
    const idToken = server.secrets.find(({ role }) => role === 'ID token')?.value ?? ''
    expect((await tell(app, idToken)).status).toBe(400)
    expect(await isSignedIn(browser, app)).toBe(true)
  })

  it.each(storages)('T52: replayed with storage %s', async (storage) => {
    const { app, server, signedIn } = await stageWith({
      storage,
      server: { fault: withLogoutClaims(() => ({ sid: undefined, exp: undefined })) },
    })
    await signedIn()
    const token = await server.logoutToken()
    expect((await tell(app, token)).status).toBe(200)
    // To the last moment at which it would be good: five minutes, and what the clocks may differ.
    for (const seconds of [0, 1, 327]) {
      travel(seconds)
      const page = await tell(app, token)
      expect(page.status).toBe(400)
      expect(app.events.at(-1)).toMatchObject({ type: 'token_rejected', error: { reason: 'replayed' } })
    }
    travel(3)
    await tell(app, token)
    expect(app.events.at(-1)).toMatchObject({ error: { reason: 'too_old' } })
  })

  it('T52: is remembered for as long as it could be good', async () => {
    const store = memoryStore()
    const lifetimes: number[] = []
    const noting: Store = {
      ...store,
      add: async (key, value, ttl) => {
        lifetimes.push(ttl)
        return store.add(key, value, ttl)
      },
    }
    const { app, server, signedIn } = await stageWith({ options: { store: noting, clockTolerance: 45 } })
    await signedIn()
    lifetimes.length = 0
    await tell(app, await server.logoutToken())
    // Issued 45 s ahead of our clock at most, and good for five minutes and 45 s after that.
    expect(lifetimes).toEqual([390])
  })

  it('T52: one that was refused can be used when it is right', async () => {
    const { app, server, signedIn } = await stageWith()
    const browser = await signedIn()
    const jti = 'the same for both'
    server.misbehave(withLogoutClaims(() => ({ jti, aud: 'another' })))
    expect((await tell(app, await server.logoutToken())).status).toBe(400)
    server.misbehave(withLogoutClaims(() => ({ jti })))
    expect((await tell(app, await server.logoutToken())).status).toBe(200)
    expect(await isSignedIn(browser, app)).toBe(false)
  })

  describe.each([false, true])('of more than 8 KB, parsed by the app before: %s', (isParsed) => {
    it.each([
      ['with its length', {}],
      ['in chunks', { 'transfer-encoding': 'chunked' }],
    ])('T52: is refused, sent %s', async (_how, headers) => {
      const before = isParsed ? [express.urlencoded({ extended: false }) as Handler] : []
      const { app, server, signedIn } = await stageWith({ before })
      const browser = await signedIn()
      const token = await server.logoutToken()
      for (const length of [8_193, 50_000, 90_000]) {
        const page = await tellBy(app, `logout_token=${token}${'a'.repeat(length)}`, headers)
        expect([page.status, page.headers['cache-control']]).toEqual([413, 'no-store'])
      }
      expect(await isSignedIn(browser, app)).toBe(true)
      expect((await tell(app, token)).status).toBe(200)
    })
  })
})

describe('a good logout token in more than 8 KB', () => {
  it.each<[string, Handler[], Record<string, string>]>([
    ['with its length', [], {}],
    ['in chunks', [], { 'transfer-encoding': 'chunked' }],
    ['with its length, and parsed before', [express.urlencoded({ extended: false }) as Handler], {}],
  ])('T52: is refused, sent %s', async (_how, before, headers) => {
    const { app, server, signedIn } = await stageWith({ before })
    const browser = await signedIn()
    const body = `logout_token=${await server.logoutToken()}&padding=${'a'.repeat(8_193)}`
    expect((await tellBy(app, body, headers)).status).toBe(413)
    expect(await isSignedIn(browser, app)).toBe(true)
  })
})

describe('T53: a logout that has nothing to do, or too much', () => {
  it('T53: of an unknown session is done', async () => {
    const { app, server, signedIn } = await stageWith()
    const browser = await signedIn()
    server.misbehave(withLogoutClaims(() => ({ sid: 'unknown', sub: 'unknown' })))
    const page = await tell(app, await server.logoutToken())
    expect([page.status, page.body, page.headers['cache-control']]).toEqual([200, '', 'no-store'])
    expect(await isSignedIn(browser, app)).toBe(true)
  })

  it.each(storages)('T53: after and while the user signs out here, storage %s', async (storage) => {
    const { app, server, signedIn } = await stageWith({ storage })
    for (let round = 0; round < 10; round++) {
      const cookie = await cookieHeader(await signedIn(), app.url)
      const token = await server.logoutToken()
      const [here, there] = await Promise.all([
        bare(`${app.url}/logout`, { ...ownForm, cookie }, { method: 'POST' }),
        tell(app, token),
      ])
      expect([here.status < 400, there.status]).toEqual([true, 200])
      expect((await tell(app, await server.logoutToken())).status).toBe(200)
      expect(await isGoodCookie(cookie, app)).toBe(false)
    }
  })

  it.each([
    ['a session', {}],
    ['a user', withLogoutClaims(() => ({ sid: undefined }))],
  ])('T53: 100 identical calls for %s at once are done once', async (_what, fault) => {
    const { app, server, signedIn } = await stageWith({ server: { fault } })
    const browser = await signedIn()
    const token = await server.logoutToken()
    const pages = await Promise.all(Array.from({ length: 100 }, () => tell(app, token)))
    const statuses = pages.map(({ status }) => status)
    expect(statuses.filter((status) => status === 200)).toHaveLength(1)
    expect(statuses.filter((status) => status === 400)).toHaveLength(99)
    expect(await isSignedIn(browser, app)).toBe(false)
    expect(app.events.filter(({ type }) => type === 'server_logout')).toHaveLength(1)
  })
})

describe('T54: a logout at one server', () => {
  /** Two applications of one store, each with a server of its own, which name users and sessions alike. */
  async function twoServers(claims: Record<string, unknown>) {
    const store = memoryStore()
    const server = { fault: { ...withClaims(() => ({ sid: 'sid-1' })), ...withLogoutClaims(() => claims) } }
    const first = await stageWith({ options: { store }, server })
    const second = await stageWith({ options: { store }, server })
    const browsers = [await first.signedIn(), await second.signedIn()] as const
    return { first, second, browsers }
  }

  it.each([
    ['sid', { sid: 'sid-1' }],
    ['sid alone', { sid: 'sid-1', sub: undefined }],
    ['sub', { sid: undefined }],
  ])('T54: by %s ends no session that came of another', async (_what, claims) => {
    const { first, second, browsers } = await twoServers(claims)
    const token = await first.server.logoutToken()
    expect((await tell(second.app, token)).status).toBe(400)
    expect(await isSignedIn(browsers[1], second.app)).toBe(true)
    expect((await tell(first.app, token)).status).toBe(200)
    expect(await isSignedIn(browsers[0], first.app)).toBe(false)
    expect(await isSignedIn(browsers[1], second.app)).toBe(true)
  })

  it('T54: nor does a token in the name of the other', async () => {
    const { first, second, browsers } = await twoServers({ iss: 'replaced below' })
    first.server.misbehave(withLogoutClaims(() => ({ iss: second.server.issuer, sid: 'sid-1' })))
    const token = await first.server.logoutToken()
    expect([(await tell(first.app, token)).status, (await tell(second.app, token)).status]).toEqual([
      400, 400,
    ])
    expect(await isSignedIn(browsers[0], first.app)).toBe(true)
    expect(await isSignedIn(browsers[1], second.app)).toBe(true)
  })

  it('T54: nor does a frame that names the other', async () => {
    const { first, second, browsers } = await twoServers({})
    const named = (iss: string) => `?${new URLSearchParams({ iss, sid: 'sid-1' }).toString()}`
    const url = first.app.url + logoutPaths.frontchannelLogout
    expect((await bare(url + named(second.server.issuer))).status).toBe(400)
    expect((await bare(url + named(first.server.issuer))).status).toBe(200)
    expect(await isSignedIn(browsers[0], first.app)).toBe(false)
    expect(await isSignedIn(browsers[1], second.app)).toBe(true)
  })
})

describe('T55: a flood of garbage', () => {
  it('T55: asks the server for nothing and leaves nothing in the store', async () => {
    const { store, calls, keys } = breakableStore()
    const { app, server } = await stageWith({ options: { store } })
    const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const header = encoded({ alg: 'RS256', kid: 'a', typ: 'logout+jwt' })
    const garbage = [
      'a',
      'a.b',
      'a.b.c',
      'a.b.c.d.e',
      `${header}.e30.AAAA`,
      `${header}.${encoded({ iss: server.issuer })}.AAAA`,
      `${header}.${encoded({ iss: server.issuer, aud: server.clientId })}.AAAA`,
      `${header}.${encoded({ iss: 'https://evil.example', aud: server.clientId })}.AAAA`,
      'a'.repeat(8_000),
      `${header}.${'A'.repeat(7_000)}.AAAA`,
    ]
    const pages = await Promise.all(
      Array.from({ length: 50 }, () => garbage)
        .flat()
        .map((token) => tell(app, token)),
    )
    expect(new Set(pages.map(({ status }) => status))).toEqual(new Set([400]))
    expect(server.requests).toEqual([])
    expect([calls, await keys()]).toEqual([[], []])
  })

  it('T55: with everything right but the key fetches the keys four times at most', async () => {
    const { store, keys } = breakableStore()
    const { app, server, pending } = await stageWith({ options: { store } })
    await pending(openBrowser())
    let count = 0
    server.misbehave({
      logoutTokenHeader: () => ({ alg: 'RS256', kid: `unknown-${count++}`, typ: 'logout+jwt' }),
    })
    const tokens: string[] = []
    for (let index = 0; index < 100; index++) tokens.push(await server.logoutToken())
    for (const token of tokens) expect((await tell(app, token)).status).toBe(400)
    expect(server.counts.jwks).toBeGreaterThan(0)
    expect(server.counts.jwks).toBeLessThanOrEqual(4)
    expect(await keys()).toEqual([])
  })
})

describe('T56: a logout that nobody vouches for', () => {
  const framed = async (
    { app }: Awaited<ReturnType<typeof stageWith>>,
    query: Record<string, string> | string,
    cookie = '',
  ) => {
    const search = typeof query === 'string' ? query : new URLSearchParams(query).toString()
    return bare(`${app.url}${logoutPaths.frontchannelLogout}?${search}`, {
      accept: 'text/html',
      'sec-fetch-mode': 'navigate',
      'sec-fetch-dest': 'iframe',
      'sec-fetch-site': 'cross-site',
      ...(cookie !== '' && { cookie }),
    })
  }

  describe.each(storages)('with storage "%s"', (storage) => {
    it('T56: by a guessed name ends nothing here, and nothing at the server', async () => {
      const { store, keys } = breakableStore()
      const stage = await stageWith({ storage, options: { store } })
      const cookie = await cookieHeader(await stage.signedIn(), stage.app.url)
      const before = await keys()
      for (let guess = 0; guess < 200; guess++) {
        const named = { iss: stage.server.issuer, sid: `${stage.server.sid.slice(0, -3)}${guess}` }
        const page = await framed(stage, named, guess % 2 === 0 ? cookie : '')
        expect([page.status, page.setCookies]).toEqual([200, []])
      }
      expect(await keys()).toEqual(before)
      expect(await isGoodCookie(cookie, stage.app)).toBe(true)
      expect(stage.server.counts.revocation).toBe(0)
    })

    it.each([
      ['without cookies', false],
      ['with the cookies of the browser', true],
    ])('T56: by its name ends one session here, and nothing at the server, %s', async (_how, hasCookie) => {
      const stage = await stageWith({ storage })
      const other = await stage.signedIn()
      const browser = await stage.signedIn()
      const cookie = await cookieHeader(browser, stage.app.url)
      const named = { iss: stage.server.issuer, sid: stage.server.sid }
      const page = await framed(stage, named, hasCookie ? cookie : '')
      expect([page.status, page.headers['cache-control']]).toEqual([200, 'no-store'])
      expect(page.setCookies.some((header) => header.startsWith('oauth=;'))).toBe(
        hasCookie && storage === 'cookie',
      )
      expect(await isGoodCookie(cookie, stage.app)).toBe(false)
      expect(await isSignedIn(other, stage.app)).toBe(true)
      expect(stage.server.counts.revocation).toBe(0)
    })

    it('T56: with the cookies of another session leaves that one alone', async () => {
      const stage = await stageWith({ storage })
      await stage.signedIn()
      const named = { iss: stage.server.issuer, sid: stage.server.sid }
      const cookie = await cookieHeader(await stage.signedIn(), stage.app.url)
      expect((await framed(stage, named, cookie)).setCookies).toEqual([])
      expect(await isGoodCookie(cookie, stage.app)).toBe(true)
    })
  })

  it.each<[string, (named: { iss: string; sid: string }) => string]>([
    ['nothing', () => ''],
    ['no sid', ({ iss }) => `iss=${iss}`],
    ['no iss', ({ sid }) => `sid=${sid}`],
    ['an empty sid', ({ iss }) => `iss=${iss}&sid=`],
    ['two sids', ({ iss, sid }) => `iss=${iss}&sid=${sid}&sid=${sid}`],
    ['two issuers', ({ iss, sid }) => `iss=${iss}&iss=${iss}&sid=${sid}`],
    ['another issuer', ({ iss, sid }) => `iss=${iss}/&sid=${sid}`],
    ['a list', ({ iss, sid }) => `iss=${iss}&sid[]=${sid}`],
    ['a long sid', ({ iss }) => `iss=${iss}&sid=${'a'.repeat(513)}`],
  ])('T56: that names %s is refused', async (_what, query) => {
    const stage = await stageWith()
    const browser = await stage.signedIn()
    const cookie = await cookieHeader(browser, stage.app.url)
    const page = await framed(stage, query({ iss: stage.server.issuer, sid: stage.server.sid }), cookie)
    expect([page.status, page.setCookies]).toEqual([400, []])
    expect(await isSignedIn(browser, stage.app)).toBe(true)
  })

  it.each(['', '?iss=ISSUER', '?sid=a'])(
    'T56: without a name (%s) tells the developer what to register',
    async (search) => {
      const stage = await stageWith()
      const query = search.replace('ISSUER', encodeURIComponent(stage.server.issuer))
      const page = await bare(stage.app.url + logoutPaths.frontchannelLogout + query, {
        accept: 'text/html',
        'sec-fetch-mode': 'navigate',
      })
      expect([page.status, page.body]).toEqual([
        400,
        expect.stringContaining('frontchannel_logout_session_required'),
      ])
    },
  )

  it.each(['POST', 'HEAD', 'PUT'])('T56: by %s is refused', async (method) => {
    const stage = await stageWith()
    const browser = await stage.signedIn()
    const named = new URLSearchParams({ iss: stage.server.issuer, sid: stage.server.sid }).toString()
    const page = await bare(`${stage.app.url}${logoutPaths.frontchannelLogout}?${named}`, {}, { method })
    expect([page.status, page.headers['allow']]).toEqual([405, 'GET'])
    expect(await isSignedIn(browser, stage.app)).toBe(true)
  })

  it('T56: is answered by an empty page that any site may frame, whatever helmet says', async () => {
    const stage = await stageWith({ before: [helmet()] })
    const page = await framed(stage, { iss: stage.server.issuer, sid: 'unknown' })
    expect(page.headers['x-frame-options']).toBeUndefined()
    expect(page.headers['content-security-policy']).toBe("default-src 'none'")
    expect(page.body).not.toMatch(/<script|<form|<a /)
    const refused = await framed(stage, '')
    expect(refused.headers).not.toHaveProperty('x-frame-options')
    expect(refused.headers).not.toHaveProperty('content-security-policy')
    expect((await bare(`${stage.app.url}/open`)).headers['x-frame-options']).toBe('SAMEORIGIN')
  })

  it('T56: a login leaves its name in the store only where frames are answered', async () => {
    const { frontchannelLogout, backchannelLogout } = logoutPaths
    const kept = async (paths: Partial<typeof logoutPaths>) => {
      const { store, keys } = breakableStore()
      const { signedIn } = await stageWith({ options: { store, paths } })
      await signedIn()
      return (await keys()).filter((key) => key.includes(':noted:'))
    }
    expect(await kept({ backchannelLogout })).toEqual([])
    expect(await kept({ frontchannelLogout })).toHaveLength(1)
  })

  it('T56: while the store is away is no logout, and the session lives on', async () => {
    const { store, breaks } = breakableStore()
    const stage = await stageWith({ options: { store } })
    const cookie = await cookieHeader(await stage.signedIn(), stage.app.url)
    const named = { iss: stage.server.issuer, sid: stage.server.sid }
    breaks(() => true)
    const page = await framed(stage, named, cookie)
    expect([page.status, page.setCookies]).toEqual([503, []])
    breaks(() => false)
    expect(await isGoodCookie(cookie, stage.app)).toBe(true)
    await framed(stage, named)
    expect(await isGoodCookie(cookie, stage.app)).toBe(false)
  })
})
