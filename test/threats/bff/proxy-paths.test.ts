/** Threats to the address that a proxied request reaches, and to where its answer leads. */
import { createServer } from 'node:http'
import { describe, expect, it, onTestFinished } from 'vitest'
import { frameworks } from '../../support/app.js'
import { redirect } from '../../support/faulty-server/answer.js'
import { listening, stopped } from '../../support/listening.js'
import { ownScript, proxiedApi, raw } from '../../proxy/proxied.js'

const dots = [
  '..',
  '.',
  '%2e%2e',
  '.%2e',
  '%2E.',
  '%2e',
  '%252e%252e',
  '..;',
  '..;x=y',
  '.;',
  '%2e%2e;',
  '%2e%2e%3b',
  '%EF%BC%8E%EF%BC%8E',
  '%E2%80%A5',
  '..%00',
  '..%0d',
]
const slashes = [
  '/',
  '//',
  '\\',
  '%2f',
  '%2F',
  '%5c',
  '%5C',
  '%252f',
  '%255c',
  '%EF%BC%8F',
  '%EF%BC%BC',
  '/./',
  '%0a',
]
const controls = ['%00', '%01', '%0a', '%0d%0a', '%1f', '%7f', '%C2%85', '\x7f', '\x80', '\xa0', '\xff', '\t']

/** Ways to write an address that one server takes for another one than the next does. */
function spellings(canary: string): string[] {
  const host = new URL(canary).host
  const steps = dots.flatMap((dot) =>
    slashes.flatMap((slash) => [`/api/${dot}${slash}admin`, `/api/users/${dot}${slash}${dot}${slash}admin`]),
  )
  const notPlain = slashes.filter((slash) => slash !== '/')
  const hosts = notPlain.flatMap((slash) => [
    `/api/${slash}${host}/`,
    `/api${slash}${slash}${host}/`,
    `/api/x${slash}${host}`,
  ])
  const odd = controls.flatMap((control) => [`/api/a${control}b`, `/api/${control}`, `/api${control}/users`])
  const targets = [
    `${canary}/api/x`,
    `${canary}/api/../x`,
    `http://localhost@${host}/api/x`,
    `/api/x#@${host}`,
    `/api/x?a#b`,
    `//${host}/api/x`,
    `/\\${host}/api/x`,
    `/x/../api/y`,
    `${host}/api/x`,
    `@${host}/api`,
    `/api@${host}/x`,
    `/api:80@${host}/x`,
    `/api%40${host}/`,
    `/api;@${host}/x`,
  ]
  return [...steps, ...hosts, ...odd, ...targets]
}

describe('T109: the path', () => {
  it.each(frameworks)('T109: leads to the target, or nowhere: %s', async (framework) => {
    const reached: string[] = []
    const canary = createServer((request, response) => {
      reached.push(request.url ?? '')
      response.end()
    })
    const canaryUrl = await listening(canary)
    onTestFinished(() => stopped(canary))
    const { app, api, cookie } = await proxiedApi({}, { framework })
    const all = spellings(canaryUrl)
    expect(all.length).toBeGreaterThan(300)
    const head = Object.entries({ host: 'localhost', cookie, ...ownScript, connection: 'close' })
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('')
    const passed: string[] = []
    for (const target of all) {
      const answer = await raw(app.url, `GET ${target} HTTP/1.1\r\n${head}\r\n`)
      const status = Number(answer.split(' ', 2)[1])
      if (![400, 404].includes(status)) passed.push(`${status} ${JSON.stringify(target)}`)
    }
    // What is no slash to anybody else: text of a segment, which goes on as it came.
    expect(passed).toEqual([])
    expect(api.requests.map(({ path }) => path)).toEqual([])
    expect(reached).toEqual([])
  })

  it.each(frameworks)('T109: is spelled as a guard before the proxy reads it: %s', async (framework) => {
    const { send, api } = await proxiedApi(
      {},
      {
        framework,
        before: [
          (request, response, next) => {
            if (request.url?.startsWith('/api/admin')) response.end('guarded')
            else next()
          },
        ],
      },
    )
    for (const path of ['/api/%61dmin', '/api/%61%64min/x', '/api/admi%6e', '/api/admi%6E?x'])
      expect((await send(path)).status).toBe(400)
    expect(api.requests).toEqual([])
  })

  it('T109: only what is named in the option is done', async () => {
    const { send, api } = await proxiedApi({ methods: ['GET', 'POST'] })
    for (const method of ['PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD', 'TRACE', 'PROPFIND', 'PURGE']) {
      const { status, headers } = await send('/api/x', { method })
      expect([method, status, headers.allow]).toEqual([method, 405, 'GET, POST'])
    }
    expect(api.requests).toEqual([])
    await send('/api/x', {
      method: 'POST',
      headers: { 'x-http-method-override': 'DELETE', 'x-original-url': '/admin' },
    })
    expect(api.requests).toMatchObject([{ method: 'POST', path: '/v1/x' }])
    expect(api.requests[0]?.headers).not.toHaveProperty('x-http-method-override')
    expect(api.requests[0]?.headers).not.toHaveProperty('x-original-url')
  })

  it('T109: methods that open tunnels or echo headers never pass', async () => {
    const { send, api } = await proxiedApi()
    expect(await send('/api/x', { method: 'TRACE' })).toMatchObject({ status: 405 })
    expect(api.requests).toEqual([])
  })
})

describe('T110: a redirect', () => {
  it('T110: is never followed, and passed on only within the target', async () => {
    const { send, api, app } = await proxiedApi()
    const elsewhere = await proxiedApi()
    const outside = [
      `${elsewhere.api.url}/v1/x`,
      `${api.url}/admin`,
      '/',
      '/v1/%2e%2e/x',
      `//${new URL(elsewhere.api.url).host}/v1`,
      'https://127.0.0.1/v1/x',
      '/v1/..%2fx',
    ]
    for (const status of [301, 302, 303, 307, 308]) {
      for (const location of outside) {
        api.answer = () => redirect(location, status)
        const answer = await send('/api/x', { method: 'POST', body: 'secret' })
        expect(answer.status).toBe(502)
        expect(answer.headers.location).toBeUndefined()
        expect(JSON.parse(answer.body)).toMatchObject({ error: 'upstream_redirected' })
      }
      api.answer = () => redirect(`${api.url}/v1/y?z#a`, status)
      expect(await send('/api/x')).toMatchObject({ status, headers: { location: '/api/y?z#a' } })
    }
    expect(elsewhere.api.requests).toEqual([])
    expect(api.requests.map(({ path }) => path)).toEqual(Array(api.requests.length).fill('/v1/x'))
    expect(app.events).toContainEqual(
      expect.objectContaining({ type: 'request_failed', code: 'upstream_redirected' }),
    )
  })

  it('T110: what was made keeps its address to itself when it is elsewhere', async () => {
    const { send, api } = await proxiedApi()
    for (const [given, expected] of [
      ['/v1/items/7', '/api/items/7'],
      ['https://other.example/7', undefined],
    ] as const) {
      api.answer = () => ({
        status: 201,
        headers: { location: given, refresh: `0;url=${given}`, 'content-location': given },
        body: 'made',
      })
      const { status, headers } = await send('/api/items', { method: 'POST' })
      expect([status, headers.location, headers.refresh, headers['content-location']]).toEqual([
        201,
        expected,
        undefined,
        undefined,
      ])
    }
  })
})
