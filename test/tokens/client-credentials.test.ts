import { describe, expect, onTestFinished, test } from 'vitest'
import {
  clientCredentials,
  isOAuthError,
  type ClientCredentialsOptions,
  type OAuthEvent,
  type ServiceTokenRequest,
} from '../../lib/index.js'
import { startApi } from '../support/api.js'
import { everythingIn, leaks } from '../support/canaries.js'
import { startFaultyServer, type FaultyServerOptions } from '../support/faulty-server.js'
import { json, type Answer } from '../support/faulty-server/answer.js'
import type { Steps } from '../support/faulty-server/provider.js'
import { tokenResponse } from '../support/faulty-server/token.js'
import { travel } from '../support/time.js'

/** Seconds. */
const life = 3_600

interface World {
  options?: Partial<ClientCredentialsOptions>
  server?: FaultyServerOptions
}

/** An authorization server, an API and a service, which may call the API below /v1. */
async function world({ options, server: serverOptions }: World = {}) {
  const server = await startFaultyServer(serverOptions)
  onTestFinished(() => server.close())
  const api = await startApi()
  const events: OAuthEvent[] = []
  const service = clientCredentials({
    issuer: server.issuer,
    clientId: server.clientId,
    clientSecret: server.clientSecret,
    scope: 'read:projects',
    apis: [`${api.url}/v1/`],
    timeout: 20,
    onEvent: (event) => events.push(event),
    ...options,
  })
  return {
    server,
    api,
    events,
    service,
    issued: () => server.secrets.filter(({ role }) => role === 'access token').map(({ value }) => value),
    /** From now on the token endpoint answers so. */
    answer: (answer: Answer) => server.misbehave({ answerToken: () => answer }),
    sent: () => server.requests.filter(({ endpoint }) => endpoint === 'token').map(({ body }) => body),
    code: (request?: ServiceTokenRequest) => failure(service.accessToken(request)),
  }
}

async function failure(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'done',
    (error: unknown) => (isOAuthError(error) ? error.code : String(error)),
  )
}

async function errorOf(promise: Promise<unknown>) {
  const error = await promise.catch((thrown: unknown) => thrown)
  if (isOAuthError(error)) return error
  throw new Error('it did not fail')
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 10))
}

/** A token endpoint that answers when it is told to. */
function held(): { fault: Partial<Steps>; release: () => void } {
  let release = () => {}
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const answerToken: Steps['answerToken'] = async (_op, response) => {
    await released
    return json(response)
  }
  return { fault: { answerToken }, release }
}

const slow: Partial<Steps> = {
  answerToken: async (_op, response) => {
    await new Promise((resolve) => setTimeout(resolve, 100))
    return json(response)
  },
}

