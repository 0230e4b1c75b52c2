/** Threats to connections that leave HTTP: opened by nobody, by a page of another site, or for a session that has ended. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, test } from 'vitest'
import { MemoryStore } from 'express-session'
import { getAuth, upgradeListener } from '../../lib/index.js'
import { storages, type Storage } from '../support/app.js'
import { countingStore, sessionOver } from '../support/express-session.js'
import { breakableStore } from '../support/open-store.js'
import { bare, cookieHeader, typed, withNewCookies } from '../support/requests.js'
import { startStage, type StageOptions } from '../support/stage.js'
import { travel } from '../support/time.js'
import { greetingSockets, handshake, nextMessage, openWebSocket } from '../support/web-socket.js'

const scope = 'openid offline_access'

describe.each(storages)('T115 a WebSocket of the app, with storage "%s"', (storage) => {
  it('opens for a signed-in user, from a page of this site', async () => {
    const { app, cookie } = await greeted(storage)
    const socket = await openWebSocket(app.url, { origin: app.url, cookie })
    expect(await nextMessage(socket)).toMatch(/^\S+$/)
  })

  it('does not open without a session', async () => {
    const { app } = await greeted(storage)
    const { status, headers, body } = await handshake(app.url, { origin: app.url })
    expect(status).toBe(401)
    expect(JSON.parse(body)).toMatchObject({ error: 'login_required', login_url: '/login' })
    expect(headers).toMatchObject({ connection: 'close', 'cache-control': 'no-store' })
    expect(Number(headers['content-length'])).toBe(body.length)
  })

  it.each([
    ['a foreign one', 'https://evil.example'],
    ['one that begins like this', (url: string) => `${url}.evil.example`],
    ['another port', (url: string) => url.replace(/\d+$/, '1')],
    ['another scheme', (url: string) => url.replace('http', 'https')],
    ['a slash at the end', (url: string) => `${url}/`],
    ['capitals', (url: string) => url.toUpperCase()],
    ['two', (url: string) => `${url}, ${url}`],
    ['null', 'null'],
    ['an empty one', ''],
    ['none', undefined],
  ])('nor from a page whose origin is %s', async (_what, origin) => {
    const { app, cookie } = await greeted(storage)
    const { status, body } = await handshake(app.url, {
      cookie,
      origin: typeof origin === 'function' ? origin(app.url) : origin,
    })
    expect(status).toBe(403)
    expect(JSON.parse(body)).toMatchObject({ error: 'csrf_rejected' })
  })

  it('nor for a session that was ended elsewhere', async () => {
    const { app, cookie } = await greeted(storage)
    const { headers } = await bare(`${app.url}/handle`, { ...typed, cookie })
    await app.login.endSession(String(headers['x-handle']))
    const { status } = await handshake(app.url, { origin: app.url, cookie })
    expect(status).toBe(401)
  })

  it('nor for one that lapsed', async () => {
    const { app, cookie } = await greeted(storage, { options: { scope, idleLifetime: 60 } })
    travel(61)
    expect((await handshake(app.url, { origin: app.url, cookie })).status).toBe(401)
  })

  it('an outage of the store lets nobody in, and signs nobody out', async () => {
    const { store, breaks } = breakableStore()
    const { app, cookie } = await greeted(storage, { options: { scope, store } })
    breaks(() => true)
    const refused = await handshake(app.url, { origin: app.url, cookie })
    expect(refused.status).toBe(503)
    expect(refused.headers['retry-after']).toBe('5')
    expect(refused.headers['set-cookie']).toBeUndefined()
    expect(app.events).toContainEqual(
      expect.objectContaining({ type: 'request_failed', code: 'store_unavailable' }),
    )
    breaks(() => false)
    const socket = await openWebSocket(app.url, { origin: app.url, cookie })
    expect(await nextMessage(socket)).not.toBe('')
  })

  it('tokens that were refreshed meanwhile reach the browser with the answer 101', async () => {
    const { server, app, cookie } = await greeted(storage, {}, async (user) => user.accessToken())
    travel(3_601)
    const opened = await handshake(app.url, { origin: app.url, cookie })
    expect(opened.status).toBe(101)
    const setCookies = opened.headers['set-cookie']?.split('\n') ?? []
    expect(setCookies.some((line) => line.startsWith('oauth.tokens'))).toBe(storage === 'cookie')
    for (const line of setCookies) expect(line).toMatch(/; Path=\/; HttpOnly; SameSite=Lax$/)
    travel(31) // what became of the old ones is forgotten: only what the browser has counts
    travel(3_601)
    const after = withNewCookies(cookie, { setCookies })
    const again = await openWebSocket(app.url, { origin: app.url, cookie: after })
    expect(await nextMessage(again)).toMatch(/access-token/)
    expect(server.counts.token).toBe(3)
    expect(server.complaints).toEqual([])
  })

  it('and with a refusal, when the app refuses after all', async () => {
    const { app, cookie } = await greeted(storage, {}, async (user) => {
      await user.accessToken()
      throw Object.assign(new Error('no room'), { status: 418 })
    })
    travel(3_601)
    const refused = await handshake(app.url, { origin: app.url, cookie })
    expect(refused.status).toBe(500)
    expect(refused.body).not.toContain('no room')
    expect(/^oauth\.tokens/m.test(refused.headers['set-cookie'] ?? '')).toBe(storage === 'cookie')
    expect(app.events).toContainEqual(
      expect.objectContaining({
        type: 'request_failed',
        error: expect.objectContaining({ reason: 'threw' }),
      }),
    )
  })

  it('what cannot reach the browser any more is not refreshed', async () => {
    const { server, app, cookie } = await greeted(storage, {}, undefined, async (_login, req) => {
      const auth = getAuth(req)
      if (auth.kind !== 'session') return ''
      return auth.accessToken().catch((error: { code: string }) => error.code)
    })
    const socket = await openWebSocket(app.url, { origin: app.url, cookie })
    await nextMessage(socket)
    travel(3_601)
    socket.send('a token, please')
    const isKept = storage === 'session'
    expect(await nextMessage(socket)).toMatch(isKept ? /access-token/ : /^invalid_configuration$/)
    expect(server.counts.token).toBe(isKept ? 2 : 1)
  })

  it('asked again, it tells whether the session of an open one still lives', async () => {
    const { app, cookie } = await greeted(storage, {}, undefined, async (login, req) =>
      login.authenticateUpgrade(req).then(
        () => 'lives',
        (error: { code: string }) => error.code,
      ),
    )
    const socket = await openWebSocket(app.url, { origin: app.url, cookie })
    const handle = await nextMessage(socket)
    socket.send('still?')
    expect(await nextMessage(socket)).toBe('lives')
    await app.login.endSession(handle)
    socket.send('still?')
    expect(await nextMessage(socket)).toBe('login_required')
  })
})

describe('T115 with express-session', () => {
  it('an app that does not run it on upgrades is told so', async () => {
    const { app, signedIn } = await startStage({
      storage: 'session',
      before: [sessionOver(new MemoryStore())],
      upgrades: (login) => greetingSockets(login, (user) => String(user.subject)),
    })
    const cookie = await cookieHeader(await signedIn(), app.url)
    expect((await handshake(app.url, { origin: app.url, cookie })).status).toBe(500)
    const failed = app.events.find(({ type }) => type === 'request_failed')
    expect(String(failed && 'error' in failed && failed.error)).toMatch(/authenticateUpgrade.*\{ session \}/)
  })

  it.each(['fails', 'hangs'] as const)('a store that %s is 503', async (fate) => {
    const { store, breaks } = countingStore()
    const session = sessionOver(store)
    const { app, signedIn } = await startStage({
      storage: 'session',
      before: [session],
      options: { storeTimeout: 0.2 },
      upgrades: (login) => greetingSockets(login, (user) => String(user.subject), { session }),
    })
    const cookie = await cookieHeader(await signedIn(), app.url)
    breaks(() => fate)
    expect((await handshake(app.url, { origin: app.url, cookie })).status).toBe(503)
  })
})

describe('T115 a socket that nobody wants', () => {
  it('is answered 404 and closed', async () => {
    const asked: string[] = []
    const { app } = await startStage({
      upgrades: () =>
        upgradeListener(
          () => (asked.push('first'), false),
          () => (asked.push('second'), false),
        ),
    })
    const { status, body } = await handshake(app.url)
    expect([status, JSON.parse(body)]).toEqual([404, expect.objectContaining({ error: 'not_found' })])
    expect(asked).toEqual(['first', 'second'])
  })

  it('the first that takes it has it', async () => {
    const { app } = await startStage({
      upgrades: (login) =>
        upgradeListener(
          (req, socket) => (login.refuseUpgrade(req, socket), true),
          () => {
            throw new Error('asked too late')
          },
        ),
    })
    expect((await handshake(app.url)).status).toBe(404)
  })

  it('may be refused twice, and after it is gone', async () => {
    const refused: boolean[] = []
    const { app } = await startStage({
      upgrades: (login) => (req, socket) => {
        login.refuseUpgrade(req, socket)
        login.refuseUpgrade(req, socket)
        socket.once('close', () => {
          login.refuseUpgrade(req, socket, new Error('late'))
          refused.push(socket.destroyed)
        })
      },
    })
    await handshake(app.url).catch(() => undefined)
    await expect.poll(() => refused).toEqual([true])
  })

  it.each([
    ['nobody takes', () => upgradeListener()],
    ['is refused', (login) => (req, socket) => login.refuseUpgrade(req, socket)],
  ] satisfies [string, NonNullable<StageOptions['upgrades']>][])(
    'and that %s ends with its connection, when it came before the answer to another request',
    async (_what, upgrades) => {
      const { app } = await startStage({ upgrades, routes: ({ get }) => get('/slow', () => undefined) })
      const { hostname, port, host } = new URL(app.url)
      const socket = connect(Number(port), hostname)
      socket.write(`GET /slow HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
      socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n`)
      await once(socket.resume(), 'close')
      expect((await bare(`${app.url}/open`)).status).toBe(200)
    },
  )

  test('one that is reset while the store is asked ends nothing but itself', async () => {
    const { store } = breakableStore()
    const slow = { ...store, get: async (keys: readonly string[]) => sleep(100).then(() => store.get(keys)) }
    const closed: string[] = []
    const { app, signedIn } = await startStage({
      options: { store: slow },
      upgrades: (login) => (req, socket) => {
        socket.once('close', () => closed.push('closed'))
        login.authenticateUpgrade(req).then(
          () => login.refuseUpgrade(req, socket),
          (error: unknown) => login.refuseUpgrade(req, socket, error),
        )
      },
    })
    const cookie = await cookieHeader(await signedIn(), app.url)
    const errors: unknown[] = []
    const note = (error: unknown) => void errors.push(error)
    process.on('uncaughtException', note)
    try {
      const { hostname, port } = new URL(app.url)
      const socket = connect(Number(port), hostname)
      await once(socket, 'connect')
      socket.write(
        `GET / HTTP/1.1\r\nHost: ${hostname}:${port}\r\nConnection: upgrade\r\nUpgrade: websocket\r\nOrigin: ${app.url}\r\nCookie: ${cookie}\r\n\r\n`,
      )
      await sleep(30)
      socket.resetAndDestroy()
      await expect.poll(() => closed).toEqual(['closed'])
      await sleep(120)
    } finally {
      process.off('uncaughtException', note)
    }
    expect(errors).toEqual([])
    expect((await bare(`${app.url}/open`)).status).toBe(200)
  })
})

/** An app with a WebSocket that greets its users, and the cookies of one who is signed in. */
async function greeted(
  storage: Storage,
  stage: StageOptions = {},
  greet: Parameters<typeof greetingSockets>[1] = (user) => user.sessionId,
  answer?: Parameters<typeof greetingSockets>[3],
) {
  const session = storage === 'session' ? sessionOver(new MemoryStore()) : undefined
  const { server, app, signedIn } = await startStage({
    storage,
    ...(session && { before: [session] }),
    options: { scope },
    routes: ({ get }) =>
      get('/handle', (req, res) => {
        const auth = getAuth(req)
        res.setHeader('x-handle', auth.kind === 'session' ? auth.sessionId : '')
        res.end()
      }),
    upgrades: (login) => greetingSockets(login, greet, session && { session }, answer),
    ...stage,
  })
  return { server, app, cookie: await cookieHeader(await signedIn(), app.url) }
}
