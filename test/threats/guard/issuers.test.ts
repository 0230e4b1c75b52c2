/** Whom an API trusts: one of several servers, whom a function of the app names, or the tenants of one server. */
import { createServer } from 'node:http'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import {
  createVerifier,
  isOAuthError,
  OAuthError,
  type IssuerOptions,
  type IssuerResolver,
  type OAuthBearerOptions,
} from '../../../lib/index.js'
import { startLocalServer, type LocalServer } from '../../oauth/local-server.js'
import { json } from '../../support/faulty-server/answer.js'
import { newSigningKey, type SigningKey } from '../../support/faulty-server/signing-key.js'
import { listening, stopped } from '../../support/listening.js'
import { travel } from '../../support/time.js'
import { startApi, type Api } from './api.js'
import { audience, compactJws, firstKey, rs256, seconds, startIssuer, type Issuer } from './issuer.js'

/** An API that trusts what `options` say, and nobody else. */
function trusting(issuer: Issuer, options: object, framework: '4' | '5' = '5'): Promise<Api> {
  return startApi(issuer, {
    framework,
    options: { issuer: undefined, ...options } as unknown as Partial<OAuthBearerOptions>,
  })
}

function twoIssuers(): Promise<[Issuer, Issuer]> {
  return Promise.all([startIssuer(), startIssuer()])
}

/** A server on loopback that an attacker would have us ask. */
function trap(): Promise<LocalServer> {
  return startLocalServer((path) =>
    path === '/keys' ? json({ keys: [] }) : json({ issuer: 'https://attacker.example', jwks_uri: '/keys' }),
  )
}

interface TenantServer extends LocalServer {
  readonly template: string
  readonly keysOf: Map<string, SigningKey>
  /** What is added to the keys in the set that all tenants share. */
  readonly shared: Map<string, object>
  token(tenant: string, claims?: object, signer?: SigningKey): string
}

/** A server of many tenants as Entra ID is one: each tenant has metadata and keys, and `common` has those of all. */
async function startTenants(...tenants: string[]): Promise<TenantServer> {
  const keysOf = new Map<string, SigningKey>()
  for (const tenant of tenants) keysOf.set(tenant, await newSigningKey())
  const shared = new Map<string, object>()
  const local = await startLocalServer((path) => {
    const [, tenant = '', rest = ''] = /^\/([^/]+)\/(.*)$/.exec(path) ?? []
    const named = tenant === 'common' ? '{tenantid}' : tenant
    if (rest === 'v2.0/.well-known/openid-configuration')
      return json({ issuer: `${local.url}/${named}/v2.0`, jwks_uri: `${local.url}/${tenant}/keys` })
    if (rest !== 'keys') return json({}, 404)
    const names = tenant === 'common' ? tenants : [tenant]
    return json({
      keys: names.map((one) => ({
        ...keysOf.get(one)?.publicJwk,
        ...(tenant === 'common' && shared.get(one)),
      })),
    })
  })
  return Object.assign(local, {
    template: `${local.url}/{tid}/v2.0`,
    keysOf,
    shared,
    token(tenant: string, claims: object = {}, signer = keysOf.get(tenant)) {
      if (!signer) throw new Error(`${tenant} has no key`)
      const payload = { iss: `${local.url}/${tenant}/v2.0`, tid: tenant, aud: audience, exp: seconds() + 300 }
      return compactJws(
        { alg: 'RS256', kid: signer.kid, typ: 'JWT' },
        { ...payload, ...claims },
        rs256(signer),
      )
    },
  })
}

async function tenantApi(options: object, ...tenants: string[]) {
  const server = await startTenants(...tenants)
  const unused = await startIssuer()
  const api = await trusting(unused, { issuer: server.template, ...options })
  return { server, api }
}