describe('an access token', () => {
  test('is asked for with the client’s credentials, kept, and asked for again when it is over', async () => {
    const { service, server, issued, sent, events } = await world()
    const first = await service.accessToken()
    expect([first, await service.accessToken()]).toEqual([issued()[0], issued()[0]])
    expect(Object.fromEntries(sent()[0] ?? [])).toEqual({
      grant_type: 'client_credentials',
      scope: 'read:projects',
    })
    travel(life)
    expect(await service.accessToken()).toBe(issued()[1])
    expect([server.counts.token, server.complaints]).toEqual([2, []])
    expect(events).toContainEqual({ type: 'token_issued', clientId: 'client-1', scope: ['read:projects'] })
  })

  test('is for what was asked: defaults, and what takes their place', async () => {
    const { service, sent } = await world({
      options: {
        resource: 'https://api.example.com',
        audience: 'api',
        parameters: { tenant: 'one', level: 2 },
      },
    })
    await service.accessToken()
    await service.accessToken({
      scope: 'write:projects read:projects',
      resource: 'https://b.example',
      audience: 'b',
    })
    await service.accessToken({ scope: '' })
    const common = { grant_type: 'client_credentials', tenant: 'one', level: '2' }
    const api = { resource: 'https://api.example.com', audience: 'api' }
    expect(sent().map((body) => Object.fromEntries(body))).toEqual([
      { ...common, ...api, scope: 'read:projects' },
      { ...common, scope: 'write:projects read:projects', resource: 'https://b.example', audience: 'b' },
      { ...common, ...api },
    ])
  })

  test('is asked for at a configured endpoint, and with each way of authenticating', async () => {
    for (const clientAuthentication of ['client_secret_basic', 'client_secret_post'] as const) {
      const { server } = await world({ server: { clientAuthentication } })
      const service = clientCredentials({
        endpoints: { token: `${server.issuer}/token` },
        clientId: server.clientId,
        clientSecret: server.clientSecret,
        tokenEndpointAuthMethod: clientAuthentication,
      })
      await service.accessToken()
      expect([server.counts.discovery, server.complaints]).toEqual([0, []])
    }
  })

  test('T42: a thousand mixed requests at once get the token of their own parameters', async () => {
    const { service, server, sent } = await world({ server: { fault: echoing } })
    const scopes = [undefined, '', 'a', 'b', 'a b', 'b a', 'a,b', '"a"', 'b'].filter((one) => one !== '"a"')
    const resources = [undefined, 'https://a.example', 'https://b.example', 'https://a.example/b']
    const audiences = [undefined, 'https://a.example', 'a', 'b', 'a b', 'a","b', 'null', '["a"]']
    const sets = scopes.flatMap((scope) =>
      resources.flatMap((resource) =>
        audiences.map((audience) => ({
          ...(scope !== undefined && { scope }),
          ...(resource !== undefined && { resource }),
          ...(audience !== undefined && { audience }),
        })),
      ),
    )
    const requests = Array.from({ length: 1_000 }, (_, index) => sets[(index * 7) % sets.length] ?? {})
    const tokens = await Promise.all(requests.map((request) => service.accessToken(request)))
    const mismatches = tokens.filter((token, index) => decoded(token) !== described(requests[index] ?? {}))
    expect(mismatches).toEqual([])
    const distinct = new Set(requests.map(described)).size
    expect([distinct, server.counts.token]).toEqual([new Set(sets.map(described)).size, distinct])
    const later = await Promise.all(requests.map((request) => service.accessToken(request)))
    expect([later, sent().length]).toEqual([tokens, distinct])
  })

  /** Access tokens that say what they were asked for with. */
  const echoing: Partial<Steps> = {
    tokenResponse: async (op, authorization) => {
      const { parameters } = authorization
      const [scope, resource, audience] = ['scope', 'resource', 'audience'].map((name) =>
        parameters.get(name),
      )
      const text = describedAs(scope ?? '', resource ?? '', audience ?? '')
      const access_token = Buffer.from(text).toString('base64url')
      return { ...(await tokenResponse(op, authorization)), access_token }
    },
  }
  const describedAs = (scope: string, resource: string, audience: string) =>
    JSON.stringify([scope.split(' ').toSorted(), resource, audience])
  const described = ({ scope = 'read:projects', resource = '', audience = '' }: ServiceTokenRequest) =>
    describedAs(scope, resource, audience)
  const decoded = (token: string) => Buffer.from(token, 'base64url').toString()

  test('T42: further parameters and other services share no token', async () => {
    const { server } = await world()
    const common = { issuer: server.issuer, clientId: server.clientId, clientSecret: server.clientSecret }
    const services = [{}, { parameters: { tenant: 'a' } }, { parameters: { tenant: 'b' } }].map((options) =>
      clientCredentials({ ...common, ...options }),
    )
    const tokens = await Promise.all(services.map((service) => service.accessToken()))
    expect(new Set(tokens).size).toBe(3)
  })

  test('a hundred requests at once are one', async () => {
    const { service, server } = await world({ server: { fault: slow } })
    const tokens = await Promise.all(Array.from({ length: 100 }, () => service.accessToken()))
    expect([new Set(tokens).size, server.counts.token]).toEqual([1, 1])
  })

  test('that is only due serves while the next one is fetched', async () => {
    const { service, server, issued } = await world()
    await service.accessToken()
    travel(life - 100)
    await service.accessToken()
    expect(server.counts.token).toBe(1)
    travel(61)
    const { fault, release } = held()
    server.misbehave(fault)
    const tokens = await Promise.all(Array.from({ length: 50 }, () => service.accessToken()))
    expect(new Set(tokens)).toEqual(new Set([issued()[0]]))
    release()
    await until(async () => (await service.accessToken()) === issued()[1])
    expect(server.counts.token).toBe(2)
  })

  test('that is over makes everybody wait for the next one', async () => {
    const { service, server, issued } = await world()
    await service.accessToken()
    travel(life)
    server.misbehave(slow)
    const tokens = await Promise.all(Array.from({ length: 50 }, () => service.accessToken()))
    expect([new Set(tokens), server.counts.token]).toEqual([new Set([issued()[1]]), 2])
  })

  test('can be wanted for longer, and anew', async () => {
    const { service, server, issued } = await world()
    await service.accessToken()
    travel(1_000)
    expect(await service.accessToken({ minimumLifetime: 1_500 })).toBe(issued()[0])
    travel(1_700)
    expect(await service.accessToken({ minimumLifetime: 1_500 })).toBe(issued()[1])
    // Longer than any token lives here: the server is not asked each time.
    for (let call = 0; call < 5; call++) await service.accessToken({ minimumLifetime: 10_000 })
    expect(server.counts.token).toBe(2)
    expect(await service.accessToken({ forceRefresh: true })).toBe(issued()[2])
    expect(await service.accessToken()).toBe(issued()[2])
  })

  test('without expires_in is kept for five minutes', async () => {
    const { service, server, issued } = await world({ server: { fault: 'client-expires-in-absent' } })
    await service.accessToken()
    travel(299)
    expect(await service.accessToken()).toBe(issued()[0])
    travel(1)
    expect(await service.accessToken()).toBe(issued()[1])
    expect(server.counts.token).toBe(2)
  })

  test('that is over at once is not kept', async () => {
    const { service, issued } = await world({ server: { fault: 'client-expires-in-zero' } })
    expect([await service.accessToken(), await service.accessToken()]).toEqual([issued()[0], issued()[1]])
  })

  test('there are a thousand of at most', async () => {
    const { service, server } = await world()
    for (let index = 0; index < 1_001; index++) await service.accessToken({ audience: `api ${index}` })
    await service.accessToken({ audience: 'api 1' })
    expect(server.counts.token).toBe(1_001)
    await service.accessToken({ audience: 'api 0' })
    expect(server.counts.token).toBe(1_002)
  })

  test.each<[string, string, Partial<ServiceTokenRequest>]>([
    ['client-scope-narrower', 'insufficient_scope', { scope: 'read:projects write:projects' }],
    ['client-scope-empty', 'insufficient_scope', {}],
    ['client-scope-absent', 'done', { scope: 'read:projects write:projects' }],
    ['client-scope-narrower', 'done', { scope: '' }],
    ['client-expires-in-text', 'done', {}],
    ['client-refresh-token', 'done', {}],
    ['client-token-type-dpop', 'invalid_server_response', {}],
    ['client-token-illegal', 'invalid_server_response', {}],
    ['token-error-invalid-scope', 'invalid_scope', {}],
    ['token-error-unauthorized-client', 'unauthorized_client', {}],
    ['token-error-invalid-client', 'invalid_client', {}],
    ['token-empty-200', 'invalid_server_response', {}],
    ['token-empty-400', 'invalid_server_response', {}],
    ['token-html', 'invalid_server_response', {}],
    ['token-redirect', 'invalid_server_response', {}],
    ['token-huge', 'invalid_server_response', {}],
    ['token-500', 'server_unavailable', {}],
    ['token-503', 'server_unavailable', {}],
    ['token-429', 'server_unavailable', {}],
    ['token-hang', 'server_unavailable', {}],
    ['token-reset', 'server_unavailable', {}],
    ['discovery-down', 'server_unavailable', {}],
    ['discovery-issuer-slash', 'invalid_server_metadata', {}],
  ])('at a server with %s: %s', async (fault, code, request) => {
    const { service, server, events } = await world({
      server: { fault: fault as never },
      ...(fault === 'token-hang' && { options: { timeout: 1 } }),
    })
    expect(await failure(service.accessToken(request))).toBe(code)
    expect(server.elsewhere).toEqual([])
    const told = events.find(({ type }) => type.startsWith('token_'))
    expect(told).toMatchObject(code === 'done' ? { type: 'token_issued' } : { type: 'token_failed', code })
    expect(leaks([{ where: 'events', text: everythingIn(events) }], server.secrets)).toEqual([])
  })

  test('of less than was asked for is an error that says what is missing, and is never given out', async () => {
    const { service, server } = await world({ server: { fault: 'client-scope-narrower' } })
    const request = { scope: 'read:projects write:projects' }
    const error = await errorOf(service.accessToken(request))
    expect(error).toMatchObject({
      code: 'insufficient_scope',
      status: 500,
      scope: ['read:projects', 'write:projects'],
      message:
        'the authorization server granted "read:projects" of the requested "read:projects write:projects"',
    })
    travel(6)
    expect(await failure(service.accessToken(request))).toBe('insufficient_scope')
    // Of others who ask for less it is none of their business.
    expect(await failure(service.accessToken())).toBe('done')
    expect(server.counts.token).toBe(3)
  })
})

