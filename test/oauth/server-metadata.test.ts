import { describe, expect, test } from 'vitest'
import { OAuthError } from '../../lib/errors.js'
import type { OAuthEvent } from '../../lib/events.js'
import { httpClient, type HttpClient } from '../../lib/http.js'
import { configuredMetadata, discoveredMetadata, requireEndpoint } from '../../lib/oauth/server-metadata.js'
import { hang, html, json, redirect, reset, type Answer } from '../support/faulty-server/answer.js'
import { startLocalServer } from './local-server.js'

const openidPath = '/.well-known/openid-configuration'
const oauthPath = '/.well-known/oauth-authorization-server'

function metadataOf(issuer: string): Record<string, unknown> {
  return {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    jwks_uri: `${issuer}/keys`,
  }
}

/** A server whose answers can be changed, and the source of its metadata at a time of its own. */
async function discovery(
  options: { path?: string; answer?: (path: string, issuer: string) => Answer; timeout?: number } = {},
) {
  const { path = '', answer = (_path, issuer) => json(metadataOf(issuer)), timeout = 5 } = options
  const server = await startLocalServer((requested) => answer(requested, issuer))
  const issuer = server.url + path
  const events: OAuthEvent[] = []
  const clock = { now: 1_000_000 }
  const source = discoveredMetadata({
    issuer,
    http: httpClient(undefined, timeout),
    emit: (event) => events.push(event),
    now: () => clock.now,
  })
  return { server, issuer, events, clock, source }
}

/** An https issuer, and its document without a network. */
async function documentOf(issuer: string, changes: Record<string, unknown>): Promise<unknown> {
  const http: HttpClient = async () => Response.json({ ...metadataOf(issuer), ...changes })
  const source = discoveredMetadata({ issuer, http, emit: () => undefined, now: () => 0 })
  return source().catch((error: unknown) => error)
}

test('metadata is fetched when it is first needed, once for all who ask', async () => {
  const { source, server, issuer, events } = await discovery()
  expect(server.requests).toEqual([])
  const all = await Promise.all([source(), source(), source()])
  expect(all[0]).toEqual(metadataOf(issuer))
  expect(server.requests).toEqual([`GET ${openidPath}`])
  expect(events).toEqual([{ type: 'metadata_fetched', url: issuer + openidPath }])
})

describe('where metadata is', () => {
  test.each([
    ['', openidPath, oauthPath],
    ['/', openidPath, oauthPath],
    ['/realms/main', `/realms/main${openidPath}`, `${oauthPath}/realms/main`],
    ['/realms/main/', `/realms/main${openidPath}`, `${oauthPath}/realms/main`],
  ])('for an issuer with the path %j', async (path, first, second) => {
    const { source, server, issuer } = await discovery({
      path,
      answer: (requested, own) => (requested === second ? json(metadataOf(own)) : json({}, 404)),
    })
    expect(await source()).toMatchObject({ issuer })
    expect(server.requests).toEqual([`GET ${first}`, `GET ${second}`])
  })

  test.each<[string, () => Answer]>([
    ['a page', () => html('<title>Sign in</title>')],
    ['not found', () => json({ error: 'not_found' }, 404)],
    ['a redirect', () => redirect('https://evil.example/')],
    ['a list', () => json([])],
  ])('the second place is asked where the first answers with %s', async (_what, answer) => {
    const { source, issuer } = await discovery({
      answer: (path, own) => (path === openidPath ? answer() : json(metadataOf(own))),
    })
    expect(await source()).toMatchObject({ issuer })
  })

  test.each<[string, () => Answer, string]>([
    ['a page', () => html('<title>Sign in</title>'), 'invalid_server_response'],
    ['an error', () => json({}, 500), 'server_unavailable'],
  ])('two times %s is told as the first was', async (_what, answer, code) => {
    const { source, events } = await discovery({ answer })
    await expect(source()).rejects.toMatchObject({ code })
    await expect(source()).rejects.toThrow(openidPath)
    expect(events).toMatchObject([{ type: 'metadata_failed', stale: false }])
  })

  test('a server that is away is not asked a second time', async () => {
    const { source, server } = await discovery({ answer: () => reset() })
    await expect(source()).rejects.toMatchObject({ code: 'server_unavailable', status: 503 })
    expect(server.requests).toEqual([`GET ${openidPath}`])
  })
})

describe('T73 the issuer must be the one that was configured', () => {
  const issuer = 'https://auth.example.com'

  test.each<[unknown]>([
    ['https://evil.example'],
    [`${issuer}/`],
    ['https://AUTH.example.com'],
    ['https://auth.example.com:443'],
    [undefined],
    [null],
    [[issuer]],
    [''],
  ])('%j is another', async (other) => {
    const error = await documentOf(issuer, { issuer: other })
    expect(error).toMatchObject({ code: 'invalid_server_metadata', status: 502 })
    expect((error as OAuthError).hint).toContain('trailing slash')
  })

  test('a trailing slash counts', async () => {
    expect(await documentOf(`${issuer}/`, { issuer: `${issuer}/` })).toMatchObject({ issuer: `${issuer}/` })
    expect(await documentOf(`${issuer}/`, { issuer })).toBeInstanceOf(OAuthError)
  })
})