describe('several issuers', () => {
  test('T88 each has its own keys, though they name them alike', async () => {
    const [one, two] = await twoIssuers()
    const { kid } = firstKey(one)
    const own = await newSigningKey()
    two.keys = [{ ...own, kid, publicJwk: { ...own.publicJwk, kid } }]
    const api = await trusting(one, { issuers: [one.url, two.url] })

    expect(await api.verdict(one.token({ iss: two.url }))).toBe('401 signature')
    expect(one.requests).toEqual([])
    expect(await api.verdict(two.token({ iss: one.url }))).toBe('401 signature')
    for (let round = 0; round < 3; round++) {
      expect(await api.verdict(one.token())).toBe('200')
      expect(await api.verdict(two.token())).toBe('200')
      // Nor does it help that the key is known by now, and a token of its owner remembered.
      expect(await api.verdict(one.token({ iss: two.url }))).toBe('401 signature')
      expect(await api.verdict(two.token({ iss: one.url }))).toBe('401 signature')
    }
    expect([one.keyFetches, two.keyFetches]).toEqual([1, 1])
  })

  test('T88 a key of one under a name that only the other has is unknown', async () => {
    const [one, two] = await twoIssuers()
    const api = await trusting(one, { issuers: [one.url, two.url] })
    expect(await api.verdict(two.token({ iss: one.url }))).toBe('401 unknown_key')
    expect(await api.verdict(one.token({ iss: two.url }))).toBe('401 unknown_key')
  })

  test.each<[string, (one: string, two: string) => string]>([
    ['a comma', (one, two) => `${one},${two}`],
    ['a space', (one, two) => `${one} ${two}`],
    ['a bar', (one, two) => `${one}|${two}`],
    ['a line feed', (one, two) => `${one}\n${two}`],
    ['nothing', (one, two) => `${one}${two}`],
    ['a colon and the kid', (one) => `${one}:kid`],
    ['a NUL', (one, two) => `${one}\0${two}`],
  ])('T88 two names with %s between them are no name', async (_what, joined) => {
    const [one, two] = await twoIssuers()
    const api = await trusting(one, { issuers: [one.url, two.url] })
    expect(await api.verdict(one.token({ iss: joined(one.url, two.url) }))).toBe('401 issuer')
    expect([one.requests, two.requests]).toEqual([[], []])
  })

  test('what one leaves out comes from the guard, and what it says goes before', async () => {
    const [one, two] = await twoIssuers()
    const api = await trusting(one, {
      issuers: [one.url, { issuer: two.url, audience: 'two', algorithms: ['ES256'] }],
      algorithms: ['RS256'],
    })
    expect(await api.verdict(one.token())).toBe('200')
    expect(await api.verdict(two.token())).toBe('401 algorithm')

    const laxer = await trusting(one, { issuers: [one.url, { issuer: two.url, audience: ['two', '2'] }] })
    expect(await laxer.verdict(two.token())).toBe('401 audience')
    expect(await laxer.verdict(two.token({ aud: '2' }))).toBe('200')
    expect(await laxer.verdict(one.token({ aud: '2' }))).toBe('401 audience')
    expect(await laxer.verdict(one.token())).toBe('200')
  })

  test('one that is down takes nobody along', async () => {
    const [one, two] = await twoIssuers()
    two.answerKeys = () => json({}, 500)
    const api = await trusting(one, { issuers: [one.url, two.url] })
    expect(await api.verdict(two.token())).toBe('503')
    expect(await api.verdict(one.token())).toBe('200')
    expect(await api.verdict(one.token({ sub: 'user-2' }))).toBe('200')
  })

  test('ready waits for all of them', async () => {
    const [one, two] = await twoIssuers()
    const verifier = createVerifier({ issuers: [one.url, two.url], audience })
    await verifier.ready()
    expect([one.keyFetches, two.keyFetches]).toEqual([1, 1])
    two.answerKeys = () => json({}, 500)
    await expect(createVerifier({ issuers: [one.url, two.url], audience }).ready()).rejects.toMatchObject({
      code: 'key_set_unavailable',
    })
  })
})

describe('T89 nobody is asked because a token says so', () => {
  type Trust = (issuer: Issuer) => object
  const ways: [what: string, trust: Trust][] = [
    ['one issuer', ({ url }) => ({ issuer: url })],
    ['a list', ({ url }) => ({ issuers: [url, { issuer: 'https://other.example', audience }] })],
    ['a function', ({ url }) => ({ issuers: (iss: string) => (iss === url ? url : undefined) })],
    ['a list of tenants', ({ url }) => ({ issuer: `${url}/{tid}`, tenants: ['one'] })],
    [
      'a function of tenants',
      ({ url }) => ({ issuer: `${url}/{tid}`, tenants: (tid: string) => tid === 'one' }),
    ],
  ]

  test.each(ways)('T89 %s: an attacker as issuer or tenant causes no request', async (_what, trust) => {
    const [issuer, attacker] = await Promise.all([startIssuer(), trap()])
    const api = await trusting(issuer, trust(issuer))
    for (const claims of [
      { iss: attacker.url },
      { iss: attacker.url, tid: 'one' },
      { iss: `${attacker.url}/one`, tid: 'one' },
      { iss: `${issuer.url}/evil`, tid: 'evil' },
      { iss: `${issuer.url}/one`, tid: 'evil' },
      { iss: `${issuer.url}/evil`, tid: 'one' },
      { iss: `${issuer.url}/`, tid: '' },
      { iss: `${issuer.url}/..`, tid: '..' },
      { iss: `${issuer.url}/{tid}`, tid: '{tid}' },
      { iss: `${issuer.url}@${new URL(attacker.url).host}` },
      { iss: [issuer.url] },
      { iss: null },
      { iss: undefined },
      { iss: `https://${'a'.repeat(3_000)}.example` },
    ])
      expect([claims, await api.verdict(issuer.token(claims))]).toEqual([claims, '401 issuer'])
    expect(attacker.requests).toEqual([])
    expect(issuer.requests).toEqual([])
  })
})