describe('a server in trouble', () => {
  test.each<[string, Answer]>([
    ['that is down', (response) => void response.destroy()],
    ['that hangs', () => undefined],
    ['with a 500', json({}, 500)],
  ])('%s is left alone, longer each time, and a good token serves', async (what, answer) => {
    const {
      service,
      server,
      answer: answerWith,
      issued,
      code,
      events,
    } = await world({
      ...(what === 'that hangs' && { options: { timeout: 1 } }),
    })
    await service.accessToken()
    travel(life - 30)
    answerWith(answer)
    for (let call = 0; call < 5; call++) expect(await service.accessToken()).toBe(issued()[0])
    await until(() => events.some(({ type }) => type === 'token_failed'))
    for (let call = 0; call < 5; call++) expect(await service.accessToken()).toBe(issued()[0])
    expect(server.counts.token).toBe(2)
    travel(30)
    expect(await code()).toBe('server_unavailable')
    expect(server.counts.token).toBe(3)
    for (let call = 0; call < 50; call++) expect(await code()).toBe('server_unavailable')
    expect(server.counts.token).toBe(3)
    travel(9)
    expect([await code(), server.counts.token]).toEqual(['server_unavailable', 3])
    server.misbehave()
    travel(1)
    expect([await code(), server.counts.token]).toEqual(['done', 4])
  })

  test('for a day is asked once a minute at most', async () => {
    const { server, code, answer } = await world()
    answer(json({}, 503))
    for (let second = 0; second < 3_600; second += 1) {
      await code()
      travel(1)
    }
    expect(server.counts.token).toBeLessThan(65)
    expect(server.counts.token).toBeGreaterThan(55)
  })

  test.each<[string, (now: number) => string, number]>([
    ['seconds', () => '40', 40],
    ['a date', (now) => new Date(now + 40_000).toUTCString(), 40],
    ['too long', () => '86400', 300],
  ])(
    'that asks to wait, in %s, is left alone by all requests of this client',
    async (_what, asks, seconds) => {
      const { service, server, answer, issued, code } = await world()
      await service.accessToken()
      travel(life - 20)
      answer(json({ error: 'slow_down' }, 429, { 'retry-after': asks(Date.now()) }))
      const error = await errorOf(service.accessToken({ scope: 'another' }))
      expect(error).toMatchObject({ code: 'server_unavailable', reason: 'status_429' })
      expect(await service.accessToken()).toBe(issued()[0])
      expect(await service.accessToken({ minimumLifetime: 100 })).toBe(issued()[0])
      expect(await code({ forceRefresh: true })).toBe('server_unavailable')
      travel(seconds - 10)
      const waiting = await errorOf(service.accessToken({ scope: 'a third' }))
      expect(waiting.headers['retry-after']).toBe('10')
      expect(server.counts.token).toBe(2)
      server.misbehave()
      travel(11)
      expect([await code(), server.counts.token]).toEqual(['done', 3])
    },
  )

  test('that refuses the credentials is not asked again and again, by whatever request', async () => {
    const { server, code } = await world({ options: { clientSecret: 'a wrong one' } })
    for (let call = 0; call < 50; call++) {
      expect(await code({ scope: `scope-${call}` })).toBe('invalid_client')
    }
    expect(server.counts.token).toBe(1)
    travel(6)
    await code()
    expect(server.counts.token).toBe(2)
  })

  test('that refuses one scope is asked for others', async () => {
    const { server, code } = await world()
    server.misbehave('token-error-invalid-scope')
    for (let call = 0; call < 5; call++) expect(await code({ scope: 'unknown' })).toBe('invalid_scope')
    server.misbehave()
    expect([await code({ scope: 'unknown' }), await code()]).toEqual(['invalid_scope', 'done'])
    expect(server.counts.token).toBe(2)
  })

  test('fails once when it fails twenty requests that were under way together', async () => {
    const { server, code, answer } = await world()
    answer(json({}, 503))
    await Promise.all(Array.from({ length: 20 }, (_, index) => code({ scope: `scope-${index}` })))
    server.misbehave()
    travel(5)
    expect([await code(), server.counts.token]).toEqual(['done', 21])
  })

  test('that comes back is asked at the first pause again when it fails anew', async () => {
    const { server, code, answer } = await world()
    answer(json({}, 503))
    for (const pause of [5, 10, 20]) {
      await code()
      travel(pause)
    }
    server.misbehave()
    expect(await code()).toBe('done')
    answer(json({}, 503))
    await code({ scope: 'x' })
    travel(6)
    server.misbehave()
    expect(await code({ scope: 'x' })).toBe('done')
  })
})

