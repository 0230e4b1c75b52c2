import { createServer, type RequestListener } from 'node:http'
import { gzipSync } from 'node:zlib'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { OAuthError } from '../lib/errors.js'
import { documentLimit, httpClient, isLoopback, isSecure, jsonObject, tokenLimit } from '../lib/http.js'
import { everythingIn } from './support/canaries.js'
import { listening, stopped } from './support/listening.js'

const limit = 1_000

async function serving(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  onTestFinished(() => stopped(server))
  return listening(server)
}

/** Requests that reached it; none may. */
async function trap(): Promise<{ url: string; requests: string[] }> {
  const requests: string[] = []
  const url = await serving((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    response.end('{}')
  })
  return { url, requests }
}

test('a request goes out as it was given, and the answer comes back whole', async () => {
  const seen: unknown[] = []
  const url = await serving((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      seen.push([request.method, request.url, request.headers['x-mark'], body])
      response.writeHead(201, { 'content-type': 'application/json', 'x-answer': 'a' }).end('{"a":1}')
    })
  })
  const answer = await httpClient()(`${url}/path?q=1`, {
    method: 'POST',
    headers: { 'x-mark': 'm' },
    body: 'text',
    limit,
  })
  expect(seen).toEqual([['POST', '/path?q=1', 'm', 'text']])
  expect([answer.status, answer.headers.get('x-answer'), await answer.text()]).toEqual([201, 'a', '{"a":1}'])
})

test.each([204, 205])('status %i has no body', async (status) => {
  const url = await serving((_request, response) => response.writeHead(status).end())
  const answer = await httpClient()(url, { limit })
  expect([answer.status, await answer.text()]).toEqual([status, ''])
})

test.each([400, 401, 404, 429, 500, 503])('status %i is for the caller to judge', async (status) => {
  const url = await serving((_request, response) => response.writeHead(status).end('why'))
  const answer = await httpClient()(url, { limit })
  expect([answer.status, await answer.text()]).toEqual([status, 'why'])
})

describe('T69 redirects', () => {
  test.each([300, 301, 302, 303, 304, 305, 307, 308])('%i is never followed', async (status) => {
    const elsewhere = await trap()
    const url = await serving((_request, response) =>
      response.writeHead(status, { location: `${elsewhere.url}/x` }).end(),
    )
    for (const request of [{ limit }, { method: 'POST', body: 'client_secret=s', limit }]) {
      await expect(httpClient()(url, request)).rejects.toMatchObject({
        code: 'invalid_server_response',
        reason: 'redirect',
        status: 502,
      })
    }
    expect(elsewhere.requests).toEqual([])
  })

  test('to the same server neither', async () => {
    const asked: (string | undefined)[] = []
    const url = await serving((request, response) => {
      asked.push(request.url)
      response.writeHead(302, { location: '/again' }).end()
    })
    await expect(httpClient()(url, { limit })).rejects.toMatchObject({ reason: 'redirect' })
    expect(asked).toEqual(['/'])
  })
})

describe('T66 the deadline', () => {
  const deadline = 0.3

  const slow: [what: string, listener: RequestListener][] = [
    ['no answer', () => undefined],
    ['headers and no body', (_request, response) => response.writeHead(200).flushHeaders()],
    ['half a body', (_request, response) => void response.writeHead(200).write('{"a":')],
    [
      'a body byte by byte',
      (_request, response) => {
        const timer = setInterval(() => response.write(' '), 20)
        response.on('close', () => clearInterval(timer))
      },
    ],
  ]

  test.each(slow)('%s', async (_what, listener) => {
    const url = await serving(listener)
    const start = performance.now()
    const error: unknown = await httpClient(undefined, deadline)(url, { limit: 1e6 }).catch(
      (thrown: unknown) => thrown,
    )
    expect(error).toMatchObject({ code: 'server_unavailable', status: 503, reason: 'timeout' })
    expect((error as OAuthError).message).toContain('within 0.3 s')
    expect(performance.now() - start).toBeLessThan(deadline * 1000 + 1_000)
  })
})