describe('a function that names the issuer', () => {
  /** The issuer behind a guard that asks `resolver`. */
  async function resolving(make: (issuer: Issuer) => IssuerResolver, framework: '4' | '5' = '5') {
    const issuer = await startIssuer()
    return { issuer, api: await trusting(issuer, { issuers: make(issuer) }, framework) }
  }

  test('is given what the token claims, and the request', async () => {
    const asked: unknown[] = []
    const { issuer, api } = await resolving(({ url }) => async (iss, req) => {
      asked.push([iss, req?.url])
      return iss === url ? { issuer: url } : undefined
    })
    expect(await api.verdict(issuer.token())).toBe('200')
    expect(await api.verdict(issuer.token({ iss: 'https://attacker.example' }))).toBe('401 issuer')
    expect(asked).toEqual([
      [issuer.url, '/me'],
      ['https://attacker.example', '/me'],
    ])
  })

  test('has no request where a verifier is given a token alone', async () => {
    const issuer = await startIssuer()
    const asked: unknown[] = []
    const verifier = createVerifier({
      audience,
      issuers: (iss, req) => {
        asked.push(req)
        return iss
      },
      validate: (auth, req) => {
        asked.push(req)
        return auth.issuer === issuer.url
      },
    })
    expect((await verifier.verify(issuer.token())).subject).toBe('user-1')
    expect(asked).toEqual([undefined, undefined])
    await verifier.ready()
  })

  test('T96 that takes its time lets no token in that expires meanwhile, though it was good before', async () => {
    let takes = 0
    const { issuer, api } = await resolving((known) => () => {
      travel(takes)
      return known.url
    })
    const token = issuer.token()
    expect(await api.verdict(token)).toBe('200')
    takes = 400
    expect(await api.verdict(token)).toBe('401 expired')
  })

  test('a machine whose iss is too long or no text is refused without asking it', async () => {
    const resolver = vi.fn<IssuerResolver>(() => undefined)
    const { issuer, api } = await resolving(() => resolver)
    for (const iss of [undefined, null, 7, [issuer.url], { iss: issuer.url }, `https://${'a'.repeat(2_048)}`])
      expect(await api.verdict(issuer.token({ iss }))).toBe('401 issuer')
    expect(resolver).not.toHaveBeenCalled()
  })

  test.each([[undefined], [null], [''], [false], [0]])('that names %j trusts nobody', async (named) => {
    const { issuer, api } = await resolving(() => () => named as unknown as undefined)
    expect(await api.verdict(issuer.token())).toBe('401 issuer')
    expect(issuer.requests).toEqual([])
  })

  test('T88 that names another one than the token does trusts nobody', async () => {
    const [one, two] = await twoIssuers()
    const api = await trusting(one, { issuers: () => two.url })
    expect(await api.verdict(one.token())).toBe('401 issuer')
    expect([one.requests, two.requests]).toEqual([[], []])
    expect(await api.verdict(two.token())).toBe('200')
  })

  test('T88 is asked for each request, also with a token that was good before', async () => {
    const [one, two] = await twoIssuers()
    const trusted = new Set([one.url, two.url])
    const resolver = vi.fn<IssuerResolver>((iss) => (trusted.has(iss) ? iss : undefined))
    const api = await trusting(one, { issuers: resolver })
    const token = one.token()
    expect(await api.verdict(token)).toBe('200')
    expect(await api.verdict(token)).toBe('200')
    trusted.delete(one.url)
    expect(await api.verdict(token)).toBe('401 issuer')
    expect(await api.verdict(two.token())).toBe('200')
    trusted.add(one.url)
    expect(await api.verdict(token)).toBe('200')
    expect(resolver).toHaveBeenCalledTimes(5)
    expect(one.keyFetches).toBe(1)
  })

  test('T88 a token that is good at one tenant of the app is not at the next', async () => {
    const [one, two] = await twoIssuers()
    const byPath = new Map([
      ['/me', { issuer: one.url, audience: 'one' }],
      ['/projects', { issuer: one.url, audience: 'two' }],
      ['/both', { issuer: two.url, audience: 'two' }],
    ])
    const api = await trusting(one, { issuers: (_iss: string, req: { url: string }) => byPath.get(req.url) })
    const token = one.token({ aud: 'one', scope: 'read:projects write:projects' })
    for (let round = 0; round < 2; round++) {
      expect(await api.verdict(token, '/me')).toBe('200')
      expect(await api.verdict(token, '/projects')).toBe('401 audience')
      expect(await api.verdict(token, '/both')).toBe('401 issuer')
    }
  })

  test('may write its answer anew each time: it is the same server', async () => {
    const { issuer, api } = await resolving(({ url }) => (iss) => {
      if (iss !== url) return undefined
      return { issuer: url, audience: [audience], jwksUri: `${url}/keys`, algorithms: ['RS256'] }
    })
    const token = issuer.token()
    for (let round = 0; round < 10; round++) expect(await api.verdict(token)).toBe('200')
    expect(await api.verdict(issuer.token({ sub: 'user-2' }))).toBe('200')
    expect(issuer.requests).toEqual(['GET /keys'])
  })

  test('that changes what it gave before is heard', async () => {
    const named: IssuerOptions = { issuer: '', audience: 'one' }
    const { issuer, api } = await resolving(
      ({ url }) =>
        () =>
          Object.assign(named, { issuer: url }),
    )
    const token = issuer.token({ aud: 'one' })
    expect(await api.verdict(token)).toBe('200')
    named.audience = 'two'
    expect(await api.verdict(token)).toBe('401 audience')
    expect(await api.verdict(issuer.token({ aud: 'two' }))).toBe('200')
  })

  test('may name a server of tenants', async () => {
    const server = await startTenants('one', 'two')
    const api = await trusting(await startIssuer(), {
      issuers: () => ({ issuer: server.template, tenants: ['one'] }),
    })
    expect(await api.verdict(server.token('one'))).toBe('200')
    expect(await api.verdict(server.token('two'))).toBe('401 issuer')
  })

  test('that names a server which is down: 503, not 401', async () => {
    const { issuer, api } = await resolving(
      ({ url }) =>
        () =>
          url,
    )
    issuer.answerKeys = () => json({}, 500)
    expect(await api.verdict(issuer.token())).toBe('503')
  })

  describe.each(['4', '5'] as const)('that fails, Express %s', (framework) => {
    test('gives its error to the error handler, as it is', async () => {
      const failure = Object.assign(new Error('the database is away'), { status: 503 })
      const { issuer, api } = await resolving(() => () => Promise.reject(failure), framework)
      expect((await api.present(issuer.token())).status).toBe(503)
      expect(api.errors).toEqual([failure])
      expect(api.errors[0]).toBe(failure)
    })

    // Express goes on to the next handler when it is passed one of these.
    test.each([[undefined], [null], ['route'], ['router'], [0], [''], [false]])(
      'lets nobody in who is thrown as %j',
      async (thrown) => {
        const issuer = await startIssuer()
        const reached: string[] = []
        const options = {
          issuer: undefined,
          issuers: () => {
            throw thrown
          },
        } as unknown as Partial<OAuthBearerOptions>
        const api = await startApi(issuer, {
          framework,
          options,
          routes: (app, guard) => {
            app.get('/me', guard, (_req, res) => {
              reached.push('behind the guard')
              res.send('in')
            })
            app.get('/me', (_req, res) => {
              reached.push('the next route')
              res.send('in')
            })
          },
        })
        expect((await api.present(issuer.token())).status).toBe(500)
        expect(reached).toEqual([])
        expect(api.errors).toEqual([expect.any(Error)])
      },
    )

    test('answers with an OAuthError of its own', async () => {
      const { issuer, api } = await resolving(
        () => () => {
          throw new OAuthError('temporarily_unavailable')
        },
        framework,
      )
      expect((await api.present(issuer.token())).status).toBe(503)
      expect(api.errors).toEqual([])
    })
  })

  test.each<[unknown, string]>([
    [true, 'option "issuers()" is true'],
    [7, 'option "issuers()" is 7'],
    [['https://auth.example.com'], 'option "issuers()" is'],
    [{}, 'option "issuers().issuer" is missing'],
    [{ issuer: 'http://auth.example.com' }, 'option "issuers().issuer"'],
    [{ issuer: 'https://auth.example.com', jwks_uri: 'x' }, 'option "issuers().jwks_uri" is not known'],
    [{ issuer: 'https://auth.example.com', audience: [] }, 'option "issuers().audience"'],
    ['https://auth.example.com/{tid}', 'option "issuers().tenants" is missing'],
  ])('that names %j is a mistake of the app', async (named, message) => {
    const { issuer, api } = await resolving(() => () => named as string)
    for (let round = 0; round < 2; round++) expect((await api.present(issuer.token())).status).toBe(500)
    const [event] = api.events
    expect(event).toMatchObject({ type: 'request_failed', code: 'invalid_configuration' })
    expect(event?.type === 'request_failed' && event.error.message).toContain(message)
    expect(issuer.requests).toEqual([])
  })

  test('without an audience here or there is a mistake, too', async () => {
    const { issuer, api } = await resolving(
      ({ url }) =>
        () =>
          url,
    )
    const none = await trusting(issuer, { issuers: () => issuer.url, audience: undefined })
    expect((await none.present(issuer.token())).status).toBe(500)
    expect(await api.verdict(issuer.token())).toBe('200')
  })
})

