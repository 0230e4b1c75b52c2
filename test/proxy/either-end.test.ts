/** What HTTP allows a client and an API to be, and few of them are. */
import { readFileSync } from 'node:fs'
import { createServer as createHttpsServer, Agent } from 'node:https'
import { describe, expect, it, onTestFinished } from 'vitest'
import { WebSocketServer } from 'ws'
import { listening, stopped } from '../support/listening.js'
import { nextMessage, openWebSocket } from '../support/web-socket.js'
import { ownScript, proxied, proxiedApi, raw, upstream } from './proxied.js'
import { socketProxy } from './socket-api.js'

const lines = (headers: Readonly<Record<string, string>>) =>
  Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')

describe('a client of HTTP/1.0', () => {
  it('gets a stream as it can read it, up to the end of the connection', async () => {
    const url = await upstream((_request, response) => {
      response.write('one, ')
      setTimeout(() => response.end('two'), 20)
    })
    const { app, cookie } = await proxied(url)
    const answer = await raw(app.url, `GET /api/x HTTP/1.0\r\n${lines({ ...ownScript, cookie })}\r\n`)
    const [head = '', body] = answer.split('\r\n\r\n')
    expect(head).toMatch(/^HTTP\/1\.1 200 /)
    expect(head).not.toMatch(/transfer-encoding/i)
    expect(body).toBe('one, two')
  })

  it('sends a body by its length', async () => {
    const { app, cookie, api } = await proxiedApi()
    const headers = { ...ownScript, cookie, 'content-length': '5' }
    await raw(app.url, `POST /api/x HTTP/1.0\r\n${lines(headers)}\r\nhello`)
    expect(api.requests).toMatchObject([
      { method: 'POST', body: 'hello', headers: { 'content-length': '5' } },
    ])
  })

  it('T112: cannot send chunks, which HTTP/1.0 does not have', async () => {
    const { app, cookie, api } = await proxiedApi()
    const headers = { ...ownScript, cookie, 'transfer-encoding': 'chunked' }
    const chunks = '5\r\nhello\r\n0\r\n\r\n'
    const answer = await raw(app.url, `POST /api/x HTTP/1.0\r\n${lines(headers)}\r\n${chunks}`)
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
    expect(api.requests).toEqual([])
  })
})

describe('trailers', () => {
  it('T112: of a request stay here, whatever they are called, and the next request is the next', async () => {
    const seen: unknown[] = []
    const url = await upstream((request, response) => {
      let body = ''
      request.on('data', (chunk: Buffer) => (body += chunk.toString()))
      request.on('end', () => {
        seen.push([request.url, body, request.rawTrailers, request.headers['trailer']])
        response.end('ok')
      })
    })
    const { app, cookie } = await proxied(url)
    const head = (more: Readonly<Record<string, string>>) =>
      lines({ host: new URL(app.url).host, ...ownScript, cookie, ...more })
    const chunked = { 'transfer-encoding': 'chunked', trailer: 'x-user' }
    await raw(
      app.url,
      `POST /api/a HTTP/1.1\r\n${head(chunked)}\r\n5\r\nhello\r\n0\r\nx-user: admin\r\nauthorization: Bearer x\r\n\r\n`,
      `GET /api/b HTTP/1.1\r\n${head({ connection: 'close' })}\r\n`,
    )
    expect(seen).toEqual([
      ['/a', 'hello', [], undefined],
      ['/b', '', [], undefined],
    ])
  })

  it('T111: of an answer stay here as well', async () => {
    const url = await upstream((_request, response) => {
      response.writeHead(200, { trailer: 'set-cookie' })
      response.write('hello')
      response.addTrailers({ 'set-cookie': 'oauth=theirs' })
      response.end()
    })
    const { app, cookie } = await proxied(url)
    const headers = { host: new URL(app.url).host, ...ownScript, cookie, connection: 'close' }
    const answer = await raw(app.url, `GET /api/x HTTP/1.1\r\n${lines(headers)}\r\n`)
    expect(answer).toMatch(/\r\n5\r\nhello\r\n0\r\n\r\n$/)
    expect(answer).not.toMatch(/trailer|theirs/i)
  })
})

