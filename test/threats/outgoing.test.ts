/** Threats to requests that carry an access token: sent elsewhere, taken along, loaded with what is not theirs, repeated without end. */
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { isOAuthError } from '../../lib/index.js'
import { startApi } from '../support/api.js'
import { storages } from '../support/app.js'
import { caller, startCalling } from '../support/calling.js'
import { leaks } from '../support/canaries.js'
import { json } from '../support/faulty-server/answer.js'
import { kinds, startInstances } from '../support/instances.js'
import { travel } from '../support/time.js'

/** Seconds. */
const life = 3_600

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'done',
    (error: unknown) => (isOAuthError(error) ? error.code : String(error)),
  )
}

describe('T109 an address that only looks like a listed one', () => {
  /** `here` is the API, `there` somebody else's server. */
  const addresses = (here: URL, there: URL): readonly string[] => {
    const on = (host: string) => `http://${host}:${here.port}/v1/x`
    return [
      // Another place.
      `${there.origin}/v1/x`,
      `http://127.0.0.1/v1/x`,
      `https://${here.host}/v1/x`,
      `ftp://${here.host}/v1/x`,
      `ws://${here.host}/v1/x`,
      `file://${here.host}/v1/x`,
      `blob:${here.origin}/v1/x`,
      `data:text/plain,${here.origin}/v1/x`,
      // User names.
      `http://${here.host}@${there.host}/v1/x`,
      `http://${here.host}%40${there.host}/v1/x`,
      `http://${here.host}:x@${there.host}/v1/x`,
      `http://${here.host}\\@${there.host}/v1/x`,
      `http://${there.host}\\@${here.host}/v1/x`,
      `http://${here.host}#@${there.host}/v1/x`,
      `http://${here.host}?@${there.host}/v1/x`,
      `http://user@${here.host}/v1/x`,
      `http://@${here.host}/v1/x`,
      // Out of the path.
      here.origin,
      `${here.origin}/v1`,
      `${here.origin}/v1x`,
      `${here.origin}/V1/x`,
      `${here.origin}/v2/../v1/x`,
      `${here.origin}/v1/../admin`,
      `${here.origin}/v1/%2e%2e/admin`,
      `${here.origin}/v1/.%2E/admin`,
      `${here.origin}/v1/%252e%252e/admin`,
      `${here.origin}/v1/..%2fadmin`,
      `${here.origin}/v1/..%5cadmin`,
      `${here.origin}/v1/a%2f..%2fadmin`,
      `${here.origin}/v1\\..\\admin`,
      `${here.origin}/v1/..;/admin`,
      `${here.origin}/v1;x=/../admin`,
      `${here.origin}/v1/．．/admin`,
      `${here.origin}/v1/%EF%BC%8E%EF%BC%8E/admin`,
      `${here.origin}/v1/%c0%ae%c0%ae/admin`,
      `${here.origin}/v1//x`,
      `${here.origin}//v1/x`,
      `${here.origin}//${there.host}/v1/x`,
      `${here.origin}/v1/x%00`,
      // The same address by other names.
      ...['127.1', '127.0.1', '0x7f.1', '0x7f000001', '2130706433', '017700000001', '0177.0.0.1'].map(on),
      ...['127.0.0.1.', '127。0。0。1', '１２７.0.0.1', '①②⑦.0.0.1', '127.0.0.1%2e'].map(on),
      ...['[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::1]', '[0:0:0:0:0:0:0:1]', '[::]'].map(on),
      ...['localhost', 'localhost.', '0', '0.0.0.0', '127.0.0.2'].map(on),
      // Odd ways of writing it.
      `HTTP://${here.host}/v1/x`,
      `http:/${here.host}/v1/x`,
      `http:${here.host}/v1/x`,
      `http:///${here.host}/v1/x`,
      `http:\\\\${here.host}\\v1\\x`,
      `//${here.host}/v1/x`,
      '/v1/x',
      ` ${here.origin}/v1/x`,
      `${here.origin}/v1/x\n`,
      `${here.origin}/v1/.\t./admin`,
      `http://${here.hostname}:0${here.port}/v1/x`,
      '',
    ]
  }

  test.each(storages)('is refused before a token is asked for, with storage "%s"', async (storage) => {
    const { api, user, server } = await startCalling({ storage })
    const [elsewhere, one] = [await startApi(), await user()]
    // From now on whoever asks for a token causes a refresh.
    travel(life + 1)
    const outcomes = await one.call(async (auth) =>
      Promise.all(
        addresses(new URL(api.url), new URL(elsewhere.url)).map(async (address) => [
          address,
          await codeOf(auth.fetch(address)),
        ]),
      ),
    )
    expect(outcomes).toEqual(outcomes.map(([address]) => [address, 'url_not_allowed']))
    expect([elsewhere.requests, api.requests, server.counts.token]).toEqual([[], [], 1])
    await one.fetch(`${api.url}/v1/x`)
    expect([api.requests.length, server.counts.token]).toEqual([1, 2])
  })

  test('nothing at all is listed unless the app lists it', async () => {
    const { api, user, server } = await startCalling({ options: () => ({ apis: [] }) })
    const one = await user()
    travel(life + 1)
    for (const url of [api.url, server.issuer, `${server.issuer}/userinfo`])
      expect(await codeOf(one.fetch(url))).toBe('url_not_allowed')
    expect([api.requests, server.counts.token]).toEqual([[], 1])
  })

  test('an object is no address, whatever its text says', async () => {
    const { api, user } = await startCalling()
    const one = await user()
    const liars: unknown[] = [
      { toString: () => `${api.url}/v1/x` },
      { href: `${api.url}/v1/x` },
      new Request(`${api.url}/v1/x`),
      [`${api.url}/v1/x`],
      null,
      undefined,
    ]
    for (const liar of liars) expect(await codeOf(one.fetch(liar as never))).toBe('url_not_allowed')
    expect(api.requests).toEqual([])
  })

  test('what is changed in the options later changes nothing', async () => {
    const elsewhere = await startApi()
    const apis = [{ url: 'https://api.example.com/' }]
    const { user } = await startCalling({ options: () => ({ apis }) })
    apis[0] = { url: elsewhere.url }
    apis.push({ url: elsewhere.url })
    expect(await codeOf((await user()).fetch(elsewhere.url))).toBe('url_not_allowed')
    expect(elsewhere.requests).toEqual([])
  })
})

