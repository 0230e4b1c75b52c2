import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, test } from 'vitest'
import type { WebSocket } from 'ws'
import { oauthLogin, oauthProxy } from '../../lib/index.js'
import { storages, type App } from '../support/app.js'
import { breakableStore } from '../support/open-store.js'
import { bare, typed } from '../support/requests.js'
import { travel } from '../support/time.js'
import { unhandledRejections } from '../support/unhandled-rejections.js'
import {
  closeCode,
  handshake,
  nextMessage,
  openWebSocket,
  type HandshakeRequest,
} from '../support/web-socket.js'
import { socketProxy, startSocketApi } from './socket-api.js'

describe.each(storages)('a WebSocket below the prefix, with storage "%s"', (storage) => {
  it('reaches the API with the token of the user, and without the cookie', async () => {
    const api = await startSocketApi()
    const { server, app, ownPage } = await socketProxy(`${api.url}/v1`, {}, { storage })
    const socket = await openWebSocket(`${app.url}/api/feed?since=%7e1`, {
      ...ownPage,
      'x-own': 'yes',
      'x-user': 'admin',
      authorization: 'Bearer of the page',
    })
    socket.send('hello')
    expect(await nextMessage(socket)).toBe('hello')
    const [request] = api.handshakes
    const token = server.secrets.findLast(({ role }) => role === 'access token')?.value
    expect(request?.url).toBe('/v1/feed?since=%7e1')
    expect(request?.headers).toEqual({
      host: new URL(api.url).host,
      authorization: `Bearer ${token}`,
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': expect.any(String),
      'sec-websocket-extensions': expect.stringContaining('permessage-deflate'),
      'x-own': 'yes',
    })
    socket.close(4_001)
    await expect.poll(() => api.connections.size).toBe(0)
  })

  it('T115 does not open without a session, from elsewhere or when the session was ended', async () => {
    const api = await startSocketApi()
    const { app, socketUrl, ownPage, cookie } = await socketProxy(api.url, {}, { storage })
    expect((await handshake(socketUrl, { origin: app.url })).status).toBe(401)
    for (const origin of ['https://evil.example', 'null', undefined])
      expect((await handshake(socketUrl, { cookie, origin })).status).toBe(403)
    await app.login.endSessions(subjectOf(app))
    expect((await handshake(socketUrl, ownPage)).status).toBe(401)
    expect(api.handshakes).toEqual([])
    expect(api.connections.size).toBe(0)
  })

  it('is cut off when the session has ended, and not while that cannot be known', async () => {
    const api = await startSocketApi()
    const { store, breaks } = breakableStore()
    const { app, socketUrl, ownPage } = await socketProxy(
      api.url,
      { confirmEvery: 0.05 },
      { storage, options: { store } },
    )
    const socket = await openWebSocket(socketUrl, ownPage)
    breaks(() => true)
    await sleep(150)
    breaks(() => false)
    await sleep(150)
    socket.send('still here')
    expect(await nextMessage(socket)).toBe('still here')
    await app.login.endSessions(subjectOf(app))
    expect(await closeCode(socket)).toBe(1_006)
    await expect.poll(() => api.connections.size).toBe(0)
  })

  it('brings an expired token in a new one, and new cookies with the 101', async () => {
    const api = await startSocketApi()
    const { server: authorizationServer, socketUrl, ownPage } = await socketProxy(api.url, {}, { storage })
    travel(3_601)
    const { status, headers } = await handshake(socketUrl, ownPage)
    expect(status).toBe(101)
    expect(/^oauth\.tokens/m.test(headers['set-cookie'] ?? '')).toBe(storage === 'cookie')
    expect(authorizationServer.counts.token).toBe(2)
    expect(api.handshakes).toHaveLength(1)
  })

  it('gets another token where the API refuses one, and once only', async () => {
    const api = await startSocketApi()
    const { socketUrl, ownPage, server: authorizationServer } = await socketProxy(api.url, {}, { storage })
    const refused: string[] = []
    api.answer = (request, socket, head) => {
      refused.push(request.headers.authorization ?? '')
      if (refused.length > 1) api.accept(request, socket, head)
      else socket.end('HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 2\r\n\r\nno')
    }
    const opened = await handshake(socketUrl, ownPage)
    expect(opened.status).toBe(101)
    expect(new Set(refused).size).toBe(2)
    expect(/^oauth\.tokens/m.test(opened.headers['set-cookie'] ?? '')).toBe(storage === 'cookie')

    api.answer = (request, socket) => {
      refused.push(request.headers.authorization ?? '')
      socket.end('HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 2\r\n\r\nno')
    }
    refused.length = 0
    // Of another session: here, a token has just taken the place of another, and is not replaced.
    const other = await socketProxy(api.url, {}, { storage })
    const again = await handshake(other.socketUrl, other.ownPage)
    expect([again.status, again.body, refused.length]).toEqual([401, 'no', 2])
    expect(again.headers['www-authenticate']).toBeUndefined()
    expect(authorizationServer.complaints).toEqual([])
  })
})

