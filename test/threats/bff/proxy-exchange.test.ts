/** Threats to an exchange with an API: one that never ends, one that breaks off, and 401s without an end. */
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { clientCredentials } from '../../../lib/index.js'
import { frameworks } from '../../support/app.js'
import { startFaultyServer } from '../../support/faulty-server.js'
import { hang, json, reset } from '../../support/faulty-server/answer.js'
import { listening, stopped } from '../../support/listening.js'
import { withNewCookies } from '../../support/requests.js'
import { unhandledRejections } from '../../support/unhandled-rejections.js'
import { ownScript, proxied, proxiedApi, type Proxied } from '../../proxy/proxied.js'

type Listener = (request: IncomingMessage, response: ServerResponse) => void

interface Counted {
  readonly url: string
  readonly server: Server
  /** Connections that are open. */
  open(): Promise<number>
}

async function counted(listener: Listener): Promise<Counted> {
  const server = createServer(listener)
  const url = await listening(server)
  onTestFinished(() => stopped(server))
  return {
    url,
    server,
    open: async () =>
      new Promise((resolve, reject) =>
        server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      ),
  }
}

/** Begins a request of the user; what comes of it is the test's to see. */
function begun(
  { app, cookie }: Proxied,
  path: string,
  options: { method?: string; headers?: Record<string, string> } = {},
) {
  const headers = { cookie, ...ownScript, ...options.headers }
  const request = httpRequest(app.url + path, { method: options.method ?? 'GET', headers, agent: false })
  const answered = new Promise<IncomingMessage>((resolve, reject) =>
    request.on('response', resolve).on('error', reject),
  )
  answered.catch(() => undefined)
  return { request, answered }
}

/** How reading an answer ends. */
async function ending(answer: IncomingMessage): Promise<'complete' | 'broken off'> {
  return new Promise((resolve) =>
    answer
      .resume()
      .on('error', () => undefined)
      .on('close', () => resolve(answer.complete ? 'complete' : 'broken off')),
  )
}

