import { gzipSync } from 'node:zlib'
import { request as httpRequest } from 'node:http'
import express from 'express'
import express4 from 'express4'
import { describe, expect, it } from 'vitest'
import type { Framework } from '../support/app.js'
import { ownScript, proxiedApi } from './proxied.js'

type Parsed = Parameters<ReturnType<typeof express.json>>
const handler =
  (parser: ReturnType<typeof express.json>) => (request: unknown, response: unknown, next: unknown) =>
    parser(request as Parsed[0], response as Parsed[1], next as Parsed[2])

const parsersOf = (framework: typeof express) =>
  [
    framework.json({ type: ['json', '+json'] }),
    framework.urlencoded({ extended: true }),
    framework.text(),
    framework.raw({ type: 'application/octet-stream' }),
  ].map(handler)

describe('a body that a parser has read', () => {
  it.each([
    ['express5', express],
    ['express4', express4],
  ] as [Framework, typeof express][])('is written anew: %s', async (framework, parsers) => {
    const { send, api } = await proxiedApi({}, { framework, before: parsersOf(parsers) })
    const sent: [string, string][] = [
      ['application/json', '{"name":"Grüße","list":[1,null,{"a":true}]}'],
      ['application/json; charset=UTF-8', '[]'],
      ['application/merge-patch+json', '{"a":null}'],
      ['application/x-www-form-urlencoded', 'a=1&b=%C3%A4+%26'],
      ['text/plain', 'Grüße'],
      ['application/octet-stream', '\u0000\u0001'],
      ['application/vnd.own', 'not read by any parser'],
    ]
    for (const [type, body] of sent) {
      expect(await send('/api/x', { method: 'POST', headers: { 'content-type': type }, body })).toMatchObject(
        { status: 200 },
      )
      const { headers, body: got } = api.requests.at(-1) ?? {}
      expect([type, got, headers?.['content-type']]).toEqual([type, body, type])
    }
    for (const method of ['GET', 'DELETE', 'POST']) {
      expect(await send('/api/x', { method })).toMatchObject({ status: 200 })
      expect(api.requests.at(-1)).toMatchObject({ method, body: '' })
    }
  })

  it('is sent as plain as the parser left it', async () => {
    const { app, api, cookie } = await proxiedApi({}, { before: parsersOf(express) })
    const packed = gzipSync('{"a":1}')
    const headers = { cookie, ...ownScript, 'content-type': 'application/json', 'content-encoding': 'gzip' }
    await new Promise((resolve) =>
      httpRequest(`${app.url}/api/x`, { method: 'POST', headers, agent: false }, (response) =>
        response.resume().on('end', resolve),
      ).end(packed),
    )
    expect(api.requests).toMatchObject([{ body: '{"a":1}', headers: { 'content-length': '7' } }])
    expect(api.requests[0]?.headers).not.toHaveProperty('content-encoding')
  })

  it.each<[string, string, string]>([
    ['a nested form', 'application/x-www-form-urlencoded', 'a[b]=1'],
    ['a form with a list', 'application/x-www-form-urlencoded', 'a=1&a=2'],
    ['another charset', 'text/plain; charset=iso-8859-1', 'a'],
  ])('is refused when it could become another: %s', async (_name, type, body) => {
    const { send, api, app } = await proxiedApi({}, { before: parsersOf(express) })
    const answer = await send('/api/x', { method: 'POST', headers: { 'content-type': type }, body })
    expect(answer.status).toBe(500)
    expect(JSON.parse(answer.body)).toMatchObject({ error: 'invalid_configuration' })
    expect(app.events.at(-1)).toMatchObject({
      type: 'request_failed',
      error: { reason: 'body_already_read', hint: expect.stringContaining('before the parser') as string },
    })
    expect(api.requests).toEqual([])
  })

  it.each<[string, (request: NodeJS.ReadableStream, next: () => void) => void]>([
    ['nothing is left of it', (request, next) => void request.resume().on('end', next)],
    [
      'it was read in part',
      (request, next) =>
        void request.once('data', () => {
          request.pause()
          next()
        }),
    ],
  ])('is refused when %s', async (_name, read) => {
    const { send, app } = await proxiedApi(
      {},
      { before: [(request, _response, next) => (request.method === 'POST' ? read(request, next) : next())] },
    )
    const body = 'x'.repeat(100_000)
    expect((await send('/api/x', { method: 'POST', body })).status).toBe(500)
    expect(app.events.at(-1)).toMatchObject({ error: { reason: 'body_already_read' } })
  })
})