describe('T115 what passes nobody', () => {
  it('without a token the page must still be of this site', async () => {
    const api = await startSocketApi()
    const { app, socketUrl, cookie } = await socketProxy(api.url, { token: 'none' })
    expect((await handshake(socketUrl, { cookie, origin: 'https://evil.example' })).status).toBe(403)
    expect((await handshake(socketUrl, { origin: app.url })).status).toBe(101)
    expect(api.handshakes).toHaveLength(1)
    expect(api.handshakes[0]?.headers.authorization).toBeUndefined()
  })

  it('without the option no WebSocket passes', async () => {
    const api = await startSocketApi()
    const { socketUrl, ownPage } = await socketProxy(api.url, { webSockets: undefined as never })
    expect((await handshake(socketUrl, ownPage)).status).toBe(404)
    expect(api.handshakes).toEqual([])
  })

  it.each([
    [{}, /webSockets\.login" is missing/],
    [{ login: {} }, /webSockets\.login" is not ours/],
    [{ login: real(), session: 1 }, /webSockets\.session" is 1/],
    [{ login: real(), confirmEvery: -1 }, /webSockets\.confirmEvery" is -1/],
    [{ login: real(), confirm: 1 }, /webSockets\.confirm" is not known/],
    [real(), /webSockets" is /],
  ])('the option %#', (webSockets, message) => {
    const options = { prefix: '/api', target: 'https://api.example.com', token: 'user' } as const
    expect(() => oauthProxy({ ...options, webSockets: webSockets as never })).toThrow(message)
  })

  it('paths that are not what they seem, and paths of others', async () => {
    const api = await startSocketApi()
    const { socketUrl, ownPage } = await socketProxy(api.url)
    const odd = [
      '/api/../feed',
      '/api/%2e%2e/feed',
      '/api/a%2fb',
      '/api/a%5cb',
      '/api//feed',
      '/api/a\\b',
      '/api/./feed',
      'http://other.example/api/feed',
    ]
    const ofOthers = ['/', '/apis', '/ap', '/API/feed', '//api/feed']
    const statuses = await Promise.all(
      [...odd, ...ofOthers].map(async (target) => {
        const { status } = await handshake(socketUrl, ownPage, { target })
        return [target, status]
      }),
    )
    expect(statuses).toEqual([
      ...odd.map((target) => [target, 400]),
      ...ofOthers.map((target) => [target, 404]),
    ])
    expect(api.connections.size).toBe(0)
  })

  it('requests that are no handshake, or may be read as something else', async () => {
    const api = await startSocketApi()
    const { socketUrl, ownPage } = await socketProxy(api.url)
    const requests: [string, Record<string, string | undefined>, HandshakeRequest?][] = [
      ['h2c', { upgrade: 'h2c', 'http2-settings': 'AAMAAABkAAQAAP__' }],
      ['TLS', { upgrade: 'TLS/1.0' }],
      ['a choice', { upgrade: 'websocket, h2c' }],
      ['POST', {}, { method: 'POST' }],
      ['a body', { 'content-length': '5' }, { body: 'hello' }],
      ['a chunked body', { 'transfer-encoding': 'chunked' }, { body: '5\r\nhello\r\n0\r\n\r\n' }],
      ['no key', { 'sec-websocket-key': undefined }],
      ['a short key', { 'sec-websocket-key': 'abc' }],
      ['a key of other letters', { 'sec-websocket-key': '!!!!!!!!!!!!!!!!!!!!!w==' }],
      [
        'two keys',
        { 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Key: BBBBBBBBBBBBBBBBBBBBBA==' },
      ],
    ]
    const answers = await Promise.all(
      requests.map(async ([what, headers, request]) => {
        const { status, body } = await handshake(socketUrl, { ...ownPage, ...headers }, request)
        return [what, status, (JSON.parse(body) as { error: string }).error]
      }),
    )
    expect(answers).toEqual(requests.map(([what]) => [what, 400, 'invalid_request']))
    expect(api.connections.size).toBe(0)
  })

  it('methods without GET', async () => {
    const api = await startSocketApi()
    const { socketUrl, ownPage } = await socketProxy(api.url, { methods: ['POST'] })
    const answer = await handshake(socketUrl, ownPage)
    expect([answer.status, answer.headers['allow']]).toEqual([405, 'POST'])
  })
})

describe('an API that', () => {
  const withSlip = 'Set-Cookie: oauth=planted\r\nServer: own\r\nX-Why: yes\r\n'

  it('refuses is heard, without its cookies, and the tunnel stays shut', async () => {
    const api = await startSocketApi()
    const { socketUrl, ownPage } = await socketProxy(api.url)
    api.answer = (_request, socket) =>
      socket.end(
        `HTTP/1.1 426 Upgrade Required\r\n${withSlip}Transfer-Encoding: chunked\r\n\r\n4\r\nlate\r\n0\r\n\r\n`,
      )
    const answer = await handshake(socketUrl, ownPage)
    expect(answer.status).toBe(426)
    expect(answer.body).toContain('late')
    expect(answer.headers['x-why']).toBe('yes')
    expect(answer.headers['set-cookie']).toBeUndefined()
    expect(answer.headers['server']).toBeUndefined()
    expect(answer.headers['connection']).toBe('close')
    await expect.poll(() => api.connections.size).toBe(0)
  })

  it('agrees sets no cookies either', async () => {
    const api = await startSocketApi()
    const { socketUrl, ownPage } = await socketProxy(api.url)
    api.answer = (request, socket) => {
      socket.write(agreed(request, `Sec-WebSocket-Protocol: chat\r\n${withSlip}`))
    }
    const { status, headers } = await handshake(socketUrl, ownPage)
    expect(status).toBe(101)
    expect(headers).toMatchObject({
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-protocol': 'chat',
    })
    for (const name of ['set-cookie', 'server', 'x-why']) expect(headers[name]).toBeUndefined()
  })

  it.each([
    [
      'for another handshake',
      (accept: string) =>
        `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept.toLowerCase()}`,
    ],
    ['without a word', () => 'Upgrade: websocket\r\nConnection: Upgrade'],
    [
      'for another protocol',
      (accept: string) => `Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}`,
    ],
    ['for no protocol', (accept: string) => `Sec-WebSocket-Accept: ${accept}`],
  ])('answers 101 %s is not believed', async (_what, headers) => {
    const api = await startSocketApi()
    const { socketUrl, ownPage } = await socketProxy(api.url)
    api.answer = (request, socket) => socket.write(`HTTP/1.1 101 Ok\r\n${headers(acceptOf(request))}\r\n\r\n`)
    expect((await handshake(socketUrl, ownPage)).status).toBe(502)
    await expect.poll(() => api.connections.size).toBe(0)
  })

  it('redirects elsewhere is not followed', async () => {
    const api = await startSocketApi()
    const canary = await startSocketApi()
    const { socketUrl, ownPage } = await socketProxy(api.url)
    api.answer = (_request, socket) =>
      socket.end(`HTTP/1.1 307 Moved\r\nLocation: ${canary.url}/feed\r\nContent-Length: 0\r\n\r\n`)
    expect((await handshake(socketUrl, ownPage)).status).toBe(502)
    expect(canary.handshakes).toEqual([])
    await expect.poll(() => api.connections.size).toBe(0)
  })

  it('is dead is 502, silent 504, and breaks off 502', async () => {
    const dead = await socketProxy('http://127.0.0.1:1')
    expect((await handshake(dead.socketUrl, dead.ownPage)).status).toBe(502)
    expect(dead.app.events).toContainEqual(
      expect.objectContaining({ type: 'request_failed', code: 'upstream_unavailable' }),
    )
    const api = await startSocketApi()
    const silent = await socketProxy(api.url, { timeout: 0.2 })
    api.answer = () => undefined
    expect((await handshake(silent.socketUrl, silent.ownPage)).status).toBe(504)
    await expect.poll(() => api.connections.size).toBe(0)
    api.answer = (_request, socket) => socket.destroy()
    expect((await handshake(silent.socketUrl, silent.ownPage)).status).toBe(502)
  })

  it('is late on a connection of before is not asked once more', async () => {
    const api = await startSocketApi()
    api.answer = (_request, socket) =>
      void socket.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n')
    const app = await socketProxy(api.url, { timeout: 0.2 })
    await handshake(app.socketUrl, app.ownPage)
    const { rejections } = await unhandledRejections(async () => {
      expect((await handshake(app.socketUrl, app.ownPage)).status).toBe(504)
      await sleep(300)
    })
    // The API has left HTTP on that connection, and does not see the second.
    expect([api.handshakes.length, rejections]).toEqual([1, []])
  })

  it('is asked for before the answer to another request ends with its connection', async () => {
    const api = await startSocketApi()
    const app = await socketProxy(api.url, {}, { routes: ({ get }) => get('/slow', () => undefined) })
    const { host } = new URL(app.app.url)
    const { rejections } = await unhandledRejections(async () =>
      handshake(app.socketUrl, app.ownPage, {
        began: (socket) => socket.write(`GET /slow HTTP/1.1\r\nHost: ${host}\r\n\r\n`),
      }),
    )
    expect(rejections).toEqual([])
    await expect.poll(() => api.connections.size).toBe(0)
  })

  it('never ends its refusal is cut off', async () => {
    const api = await startSocketApi()
    const { socketUrl, ownPage } = await socketProxy(api.url, { timeout: 0.2 })
    api.answer = (_request, socket) =>
      socket.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 1000\r\n\r\nbegun')
    const answer = await handshake(socketUrl, ownPage)
    expect([answer.status, answer.body]).toEqual([403, 'begun'])
    await expect.poll(() => api.connections.size).toBe(0)
  })

  it('speaks at once, or is spoken to before it has agreed, loses no byte', async () => {
    const api = await startSocketApi()
    const { socketUrl, ownPage } = await socketProxy(api.url)
    api.answer = (request, socket, head) => {
      socket.write(`${agreed(request)}from the API`)
      socket.write(head)
      socket.pipe(socket)
    }
    const { status, socket } = await handshake(socketUrl, ownPage, { body: 'from the browser' })
    expect(status).toBe(101)
    const received: string[] = []
    socket.on('data', (text: string) => received.push(text))
    socket.write(', and more')
    await expect.poll(() => received.join('')).toMatch(/from the browser, and more$/)
  })
})

describe('a tunnel', () => {
  it('carries 10 000 messages of text and bytes in their order', async () => {
    const api = await startSocketApi()
    const { socketUrl, ownPage } = await socketProxy(api.url)
    const socket = await openWebSocket(socketUrl, ownPage)
    const wrong: number[] = []
    let count = 0
    const done = new Promise<void>((resolve) => {
      socket.on('message', (data: Buffer, isBinary) => {
        const isRight = isBinary === (count % 2 === 1) && data.toString() === `message ${count}`
        if (!isRight) wrong.push(count)
        count += 1
        if (count === 10_000) resolve()
      })
    })
    for (let n = 0; n < 10_000; n++) socket.send(n % 2 === 1 ? Buffer.from(`message ${n}`) : `message ${n}`)
    await done
    expect(wrong).toEqual([])
  })

  it.each([true, false])(
    'carries a message of 5 MB, with permessage-deflate %s',
    async (perMessageDeflate) => {
      const api = await startSocketApi({ perMessageDeflate })
      const { socketUrl, ownPage } = await socketProxy(api.url)
      const socket = await openWebSocket(socketUrl, ownPage)
      expect(socket.extensions).toBe(perMessageDeflate ? 'permessage-deflate' : '')
      const sent = randomBytes(5_000_000)
      socket.send(sent)
      const [received] = (await once(socket, 'message')) as [Buffer]
      expect(received.equals(sent)).toBe(true)
    },
  )

  it('holds back whoever sends more than the other reads', async () => {
    const api = await startSocketApi({ perMessageDeflate: false })
    const { socketUrl, ownPage } = await socketProxy(api.url)
    let sender: WebSocket | undefined
    api.talk = (socket) => (sender = socket)
    const socket = await openWebSocket(socketUrl, ownPage)
    socket.pause()
    const total = 60_000_000
    const chunk = Buffer.alloc(1_000_000)
    for (let sent = 0; sent < total; sent += chunk.length) sender?.send(chunk)
    await sleep(400)
    // What is neither with the sender nor with the kernel would be with the proxy.
    expect(sender?.bufferedAmount).toBeGreaterThan(total / 2)
    let received = 0
    socket.on('message', (data: Buffer) => (received += data.length))
    socket.resume()
    await expect.poll(() => received, { timeout: 10_000 }).toBe(total)
  })

  it('stays open in silence, whatever the timeouts are', async () => {
    const api = await startSocketApi()
    const { socketUrl, ownPage } = await socketProxy(api.url, { timeout: 0.2, idleTimeout: 0.2 })
    const socket = await openWebSocket(socketUrl, ownPage)
    await sleep(600)
    socket.send('still here')
    expect(await nextMessage(socket)).toBe('still here')
  })

  it('tells each end that the other says no more', async () => {
    const talks: string[] = []
    const api = await startSocketApi()
    api.answer = (request, socket) => {
      socket.write(agreed(request))
      socket.on('data', (text) => talks.push(String(text)))
      socket.on('end', () => socket.end('the last word'))
    }
    const { socketUrl, ownPage } = await socketProxy(api.url)
    const { socket } = await handshake(socketUrl, ownPage)
    const received: string[] = []
    socket.on('data', (text: string) => received.push(text))
    socket.end('no more')
    await once(socket, 'close')
    expect([talks.join(''), received.join('')]).toEqual(['no more', 'the last word'])
  })

  it('lets the client go on when the API says no more', async () => {
    const talks: string[] = []
    const api = await startSocketApi()
    api.answer = (request, socket) => {
      socket.on('data', (text) => talks.push(String(text)))
      socket.write(agreed(request))
      setTimeout(() => socket.end(), 50)
    }
    const { socketUrl, ownPage } = await socketProxy(api.url)
    const { socket } = await handshake(socketUrl, ownPage)
    socket.allowHalfOpen = true
    await once(socket, 'end')
    socket.write('one more')
    await sleep(30)
    socket.end(' thing')
    await expect.poll(() => talks.join('')).toBe('one more thing')
    await expect.poll(() => api.connections.size).toBe(0)
  })

  it.each(['client', 'API'])('that the %s breaks off is broken off at the other end', async (who) => {
    const api = await startSocketApi()
    const { socketUrl, ownPage } = await socketProxy(api.url)
    const socket = await openWebSocket(socketUrl, ownPage)
    const closed = closeCode(socket)
    if (who === 'client') socket.terminate()
    else for (const connection of api.connections) connection.resetAndDestroy()
    expect(await closed).toBe(1_006)
    await expect.poll(() => api.connections.size).toBe(0)
  })

  it.each(['resets', 'ends'])(
    'a client that %s before the API has answered takes the request with it',
    async (how) => {
      const api = await startSocketApi()
      const { app, socketUrl, ownPage } = await socketProxy(api.url)
      api.answer = () => undefined
      let client: Socket | undefined
      const asked = handshake(socketUrl, ownPage, { began: (socket) => (client = socket) })
      await expect.poll(() => api.handshakes.length).toBe(1)
      if (how === 'resets') client?.resetAndDestroy()
      else client?.end()
      await asked
      await expect.poll(() => api.connections.size).toBe(0)
      expect(app.events.filter(({ type }) => type === 'request_failed')).toEqual([])
    },
  )

  test('T113 a storm of 200 that break off whenever leaves nothing behind', async () => {
    const api = await startSocketApi()
    const { app, socketUrl, ownPage } = await socketProxy(api.url)
    api.answer = (request, socket, head) =>
      void sleep(Math.random() * 60).then(() => {
        if (!socket.destroyed) api.accept(request, socket, head)
      })
    const errors: unknown[] = []
    const note = (error: unknown) => void errors.push(error)
    process.on('uncaughtException', note)
    await Promise.all(
      Array.from({ length: 200 }, async (_, n) => {
        const abort = (socket: Socket) => void (n % 2 === 0 ? socket.resetAndDestroy() : socket.destroy())
        const began = (socket: Socket) => void sleep(Math.random() * 150).then(() => abort(socket))
        await handshake(socketUrl, ownPage, { began })
      }),
    )
    await expect.poll(() => api.connections.size, { timeout: 5_000 }).toBe(0)
    process.off('uncaughtException', note)
    expect(errors).toEqual([])
    expect((await bare(`${app.url}/open`, typed)).status).toBe(200)
  })
})

function subjectOf({ events }: App): string {
  const login = events.find((event) => event.type === 'login')
  return login?.subject ?? ''
}

function real() {
  return oauthLogin({
    issuer: 'https://as.example',
    clientId: 'app',
    baseUrl: 'https://app.example',
    storage: 'cookie',
    secrets: ['0123456789012345678901234567890123456789'],
  })
}

/** RFC 6455 §4.2.2. */
function acceptOf({ headers }: IncomingMessage): string {
  const text = `${headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`
  return createHash('sha1').update(text).digest('base64')
}

/** The answer to a handshake. */
function agreed(request: IncomingMessage, more = ''): string {
  return `HTTP/1.1 101 Ok\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptOf(request)}\r\n${more}\r\n`
}