describe('a deadline in odd figures', () => {
  test.each([0.1234, 1.005, 2.01])('%d seconds is a deadline like any other', async (timeout) => {
    const url = await serving((_request, response) => response.end('{}'))
    expect((await httpClient(undefined, timeout)(url, { limit })).status).toBe(200)
  })
})

test.each([600, 999])('status %i is an unusable answer', async (status) => {
  const url = await serving((_request, response) => response.writeHead(status).end())
  await expect(httpClient()(url, { limit })).rejects.toMatchObject({ code: 'invalid_server_response' })
})

describe('a server that is not there', () => {
  test('is unavailable, and the hint says what to look at', async () => {
    const server = createServer()
    const url = await listening(server)
    await stopped(server)
    const error: unknown = await httpClient()(`${url}/x?secret=hidden`, { limit }).catch(
      (thrown: unknown) => thrown,
    )
    expect(error).toMatchObject({ code: 'server_unavailable', status: 503, reason: 'network' })
    expect((error as OAuthError).hint).toContain('"fetch"')
    expect((error as OAuthError).message).toBe(`GET ${url}/x failed`)
  })

  test('nor one that hangs up', async () => {
    const url = await serving((request) => request.socket.destroy())
    await expect(httpClient()(url, { limit })).rejects.toMatchObject({ reason: 'network' })
  })

  test('nor one that hangs up in mid-answer', async () => {
    const url = await serving((request, response) => {
      response.writeHead(200, { 'content-length': 100 }).write('{')
      setTimeout(() => request.socket.destroy(), 20)
    })
    await expect(httpClient()(url, { limit })).rejects.toMatchObject({ code: 'server_unavailable' })
  })
})