describe('T110 a redirect', () => {
  test.each([301, 302, 303, 307, 308])('%i to somebody else is handed back', async (status) => {
    const { api, user } = await startCalling()
    const elsewhere = await startApi()
    api.answer = () => ({ status, headers: { location: `${elsewhere.url}/v1/` }, body: 'moved' })
    const response = await (await user()).fetch(`${api.url}/v1/`, { method: 'POST', body: 'x' })
    expect([response.status, response.headers.get('location')]).toEqual([status, `${elsewhere.url}/v1/`])
    expect([await response.text(), api.requests.length, elsewhere.requests]).toEqual(['moved', 1, []])
  })

  test('is not followed in answer to a repeated request either', async () => {
    const { api, user } = await startCalling()
    const elsewhere = await startApi()
    api.answer = () =>
      api.requests.length === 1
        ? json({}, 401)
        : { status: 307, headers: { location: elsewhere.url }, body: '' }
    expect((await (await user()).fetch(`${api.url}/v1/`)).status).toBe(307)
    expect([api.requests.length, elsewhere.requests]).toEqual([2, []])
  })

  test('that the option "fetch" has followed gives nothing out', async () => {
    const { api, user } = await startCalling({
      options: () => ({ fetch: async (url, init) => fetch(url, { ...init, redirect: 'follow' }) }),
    })
    api.answer = ({ path }) =>
      path === '/v1/' ? { status: 302, headers: { location: '/elsewhere' }, body: '' } : json({})
    expect(await codeOf((await user()).fetch(`${api.url}/v1/`))).toBe('invalid_server_response')
  })

  test.each(['follow', 'error'] as const)('cannot be asked for: "%s"', async (redirect) => {
    const { api, user, server } = await startCalling()
    const one = await user()
    travel(life + 1)
    expect(await codeOf(one.fetch(`${api.url}/v1/`, { redirect }))).toBe('invalid_configuration')
    expect([api.requests, server.counts.token]).toEqual([[], 1])
  })
})

