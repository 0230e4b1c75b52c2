/** The life of tokens among instances: refreshed once, kept apart, given up, and never back after an end. */
import { setTimeout as sleep } from 'node:timers/promises'
import { MemoryStore } from 'express-session'
import { describe, expect, test, vi } from 'vitest'
import { getAuth, isOAuthError, memoryStore, type Store } from '../../lib/index.js'
import { storages } from '../support/app.js'
import { json } from '../support/faulty-server/answer.js'
import type { Steps } from '../support/faulty-server/provider.js'
import { grants, tokenResponse } from '../support/faulty-server/token.js'
import { withClaims } from '../support/faulty-server/faults/modules-basic.js'
import { kinds, startInstances } from '../support/instances.js'
import { bare, cookieHeader, typed, withNewCookies } from '../support/requests.js'
import { startStage } from '../support/stage.js'
import { jump, travel } from '../support/time.js'

/** `LONG=1` has the full numbers of the campaigns. */
const isLong = process.env['LONG'] !== undefined
/** Seconds. */
const life = 3_600
const api = 'https://api.example.com'
const otherApi = 'https://other.example.com'

/** An answer of the token endpoint that takes its time. */
const after = (milliseconds: () => number): Partial<Steps> => ({
  async answerToken(_op, response) {
    await sleep(milliseconds())
    return json(response)
  },
})

/** A server that takes a refresh token more than once. */
const forgiving: Partial<Steps> = {
  grants: Object.fromEntries(
    Object.entries(grants).map(([type, grant]) => [type, { ...grant, complaints: () => [] }]),
  ),
}

describe('T38 a slow request that saves its session', () => {
  test.each(kinds.slice(1))(
    'never brings an old refresh token back: %s',
    async (kind) => {
      const { user, token, get, server } = await startInstances({
        kind,
        routes: ({ get: page }) =>
          page('/slow', async (req, res) => {
            const { session } = req as unknown as { session: Record<string, unknown> }
            await sleep(Math.random() * 8)
            session['visit'] = Math.random()
            res.end()
          }),
      })
      const users = await Promise.all(Array.from({ length: 10 }, () => user()))
      for (let round = 0; round < 100; round++) {
        await Promise.all(
          users.map(async (cookie) => {
            const [slow, renewed] = await Promise.all([
              get(round, '/slow', cookie),
              sleep(Math.random() * 4).then(() => token(round + 1, cookie, { forceRefresh: true })),
            ])
            expect([slow.status, renewed]).toEqual([200, expect.stringContaining('access-token')])
          }),
        )
        travel(31) // what became of the old ones is forgotten: only what is stored counts
      }
      expect(server.complaints).toEqual([])
      expect(server.counts.token).toBe(10 + 1_000)
    },
    120_000,
  )
})