describe('T68 size', () => {
  const tooLarge = { code: 'invalid_server_response', reason: 'too_large', status: 502 }

  test('the limit itself may be sent, one byte more may not', async () => {
    let body = 'x'.repeat(limit)
    const url = await serving((_request, response) => response.end(body))
    expect((await (await httpClient()(url, { limit })).text()).length).toBe(limit)
    body += 'x'
    await expect(httpClient()(url, { limit })).rejects.toMatchObject(tooLarge)
  })

  test('an endless body is left at the limit', async () => {
    let closed = false
    let written = 0
    const url = await serving((_request, response) => {
      const chunk = Buffer.alloc(16_384)
      const more = () => {
        if (closed) return
        written += chunk.length
        if (response.write(chunk)) setImmediate(more)
        else response.once('drain', more)
      }
      response.on('close', () => (closed = true))
      more()
    })
    await expect(httpClient()(url, { limit })).rejects.toMatchObject(tooLarge)
    await expect.poll(() => closed).toBe(true)
    expect(written).toBeLessThan(20_000_000)
  })

  test('what counts is the size after decompression', async () => {
    const bomb = gzipSync(Buffer.alloc(50_000_000))
    expect(bomb.length).toBeLessThan(documentLimit)
    const url = await serving((_request, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb),
    )
    const before = process.memoryUsage().rss
    await expect(httpClient()(url, { limit: documentLimit })).rejects.toMatchObject(tooLarge)
    expect(process.memoryUsage().rss - before).toBeLessThan(40_000_000)
  })

  test('a compressed answer within the limit is read', async () => {
    const url = await serving((_request, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{"a":1}')),
    )
    expect(await jsonObject(await httpClient()(url, { limit }), 'it')).toEqual({ a: 1 })
  })

  test('the figures', () => {
    expect([tokenLimit, documentLimit]).toEqual([1_000_000, 512_000])
  })
})

describe('http', () => {
  test.each([
    'http://auth.example.com/token',
    'http://192.168.1.2/',
    'ftp://localhost/',
    'data:text/plain,x',
  ])('nothing is sent to %s', async (url) => {
    const asked: unknown[] = []
    const http = httpClient(async (...request) => {
      asked.push(request)
      return new Response('{}')
    })
    await expect(http(url, { limit })).rejects.toMatchObject({ code: 'invalid_configuration' })
    expect(asked).toEqual([])
  })

  test.each([
    ['https://example.com', true],
    ['http://localhost:3000', true],
    ['http://app.localhost', true],
    ['http://LOCALHOST', true],
    ['http://127.0.0.1', true],
    ['http://127.9.9.9', true],
    ['http://2130706433', true],
    ['http://[::1]:80', true],
    ['http://example.com', false],
    ['http://localhost.example.com', false],
    ['http://localhost.', false],
    ['http://a.b.localhost', false],
    ['http://127.0.0.1.example.com', false],
    ['http://0.0.0.0', false],
    ['http://10.0.0.1', false],
    ['http://[::ffff:127.0.0.1]', false],
    ['ws://localhost', false],
    ['file:///localhost', false],
  ])('%s is fit for secrets: %s', (url, expected) => {
    expect(isSecure(new URL(url))).toBe(expected)
    expect(isLoopback(new URL(url))).toBe(expected && url.startsWith('http:'))
  })
})

test('the user’s own fetch sends everything, and is told not to follow redirects', async () => {
  const asked: unknown[] = []
  const http = httpClient(async (url, init) => {
    asked.push([url, init?.method, init?.redirect, init?.signal instanceof AbortSignal])
    return Response.json({ a: 1 })
  })
  expect(await jsonObject(await http('https://example.com/x', { method: 'POST', limit }), 'it')).toEqual({
    a: 1,
  })
  expect(asked).toEqual([['https://example.com/x', 'POST', 'manual', true]])
})

describe('T67 a JSON object, or nothing', () => {
  const bytes = (...values: number[]) => new Uint8Array(values)

  test.each<[string, ConstructorParameters<typeof Response>[0], number, string]>([
    ['a page', '<!doctype html>', 200, 'invalid_server_response'],
    ['nothing', null, 200, 'invalid_server_response'],
    ['an empty text', '', 200, 'invalid_server_response'],
    ['a list', '[]', 200, 'invalid_server_response'],
    ['null', 'null', 200, 'invalid_server_response'],
    ['a text', '"a"', 200, 'invalid_server_response'],
    ['a number', '1', 200, 'invalid_server_response'],
    ['half an object', '{"a":', 200, 'invalid_server_response'],
    ['two objects', '{}{}', 200, 'invalid_server_response'],
    ['a form', 'access_token=x', 200, 'invalid_server_response'],
    ['no UTF-8', bytes(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d), 200, 'invalid_server_response'],
    ['UTF-16', Buffer.from('{"a":1}', 'utf16le'), 200, 'invalid_server_response'],
    ['status 201', '{}', 201, 'invalid_server_response'],
    ['status 400', '{}', 400, 'invalid_server_response'],
    ['status 404', '{}', 404, 'invalid_server_response'],
    ['status 500', '{}', 500, 'server_unavailable'],
    ['status 503', '{}', 503, 'server_unavailable'],
  ])('%s', async (_what, body, status, code) => {
    const refused = jsonObject(new Response(body, { status }), 'the thing')
    await expect(refused).rejects.toMatchObject({ code })
    await expect(refused).rejects.toThrow(/^the thing: the answer (is not a JSON object|has status \d+)$/)
  })

  test('a server that asks to wait is away, and does not lie', async () => {
    const refused = jsonObject(new Response('{}', { status: 429 }), 'it')
    await expect(refused).rejects.toMatchObject({ code: 'server_unavailable' })
  })

  test('what was sent instead is not repeated', async () => {
    const sent = [
      'a-secret-of-19-chars',
      '{"access_token":a-secret-of-19-chars}',
      '{"a":"b"}a-secret-of-19-chars',
    ]
    for (const body of sent) {
      const error: unknown = await jsonObject(new Response(body), 'it').catch((thrown: unknown) => thrown)
      expect(everythingIn(error)).not.toMatch(/secret/)
    }
  })

  test('an object is read whatever its content type', async () => {
    const headers = { 'content-type': 'text/plain' }
    expect(await jsonObject(new Response(' {"a":{"b":[1]}} ', { headers }), 'it')).toEqual({ a: { b: [1] } })
  })
})
