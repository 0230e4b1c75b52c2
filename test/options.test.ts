import { randomBytes } from 'node:crypto'
import { Agent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { describe, expect, test } from 'vitest'
import {
  clientCredentials,
  isOAuthError,
  memoryStore,
  oauthBearer,
  oauthLogin,
  oauthProxy,
  type DPoPOptions,
  type MutualTlsOptions,
  type OAuthBearerOptions,
  type OAuthBearerSettings,
  type OAuthLoginOptions,
  type OAuthProxyOptions,
} from '../lib/index.js'
import { checkOptions } from '../lib/options.js'

const known = { issuer: true, audience: true, clockTolerance: true, jwksUri: true } as const

function problem(options: unknown): string {
  return thrownBy(() => checkOptions('make', options, known))
}

function thrownBy(run: () => unknown): string {
  try {
    run()
    return 'nothing was thrown'
  } catch (error) {
    if (!isOAuthError(error)) return `no OAuthError: ${String(error)}`
    const isForDevelopers = error.code === 'invalid_configuration' && error.status === 500 && !error.expose
    return isForDevelopers ? error.message : `${error.code}: ${error.message}`
  }
}

test('known options pass', () => {
  expect(problem({ issuer: 'x', clockTolerance: 1 })).toBe('nothing was thrown')
  expect(problem({})).toBe('nothing was thrown')
})

describe('an unknown option', () => {
  test.each([
    ['isuer', 'issuer'],
    ['Issuer', 'issuer'],
    ['audiance', 'audience'],
    ['jwksURI', 'jwksUri'],
    ['jwks_uri', 'jwksUri'],
    ['clock_tolerance', 'clockTolerance'],
    ['clockTolerence', 'clockTolerance'],
  ])('%s: did you mean %s?', (name, meant) => {
    expect(problem({ [name]: 1 })).toBe(`make: option "${name}" is not known; did you mean "${meant}"?`)
  })

  test('that is like no other brings the whole list', () => {
    expect(problem({ secret: 1 })).toBe(
      'make: option "secret" is not known; known are issuer, audience, clockTolerance, jwksUri',
    )
  })

  test.each(['constructor', 'toString', '__proto__', 'hasOwnProperty'])('%s is unknown too', (name) => {
    expect(problem(JSON.parse(`{"${name}":1}`))).toContain('is not known')
  })

  test('is refused although its value is undefined', () => {
    expect(problem({ isuer: undefined })).toContain('is not known')
  })
})

test.each([[undefined], [null], ['text'], [7]])('%j instead of options', (options) => {
  expect(problem(options)).toBe('make: pass an object with options')
})

describe('seconds', () => {
  const check = checkOptions('make', {}, known)
  const seconds = (value: unknown) =>
    check.seconds('clockTolerance', value as number | undefined, { default: 30, min: 1, max: 300 })

  test('are taken within bounds, and have a default', () => {
    expect([seconds(undefined), seconds(1), seconds(300), seconds(0.5 + 1)]).toEqual([30, 1, 300, 1.5])
  })

  test.each([
    [0],
    [-1],
    [301],
    [Number.NaN],
    [Number.POSITIVE_INFINITY],
    ['30'],
    [null],
    [{}],
    [true],
    [30n],
  ])('%s is refused', (value) => {
    expect(thrownBy(() => seconds(value))).toMatch(
      /^make: option "clockTolerance" is .*; give a number of seconds from 1 to 300$/,
    )
  })
})

describe('one of a list', () => {
  const check = checkOptions('make', {}, known)
  const values = ['a', 'b'] as const
  const oneOf = (value: unknown, byDefault?: 'a') => check.oneOf('issuer', value as 'a', values, byDefault)

  test('is taken, or the default', () => {
    expect([oneOf('b'), oneOf(undefined, 'a'), oneOf('b', 'a')]).toEqual(['b', 'a', 'b'])
  })

  test.each<[unknown, string]>([
    [undefined, 'make: option "issuer" is missing; set it to "a" or "b"'],
    ['c', 'make: option "issuer" is "c"; set it to "a" or "b"'],
    ['A', 'make: option "issuer" is "A"; set it to "a" or "b"'],
    ['', 'make: option "issuer" is ""; set it to "a" or "b"'],
    [true, 'make: option "issuer" is true; set it to "a" or "b"'],
  ])('%j is refused', (value, message) => {
    expect(thrownBy(() => oneOf(value))).toBe(message)
  })
})

describe('options within an option', () => {
  const check = checkOptions('make', {}, known)
  const within = (value: unknown) => thrownBy(() => check.within('issuer', value, { store: true }))

  test('are named by where they are', () => {
    const inner = check.within('issuer', { store: 1 }, { store: true })
    expect(thrownBy(() => inner.string('store', 1, 'give it'))).toBe(
      'make: option "issuer.store" is not a string with content; give it',
    )
  })

  test.each<[unknown, string]>([
    [{ stor: 1 }, 'make: option "issuer.stor" is not known; did you mean "store"?'],
    [null, 'make: option "issuer" is null; give an object with store'],
    ['x', 'make: option "issuer" is "x"; give an object with store'],
  ])('%j is refused', (value, message) => {
    expect(within(value)).toBe(message)
  })
})

describe('a text', () => {
  const check = checkOptions('make', {}, known)

  test.each<[unknown, string]>([
    [undefined, 'make: option "issuer" is missing; give it'],
    ['', 'make: option "issuer" is not a string with content; give it'],
    [7, 'make: option "issuer" is not a string with content; give it'],
    [null, 'make: option "issuer" is not a string with content; give it'],
  ])('%j is refused', (value, message) => {
    expect(thrownBy(() => check.string('issuer', value, 'give it'))).toBe(message)
  })
})

describe('the options of oauthBearer', () => {
  const good = { issuer: 'https://auth.example.com', audience: 'https://api.example.com' }
  const api = { clientId: 'api', clientSecret: 'secret' }
  const bearer = (changes: object) => thrownBy(() => oauthBearer({ ...good, ...changes }))
  const dpop = (changes: object) => ({ dpop: { baseUrl: 'https://api.example.com', ...changes } })

  test('the least that works, and everything', () => {
    expect(bearer({})).toBe('nothing was thrown')
    const all: Required<
      Omit<OAuthBearerSettings, 'issuers' | 'tenants' | 'discoveryUrl' | 'keys' | 'protectedResource'>
    > & { issuer: string } = {
      ...good,
      profile: 'rfc9068',
      validate: () => true,
      jwksUri: 'https://auth.example.com/keys',
      algorithms: ['ES256'],
      introspection: { clientId: 'api', clientSecret: 'secret' },
      clockTolerance: 0,
      rememberedTokens: 0,
      dpop: {
        baseUrl: 'https://api.example.com/v1',
        required: true,
        algorithms: ['ES256'],
        proofLifetime: 30,
        store: memoryStore({ whenFull: 'refuse' }),
        storeTimeout: 1,
        nonceSecrets: [randomBytes(32).toString('base64url')],
      } satisfies Required<DPoPOptions>,
      mtls: { required: true, getCertificate: () => undefined } satisfies Required<MutualTlsOptions>,
      timeout: 1,
      scope: 'read:projects write:projects',
      realm: 'projects',
      mode: 'optional',
      session: true,
      impliedScopes: { admin: ['read:projects'] },
      exposeChallenge: true,
      fetch,
      onError: 'next',
      onEvent: () => undefined,
    }
    expect(bearer(all)).toBe('nothing was thrown')
  })

  test.each<[object, string]>([
    [{ issuer: undefined }, 'option "issuer" is missing'],
    [{ issuer: '' }, 'option "issuer"'],
    [{ issuer: 7 }, 'option "issuer"'],
    [
      { issuer: 'http://auth.example.com' },
      'option "issuer" is "http://auth.example.com"; give an https URL',
    ],
    [{ issuer: 'https://auth.example.com#x' }, 'remove the query and the fragment'],
    [{ audience: undefined }, 'option "audience"'],
    [{ audience: [] }, 'option "audience"'],
    [{ jwksUri: 'http://auth.example.com/keys' }, 'option "jwksUri"'],
    [{ jwksUri: '/keys' }, 'option "jwksUri"'],
    [{ jwksUri: '' }, 'option "jwksUri"'],
    [{ algorithms: [] }, 'option "algorithms"'],
    [{ algorithms: ['RS256', 'HS256'] }, 'option "algorithms"'],
    [{ algorithms: ['none'] }, 'option "algorithms"'],
    [{ introspection: null }, 'option "introspection" is null; give an object with clientId'],
    [{ introspection: {} }, 'option "introspection.clientId" is missing'],
    [
      { introspection: { ...api, clientID: 'api' } },
      'option "introspection.clientID" is not known; did you mean',
    ],
    [{ introspection: { clientId: 'api' } }, 'option "introspection.clientSecret" is missing'],
    [{ introspection: { ...api, clientSecret: '' } }, 'option "introspection.clientSecret" is not a string'],
    [{ introspection: { ...api, clientSecret: [] } }, 'option "introspection.clientSecret" is an empty list'],
    [
      { introspection: { clientId: 'api', privateKey: { key: 'x' } } },
      '"introspection.privateKey" cannot be',
    ],
    [
      { introspection: { ...api, tokenEndpointAuthMethod: 'private_key_jwt' } },
      '"introspection.privateKey" is',
    ],
    [
      { introspection: { clientId: 'api', tokenEndpointAuthMethod: 'none' } },
      'option "introspection.tokenEndpointAuthMethod" is "none"; set it to "client_secret_basic" or',
    ],
    [{ introspection: { ...api, endpoint: 'http://auth.example.com/i' } }, '"introspection.endpoint" "http:'],
    [{ introspection: { ...api, endpoint: '/introspect' } }, 'option "introspection.endpoint"'],
    [
      { introspection: { ...api, tokens: 'jwt' } },
      '"introspection.tokens" is "jwt"; set it to "opaque" or "all"',
    ],
    [
      { introspection: { ...api, cacheLifetime: -1 } },
      '"introspection.cacheLifetime" is -1; give a number of',
    ],
    [{ introspection: { ...api, cacheLifetime: 3601 } }, '"introspection.cacheLifetime" is 3601'],
    [{ clockTolerance: 301 }, 'option "clockTolerance"'],
    [{ timeout: 0 }, 'option "timeout"'],
    [{ timeout: '5' }, 'option "timeout"'],
    [{ realm: 'a"b' }, 'option "realm"'],
    [{ onError: 'throw' }, 'option "onError" is "throw"; set it to "answer" or "next"'],
    [{ issuerBaseURL: 'https://auth.example.com' }, 'option "issuerBaseURL" is not known'],
    [{ aud: 'x' }, 'option "aud" is not known'],
    [{ audiences: ['x'] }, 'did you mean "audience"?'],
    [{ jwks_uri: 'x' }, 'did you mean "jwksUri"?'],
    [{ dpop: true }, 'option "dpop" is true; give an object with baseUrl, required, algorithms'],
    [{ dpop: null }, 'option "dpop" is null'],
    [{ dpop: {} }, 'option "dpop.baseUrl" is missing; give the public URL of this server'],
    [dpop({ baseUrl: '/api' }), 'option "dpop.baseUrl" "/api" is not an absolute URL'],
    [
      dpop({ baseUrl: 'http://api.example.com' }),
      'option "dpop.baseUrl" "http://api.example.com" is not https',
    ],
    [dpop({ baseUrl: 'https://api.example.com?a' }), 'option "dpop.baseUrl" has a query'],
    [dpop({ baseUrl: 'https://api.example.com#a' }), 'has a fragment'],
    [dpop({ baseURL: 'x' }), 'option "dpop.baseURL" is not known; did you mean "baseUrl"?'],
    [dpop({ required: 'yes' }), 'option "dpop.required" is "yes"; set it to true or false'],
    [dpop({ algorithms: ['HS256'] }), 'option "dpop.algorithms"'],
    [dpop({ algorithms: [] }), 'option "dpop.algorithms"'],
    [dpop({ proofLifetime: 0 }), 'option "dpop.proofLifetime" is 0; give a number of seconds from 1 to 600'],
    [dpop({ proofLifetime: 601 }), 'option "dpop.proofLifetime"'],
    [dpop({ storeTimeout: 0 }), 'option "dpop.storeTimeout"'],
    [dpop({ store: {} }), 'option "dpop.store" is not a store'],
    [dpop({ store: memoryStore() }), 'option "dpop.store" is a memoryStore that forgets when it is full'],
    [dpop({ nonceSecrets: [] }), 'option "dpop.nonceSecrets" is not a list with a secret'],
    [dpop({ nonceSecrets: '' }), 'option "dpop.nonceSecrets" is not a list with a secret'],
    [dpop({ nonceSecrets: ['changeme'] }), 'option "dpop.nonceSecrets[0]" is shorter than 32 bytes'],
    [{ mtls: false }, 'option "mtls" is false'],
    [{ mtls: { getCertificate: 'x' } }, 'option "mtls.getCertificate" is "x"; give a function'],
    [{ mtls: { required: 1 } }, 'option "mtls.required" is 1; set it to true or false'],
    [{ mtls: { header: 'x' } }, 'option "mtls.header" is not known'],
  ])('%j', (changes, message) => {
    expect(bearer(changes)).toContain(message)
    expect(bearer(changes)).toMatch(/^oauthBearer: /)
  })

  test.each<[object, string]>([
    [{ algorithms: 'RS256' }, 'option "algorithms"'],
    [{ fetch: 'https://proxy.example' }, 'option "fetch"'],
    [{ onEvent: 'log' }, 'option "onEvent"'],
    [{ realm: 7 }, 'option "realm"'],
    [{ issuer: 'https://auth.example.com ' }, 'option "issuer"'],
    [{ issuer: 'https://user:hidden@auth.example.com' }, 'option "issuer"'],
    [{ jwksUri: 'https://user:hidden@auth.example.com/keys' }, 'option "jwksUri"'],
    [{ timeout: 3_000_000 }, 'option "timeout"'],
  ])('%j is refused', (changes, message) => {
    expect(bearer(changes)).toContain(message)
    expect(bearer(changes)).not.toContain('hidden')
  })

  test.each([[undefined], [null], ['x']])('%j instead of options', (options) => {
    expect(thrownBy(() => oauthBearer(options as unknown as OAuthBearerOptions))).toContain(
      'pass an object with options',
    )
  })
})

describe('the rules of authorization servers, in the options of oauthLogin', () => {
  const good: OAuthLoginOptions = {
    issuer: 'https://auth.example.com',
    clientId: 'client-1',
    clientSecret: 'the-client-secret',
    baseUrl: 'https://yourapp.com',
    storage: 'cookie',
    secrets: [randomBytes(32).toString('base64url')],
  }
  const login = (changes: object) => thrownBy(() => oauthLogin({ ...good, ...changes }))

  test('the least that works', () => {
    expect(login({})).toBe('nothing was thrown')
    expect(login({ clientSecret: undefined })).toBe('nothing was thrown')
  })

  test.each<[string, object, string]>([
    ['redirect URIs must use https', { baseUrl: 'http://yourapp.com' }, 'is not https'],
    ['and be absolute', { baseUrl: '/auth' }, 'not an absolute URL'],
    ['and have no fragment', { baseUrl: 'https://yourapp.com/#x' }, 'has a fragment'],
    ['nor a query, which servers ignore', { baseUrl: 'https://yourapp.com/?id=1' }, 'has a query'],
    ['requests to the server use https', { issuer: 'http://auth.example.com' }, 'https'],
    [
      'every endpoint too',
      {
        issuer: undefined,
        scope: 'a',
        endpoints: { authorization: 'https://a.example/a', token: 'http://a.example/t' },
      },
      'option "endpoints.token" "http://a.example/t" is not https',
    ],
    ['scopes are separated by one space', { scope: 'openid  profile' }, 'separate scopes by one space'],
    ['and not by commas and spaces', { scope: 'openid, "profile"' }, 'separate scopes by one space'],
    ['a client has an id', { clientId: '' }, 'option "clientId"'],
    ['a secret is not empty', { clientSecret: '' }, 'option "clientSecret"'],
    ['state and PKCE are not to be set', { authorizationParameters: { state: 'x' } }, 'is not yours to set'],
    ['nor from a URL', { queryParameters: ['redirect_uri'] }, 'has "redirect_uri"'],
  ])('%s', (_rule, changes, message) => {
    expect(login(changes)).toContain(message)
    expect(login(changes)).not.toContain('the-client-secret')
  })
})

describe('the options of oauthProxy', () => {
  const server = {
    issuer: 'https://auth.example.com',
    clientId: 'client-1',
    clientSecret: 'the-client-secret',
  }
  const client = clientCredentials(server)
  const login = oauthLogin({
    ...server,
    baseUrl: 'https://yourapp.com',
    storage: 'cookie',
    secrets: [randomBytes(32).toString('base64url')],
  })
  const good: OAuthProxyOptions = { prefix: '/api', target: 'https://api.example.com/v1', token: 'user' }
  const proxy = (changes: object) => thrownBy(() => oauthProxy({ ...good, ...changes }))

  test('the least that works, and everything', () => {
    expect(proxy({})).toBe('nothing was thrown')
    const all: Required<OAuthProxyOptions> = {
      ...good,
      token: 'user-or-client',
      client,
      resource: 'https://api.example.com',
      scope: 'read:projects write:projects',
      methods: ['GET'],
      headers: { accept: 'application/json', 'X-Version': '2' },
      csrfHeader: 'X-Own',
      passSetCookie: true,
      timeout: 3_600,
      idleTimeout: 0,
      agent: new HttpsAgent(),
      webSockets: { login, session: (_request, _response, next) => next(), confirmEvery: 0 },
    }
    expect(proxy(all)).toBe('nothing was thrown')
    expect(proxy({ csrfHeader: false, scope: '' })).toBe('nothing was thrown')
    expect(proxy({ target: 'http://localhost:3000', agent: new Agent() })).toBe('nothing was thrown')
    expect(proxy({ token: 'none', headers: { authorization: 'Basic x' } })).toBe('nothing was thrown')
    expect(thrownBy(() => oauthProxy(undefined as never))).toBe('oauthProxy: pass an object with options')
  })

  test.each<[object, string]>([
    [{ prefixes: '/api' }, 'option "prefixes" is not known; did you mean "prefix"?'],
    [{ prefix: undefined }, 'option "prefix" is missing; give a path such as "/api"'],
    [{ prefix: 7 }, 'option "prefix" is 7; give a path'],
    [{ prefix: ['/api'] }, 'option "prefix" is ["/api"]; give a path'],
    [{ prefix: '/' }, 'option "prefix" is "/"; give a path'],
    [{ prefix: '/api/' }, 'without a slash at the end'],
    [{ prefix: '/a/../b' }, 'option "prefix" is "/a/../b"'],
    [{ prefix: '/%61' }, 'option "prefix" is "/%61"'],
    [{ prefix: '/api?x' }, 'option "prefix" is "/api?x"'],
    [{ target: undefined }, 'option "target" is not a URL; give an absolute https URL'],
    [{ target: 7 }, 'option "target" is not a URL'],
    [{ target: 'http://api.example.com' }, 'plain http is accepted only for localhost'],
    [{ target: 'https://user:password@api.example.com' }, 'option "target" is'],
    [{ target: 'https://api.example.com/v1?key=1' }, 'remove the query and the fragment'],
    [{ target: 'https://*.example.com' }, 'option "target" is'],
    [{ token: undefined }, 'option "token" is missing; set it to "user" or "client" or'],
    [{ token: 'users' }, 'option "token" is "users"; set it to'],
    [{ token: true }, 'option "token" is true; set it to'],
    [{ token: 'client' }, 'option "client" is missing; give the result of clientCredentials()'],
    [{ token: 'user-or-client' }, 'option "client" is missing; give the result of clientCredentials()'],
    [{ client }, 'option "client" is of no use with token "user"; remove it, or set "token" to'],
    [{ token: 'client', client: server }, 'option "client" is not ours; give the result of clientCreden'],
    [{ token: 'client', client: null }, 'option "client" is missing'],
    [{ token: 'user-or-client', client: 0 }, 'option "client" is missing'],
    [{ token: 'client', client: 'client-1' }, 'option "client" is not ours'],
    [{ token: 'client', client, scope: 'openid' }, 'option "scope" has "openid"'],
    [{ resource: 'projects' }, 'option "resource" is "projects"; give the URL of the API'],
    [{ resource: 7 }, 'option "resource" is'],
    [{ token: 'none', resource: 'https://a.example' }, 'option "resource" is of no use with token "none"'],
    [{ scope: 'a  b' }, 'option "scope" is "a  b"; separate scopes by one space each'],
    [{ scope: 7 }, 'option "scope" is'],
    [{ scope: ['a'] }, 'option "scope" is'],
    [{ token: 'none', scope: 'a' }, 'option "scope" is of no use with token "none"; remove it'],
    [{ methods: 'GET' }, 'option "methods" is no list with content; give some of GET, HEAD'],
    [{ methods: [] }, 'option "methods" is no list with content'],
    [{ methods: ['get'] }, 'option "methods" has "get"; give some of'],
    [{ methods: ['GET', 'CONNECT'] }, 'option "methods" has "CONNECT"'],
    [{ methods: [undefined] }, 'option "methods" has'],
    [{ headers: 'accept: a' }, 'option "headers" is'],
    [{ headers: ['a'] }, 'option "headers" is'],
    [{ headers: 7 }, 'option "headers" is'],
    [{ headers: { authorization: 'Bearer x' } }, 'option "headers.authorization" is where the access token'],
    [{ headers: { Cookie: 'a=b' } }, 'option "headers.Cookie" is not yours to set; remove it'],
    [{ headers: { DPoP: 'x' } }, 'option "headers.DPoP" is not yours to set'],
    [{ headers: { 'a b': 'c' } }, 'option "headers.a b" is no header'],
    [{ headers: { a: 'b\r\nc: d' } }, 'option "headers.a" is no header'],
    [{ headers: { a: undefined } }, 'option "headers.a" is no header'],
    [{ headers: { a: 7 } }, 'option "headers.a" is no header'],
    [{ csrfHeader: true }, 'option "csrfHeader" is not a string with content; give the name of a header'],
    [{ csrfHeader: '' }, 'option "csrfHeader" is not a string with content'],
    [{ csrfHeader: 'x csrf' }, 'option "csrfHeader" is "x csrf"'],
    [{ csrfHeader: 'Accept' }, 'option "csrfHeader" is "accept", which pages of other sites can send, too'],
    [{ csrfHeader: 'sec-own' }, 'option "csrfHeader" is "sec-own"'],
    // Sent by apps on Android with each request of their own accord, as the other options of this kind know.
    [{ csrfHeader: 'X-Requested-With' }, 'option "csrfHeader" is "x-requested-with", which'],
    [{ passSetCookie: 'yes' }, 'option "passSetCookie" is "yes"; set it to true or false'],
    [{ timeout: '30' }, 'option "timeout" is "30"; give a number of seconds from 0.1 to 3600'],
    [{ timeout: 0 }, 'option "timeout" is 0'],
    [{ timeout: Number.NaN }, 'option "timeout" is NaN'],
    [{ timeout: Infinity }, 'option "timeout" is Infinity'],
    [{ idleTimeout: -1 }, 'option "idleTimeout" is -1; give a number of seconds from 0 to 86400'],
    [{ idleTimeout: null }, 'option "idleTimeout" is null'],
    [{ agent: {} }, 'option "agent" is no agent; give an Agent of node:https or node:http'],
    [{ agent: new Agent() }, 'option "agent" is of node:http; give one of node:https'],
    [{ webSockets: true }, 'option "webSockets" is true; give an object with login'],
    [{ webSockets: {} }, 'option "webSockets.login" is missing; give the result of oauthLogin()'],
    [{ webSockets: { login: oauthLogin } }, 'option "webSockets.login" is not ours'],
    [{ webSockets: { login, sessions: 1 } }, 'option "webSockets.sessions" is not known; did you mean'],
    [
      { webSockets: { login, session: {} } },
      'option "webSockets.session" is [object Object]; give a function',
    ],
    [
      { webSockets: { login, confirmEvery: '60' } },
      'option "webSockets.confirmEvery" is "60"; give a number',
    ],
  ])('%o: %s', (changes, message) => {
    expect(proxy(changes)).toContain(`oauthProxy: `)
    expect(proxy(changes)).toContain(message)
    expect(proxy(changes)).not.toMatch(/the-client-secret|password/)
  })
})