describe('T39 a logout during a refresh', () => {
  const times = isLong ? 200 : 40

  test.each(kinds)(
    'has the last word, wherever the two arrive: %s',
    async (kind) => {
      const { user, token, logout, isIn, server } = await startInstances({ kind })
      const users: string[] = []
      for (let n = 0; n < times; n++) users.push(await user())
      travel(life + 1)
      server.misbehave(after(() => 500))
      await Promise.all(
        users.map(async (cookie, n) => {
          const refreshing = token(n, cookie)
          // From before the server is asked until after it has answered.
          await sleep((n / times) * 700)
          expect((await logout(n + 1, cookie)).status).toBe(200)
          await refreshing
        }),
      )
      await vi.waitFor(() => expect(goodRefreshTokens(server)).toEqual([]))
      for (const cookie of users)
        expect([await isIn(0, cookie), await isIn(1, cookie)]).toEqual([false, false])
    },
    120_000,
  )

  test.each(kinds)('and what the refresh told a moment before it is revoked: %s', async (kind) => {
    let held: (() => void) | undefined
    let isLoggingOut = false
    // The mark of the end waits until the refresh is through.
    const seenBy = (store: Store, instance: number): Store => ({
      ...store,
      async set(key, value, ttl) {
        if (instance === 1 && isLoggingOut && key.includes('ended:')) {
          await new Promise<void>((resolve) => {
            held = resolve
          })
        }
        return store.set(key, value, ttl)
      },
    })
    const { user, token, logout, isIn, server } = await startInstances({ kind, seenBy })
    const cookie = await user()
    travel(life + 1)
    let answer = () => {}
    const answering = new Promise<void>((resolve) => {
      answer = resolve
    })
    server.misbehave({
      async answerToken(_op, response) {
        await answering
        return json(response)
      },
    })
    const refreshing = token(0, cookie)
    await vi.waitFor(() => expect(server.counts.token).toBe(2))
    isLoggingOut = true
    const leaving = logout(1, cookie)
    await vi.waitFor(() => expect(held).toBeDefined())
    answer()
    await refreshing
    held?.()
    expect((await leaving).status).toBe(200)
    await vi.waitFor(() => expect(goodRefreshTokens(server)).toEqual([]))
    expect([await isIn(0, cookie), await isIn(1, cookie)]).toEqual([false, false])
  })

  test.each([
    ['before', true],
    ['after', false],
  ])('a record that is written %s the mark of the end goes, too', async (_when, isBefore) => {
    const sessions = new MemoryStore()
    const set = sessions.set.bind(sessions)
    let isLate = false
    let write: (() => void) | undefined
    sessions.set = (key, value, done) => {
      if (isLate && key.startsWith('oauth-tokens-')) write = () => set(key, value, done)
      else set(key, value, done)
    }
    let refreshing: Promise<string> | undefined
    const seenBy = (store: Store): Store => ({
      ...store,
      async set(key, value, ttl) {
        if (isBefore && key.includes('ended:')) {
          write?.()
          await refreshing
        }
        return store.set(key, value, ttl)
      },
    })
    const all = await startInstances({ kind: 'records in the session store', sessions, seenBy })
    const cookie = await all.user()
    travel(life + 1)
    isLate = true
    refreshing = all.token(0, cookie)
    await vi.waitFor(() => expect(write).toBeDefined())
    expect((await all.logout(1, cookie)).status).toBe(200)
    if (!isBefore) write?.()
    await refreshing
    const keys = Object.keys((sessions as unknown as { sessions: object }).sessions)
    expect(keys.filter((key) => key.startsWith('oauth-tokens-'))).toEqual([])
    await vi.waitFor(() => expect(goodRefreshTokens(all.server)).toEqual([]))
  })

  /** Those that were issued and neither used nor revoked. */
  function goodRefreshTokens({ secrets, requests }: Awaited<ReturnType<typeof startInstances>>['server']) {
    const gone = new Set(requests.flatMap(({ body }) => [body.get('refresh_token'), body.get('token')]))
    return secrets.filter(({ role, value }) => role === 'refresh token' && !gone.has(value))
  }
})

test.each(kinds)(
  'T41 many users at once, two instances, a server that takes its time: each token is its user’s: %s',
  async (kind) => {
    const owners = new Map<unknown, string>()
    const fault: Partial<Steps> = {
      ...withClaims((_op, { code }) => ({ sub: `subject of ${code}` })),
      async answerToken(op, response) {
        owners.set(
          response['access_token'],
          op.accessTokens.get(String(response['access_token']))?.code ?? '',
        )
        await sleep(Math.random() * 40)
        return json(response)
      },
    }
    const { user, token, get, server } = await startInstances({ kind, fault })
    const users: { cookie: string; subject: string }[] = []
    for (let n = 0; n < (isLong ? 200 : 30); n++) {
      const cookie = await user()
      const { body } = await get(0, '/private', cookie)
      users.push({ cookie, subject: (JSON.parse(body) as { sub: string }).sub })
    }
    travel(life + 1)
    const wrong = await Promise.all(
      users.flatMap(({ cookie, subject }) =>
        Array.from({ length: isLong ? 50 : 20 }, async (_, n) => {
          await sleep(Math.random() * (isLong ? 8_000 : 200))
          const answer = await token(n, cookie)
          return `subject of ${owners.get(answer)}` === subject ? [] : [answer]
        }),
      ),
    )
    expect([wrong.flat(), server.complaints]).toEqual([[], []])
    expect(server.counts.token).toBe(2 * users.length)
  },
  180_000,
)