describe('T75 endpoints are https, without credentials and fragment', () => {
  const issuer = 'https://auth.example.com'
  const names = [
    'authorization_endpoint',
    'token_endpoint',
    'userinfo_endpoint',
    'end_session_endpoint',
    'revocation_endpoint',
    'jwks_uri',
  ]
  const bad: unknown[] = [
    'http://auth.example.com/x',
    'http://127.0.0.1/x',
    'http://localhost/x',
    'http://169.254.169.254/latest/meta-data',
    'file:///etc/passwd',
    'ftp://auth.example.com/x',
    'javascript:alert(1)',
    'data:application/json,{}',
    '/token',
    '//auth.example.com/x',
    'https://user@auth.example.com/x',
    'https://:password@auth.example.com/x',
    'https://auth.example.com/x#fragment',
    '',
    7,
    ['https://auth.example.com/x'],
    {},
  ]

  test.each(names)('%s', async (name) => {
    for (const value of bad) {
      const error = await documentOf(issuer, { [name]: value })
      expect([value, error]).toMatchObject([value, { code: 'invalid_server_metadata' }])
      expect((error as OAuthError).message).toContain(`"${name}" is not an https URL`)
    }
    const elsewhere = 'https://login.other.example/x?tenant=1'
    expect(await documentOf(issuer, { [name]: elsewhere })).toMatchObject({ [name]: elsewhere })
    expect(await documentOf(issuer, { [name]: undefined })).not.toBeInstanceOf(OAuthError)
  })

  test('a server on this machine may use http on this machine and nowhere else', async () => {
    const local = 'http://localhost:3001'
    expect(await documentOf(local, {})).toMatchObject({ jwks_uri: `${local}/keys` })
    expect(await documentOf(local, { jwks_uri: 'http://[::1]:3002/keys' })).not.toBeInstanceOf(OAuthError)
    expect(await documentOf(local, { jwks_uri: 'http://192.168.1.2/keys' })).toBeInstanceOf(OAuthError)
  })
})

describe('T7 PKCE', () => {
  const withMethods = async (methods: unknown) =>
    documentOf('https://auth.example.com', { code_challenge_methods_supported: methods })

  test.each([[undefined], [['S256']], [['plain', 'S256']]])('methods %j will do', async (methods) => {
    expect(await withMethods(methods)).not.toBeInstanceOf(OAuthError)
  })

  test.each([[['plain']], [[]], ['S256'], [null]])('methods %j will not', async (methods) => {
    expect(await withMethods(methods)).toMatchObject({
      code: 'invalid_server_metadata',
      hint: expect.stringContaining('S256') as unknown,
    })
  })
})

test.each(['token_endpoint_auth_methods_supported'])('%s must be a list of texts', async (name) => {
  for (const value of ['client_secret_basic', 7, {}, [7]]) {
    const error = await documentOf('https://auth.example.com', { [name]: value })
    expect([value, error]).toMatchObject([value, { code: 'invalid_server_metadata' }])
  }
})

test('T103 where tokens are introspected matters only to whoever does so', async () => {
  const issuer = 'https://auth.example.com'
  const source = (uses: 'login' | 'introspection', changes: Record<string, unknown>) => {
    const http: HttpClient = async () => Response.json({ ...metadataOf(issuer), ...changes })
    return discoveredMetadata({
      issuer,
      http,
      emit: () => undefined,
      now: () => 0,
      ...(uses === 'introspection' && { uses: ['introspection_endpoint'] }),
    })().catch((error: unknown) => error)
  }
  for (const [name, value] of [
    ['introspection_endpoint', 'http://auth.example.com/introspect'],
    ['introspection_endpoint_auth_methods_supported', 'client_secret_basic'],
  ] as const) {
    expect(await source('login', { [name]: value })).toMatchObject({ issuer })
    expect(await source('introspection', { [name]: value })).toMatchObject({
      code: 'invalid_server_metadata',
      message: expect.stringContaining(`"${name}" is not `),
    })
  }
})