test('the secret can change while the service runs', async () => {
  const { server, service } = await world({ options: { clientSecret: ['the old one', 'the new one'] } })
  server.changeSecret('the old one')
  await service.accessToken()
  server.changeSecret('the new one')
  for (let call = 0; call < 5; call++) await service.accessToken({ forceRefresh: true })
  expect(server.complaints).toEqual(['token request: wrong client id or secret'])
})

describe('fetch', () => {
  test('sends the token of the API, and hands back what it answers', async () => {
    const { service, api, issued } = await world()
    const response = await service.fetch(`${api.url}/v1/projects?page=2`, {
      method: 'POST',
      headers: { 'x-own': 'header' },
      body: 'a body',
    })
    expect([response.status, await response.json()]).toEqual([200, { ok: true }])
    expect(api.requests).toMatchObject([
      {
        method: 'POST',
        path: '/v1/projects?page=2',
        body: 'a body',
        headers: { authorization: `Bearer ${issued()[0]}`, 'x-own': 'header' },
      },
    ])
    await service.fetch(new URL(`${api.url}/v1/`))
    expect([api.tokens, issued().length]).toEqual([[issued()[0], issued()[0]], 1])
  })

  test('asks for what an API is listed with', async () => {
    const { server, api } = await world()
    const service = clientCredentials({
      issuer: server.issuer,
      clientId: server.clientId,
      clientSecret: server.clientSecret,
      scope: 'read:projects',
      apis: [
        `${api.url}/v1/`,
        { url: `${api.url}/v1/admin/`, scope: 'admin:read', audience: 'admin' },
        { url: `${api.url}/v2`, resource: 'https://v2.example' },
      ],
    })
    for (const path of ['/v1/x', '/v1/admin/x', '/v2', '/v2/y']) await service.fetch(api.url + path)
    const sent = server.requests.filter(({ endpoint }) => endpoint === 'token')
    expect(sent.map(({ body }) => Object.fromEntries(body))).toMatchObject([
      { scope: 'read:projects' },
      { scope: 'admin:read', audience: 'admin' },
      { scope: 'read:projects', resource: 'https://v2.example' },
    ])
    expect(api.tokens[2]).toBe(api.tokens[3])
    expect(new Set(api.tokens).size).toBe(3)
  })

  test('T109 asks for no token and sends nothing to any address that is not listed', async () => {
    const { service, api, server } = await world()
    const other = await startApi()
    const { host } = new URL(api.url)
    const addresses = [
      `${other.url}/v1/`,
      `${api.url}/v1x`,
      `${api.url}/v1`,
      `${api.url}/v1/../admin`,
      `${api.url}/v1/%2e%2e/admin`,
      `${api.url}/v1/..%2fadmin`,
      `${api.url}/v1//x`,
      `http://user@${host}/v1/`,
      `http://${host}@${new URL(other.url).host}/v1/`,
      `https://${host}/v1/`,
      `http://${host.replace('127.0.0.1', '0x7f.1')}/v1/`,
      `http://${host.replace('127.0.0.1', '2130706433')}/v1/`,
      `http://${host.replace('127.0.0.1', '[::ffff:127.0.0.1]')}/v1/`,
      `http://${host.replace('127.0.0.1', 'localhost')}/v1/`,
      `http:\\\\${host}\\v1\\`,
      `//${host}/v1/`,
      '/v1/',
    ]
    for (const address of addresses) {
      expect([address, await failure(service.fetch(address))]).toEqual([address, 'url_not_allowed'])
    }
    const request = new Request(`${api.url}/v1/x`)
    expect(await failure(service.fetch(request as never))).toBe('url_not_allowed')
    expect([server.counts.discovery, server.counts.token, api.requests, other.requests]).toEqual([
      0,
      0,
      [],
      [],
    ])
  })

  test('without a list goes nowhere', async () => {
    const { service, api } = await world({ options: { apis: [] } })
    const error = await errorOf(service.fetch(`${api.url}/v1/`))
    expect([error.code, error.reason, error.hint]).toEqual([
      'url_not_allowed',
      'not_listed',
      expect.stringContaining('"apis"'),
    ])
  })

  test.each([301, 302, 303, 307, 308])('T110 hands back a redirect %i and follows none', async (status) => {
    const { service, api } = await world()
    const other = await startApi()
    api.answer = () => ({ status, headers: { location: `${other.url}/v1/` }, body: '' })
    const response = await service.fetch(`${api.url}/v1/`)
    expect([response.status, response.headers.get('location')]).toEqual([status, `${other.url}/v1/`])
    expect([api.requests.length, other.requests.length]).toEqual([1, 0])
  })

  test('T110 gives out no answer of a fetch that follows redirects by itself', async () => {
    const { server, api } = await world()
    const other = await startApi()
    api.answer = () => ({ status: 302, headers: { location: `${other.url}/` }, body: '' })
    const service = clientCredentials({
      issuer: server.issuer,
      clientId: server.clientId,
      clientSecret: server.clientSecret,
      apis: [api.url],
      fetch: async (url, init) => fetch(url, { ...init, redirect: 'follow' }),
    })
    expect(await failure(service.fetch(`${api.url}/v1/`))).toBe('invalid_server_response')
  })

  test.each<[string, RequestInit]>([
    ['to follow redirects', { redirect: 'follow' }],
    [
      'that is a Request, whose body a copy has not',
      new Request('http://localhost', { method: 'POST', body: 'lost', redirect: 'manual' }),
    ],
    ['to fail on redirects', { redirect: 'error' }],
    ['with credentials of its own', { headers: { Authorization: 'Bearer another' } }],
    ['with credentials in a list', { headers: [['authorization', 'Basic x']] }],
    ['for another host behind the same address', { headers: new Headers({ host: 'evil.example' }) }],
  ])('T111 refuses a request %s before a token is asked for', async (_what, init) => {
    const { service, api, server } = await world()
    const error = await errorOf(service.fetch(`${api.url}/v1/`, init))
    expect([error.code, error.message]).toEqual(['invalid_configuration', expect.stringContaining('fetch')])
    expect(error.message).not.toContain('another')
    expect([server.counts.token, api.requests]).toEqual([0, []])
  })

  test('T111 leaves no token in what the caller has passed', async () => {
    const { service, api } = await world()
    const headers = new Headers({ 'x-own': '1' })
    const init: RequestInit = { headers }
    await service.fetch(`${api.url}/v1/`, init)
    expect([Object.keys(init), init.headers, [...headers.keys()]]).toEqual([['headers'], headers, ['x-own']])
  })

  /** The API takes the newest token only. */
  const takesNewest = (api: Awaited<ReturnType<typeof startApi>>, refused: () => readonly string[]) => {
    api.answer = (_request, token) => (refused().includes(token) ? json({}, 401) : json({ ok: true }))
  }

  test.each<[string, RequestInit]>([
    ['without a body', {}],
    ['with a text', { method: 'POST', body: 'text' }],
    ['with bytes', { method: 'POST', body: Buffer.from('text') }],
    ['with a buffer', { method: 'POST', body: new TextEncoder().encode('text').buffer }],
    ['with a form', { method: 'POST', body: new URLSearchParams({ a: 'text' }) }],
  ])('repeats a request %s once with a new token when the API refuses the old one', async (_what, init) => {
    const { service, api, server, issued } = await world()
    const revoked = await service.accessToken()
    takesNewest(api, () => [revoked])
    const response = await service.fetch(`${api.url}/v1/`, init)
    expect([response.status, api.tokens, server.counts.token]).toEqual([200, issued(), 2])
    expect(api.requests[1]?.body).toBe(api.requests[0]?.body)
    await service.fetch(`${api.url}/v1/`, init)
    expect(server.counts.token).toBe(2)
  })

  test('does not repeat a stream, but has another token for the next request', async () => {
    const { service, api, issued } = await world()
    const revoked = await service.accessToken()
    takesNewest(api, () => [revoked])
    const body = () => new Blob(['text']).stream()
    const post = async () => service.fetch(`${api.url}/v1/`, { method: 'POST', body: body(), duplex: 'half' })
    expect([(await post()).status, api.requests.length]).toEqual([401, 1])
    await until(async () => (await service.accessToken()) === issued()[1])
    expect([(await post()).status, api.tokens.at(-1)]).toEqual([200, issued()[1]])
  })

  test('fifty requests with a token that was revoked fetch one other', async () => {
    const { service, api, server } = await world({ server: { fault: slow } })
    const revoked = await service.accessToken()
    takesNewest(api, () => [revoked])
    const responses = await Promise.all(Array.from({ length: 50 }, () => service.fetch(`${api.url}/v1/`)))
    expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([200]))
    expect(server.counts.token).toBe(2)
  })

  test('a refusal that comes late, when there is another token already, fetches none', async () => {
    const { service, api, server, issued } = await world()
    const revoked = await service.accessToken()
    let refuse = () => {}
    api.answer = ({ path }, token) => {
      if (token !== revoked) return json({})
      if (path !== '/v1/late') return json({}, 401)
      return (response) => (refuse = () => void response.writeHead(401).end())
    }
    const late = service.fetch(`${api.url}/v1/late`)
    await until(() => api.requests.length === 1)
    expect((await service.fetch(`${api.url}/v1/`)).status).toBe(200)
    travel(61)
    refuse()
    expect([(await late).status, api.tokens.at(-1), server.counts.token]).toEqual([200, issued()[1], 2])
  })

  test('an API that refuses every token costs one more, and gets no third request', async () => {
    const { service, api, server } = await world()
    api.answer = () => json({ why: 'because' }, 401)
    const response = await service.fetch(`${api.url}/v1/`)
    expect([response.status, await response.json()]).toEqual([401, { why: 'because' }])
    expect([api.requests.length, server.counts.token]).toEqual([2, 2])
    for (let call = 0; call < 20; call++) expect((await service.fetch(`${api.url}/v1/`)).status).toBe(401)
    expect([api.requests.length, server.counts.token]).toEqual([22, 2])
    travel(60)
    await service.fetch(`${api.url}/v1/`)
    expect([api.requests.length, server.counts.token]).toEqual([24, 3])
  })

  test('the refusal is handed back whole when no other token can be had', async () => {
    const { service, api, server, answer } = await world()
    await service.accessToken()
    answer(json({}, 503))
    api.answer = () => json({ why: 'because' }, 401)
    const response = await service.fetch(`${api.url}/v1/`)
    expect([response.status, await response.json()]).toEqual([401, { why: 'because' }])
    server.misbehave()
    travel(6)
    api.answer = (_request, token) => json({}, token === api.tokens[0] ? 401 : 200)
    expect((await service.fetch(`${api.url}/v1/`)).status).toBe(200)
  })

  test('a server that gives the same token again has it sent once', async () => {
    const { service, api, server } = await world({
      server: {
        fault: {
          tokenResponse: async (op, authorization) => ({
            ...(await tokenResponse(op, authorization)),
            access_token: 'the-only-one',
          }),
        },
      },
    })
    api.answer = () => json({}, 401)
    for (let call = 0; call < 3; call++) await service.fetch(`${api.url}/v1/`)
    expect([api.requests.length, server.counts.token]).toEqual([3, 2])
  })

  test('other refusals of the API are no business of ours', async () => {
    const { service, api, server } = await world()
    for (const status of [400, 403, 404, 500, 503]) {
      api.answer = () => json({}, status)
      expect((await service.fetch(`${api.url}/v1/`)).status).toBe(status)
    }
    expect([api.requests.length, server.counts.token]).toEqual([5, 1])
  })
})