describe('T59 a lease that was lost', () => {
  test.each(kinds)('to a stall does not use a refresh token that another instance used: %s', async (kind) => {
    let stall: (() => Promise<void>) | undefined
    const seenBy = (store: Store, instance: number): Store => ({
      ...store,
      async get(keys) {
        const found = await store.get(keys)
        if (instance === 0 && stall && keys.some((key) => key.includes('outcome:'))) {
          const happens = stall
          stall = undefined
          await happens()
        }
        return found
      },
    })
    const { user, token, server } = await startInstances({ kind, seenBy })
    const cookie = await user()
    travel(life + 1)
    let isFirst = true
    let other = ''
    // The look before the lease, then the one under it, which all is decided by.
    stall = async () => {
      stall = async () => {
        travel(5)
        other = await token(1, cookie)
      }
    }
    const here = await token(0, cookie)
    expect([here, isFirst]).toEqual([other, true])
    isFirst = false
    expect([server.counts.token, server.complaints]).toEqual([2, []])
  })
})

describe('T60 rotation without a store', () => {
  const warnings = () => vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
  const rotationWarnings = (spy: ReturnType<typeof warnings>) =>
    spy.mock.calls.filter(([, options]) => JSON.stringify(options ?? '').includes('OAUTH_ROTATION'))
  const steady: Partial<Steps> = {
    tokenResponse: async (op, authorization) => ({
      ...(await tokenResponse(op, authorization)),
      refresh_token: 'always-the-same',
    }),
    ...forgiving,
  }

  test.each<[string, number, Partial<Steps>, { store?: Store }]>([
    ['is told once', 1, {}, { store: undefined as never }],
    ['is fine with a store', 0, {}, { store: memoryStore() }],
    ['is none without rotation', 0, steady, { store: undefined as never }],
  ])('%s', async (_what, count, fault, options) => {
    const spy = warnings()
    try {
      const stage = await startStage({
        server: { fault },
        options,
        routes: ({ get }) =>
          get('/renew', async (req, res) => res.end(await getAuth(req).accessToken({ forceRefresh: true }))),
      })
      const browser = await stage.signedIn()
      expect(rotationWarnings(spy)).toEqual([])
      if (count === 0 && fault === steady) {
        stage.server.misbehave({ ...steady, grants: { ...steady.grants, refresh_token: sameSubject() } })
      }
      for (let n = 0; n < 3; n++) await browser.visit(`${stage.app.url}/renew`)
      expect(rotationWarnings(spy)).toHaveLength(count)
    } finally {
      spy.mockRestore()
    }
  })

  /** A server that knows its only user. */
  function sameSubject(): Steps['grants'][string] {
    return {
      complaints: () => [],
      authorization: (op) => [...op.authorizations.values()].at(-1),
    }
  }
})

describe('T61 between the answer and the store', () => {
  test.each(kinds)('a store that fails there costs one 503, and no token: %s', async (kind) => {
    let isDown = false
    const fails = (store: Store): Store => {
      const or =
        <A extends unknown[], T>(call: (...args: A) => Promise<T>) =>
        async (...args: A) => {
          if (isDown) throw new Error('down')
          return call(...args)
        }
      return {
        get: or(store.get),
        set: or(store.set),
        add: or(store.add),
        replace: or(store.replace),
        delete: or(store.delete),
      }
    }
    const { user, token, server } = await startInstances({ kind, seenBy: fails })
    const cookie = await user()
    travel(life + 1)
    server.misbehave({
      answerToken(_op, response) {
        isDown = true
        return json(response)
      },
    })
    expect(await token(0, cookie)).toContain('store_unavailable')
    isDown = false
    server.misbehave()
    // The lease could not be given back; it ends by itself.
    travel(5)
    expect(await token(0, cookie)).toContain('access-token')
    expect([server.counts.token, server.complaints]).toEqual([2, []])
  })

  test('a response that begins while the server is asked has its token all the same', async () => {
    const fault = after(() => 60)
    const { app, signedIn, server } = await startStage({
      server: { fault },
      routes: ({ get }) =>
        get('/streams', async (req, res) => {
          const token = getAuth(req).accessToken({ forceRefresh: true })
          await sleep(20)
          res.write('token: ')
          res.end(await token.catch((error: Error) => error.message))
        }),
    })
    const browser = await signedIn()
    const cookie = await cookieHeader(browser, app.url)
    const { body } = await bare(`${app.url}/streams`, { ...typed, cookie })
    expect(body).toMatch(/^token: .*access-token/)
    expect((await bare(`${app.url}/streams`, { ...typed, cookie })).body).toMatch(/^token: .*access-token/)
    expect(server.complaints).toEqual([])
  })
})