describe('T111 what goes along with a token', () => {
  test.each<[string, NonNullable<RequestInit['headers']>]>([
    ['credentials', { Authorization: 'Bearer canary-of-a-caller' }],
    ['credentials in capitals', { AUTHORIZATION: 'Basic canary-of-a-caller' }],
    ['credentials in a list', [['authorization', 'Basic canary-of-a-caller']]],
    ['a proof', { DPoP: 'canary-of-a-caller' }],
    ['cookies', { Cookie: 'oauth=canary-of-a-caller' }],
    ['cookies in Headers', new Headers({ cookie: 'oauth=canary-of-a-caller' })],
    ['another host', { host: 'canary-of-a-caller.example' }],
    ['a header that is taken off on the way', { connection: 'authorization' }],
    ['credentials for a proxy', { 'proxy-authorization': 'Basic canary-of-a-caller' }],
    ['another end of the body', { 'transfer-encoding': 'chunked' }],
    ['an upgrade', { upgrade: 'websocket' }],
    ['trailers', { te: 'trailers' }],
  ])('is not: %s', async (_what, headers) => {
    const { api, user, server } = await startCalling()
    const one = await user()
    travel(life + 1)
    const error: unknown = await one.fetch(`${api.url}/v1/`, { headers }).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'invalid_configuration', hint: expect.stringContaining('by name') })
    expect(String(error)).not.toContain('canary')
    expect([api.requests, server.counts.token]).toEqual([[], 1])
  })

  test('is what fetch sends by itself, and the token', async () => {
    const { api, user } = await startCalling()
    const one = await user()
    await one.fetch(`${api.url}/v1/`, { credentials: 'include' })
    expect(Object.keys(api.requests[0]?.headers ?? {}).toSorted()).toEqual([
      'accept',
      'accept-encoding',
      'accept-language',
      'authorization',
      'connection',
      'host',
      'sec-fetch-mode',
      'user-agent',
    ])
  })

  test('leaves no token in what the caller has passed', async () => {
    const { api, user } = await startCalling()
    const headers = new Headers({ 'x-own': '1' })
    const init: RequestInit = { headers }
    await (await user()).fetch(`${api.url}/v1/`, init)
    expect([Object.keys(init), init.headers, [...headers.keys()]]).toEqual([['headers'], headers, ['x-own']])
  })

  test('no cookie of the API reaches the browser', async () => {
    const { api, user } = await startCalling()
    const one = await user()
    api.answer = () => json({}, 200, { 'set-cookie': 'of-the-api=1' })
    await one.fetch(`${api.url}/v1/`)
    expect(one.cookie).not.toContain('of-the-api')
  })

  test('no token is in an error, whatever went wrong', async () => {
    const { api, user, server } = await startCalling()
    const one = await user()
    const gone = await startApi()
    const errors = await one.call(async (auth) => {
      const failing = [
        auth.fetch(`${gone.url}/v1/`),
        auth.fetch(`${api.url}/v1/`, { redirect: 'error' }),
        auth.fetch(`${api.url}/v1/`, { method: 'not a method' }),
        auth.fetch(`${api.url}/v1/`, { method: 'GET', body: 'x' }),
      ]
      return Promise.all(failing.map(async (one_) => one_.then(String, (error: unknown) => error)))
    })
    const exposed = errors.map((error, n) => ({
      where: `error ${n}`,
      text: error instanceof Error ? `${error.stack} ${String(error.cause)} ${JSON.stringify(error)}` : '',
    }))
    expect(exposed.filter(({ text }) => text === '')).toEqual([])
    expect(leaks(exposed, server.secrets)).toEqual([])
  })
})