describe('T113: an API that fails', () => {
  it.each(frameworks)('T113: is 502 when it is away, 504 when it is late: %s', async (framework) => {
    const { send, api, app } = await proxiedApi({ timeout: 0.2 }, { framework })
    for (const [answer, status, code] of [
      [hang(), 504, 'upstream_timeout'],
      [reset(), 502, 'upstream_unavailable'],
      [
        (response: ServerResponse) => void response.socket?.end('SSH-2.0-OpenSSH\r\n'),
        502,
        'upstream_unavailable',
      ],
      [
        (response: ServerResponse) =>
          void response.socket?.end(
            'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
          ),
        502,
        'upstream_unavailable',
      ],
      [
        (response: ServerResponse) =>
          void response.socket?.end('HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n'),
        502,
        'upstream_unavailable',
      ],
      [
        (response: ServerResponse) =>
          void response.socket?.end(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`),
        502,
        'upstream_unavailable',
      ],
    ] as const) {
      api.answer = () => answer
      for (const method of framework === 'express5' ? ['GET', 'POST'] : ['GET']) {
        const page = await send('/api/x', { method, body: method === 'POST' ? 'a body' : undefined } as never)
        expect([page.status, (JSON.parse(page.body) as { error: string }).error]).toEqual([status, code])
        expect(app.events.at(-1)).toMatchObject({ type: 'request_failed', code })
      }
    }
    const away = await proxied('http://127.0.0.1:1', {}, { framework })
    expect(await away.send('/api/x', { method: 'POST', body: 'x'.repeat(1_000_000) })).toMatchObject({
      status: 502,
    })
    expect(app.errors).toEqual([])
  })

  it.each([
    ['with a length', 'Content-Length: 100\r\n\r\nhalf', undefined],
    ['in chunks', 'Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n', undefined],
    ['with a chunk that is none', 'Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n', 'zz\r\n'],
  ])('T113: that dies in mid-body %s ends the answer as broken', async (_name, body, then) => {
    const { url } = await counted((_request, { socket }) => {
      socket?.write(`HTTP/1.1 200 OK\r\n${body}`)
      setTimeout(() => (then === undefined ? socket?.destroy() : socket?.write(then)), 20)
    })
    const app = await proxied(url)
    const { request, answered } = begun(app, '/api/x')
    request.end()
    expect(await ending(await answered)).toBe('broken off')
    expect(app.app.errors).toEqual([])
  })

  it('T113: that goes silent is cut off, and one that goes on is not', async () => {
    const { url, open } = await counted((request, response) => {
      response.write('begun')
      if (request.url === '/slow') {
        const beat = setInterval(() => response.write('.'), 50)
        setTimeout(() => (clearInterval(beat), response.end('done')), 500)
      }
    })
    const app = await proxied(url, { idleTimeout: 0.25 })
    const [slow, silent] = ['/api/slow', '/api/silent'].map((path) => begun(app, path))
    slow?.request.end()
    silent?.request.end()
    expect(await ending(await silent!.answered)).toBe('broken off')
    expect(await ending(await slow!.answered)).toBe('complete')
    await vi.waitFor(async () => expect(await open()).toBeLessThanOrEqual(1))
  })

  it('T113: that is late on a connection of before is not asked once more', async () => {
    let requests = 0
    const { url } = await counted((request, response) => {
      requests += 1
      if (request.url === '/x') response.end('ok')
    })
    // Some sessions are saved before the answer ends.
    const slowly: RequestListener = (_request, response) => {
      const end = response.end.bind(response) as (body?: unknown) => ServerResponse
      response.end = (body?: unknown) => (setTimeout(() => end(body), 100), response)
    }
    const { send } = await proxied(
      url,
      { timeout: 0.2 },
      { before: [(request, response, next) => (slowly(request, response), next())] },
    )
    await send('/api/x')
    const { result, rejections } = await unhandledRejections(async () => {
      const { status } = await send('/api/hang')
      await pause(300)
      return status
    })
    expect([result, requests, rejections]).toEqual([504, 2, []])
  })

  it('T113: a body that the browser stops sending is its own fault, a slow one is none', async () => {
    const { url } = await counted(
      (request, response) => void request.resume().on('end', () => response.end('ok')),
    )
    const app = await proxied(url, { timeout: 0.3 })
    const stalled = begun(app, '/api/x', { method: 'POST', headers: { 'content-length': '10' } })
    stalled.request.write('12345')
    expect((await stalled.answered).statusCode).toBe(408)
    const slow = begun(app, '/api/x', { method: 'POST', headers: { 'content-length': '5' } })
    for (const letter of 'hello') {
      slow.request.write(letter)
      await pause(120)
    }
    expect((await slow.answered).statusCode).toBe(200)
  })

  it('T113: an answer before the end of the upload is the answer', async () => {
    const { url } = await counted((_request, response) => void response.writeHead(413).end('too large'))
    const app = await proxied(url)
    const { status, body } = await app.send('/api/x', { method: 'POST', body: 'x'.repeat(5_000_000) })
    expect([status, body]).toEqual([413, 'too large'])
  })

  /** Drops each second request on a connection, as it is when both sides use it at once. */
  async function dropping() {
    let requests = 0
    const { url } = await counted((request, response) => {
      requests += 1
      const socket = request.socket as typeof request.socket & { used?: boolean }
      if (socket.used) socket.destroy()
      else request.resume().on('end', () => response.end('ok'))
      socket.used = true
    })
    return { url, requests: () => requests }
  }

  it('T113: a connection that the API closed meanwhile is not the end of a request that may be repeated', async () => {
    const { url, requests } = await dropping()
    const { send } = await proxied(url, {}, { before: [jsonOf] })
    expect((await send('/api/x')).status).toBe(200)
    expect((await send('/api/x')).status).toBe(200)
    expect(requests()).toBe(3)
  })

  it.each([
    ['that is a stream and does the same twice', 'PUT', 'text/plain'],
    ['whose bytes are at hand, but does it twice', 'POST', 'application/json'],
  ])('T113: but it is the end of one %s', async (_what, method, type) => {
    const { url, requests } = await dropping()
    const { send } = await proxied(url, {}, { before: [jsonOf] })
    expect((await send('/api/x')).status).toBe(200)
    const { status } = await send('/api/x', { method, headers: { 'content-type': type }, body: '{"once":1}' })
    expect([status, requests()]).toEqual([502, 2])
  })
})

describe('T113, T107: a browser that goes away', () => {
  it('T113: takes the request to the API along, and nothing is left over', async () => {
    let aborted = 0
    const { url, open } = await counted((request, response) => {
      request.resume()
      response.on('close', () => (aborted += response.writableFinished ? 0 : 1))
      if (request.url !== '/hang') response.write('x'.repeat(1_000))
    })
    const app = await proxied(url)
    const all = Array.from({ length: 60 }, (_, index) => {
      const upload = index % 3 === 2
      const started = begun(
        app,
        ['/api/hang', '/api/stream', '/api/upload'][index % 3] ?? '',
        upload ? { method: 'POST', headers: { 'content-length': '1000000' } } : {},
      )
      started.request.on('error', () => undefined)
      if (upload) started.request.write('x'.repeat(70_000))
      else started.request.end()
      return started.request
    })
    await vi.waitFor(async () => expect(await open()).toBe(60), { timeout: 5_000 })
    for (const request of all) request.destroy()
    await vi.waitFor(async () => expect([await open(), aborted]).toEqual([0, 60]), { timeout: 5_000 })
    expect(app.app.errors).toEqual([])
    expect(app.app.events.filter(({ type }) => type === 'request_failed')).toEqual([])
  })

  it('T113: takes along what it asked for before the answer to another request', async () => {
    const { url, open } = await counted((request, response) => {
      if (request.url === '/stream') response.write('x'.repeat(1_000_000))
    })
    const { app, cookie } = await proxied(url)
    const { hostname, port, host } = new URL(app.url)
    const head = Object.entries({ host, cookie, ...ownScript }).map(
      ([name, value]) => `${name}: ${value}\r\n`,
    )
    const ask = (path: string) => `GET ${path} HTTP/1.1\r\n${head.join('')}\r\n`
    const socket = connect(Number(port), hostname)
    socket.write(ask('/api/hang') + ask('/api/hang').repeat(5) + ask('/api/stream').repeat(10))
    await vi.waitFor(async () => expect(await open()).toBe(16))
    socket.destroy()
    await vi.waitFor(async () => expect(await open()).toBe(0))
    expect(app.errors).toEqual([])
  })

  it('T113: while another token is fetched has nothing sent again', async () => {
    const app = await proxiedApi()
    app.api.answer = () => json({}, 401)
    const { request } = begun(app, '/api/x')
    const before = app.server.counts.token
    let hasGone = false
    app.server.misbehave({
      async answerToken(_op, response) {
        request.destroy()
        await pause(50)
        hasGone = true
        return json(response)
      },
    })
    request.end()
    await vi.waitFor(() => expect(hasGone).toBe(true))
    await pause(100)
    expect([app.api.requests.length, app.server.counts.token - before]).toEqual([1, 1])
    expect(app.app.errors).toEqual([])
  })

  it('T107: connections are used again', async () => {
    const ports = new Set<number | undefined>()
    const { url, open } = await counted((request, response) => {
      ports.add(request.socket.remotePort)
      // Without a length Node takes an answer to HEAD for one that ends with the connection.
      response.setHeader('content-length', 2)
      request.resume().on('end', () => response.end('ok'))
    })
    const { send } = await proxied(url)
    for (const method of ['GET', 'POST', 'HEAD', 'DELETE', 'GET']) {
      expect((await send('/api/x', method === 'POST' ? { method, body: 'x' } : { method })).status).toBe(200)
    }
    expect([ports.size, await open()]).toEqual([1, 1])
  })
})

describe('T114: an API that always says 401', () => {
  it('T114: is asked twice, with two tokens', async () => {
    const { send, api, server } = await proxiedApi()
    api.answer = () => json({ error: 'no' }, 401)
    const answer = await send('/api/x')
    expect([answer.status, answer.body]).toEqual([401, '{"error":"no"}'])
    expect(new Set(api.tokens).size).toBe(2)
    expect(api.requests).toHaveLength(2)
    expect(server.counts.token).toBe(2)
  })

  it('T114: is asked once where the body is spent, and the next request has the other token', async () => {
    const { send, api, app, cookie, server } = await proxiedApi()
    api.answer = (_request, token) => (token === api.tokens[0] ? json({}, 401) : json({ ok: true }))
    const answer = await send('/api/x', { method: 'POST', body: 'streamed' })
    expect([answer.status, api.requests.length, server.counts.token]).toEqual([401, 1, 2])
    const kept = withNewCookies(cookie, { setCookies: answer.headers['set-cookie'] ?? [] })
    const again = await send('/api/x', { method: 'POST', body: 'streamed', headers: { cookie: kept } })
    expect([again.status, api.requests.length, server.counts.token]).toEqual([200, 2, 2])
    expect(app.errors).toEqual([])
  })

  it('T114: one refusal is made good without the page', async () => {
    const { send, api, app } = await proxiedApi({}, { before: [jsonOf] })
    api.answer = (_request, token) => (token === api.tokens[0] ? json({}, 401) : json({ ok: true }))
    const answer = await send('/api/x', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"a":1}',
    })
    expect([answer.status, answer.body]).toEqual([200, '{"ok":true}'])
    expect(api.requests.map(({ body }) => body)).toEqual(['{"a":1}', '{"a":1}'])
    expect(app.errors).toEqual([])
  })

  it('T114: a 401 for a request without a token is passed on', async () => {
    const { send, api } = await proxiedApi({ token: 'none' })
    api.answer = () => json({}, 401)
    expect((await send('/api/x')).status).toBe(401)
    expect(api.requests).toHaveLength(1)
  })

  it('T114: the same with the token of the app', async () => {
    const server = await startFaultyServer()
    onTestFinished(() => server.close())
    const { issuer, clientId, clientSecret } = server
    const client = clientCredentials({ issuer, clientId, clientSecret, scope: 'a' })
    const { send, api, cookie } = await proxiedApi({ token: 'user-or-client', client, scope: 'b' })
    api.answer = () => json({}, 401)
    await send('/api/x', { headers: { cookie: '' } })
    expect(
      server.requests.filter(({ endpoint }) => endpoint === 'token').map(({ body }) => body.get('scope')),
    ).toEqual(['b', 'b'])
    expect(new Set(api.tokens).size).toBe(2)
    expect(cookie).not.toBe('')
  })
})

function jsonOf(request: IncomingMessage, _response: ServerResponse, next: () => void): void {
  if (request.method !== 'POST') {
    next()
    return
  }
  let text = ''
  request.setEncoding('utf8')
  request.on('data', (chunk: string) => (text += chunk))
  request.on('end', () => {
    Object.assign(request, { body: JSON.parse(text) as unknown })
    next()
  })
}