describe('T63 what is not the user’s fault ends nothing', () => {
  test.each(storages)('metadata that is refused, storage %s', async (storage) => {
    const { apps, user, token, isIn, server } = await startInstances({
      kind: storage === 'cookie' ? 'cookies' : 'records in the shared store',
    })
    const cookie = await user()
    travel(life + 1)
    server.misbehave({ answerDiscovery: () => json({ error: 'forbidden' }, 403) })
    // This instance has just been started, and asks the server for the first time.
    expect(await token(1, cookie)).toContain('server_unavailable')
    expect([await isIn(0, cookie), await isIn(1, cookie)]).toEqual([true, true])
    expect(apps[1].events).not.toContainEqual(expect.objectContaining({ type: 'logout' }))
    server.misbehave()
    travel(61)
    expect(await token(1, cookie)).toContain('access-token')
    expect(server.complaints).toEqual([])
  })

  test.each(kinds)('keys that cannot be had lose no refresh token: %s', async (kind) => {
    const { user, token, isIn, server } = await startInstances({ kind })
    const cookie = await user()
    travel(life + 1)
    server.misbehave({ answerJwks: () => json({ error: 'forbidden' }, 503) })
    const renewed = await token(1, cookie)
    expect([renewed, await token(0, cookie)]).toEqual([expect.stringContaining('access-token'), renewed])
    expect([await isIn(0, cookie), server.complaints]).toEqual([true, []])
  })

  test('an impatient request, whose token serves still, makes no patient one fail', async () => {
    let isSlow = false
    let takes = 0
    const seenBy = (store: Store, instance: number): Store => ({
      ...store,
      async add(key, value, ttl) {
        if (instance === 1 && isSlow && key.includes('lease:')) {
          takes += 1
          await sleep(50)
        }
        return store.add(key, value, ttl)
      },
    })
    const { apps, user, token, server } = await startInstances({
      kind: 'records in the shared store',
      seenBy,
    })
    const cookie = await user()
    travel(life - 30)
    isSlow = true
    server.misbehave(after(() => 300))
    const elsewhere = token(0, cookie)
    await vi.waitFor(() => expect(server.counts.token).toBe(2))
    const early = token(1, cookie)
    await vi.waitFor(() => expect(takes).toBe(1))
    const longer = token(1, cookie, { minimumLifetime: 600 })
    const old = server.secrets.find(({ role }) => role === 'access token')?.value
    expect([await early, await longer]).toEqual([old, await elsewhere])
    expect(apps[1].events.filter(({ type }) => type === 'refresh_failed')).toEqual([])
    expect(server.complaints).toEqual([])
  })

  test('tokens that were renewed for another API are no refusal', async () => {
    // Two instances without a store, before a server that refuses a spent token and leaves it at that.
    const strictOnce: Partial<Steps> = {
      grants: {
        ...grants,
        refresh_token: {
          complaints(op, { body }) {
            const known = op.refreshTokens.get(body.get('refresh_token') ?? '')
            if (!known || known.isSpent) return ['spent']
            known.isSpent = true
            return []
          },
          authorization: (op, { body }) =>
            op.refreshTokens.get(body.get('refresh_token') ?? '')?.authorization,
        },
      },
    }
    let isHeldUp = true
    const { user, token, isIn } = await startInstances({
      kind: 'records in the session store',
      fault: strictOnce,
      seenBy: () => memoryStore(),
      options: {
        async fetch(url, init) {
          const form = new URLSearchParams(init?.body as URLSearchParams)
          if (isHeldUp && form.has('refresh_token') && !form.has('resource')) {
            isHeldUp = false
            await sleep(200)
          }
          return fetch(url, init)
        },
      },
    })
    const cookie = await user()
    travel(life + 1)
    const [own, one] = await Promise.all([
      token(1, cookie),
      sleep(50).then(() => token(0, cookie, { resource: api })),
    ])
    expect(isHeldUp).toBe(false)
    expect([one, own, await isIn(1, cookie)]).toEqual([
      expect.stringContaining('access-token'),
      expect.stringContaining('access-token'),
      true,
    ])
  })
})