describe('the tenants of one server', () => {
  test('T88 each is discovered at its own issuer, and has its own keys', async () => {
    const { server, api } = await tenantApi({ tenants: ['one', 'two'] }, 'one', 'two')
    expect(await api.verdict(server.token('one'))).toBe('200')
    expect(server.requests).toEqual(['GET /one/v2.0/.well-known/openid-configuration', 'GET /one/keys'])
    expect(await api.verdict(server.token('two'))).toBe('200')
    expect(await api.verdict(server.token('one', {}, server.keysOf.get('two')))).toBe('401 unknown_key')
    expect(await api.verdict(server.token('two', {}, server.keysOf.get('one')))).toBe('401 unknown_key')
    const { body } = await api.present(server.token('two'))
    expect(JSON.parse(body)).toMatchObject({ issuer: `${server.url}/two/v2.0` })
  })

  test.each<[string, object]>([
    ['another tenant in the claim', { tid: 'two' }],
    ['no claim', { tid: undefined }],
    ['null', { tid: null }],
    ['a list', { tid: ['one'] }],
    ['an object', { tid: { toString: 1 } }],
    ['another tenant in the issuer', { iss: 'https://login.example/two/v2.0' }],
    ['the template itself', { tid: '{tid}' }],
  ])('T89 issuer and claim must agree: %s', async (_what, claims) => {
    const { server, api } = await tenantApi({ tenants: ['one', 'two'] }, 'one', 'two')
    expect(await api.verdict(server.token('one', claims))).toBe('401 issuer')
    expect(server.requests).toEqual([])
  })

  test.each([
    '',
    '.',
    '..',
    'a/b',
    'one%2f',
    'one?',
    'one#',
    'one\n',
    ' one',
    'önë',
    'x'.repeat(129),
    '{tid}',
  ])('T89 %j is no tenant, whatever the app says of it', async (tid) => {
    const tenants = vi.fn<() => boolean>(() => true)
    const { server, api } = await tenantApi({ tenants }, 'one')
    const token = server.token('one', { tid, iss: server.template.replace('{tid}', tid) })
    expect(await api.verdict(token)).toBe('401 issuer')
    expect(tenants).not.toHaveBeenCalled()
    expect(server.requests).toEqual([])
  })

  test.each<[unknown, string]>([
    [true, '200'],
    [Promise.resolve(true), '200'],
    [false, '401 issuer'],
    [Promise.resolve(false), '401 issuer'],
    [undefined, '401 issuer'],
    ['true', '401 issuer'],
    [1, '401 issuer'],
    [{}, '401 issuer'],
  ])('a function that answers %j: %s', async (answer, verdict) => {
    const { server, api } = await tenantApi({ tenants: () => answer }, 'one')
    expect(await api.verdict(server.token('one'))).toBe(verdict)
    expect(server.requests.length).toBe(verdict === '200' ? 2 : 0)
  })

  test('a tenant who is dismissed is out with the next request, a remembered token or not', async () => {
    const tenants = new Set(['one'])
    const { server, api } = await tenantApi({ tenants: (tenant: string) => tenants.has(tenant) }, 'one')
    const token = server.token('one')
    expect(await api.verdict(token)).toBe('200')
    tenants.clear()
    expect(await api.verdict(token)).toBe('401 issuer')
    tenants.add('one')
    expect(await api.verdict(token)).toBe('200')
    expect(server.requests.length).toBe(2)
  })

  test.each([[new Error('away')], ['route'], [undefined]])('a function that throws %j', async (thrown) => {
    const tenants = () => {
      throw thrown
    }
    const { server, api } = await tenantApi({ tenants }, 'one')
    expect((await api.present(server.token('one'))).status).toBe(500)
    expect(api.errors).toEqual([expect.any(Error)])
  })

  describe('with one set of keys for all', () => {
    const common = '/common/v2.0/.well-known/openid-configuration'

    test('it is fetched once, and the issuer in its metadata is not compared', async () => {
      const server = await startTenants('one', 'two', 'three')
      const api = await trusting(await startIssuer(), {
        issuer: server.template,
        discoveryUrl: server.url + common,
        tenants: ['one', 'two'],
      })
      expect(await api.verdict(server.token('one'))).toBe('200')
      expect(await api.verdict(server.token('two'))).toBe('200')
      expect(await api.verdict(server.token('three'))).toBe('401 issuer')
      expect(server.requests).toEqual([`GET ${common}`, 'GET /common/keys'])
    })

    test('T88 a key that is for one tenant alone vouches for no other', async () => {
      const server = await startTenants('one', 'two')
      server.shared.set('one', { issuer: `${server.url}/one/v2.0` })
      server.shared.set('two', { issuer: `${server.url}/{tenantid}/v2.0` })
      const api = await trusting(await startIssuer(), {
        issuer: server.template,
        jwksUri: `${server.url}/common/keys`,
        tenants: () => true,
      })
      expect(await api.verdict(server.token('one'))).toBe('200')
      expect(await api.verdict(server.token('two', {}, server.keysOf.get('one')))).toBe('401 unknown_key')
      expect(await api.verdict(server.token('one', {}, server.keysOf.get('two')))).toBe('200')
      expect(server.requests).toEqual(['GET /common/keys'])
    })
  })

  test('T88 nor does such a key that came with a newer set, for a token that names none', async () => {
    const server = await startTenants('one', 'two')
    server.shared.set('two', { issuer: `${server.url}/two/v2.0` })
    const [first, next] = [server.keysOf.get('one'), await newSigningKey()]
    const api = await trusting(await startIssuer(), {
      issuer: server.template,
      jwksUri: `${server.url}/common/keys`,
      tenants: ['one', 'two'],
    })
    const nameless = (tenant: string, signer: SigningKey) =>
      server.token(tenant, {}, { ...signer, kid: undefined! })
    expect(first && (await api.verdict(nameless('one', first)))).toBe('200')
    server.keysOf.set('two', next)
    expect(await api.verdict(nameless('one', next))).toBe('401 signature')
    expect(await api.verdict(nameless('two', next))).toBe('200')
    expect(server.requests.length).toBeGreaterThan(1)
  })

  test('ready waits for what all share, and for nothing else', async () => {
    const server = await startTenants('one')
    const options = { issuer: server.template, tenants: ['one'], audience }
    await createVerifier(options).ready()
    expect(server.requests).toEqual([])
    await createVerifier({ ...options, jwksUri: `${server.url}/common/keys` }).ready()
    expect(server.requests).toEqual(['GET /common/keys'])
  })
})