describe('T74 a server that comes and goes', () => {
  const down = () => reset()

  test('metadata is kept for ten minutes, then fetched behind the scenes', async () => {
    const { source, server, clock } = await discovery()
    await source()
    clock.now += 599
    await source()
    expect(server.requests.length).toBe(1)
    clock.now += 1
    await source()
    await expect.poll(() => server.requests.length).toBe(2)
  })

  test('old metadata serves while the server is away, for a day', async () => {
    const { source, server, clock, events, issuer } = await discovery()
    await source()
    server.answer = down
    clock.now += 86_399
    expect(await source()).toMatchObject({ issuer })
    await expect.poll(() => events.at(-1)).toMatchObject({ type: 'metadata_failed', stale: true })
    clock.now += 3600
    await expect(source()).rejects.toMatchObject({ code: 'server_unavailable', status: 503 })
  })

  test('old metadata serves on when the new one is not the server’s', async () => {
    const { source, server, clock, events, issuer } = await discovery()
    await source()
    server.answer = () => json(metadataOf('https://evil.example'))
    clock.now += 601
    expect(await source()).toMatchObject({ issuer, token_endpoint: `${issuer}/token` })
    await expect.poll(() => events.at(-1)).toMatchObject({ type: 'metadata_failed', stale: true })
    expect(await source()).toMatchObject({ issuer, token_endpoint: `${issuer}/token` })
  })

  test('a server that failed is left alone for a while, and asked again after it', async () => {
    const { source, server, clock, issuer } = await discovery({ answer: down })
    for (let attempt = 0; attempt < 5; attempt++) await expect(source()).rejects.toThrow('failed')
    expect(server.requests.length).toBe(1)
    server.answer = () => json(metadataOf(issuer))
    clock.now += 1
    expect(await source()).toMatchObject({ issuer })
  })

  test('a server that hangs is given up after the deadline', async () => {
    const { source } = await discovery({ answer: () => hang(), timeout: 0.2 })
    await expect(source()).rejects.toMatchObject({ code: 'server_unavailable', reason: 'timeout' })
  })
})

describe('endpoints without discovery', () => {
  test('are metadata of the origin, or of the issuer that is given', () => {
    const endpoints = { authorization: 'https://a.example/x/authorize', token: 'https://a.example/x/token' }
    expect(configuredMetadata(endpoints)).toEqual({
      issuer: 'https://a.example',
      authorization_endpoint: endpoints.authorization,
      token_endpoint: endpoints.token,
    })
    const all = {
      ...endpoints,
      userinfo: 'https://a.example/me',
      endSession: 'https://a.example/out',
      revocation: 'https://a.example/revoke',
      jwks: 'https://a.example/keys',
    }
    expect(configuredMetadata(all, 'https://issuer.example')).toEqual({
      issuer: 'https://issuer.example',
      authorization_endpoint: all.authorization,
      token_endpoint: all.token,
      userinfo_endpoint: all.userinfo,
      end_session_endpoint: all.endSession,
      revocation_endpoint: all.revocation,
      jwks_uri: all.jwks,
    })
  })

  test('one that is needed and missing is named', () => {
    const metadata = configuredMetadata({
      authorization: 'https://a.example/a',
      token: 'https://a.example/t',
    })
    expect(requireEndpoint(metadata, 'token_endpoint')).toBe('https://a.example/t')
    expect(() => requireEndpoint(metadata, 'jwks_uri')).toThrow('names no "jwks_uri"')
  })
})

describe('a document at a place that was named', () => {
  const place = '/elsewhere?appid=1'

  async function named(document: Record<string, unknown>) {
    const server = await startLocalServer(() => json(document))
    const source = discoveredMetadata({
      issuer: 'https://auth.example.com',
      url: server.url + place,
      http: httpClient(),
      emit: () => undefined,
      now: () => 0,
      uses: ['jwks_uri'],
    })
    return { server, answer: await source().catch((error: unknown) => error) }
  }

  test.each([['https://other.example'], ['https://auth.example.com'], [undefined], [7], [null]])(
    'is taken whatever its issuer is: %j',
    async (issuer) => {
      const { server, answer } = await named({ issuer, jwks_uri: 'https://keys.example/keys' })
      expect(answer).toMatchObject({
        issuer: 'https://auth.example.com',
        jwks_uri: 'https://keys.example/keys',
      })
      expect(server.requests).toEqual([`GET ${place}`])
    },
  )

  test('is asked for at that place alone', async () => {
    const server = await startLocalServer(() => json({}, 404))
    const source = discoveredMetadata({
      issuer: server.url,
      url: server.url + place,
      http: httpClient(),
      emit: () => undefined,
      now: () => 0,
    })
    await expect(source()).rejects.toMatchObject({ code: 'invalid_server_response' })
    expect(server.requests).toEqual([`GET ${place}`])
  })

  test('may name loopback where it is on loopback itself', async () => {
    const { answer } = await named({ jwks_uri: 'http://127.0.0.1:1/keys' })
    expect(answer).toMatchObject({ jwks_uri: 'http://127.0.0.1:1/keys' })
  })

  test('must not name loopback from afar, though the issuer is here', async () => {
    const source = discoveredMetadata({
      issuer: 'http://localhost:1',
      url: 'https://far.example/metadata',
      http: async () => Response.json({ jwks_uri: 'http://127.0.0.1:1/keys' }),
      emit: () => undefined,
      now: () => 0,
    })
    await expect(source()).rejects.toMatchObject({ code: 'invalid_server_metadata' })
  })

  test.each(['http://keys.example/keys', 'file:///keys', 'https://a:b@keys.example/keys', 7])(
    'must not send us to %j',
    async (uri) => {
      const { answer } = await named({ jwks_uri: uri })
      expect(answer).toMatchObject({ code: 'invalid_server_metadata' })
    },
  )
})