describe('T64 a refreshed ID token', () => {
  test.each<[string, Record<string, unknown>]>([
    ['of another user', { sub: 'somebody else' }],
    ['of another server', { iss: 'https://evil.example' }],
    ['for another client', { aud: 'another client' }],
  ])('%s is refused with all that came with it', async (_what, claims) => {
    const { user, token, server, get } = await startInstances({ kind: 'records in the shared store' })
    const cookie = await user()
    const before = await token(0, cookie)
    travel(life - 30)
    server.misbehave({ ...forgiving, ...withClaims(() => claims) })
    expect(await token(0, cookie)).toBe(before)
    expect((await get(0, '/private', cookie)).status).toBe(200)
    travel(31)
    expect(await token(0, cookie)).toBe('login_required refresh_refused')
    server.misbehave(forgiving)
    // What is kept is what was there before.
    expect(await token(1, cookie)).toContain('access-token')
    const sent = server.requests
      .map(({ body }) => body.get('refresh_token'))
      .filter((value) => value !== null)
    expect(new Set(sent).size).toBe(1)
  })
})

describe('T65 many sessions at once', () => {
  test('a limit holds back whoever waits, for as long as the server says', async () => {
    const { user, token, server } = await startInstances({ kind: 'cookies', options: { timeout: 0.5 } })
    const [one, two] = [await user(), await user()]
    travel(life + 1)
    server.misbehave({ answerToken: () => json({ error: 'slow_down' }, 429, { 'retry-after': '60' }) })
    expect(await token(0, one)).toBe('server_unavailable status_429')
    const asked = server.counts.token
    expect(await token(0, two)).toBe('server_unavailable too_busy')
    expect(server.counts.token).toBe(asked)
  })
})

test.each(kinds)('T71 a refreshed token that would break out of a header is refused: %s', async (kind) => {
  const { user, token, isIn, server } = await startInstances({ kind })
  const cookie = await user()
  travel(life + 1)
  server.misbehave({
    answerToken: (_op, response) => json({ ...response, access_token: 'a\r\nX-Admin: yes' }),
  })
  expect(await token(0, cookie)).toContain('invalid_server_response')
  expect(await isIn(0, cookie)).toBe(true)
})

describe('T73 between two refreshes', () => {
  test('metadata that names another issuer gets no token', async () => {
    const { user, token, isIn, server } = await startInstances({ kind: 'cookies' })
    const cookie = await user()
    travel(90_000 - 3_600)
    const asked = server.counts.token
    server.misbehave({
      metadata: (op) => ({
        issuer: op.elsewhere,
        token_endpoint: `${op.elsewhere}/token`,
        jwks_uri: `${op.elsewhere}/keys`,
      }),
    })
    expect(await token(0, cookie)).toMatch(/^(invalid_server_metadata|login_required)/)
    expect([server.counts.token, server.elsewhere]).toEqual([asked, []])
    expect(await isIn(1, 'oauth=nothing')).toBe(false)
  })
})

describe('T76 T77 a server that wants DPoP', () => {
  test('a demand for a nonce is not met, not repeated, and ends no session', async () => {
    const { user, token, isIn, server } = await startInstances({ kind: 'cookies' })
    const cookie = await user()
    travel(life + 1)
    server.misbehave({
      answerToken: () => json({ error: 'use_dpop_nonce' }, 400, { 'dpop-nonce': 'a-nonce' }),
      ...forgiving,
    })
    expect(await token(0, cookie)).toBe('login_required refresh_refused')
    expect(server.counts.token).toBe(2)
    expect(server.requests.some(({ headers }) => 'dpop' in headers)).toBe(false)
    expect(await isIn(0, cookie)).toBe(true)
  })

  test('nor at the login', async () => {
    const { server, signedIn } = await startStage({
      server: {
        fault: { answerToken: () => json({ error: 'use_dpop_nonce' }, 400, { 'dpop-nonce': 'a-nonce' }) },
      },
    })
    await expect(signedIn()).rejects.toThrow('the login ended with 400')
    expect(server.counts.token).toBe(1)
  })

  test('a token that is bound to a key which we do not have is refused', async () => {
    const { user, token, server } = await startInstances({ kind: 'cookies' })
    const cookie = await user()
    travel(life + 1)
    server.misbehave({ answerToken: (_op, response) => json({ ...response, token_type: 'DPoP' }) })
    expect(await token(0, cookie)).toContain('invalid_server_response')
  })
})