describe('T114 an API that refuses every token', () => {
  test.each(storages)('gets two requests and costs one refresh, with storage "%s"', async (storage) => {
    const { api, user, server } = await startCalling({ storage })
    const one = await user()
    api.answer = () => json({ why: 'because' }, 401)
    const response = await one.fetch(`${api.url}/v1/`)
    expect([response.status, await response.json()]).toEqual([401, { why: 'because' }])
    expect([api.requests.length, server.counts.token]).toEqual([2, 2])
    for (let call = 0; call < 20; call++) expect((await one.fetch(`${api.url}/v1/`)).status).toBe(401)
    expect([api.requests.length, server.counts.token, server.complaints]).toEqual([22, 2, []])
  })

  test.each(storages)('costs less and less, with storage "%s"', async (storage) => {
    const { api, user, server } = await startCalling({ storage })
    const one = await user()
    travel(0)
    api.answer = () => json({}, 401)
    const costs: number[] = []
    const minutes = storage === 'cookie' ? 45 : 9
    for (let minute = 0; minute < minutes; minute++) {
      const before = server.counts.token
      for (let call = 0; call < 3; call++) await one.fetch(`${api.url}/v1/`)
      if (server.counts.token > before) costs.push(minute)
      expect(server.counts.token - before).toBeLessThanOrEqual(1)
      travel(60)
    }
    expect(costs).toEqual([0, 1, 3, 7, 15, 31].filter((minute) => minute < minutes))
    expect(server.complaints).toEqual([])
    // It takes tokens again, and the next refusal is answered at once when the token has lived its time.
    api.answer = () => json({})
    expect((await one.fetch(`${api.url}/v1/`)).status).toBe(200)
    travel(life)
    await one.fetch(`${api.url}/v1/`)
    const last = api.tokens.at(-1)
    api.answer = (_request, token) => json({}, token === last ? 401 : 200)
    expect((await one.fetch(`${api.url}/v1/`)).status).toBe(200)
  })

  test('costs no refresh for each instance', async () => {
    for (const kind of kinds) {
      const api = await startApi()
      const { route, call } = caller()
      const options = { apis: [`${api.url}/v1/`] }
      const { apps, user, server } = await startInstances({ kind, routes: route, options })
      let cookie = await user()
      api.answer = () => json({}, 401)
      for (let turn = 0; turn < 6; turn++) {
        const app = apps[turn % 2 === 0 ? 0 : 1].url
        ;({ cookie } = await call(app, cookie, (auth) => auth.fetch(`${api.url}/v1/`)))
      }
      expect([kind, server.counts.token, api.requests.length]).toEqual([kind, 2, 7])
    }
  })

  test('costs one refresh for all who call it at once', async () => {
    const { api, user, server } = await startCalling()
    const one = await user()
    api.answer = () => json({}, 401)
    const all = await one.call(async (auth) =>
      Promise.all(Array.from({ length: 30 }, async () => auth.fetch(`${api.url}/v1/`))),
    )
    expect(new Set(all.map(({ status }) => status))).toEqual(new Set([401]))
    expect([api.requests.length, server.counts.token, server.complaints]).toEqual([60, 2, []])
  })

  test('has no say in the tokens of another', async () => {
    const { api, user, server } = await startCalling({
      options: ({ url }) => ({
        apis: [`${url}/v1/`, { url: `${url}/v2/`, resource: 'https://v2.example' }],
      }),
    })
    const one = await user()
    let isRefused = (_token: string) => false
    api.answer = ({ path }, token) => json({}, path === '/v2/' || isRefused(token) ? 401 : 200)
    for (let call = 0; call < 5; call++) expect((await one.fetch(`${api.url}/v2/`)).status).toBe(401)
    expect([server.counts.token, server.complaints]).toEqual([3, []])
    await one.fetch(`${api.url}/v1/`)
    const own = api.tokens.at(-1)
    isRefused = (token) => token === own
    expect((await one.fetch(`${api.url}/v1/`)).status).toBe(200)
    expect([server.counts.token, server.complaints]).toEqual([4, []])
  })
})

describe('T118 certificates that nobody checks', () => {
  const made = async (value: string | undefined): Promise<string[]> => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', value)
    onTestFinished(() => void vi.unstubAllEnvs())
    const warnings: string[] = []
    const emitWarning = vi.spyOn(process, 'emitWarning').mockImplementation((...said: unknown[]) => {
      warnings.push(JSON.stringify(said))
    })
    onTestFinished(() => emitWarning.mockRestore())
    vi.resetModules()
    const fresh = await import('../../lib/index.js')
    const issuer = 'https://auth.example.com'
    for (let time = 0; time < 2; time++) {
      fresh.clientCredentials({ issuer, clientId: 'a', clientSecret: 'b' })
      fresh.createVerifier({ issuer, audience: 'api' })
    }
    return warnings
  }

  test('are warned of once, when the app starts', async () => {
    const warnings = await made('0')
    expect(warnings).toEqual([expect.stringContaining('NODE_TLS_REJECT_UNAUTHORIZED is 0')])
    expect(warnings[0]).toContain('OAUTH_TLS_NOT_VERIFIED')
  })

  test.each([undefined, '', '1'])('with the variable at %j there is nothing to say', async (value) => {
    expect(await made(value)).toEqual([])
  })
})