describe('an answer before the answer', () => {
  it('is not for the browser: 103 and 102', async () => {
    const url = await upstream((_request, response) => {
      response.writeEarlyHints({ link: '</style.css>; rel=preload; as=style', 'x-early': 'yes' })
      response.writeProcessing()
      response.end('done')
    })
    const { app, cookie } = await proxied(url)
    const headers = { host: new URL(app.url).host, ...ownScript, cookie, connection: 'close' }
    const answer = await raw(app.url, `GET /api/x HTTP/1.1\r\n${lines(headers)}\r\n`)
    expect(answer).toMatch(/^HTTP\/1\.1 200 [^]*\r\n\r\ndone$/)
    expect(answer).not.toMatch(/x-early|HTTP\/1\.1 10/)
  })

  it('100 is given here to whoever waits for it before the body', async () => {
    const { app, cookie, api } = await proxiedApi()
    const headers = { host: new URL(app.url).host, ...ownScript, cookie, connection: 'close' }
    const expecting = { ...headers, 'content-length': '5', expect: '100-continue' }
    const answer = await raw(app.url, `POST /api/x HTTP/1.1\r\n${lines(expecting)}\r\nhello`)
    expect(answer).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /)
    expect(api.requests).toMatchObject([{ body: 'hello' }])
    expect(api.requests[0]?.headers).not.toHaveProperty('expect')
  })
})

describe('an API with a certificate of a private CA', () => {
  const pem = readFileSync(new URL('../threats/guard/certificates/server.pem', import.meta.url), 'utf8')

  async function secureApi() {
    const server = createHttpsServer({ key: pem, cert: pem }, (request, response) => {
      request.resume().on('end', () => response.end(`${request.method} ${request.headers.host}`))
    })
    const sockets = new WebSocketServer({ server })
    sockets.on('connection', (socket) =>
      socket.on('message', (data: Buffer) => socket.send(`heard ${data.toString()}`)),
    )
    const url = (await listening(server, 'localhost')).replace(/^http:/, 'https:')
    onTestFinished(() => stopped(server))
    return url
  }

  it('is trusted by the option "agent" alone', async () => {
    const url = await secureApi()
    const agent = new Agent({ ca: pem, keepAlive: true })
    onTestFinished(() => agent.destroy())
    const { send } = await proxied(url, { agent })
    const { host } = new URL(url)
    expect(await send('/api/x')).toMatchObject({ status: 200, body: `GET ${host}` })
    expect(await send('/api/x', { method: 'POST', body: 'x' })).toMatchObject({ body: `POST ${host}` })
    const distrusting = await proxied(url)
    const { status, body } = await distrusting.send('/api/x')
    expect([status, (JSON.parse(body) as { error: string }).error]).toEqual([502, 'upstream_unavailable'])
    const failed = distrusting.app.events.findLast(({ type }) => type === 'request_failed')
    expect(failed).toMatchObject({ error: { cause: { code: expect.stringContaining('SELF_SIGNED') } } })
  })

  it('by name: the certificate of another host is none', async () => {
    const url = (await secureApi()).replace('localhost', '127.0.0.1')
    const agent = new Agent({ ca: pem })
    const { send } = await proxied(url, { agent })
    expect((await send('/api/x')).status).toBe(502)
  })

  it('for WebSockets, too', async () => {
    const url = await secureApi()
    const { socketUrl, ownPage } = await socketProxy(url, { agent: new Agent({ ca: pem }) })
    const socket = await openWebSocket(socketUrl, ownPage)
    socket.send('hello')
    expect(await nextMessage(socket)).toBe('heard hello')
    socket.close()
  })
})