describe('T78 a clock that jumps', () => {
  test('back does not make a short pause a long one', async () => {
    const { user, token, server } = await startInstances({ kind: 'records in the shared store' })
    const cookie = await user()
    jump(life + 3_600)
    server.misbehave({ answerToken: () => json({ error: 'x' }, 503, { 'retry-after': '1' }), ...forgiving })
    expect(await token(0, cookie, { forceRefresh: true })).toContain('server_unavailable')
    server.misbehave(forgiving)
    jump(-3_600)
    await sleep(1_100)
    expect(await token(0, cookie, { forceRefresh: true })).toContain('access-token')
  })

  test('an hour to and fro refreshes once per jump at most', async () => {
    const { user, token, server } = await startInstances({ kind: 'records in the shared store' })
    const cookie = await user()
    for (const seconds of [3_600, -3_600, -3_600, 3_600]) {
      jump(seconds)
      const before = server.counts.token
      for (let n = 0; n < 10; n++) expect(await token(n, cookie)).toContain('access-token')
      expect(server.counts.token - before).toBeLessThanOrEqual(1)
    }
    for (let n = 0; n < 30; n++) {
      jump(-10)
      expect(await token(n, cookie)).toContain('access-token')
    }
    expect(server.complaints).toEqual([])
  })
})

describe('access tokens for several APIs', () => {
  test.each(kinds)('are kept apart, and refreshed one after the other: %s', async (kind) => {
    const { user, token, get, server } = await startInstances({
      kind,
      fault: after(() => Math.random() * 40),
    })
    let cookie = await user()
    const own = await token(0, cookie)
    const ask = () =>
      Promise.all([api, otherApi, api, otherApi].map((resource, n) => token(n >> 1, cookie, { resource })))
    const [a, b, sameA, sameB] = await ask()
    expect([sameA, sameB]).toEqual([a, b])
    expect(new Set([own, a, b]).size).toBe(3)
    expect(await ask()).toEqual([a, b, a, b])
    expect(await token(1, cookie)).toBe(own)
    const refreshes = server.requests.filter(({ body }) => body.get('grant_type') === 'refresh_token')
    expect(new Set(refreshes.map(({ body }) => body.get('resource')))).toEqual(new Set([api, otherApi]))
    expect(refreshes).toHaveLength(2)
    expect(server.complaints).toEqual([])

    cookie = withNewCookies(cookie, await get(0, '/token?options={"forceRefresh":true}', cookie))
    travel(life + 1)
    const all = await Promise.all([token(0, cookie), token(1, cookie, { resource: api }), token(1, cookie)])
    expect(new Set([...all, own, a, b]).size).toBe(5)
    expect(server.complaints).toEqual([])
  })

  test('a cookie that comes late is the newest, nevertheless', async () => {
    const { user, get, server } = await startInstances({
      kind: 'cookies',
      routes: ({ get: page }) =>
        page('/calls', async (req, res) => {
          const { searchParams } = new URL(req.url ?? '', 'http://localhost')
          await getAuth(req).accessToken({ resource: searchParams.get('resource') ?? '' })
          await sleep(Number(searchParams.get('takes')))
          res.end()
        }),
    })
    const cookie = await user()
    const slow = get(0, `/calls?resource=${api}&takes=300`, cookie)
    await vi.waitFor(() => expect(server.counts.token).toBe(2))
    const quick = await get(0, `/calls?resource=${otherApi}&takes=0`, cookie)
    const late = withNewCookies(withNewCookies(cookie, quick), await slow)
    travel(life + 1)
    expect((await get(0, '/token', late)).body).toContain('access-token')
    expect(server.complaints).toEqual([])
  })

  test('a cookie that was overtaken elsewhere is set right by the next request', async () => {
    const { user, get, server } = await startInstances({ kind: 'cookies' })
    const cookie = await user()
    expect((await get(0, '/token?options={"forceRefresh":true}', cookie)).setCookies).not.toEqual([])
    // Its answer never came. The token at hand is good still, and the refresh token is not.
    const next = withNewCookies(cookie, await get(1, '/token', cookie))
    travel(life + 1)
    expect((await get(1, '/token', next)).body).toContain('access-token')
    expect(server.complaints).toEqual([])
  })

  test('fewer scopes than asked for are insufficient_scope, once asked', async () => {
    const { user, token, server } = await startInstances({
      kind: 'cookies',
      options: { scope: 'openid read:projects write:projects' },
    })
    const cookie = await user()
    server.misbehave({ answerToken: (_op, response) => json({ ...response, scope: 'openid read:projects' }) })
    const wanted = { scope: 'read:projects write:projects' }
    expect(await token(0, cookie, wanted)).toBe('insufficient_scope ')
    expect(await token(0, cookie, wanted)).toBe('insufficient_scope ')
    expect(await token(0, cookie, { scope: 'read:projects' })).toContain('access-token')
    expect(server.counts.token).toBe(3)
    expect(server.complaints).toEqual([])
  })

  test.each(kinds)('an API that the server does not know ends nothing: %s', async (kind) => {
    const { user, token, isIn, server } = await startInstances({ kind })
    const cookie = await user()
    server.misbehave({ ...forgiving, answerToken: () => json({ error: 'invalid_target' }, 400) })
    expect(await token(0, cookie, { resource: api })).toBe('invalid_target status_400')
    server.misbehave(forgiving)
    expect([await isIn(0, cookie), await isIn(1, cookie)]).toEqual([true, true])
    expect(await token(1, cookie, { forceRefresh: true })).toContain('access-token')
  })
})