describe('where keys come from', () => {
  test('an issuer that cannot be reached by its name: metadata and keys are elsewhere', async () => {
    const inside = await startIssuer()
    const issuer = 'https://auth.example.com/realms/main'
    const found = { issuer, discoveryUrl: `${inside.url}/.well-known/openid-configuration` }
    const api = await trusting(inside, found)
    expect(await api.verdict(inside.token({ iss: issuer }))).toBe('200')
    expect(await api.verdict(inside.token())).toBe('401 issuer')
    expect(inside.requests).toEqual(['GET /.well-known/openid-configuration', 'GET /keys'])

    const direct = await trusting(inside, { issuer, jwksUri: `${inside.url}/keys` })
    expect(await direct.verdict(inside.token({ iss: issuer }))).toBe('200')
    expect(inside.requests.length).toBe(3)
  })

  test.each([['http://keys.example.com/keys'], ['/keys'], [undefined], ['ftp://127.0.0.1/keys']])(
    'keys at %j are not fetched',
    async (uri) => {
      const inside = await startIssuer()
      inside.metadata = () => ({ issuer: 'https://whoever.example', jwks_uri: uri })
      const discoveryUrl = `${inside.url}/.well-known/openid-configuration`
      const api = await trusting(inside, { issuer: 'https://auth.example.com', discoveryUrl })
      expect(await api.verdict(inside.token({ iss: 'https://auth.example.com' }))).toBe('503')
      expect(inside.keyFetches).toBe(0)
    },
  )

  test('keys that the app has: nobody is asked', async () => {
    const [one, two] = await twoIssuers()
    const api = await trusting(one, {
      issuers: [
        { issuer: one.url, keys: { keys: [firstKey(one).publicJwk] } },
        { issuer: two.url, keys: firstKey(two).publicJwk },
      ],
    })
    expect(await api.verdict(one.token())).toBe('200')
    expect(await api.verdict(two.token())).toBe('200')
    expect(await api.verdict(one.token({ iss: two.url }))).toMatch(/^401 (unknown_key|signature)$/)
    expect([one.requests, two.requests]).toEqual([[], []])
  })

  test('a place that was named is the only one that is asked', async () => {
    const inside = await startIssuer()
    const api = await trusting(inside, { issuer: inside.url, discoveryUrl: `${inside.url}/elsewhere` })
    expect(await api.verdict(inside.token())).toBe('503')
    expect(inside.requests).toEqual(['GET /elsewhere'])
  })

  test('metadata of another server at its own address does not count', async () => {
    const issuer = await startIssuer()
    issuer.metadata = () => ({ issuer: 'https://other.example', jwks_uri: `${issuer.url}/keys` })
    const api = await trusting(issuer, { issuers: [issuer.url] })
    expect(await api.verdict(issuer.token())).toBe('503')
    expect(issuer.keyFetches).toBe(0)
  })

  test('everything goes through the one fetch', async () => {
    const [one, two] = await twoIssuers()
    const tenants = await startTenants('one')
    const real = globalThis.fetch
    const seen: string[] = []
    vi.stubGlobal('fetch', () => Promise.reject(new Error('it goes round the option')))
    onTestFinished(() => void vi.unstubAllGlobals())
    const options = {
      audience,
      fetch: (...[url, init]: Parameters<typeof fetch>) => {
        seen.push(url instanceof Request ? url.url : url.toString())
        return real(url, init)
      },
    }
    const list: IssuerOptions[] = [
      { issuer: one.url },
      { issuer: two.url, jwksUri: `${two.url}/keys` },
      { issuer: 'https://auth.example.com', discoveryUrl: `${one.url}/.well-known/openid-configuration` },
      { issuer: tenants.template, tenants: ['one'] },
    ]
    const tokens = [
      one.token(),
      two.token(),
      one.token({ iss: 'https://auth.example.com' }),
      tenants.token('one'),
    ]
    const verifiers = [
      createVerifier({ ...options, issuers: list }),
      createVerifier({ ...options, issuers: (iss) => list.find(({ issuer }) => issuer === iss) ?? list[3] }),
    ]
    for (const verifier of verifiers) {
      for (const token of tokens) expect((await verifier.verify(token)).token).toBe(token)
      await verifier.ready()
    }
    const wanted = [one, two, tenants].flatMap(({ url, requests }) =>
      requests.map((request) => request.replace('GET ', url)),
    )
    expect(seen.toSorted()).toEqual(wanted.toSorted())
    expect(seen.length).toBe(14)
  })
})