describe('a mistake is refused with what is wrong and what to do', () => {
  const good = { issuer: 'https://auth.example.com', clientId: 'service', clientSecret: 'of the service' }

  test.each<[Record<string, unknown>, string]>([
    [
      { clientSecret: undefined },
      '"clientSecret" is missing; give it, or "privateKey": a client that cannot prove',
    ],
    [{ clientSecret: undefined, tokenEndpointAuthMethod: 'none' }, '"clientSecret" is missing'],
    [{ tokenEndpointAuthMethod: 'none' }, '"tokenEndpointAuthMethod" is "none" beside credentials'],
    [{ clientSecret: [] }, '"clientSecret" is an empty list'],
    [{ clientId: '' }, '"clientId" is not a string with content'],
    [{ issuer: undefined }, '"issuer" is missing'],
    [{ issuer: 'http://auth.example.com' }, '"issuer" is "http://auth.example.com"; give an https URL'],
    [{ issuer: undefined, endpoints: {} }, '"endpoints.token" is missing'],
    [{ endpoints: { token: 'http://a.example' } }, '"endpoints.token" "http://a.example" is not https'],
    [{ scope: 'read,write now ' }, '"scope" is "read,write now "'],
    [{ scope: 'openid read' }, '"scope" has "openid"; remove it: there is no user here'],
    [{ scope: 'offline_access' }, '"scope" has "offline_access"; remove it'],
    [{ resource: 'api' }, '"resource" is "api"'],
    [{ audience: '' }, '"audience" is not a string with content'],
    [{ parameters: { grant_type: 'password' } }, '"parameters.grant_type" is not yours to set'],
    [{ parameters: { client_secret: 'x' } }, '"parameters.client_secret" is not yours to set'],
    [{ apis: 'https://api.example.com' }, '"apis" is not a list'],
    [
      { apis: ['http://api.example.com'] },
      'option "apis[0].url" is "http://api.example.com"; give an absolute https',
    ],
    [{ apis: ['https://*.example.com'] }, 'give an absolute https URL'],
    [
      { apis: [{ url: 'https://a.example', scopes: 'x' }] },
      'option "apis[0].scopes" is not known; did you mean "scope"?',
    ],
    [{ apis: [{ url: 'https://a.example', scope: 'openid' }] }, '"apis[0].scope" has "openid"'],
    [{ apis: [null] }, 'option "apis[0]" is null; give an object with url'],
    [{ timeout: 0 }, '"timeout" is 0'],
    [{ fetch: 'x' }, '"fetch" is "x"; give a function'],
    [{ scopes: 'x' }, '"scopes" is not known; did you mean "scope"?'],
  ])('%j', (change, message) => {
    expect(() => clientCredentials({ ...good, ...change })).toThrow(message)
  })

  test.each<[Record<string, unknown>, string]>([
    [{ scopes: 'x' }, '"scopes" is not known'],
    [{ scope: 'openid' }, '"scope" has "openid"'],
    [{ scope: 'a  b' }, '"scope" is "a  b"'],
    [{ resource: 'x' }, '"resource" is "x"'],
    [{ audience: '' }, '"audience" is not a string'],
    [{ minimumLifetime: -1 }, '"minimumLifetime" is -1'],
  ])('also in a request: %j', async (request, message) => {
    await expect(clientCredentials(good).accessToken(request)).rejects.toThrow(message)
  })
})