describe('revoke()', () => {
  const routes: Parameters<typeof startInstances>[0]['routes'] = ({ get }) =>
    get('/revoke', async (req, res) => {
      const auth = getAuth(req)
      if (auth.kind !== 'session') return
      try {
        await auth.revoke()
        res.end('revoked')
      } catch (error) {
        res.end(isOAuthError(error) ? error.code : 'a mistake')
      }
    })

  test.each(kinds)('T58 gives tokens up here and there, and the user stays: %s', async (kind) => {
    const { user, token, get, isIn, logout, server } = await startInstances({ kind, routes })
    const cookie = await user()
    await token(0, cookie, { resource: api })
    const before = withNewCookies(cookie, await get(0, '/token?options={}', cookie))
    const revoked = await get(0, '/revoke', before)
    expect(revoked.body).toBe('revoked')
    const now = withNewCookies(before, revoked)
    const calls = server.requests.filter(({ endpoint }) => endpoint === 'revocation')
    expect(calls.map(({ body }) => body.get('token_type_hint'))).toEqual(['refresh_token', 'access_token'])
    for (const instance of [0, 1]) {
      expect(await token(instance, now)).toBe('login_required revoked')
      expect(await token(instance, now, { forceRefresh: true })).toBe('login_required revoked')
      expect(await token(instance, now, { resource: api })).toBe('login_required revoked')
      expect(await isIn(instance, now)).toBe(true)
    }
    expect((await logout(1, now)).status).toBe(200)
    expect([await isIn(0, now), await isIn(1, now)]).toEqual([false, false])
    expect(server.complaints).toEqual([])
  })

  test.each(kinds)('also when the browser has not heard of it: %s', async (kind) => {
    const { user, token, get } = await startInstances({ kind, routes })
    const cookie = await user()
    expect((await get(0, '/revoke', cookie)).body).toBe('revoked')
    expect([await token(0, cookie), await token(1, cookie)]).toEqual([
      'login_required revoked',
      'login_required revoked',
    ])
  })

  test.each(kinds)('a refresh that is under way does not bring them back: %s', async (kind) => {
    const { user, token, get, server } = await startInstances({ kind, routes })
    const cookie = await user()
    travel(life + 1)
    server.misbehave(after(() => 100))
    const refreshing = token(0, cookie)
    await vi.waitFor(() => expect(server.counts.token).toBe(2))
    const revoking = get(1, '/revoke', cookie)
    expect(await refreshing).toContain('access-token')
    expect((await revoking).body).toBe('revoked')
    expect(await token(0, cookie)).toBe('login_required revoked')
    expect(server.complaints).toEqual([])
  })

  test.each(kinds)('whoever waits to refresh meanwhile gets no empty token: %s', async (kind) => {
    const { user, token, get, server } = await startInstances({ kind, routes })
    const cookie = await user()
    travel(life + 1)
    server.misbehave({
      async answerRevocation() {
        await sleep(200)
        return json({})
      },
    })
    const revoking = get(0, '/revoke', cookie)
    await vi.waitFor(() => expect(server.counts.revocation).toBeGreaterThan(0))
    const waiting = [token(1, cookie), token(0, cookie, { forceRefresh: true })]
    expect(await Promise.all(waiting)).toEqual(['login_required revoked', 'login_required revoked'])
    expect((await revoking).body).toBe('revoked')
  })
})