describe('a check of the app', () => {
  async function validating(validate: unknown, framework: '4' | '5' = '5') {
    const issuer = await startIssuer()
    const options = { validate } as Partial<OAuthBearerOptions>
    return { issuer, api: await startApi(issuer, { options, framework }) }
  }

  test('is told who and for which request, each time and last of all', async () => {
    const told: unknown[] = []
    const { issuer, api } = await validating((auth: { subject: string }, req: { url: string }) => {
      told.push([auth.subject, req.url])
      return true
    })
    const token = issuer.token()
    expect(await api.verdict(token)).toBe('200')
    expect(await api.verdict(token)).toBe('200')
    expect(await api.verdict(issuer.token({ aud: 'x' }))).toBe('401 audience')
    expect(await api.verdict(issuer.token({}, {}, () => Buffer.alloc(256)))).toBe('401 signature')
    expect(told).toEqual([
      ['user-1', '/me'],
      ['user-1', '/me'],
    ])
  })

  test('that changes its mind is heard, though the token was good before', async () => {
    let isBlocked = false
    const { issuer, api } = await validating(() => !isBlocked)
    const token = issuer.token()
    expect(await api.verdict(token)).toBe('200')
    isBlocked = true
    expect(await api.verdict(token)).toBe('401 validate')
  })

  test.each<[unknown]>([
    [false],
    [undefined],
    [null],
    [1],
    ['true'],
    [{}],
    [Promise.resolve(false)],
    [Promise.resolve(undefined)],
  ])('that answers %j lets nobody in', async (answer) => {
    const { issuer, api } = await validating(() => answer)
    const { status, challenge } = await api.present(issuer.token())
    expect(status).toBe(401)
    expect(challenge).toContain('error="invalid_token"')
  })

  test('may wait', async () => {
    const { issuer, api } = await validating(() => Promise.resolve(true))
    expect(await api.verdict(issuer.token())).toBe('200')
  })

  describe.each(['4', '5'] as const)('that throws, Express %s', (framework) => {
    test('an OAuthError is the answer', async () => {
      const { issuer, api } = await validating(() => {
        throw new OAuthError('insufficient_scope', { scope: ['admin'] })
      }, framework)
      const { status, challenge } = await api.present(issuer.token())
      expect(status).toBe(403)
      expect(challenge).toContain('scope="admin"')
    })

    test.each([[new Error('away')], [{ status: 500 }], ['route'], [undefined]])(
      '%j goes to the error handler',
      async (thrown) => {
        const { issuer, api } = await validating(() => Promise.reject(thrown), framework)
        expect((await api.present(issuer.token())).status).toBe(500)
        expect(api.errors.length).toBe(1)
        expect(api.events.filter(({ type }) => type === 'token_rejected')).toEqual([])
      },
    )
  })
})

