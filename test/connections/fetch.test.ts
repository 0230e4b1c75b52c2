/** Requests to a provider's API: what each has by default, and what it costs. */
import { describe, expect, test } from 'vitest'
import { memoryConnectionStore, type RequestParameters } from '../../lib/index.js'
import type { ConnectionStore } from '../../lib/connections/connection-store.js'
import { startApi } from '../support/api.js'
import { startConnected } from '../support/connected.js'

async function startCalling(parameters: RequestParameters, store = memoryConnectionStore()) {
  const api = await startApi()
  const stage = await startConnected({
    store,
    providers: { projects: { allow: [`${api.url}/v1/`], parameters } },
  })
  return {
    ...stage,
    api,
    async send(body: RequestInit['body'], contentType?: string) {
      const headers = contentType === undefined ? {} : { 'content-type': contentType }
      await stage.connection.fetch(`${api.url}/v1/x`, { method: 'POST', body: body ?? null, headers })
      return api.requests.at(-1)?.body
    },
  }
}

describe('parameters that each request has', () => {
  test('stand in query and headers, unless the request has its own', async () => {
    const { connection, api } = await startCalling({
      query: { api_version: 2 },
      headers: { 'x-version': '2' },
    })
    await connection.fetch(`${api.url}/v1/x?a=1`)
    await connection.fetch(`${api.url}/v1/x?api_version=3`, { headers: { 'X-Version': '3' } })

    expect(api.requests.map(({ path, headers }) => [path, headers['x-version']])).toEqual([
      ['/v1/x?a=1&api_version=2', '2'],
      ['/v1/x?api_version=3', '3'],
    ])
  })

  test('stand in a body that is a form or the text of a JSON object, unless it has its own', async () => {
    const { send } = await startCalling({ body: { version: 2, 'dry"run': true } })
    const json = 'application/json; charset=utf-8'

    expect(await send(new URLSearchParams({ a: '1' }))).toBe('a=1&version=2&dry%22run=true')
    expect(await send(new URLSearchParams({ version: '' }))).toBe('version=&dry%22run=true')
    expect(await send('{ "a": 12345678901234567890 }', json)).toBe(
      '{"version":2,"dry\\"run":true, "a": 12345678901234567890 }',
    )
    expect(await send(' { }', 'APPLICATION/JSON')).toBe(' {"version":2,"dry\\"run":true }')
    expect(await send('{"version":null,"dry\\u0022run":0}', json)).toBe('{"version":null,"dry\\u0022run":0}')
    const form = new FormData()
    form.append('version', '3')
    form.append('file', new File(['text'], 'name.txt'))
    const sent = (await send(form)) ?? ''
    expect(sent.match(/(?<= )name="[^;\r]*/g)).toEqual(['name="version"', 'name="file"', 'name="dry%22run"'])
    expect(sent).toContain('filename="name.txt"')
    expect([...form.keys()]).toEqual(['version', 'file'])
  })

  test.each<[string, RequestInit['body'], string?]>([
    ['a list', '[{}]', 'application/json'],
    ['what is no JSON', '{"a":', 'application/json'],
    ['a text', '{"a":1}', 'text/plain'],
    ['JSON of another kind', '{"a":1}', 'application/json-patch+json'],
    ['bytes', new TextEncoder().encode('{"a":1}'), 'application/json'],
  ])('leave %s as it is', async (_what, body, type) => {
    const { send } = await startCalling({ body: { version: 2 } })
    expect(await send(body, type)).toBe(typeof body === 'string' ? body : '{"a":1}')
  })

  test.each<[RequestParameters, string]>([
    [{ query: { access_token: 'x' } }, 'query.access_token'],
    [{ query: { client_secret: 'x' } }, 'query.client_secret'],
    [{ headers: { 'Client-Secret': 'x' } }, 'headers.Client-Secret'],
    [{ headers: { authorization: 'x' } }, 'headers.authorization'],
    [{ body: { refresh_token: 'x' } }, 'body.refresh_token'],
    [{ body: { Password: 'x' } }, 'body.Password'],
    [{ body: { a: {} as string } }, 'body.a'],
    [{ body: { a: Number.NaN } }, 'body.a'],
    [{ bodies: {} } as RequestParameters, 'bodies'],
  ])('are no secrets: %j', async (parameters, option) => {
    await expect(startCalling(parameters)).rejects.toMatchObject({
      code: 'invalid_configuration',
      message: expect.stringContaining(option) as string,
    })
  })
})

test('a request with a good token reads its row once', async () => {
  const inner = memoryConnectionStore()
  const calls: string[] = []
  const noting = <T extends object>(object: T, kept: readonly string[] = []): T =>
    new Proxy(object, {
      get(target, name) {
        if (!kept.includes(String(name))) calls.push(String(name))
        return Reflect.get(target, name) as unknown
      },
    })
  const store: ConnectionStore = noting({ ...inner, shared: noting(inner.shared) }, ['shared'])
  const { connection, api } = await startCalling({}, store)
  await connection.fetch(`${api.url}/v1/x`)
  calls.length = 0

  await connection.fetch(`${api.url}/v1/x`)

  expect(calls).toEqual(['get'])
})