describe('what developers are told, and clients are not', () => {
  const hints: [what: string, claims: object, header: object, hint: RegExp][] = [
    ['iss', { iss: 'https://x.example' }, {}, /^"iss" is "https:\/\/x\.example", trusted is \["http:/],
    [
      'aud',
      { aud: ['x', 7] },
      {},
      /^"aud" is \["x", 7\], expected is one of \["https:\/\/api\.example\.com"\]$/,
    ],
    ['no aud', { aud: undefined }, {}, /^"aud" is missing, expected/],
    ['typ', {}, { typ: 'id+jwt' }, /^"typ" is "id\+jwt", expected is one of \["at\+jwt"\]$/],
    ['exp', { exp: 1_705_326_600 }, {}, /^"exp" is 1705326600, now is \d+$/],
    ['iat', { iat: 4_102_444_800 }, {}, /^"iat" is 4102444800, now is \d+$/],
    ['nbf', { nbf: '0' }, {}, /^"nbf" is "0", now is \d+$/],
    ['sub', { sub: 7 }, {}, /^"sub" is 7$/],
    ['alg', {}, { alg: 'RS512' }, /^"alg" is RS512, expected is one of \["RS256"\]$/],
    ['an ID token', { nonce: 'n' }, { typ: 'JWT' }, /^It is an ID token or the like: it has "nonce"/],
    ['a token that is nested', { aud: [[[]], {}] }, {}, /^"aud" is \[a list, an object\], expected/],
  ]

  test.each(hints)('%s', async (_what, claims, header, wanted) => {
    const issuer = await startIssuer()
    const api = await startApi(issuer, { options: { algorithms: ['RS256'] } })
    const answer = await api.present(
      issuer.token(claims as Record<string, unknown>, header as Record<string, unknown>),
    )
    const hint = hintOf(api)
    expect(hint).toMatch(wanted)
    const sent = JSON.stringify(answer)
    expect(answer.status).toBe(401)
    for (const words of ['expected is', 'trusted is', 'now is', 'ID token', '" is '])
      expect(sent).not.toContain(words)
  })

  test.each<[string, string, RegExp]>([
    ['an opaque token', 'opaque-token', /^It is not a JWT/],
    ['an encrypted token', 'a.b.c.d.e', /encrypted \(JWE\)/],
  ])('%s', async (_what, token, wanted) => {
    const api = await startApi(await startIssuer())
    await api.present(token)
    expect(hintOf(api)).toMatch(wanted)
  })

  test('what a token says forges no line of a log, and is cut short', async () => {
    const issuer = await startIssuer()
    const api = await startApi(issuer)
    await api.present(issuer.token({ aud: 'a\r\n2026 user=admin logged in\u2028\u202e\u009b31m"' }))
    expect(hintOf(api)).toMatch(/^[\x20-\x7e]*$/)
    const many = Array.from({ length: 500 }, (_, index) => `audience-${index}`)
    for (const aud of ['x'.repeat(9_000), many, 'é'.repeat(3_000)]) {
      await api.present(issuer.token({ aud }))
      expect(hintOf(api)?.length).toBeLessThan(300)
    }
    expect(issuer.requests).toEqual([])
  })

  // Both ends of such a value once took the stack, or a method of the value, and the answer was 500.
  test.each<[string, unknown]>([
    ['lists in lists', JSON.parse('['.repeat(4_000) + ']'.repeat(4_000))],
    ['objects in objects', JSON.parse('{"a":'.repeat(1_500) + '1' + '}'.repeat(1_500))],
    ['an object that pretends', { toString: 1, valueOf: 1, toJSON: 1 }],
  ])('a claim of %s is refused like any other', async (_what, value) => {
    const issuer = await startIssuer()
    const api = await startApi(issuer)
    for (const name of ['iss', 'aud', 'exp', 'sub', 'nbf', 'iat'])
      expect((await api.present(issuer.token({ [name]: value }, { typ: 'JWT' }))).status).toBe(401)
    for (const name of ['token_use', 'typ'])
      expect((await api.present(issuer.token({ [name]: value, nonce: 'n' }, { typ: 'JWT' }))).status).toBe(
        401,
      )
    for (const name of ['token_use', 'typ'])
      expect((await api.present(issuer.token({ [name]: value, aud: 'x' }, { typ: 'JWT' }))).status).toBe(401)
    expect(api.errors).toEqual([])
    expect(issuer.requests).toEqual([])
  })

  test('no token is in what is told', async () => {
    const issuer = await startIssuer()
    const api = await startApi(issuer)
    const token = issuer.token({ aud: 'x' })
    await api.present(token)
    const [event] = api.events
    const told = event?.type === 'token_rejected' ? event.error : undefined
    expect(isOAuthError(told)).toBe(true)
    const text = JSON.stringify([event, told?.hint, told?.message, told?.stack])
    for (const part of token.split('.')) expect(text).not.toContain(part)
  })
})

function hintOf(api: Api): string | undefined {
  const event = api.events.findLast(({ type }) => type === 'token_rejected')
  return event?.type === 'token_rejected' ? event.error.hint : undefined
}

test('a WebSocket is opened for whom the function names for its request', async () => {
  const issuer = await startIssuer()
  const verifier = createVerifier({
    audience,
    issuers: (_iss, req) => (req?.headers.host?.startsWith('localhost') ? issuer.url : undefined),
  })
  const server = createServer((req, res) => {
    verifier.authenticate(req).then(
      ({ subject }) => res.end(subject),
      (error: { status: number }) => res.writeHead(error.status).end(),
    )
  })
  const { port } = new URL(await listening(server))
  onTestFinished(() => stopped(server))
  const headers = { authorization: `Bearer ${issuer.token()}` }
  expect((await fetch(`http://localhost:${port}/`, { headers })).status).toBe(200)
  expect((await fetch(`http://127.0.0.1:${port}/`, { headers })).status).toBe(401)
})
