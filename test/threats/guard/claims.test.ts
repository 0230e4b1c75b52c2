/** Well-signed tokens that are for something else, somebody else, or another time. */
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { oauthBearer, type OAuthBearerOptions } from '../../../lib/index.js'
import { guardedApi, startApi } from './api.js'
import { audience, seconds, startIssuer, type Members } from './issuer.js'

describe('T93 tokens of another kind, by the same issuer and key', () => {
  const idToken: Members = {
    client_id: undefined,
    scope: undefined,
    nonce: 'n',
    auth_time: 1,
    azp: 'client-1',
  }
  const logoutEvents = { 'http://schemas.openid.net/event/backchannel-logout': {} }
  const plain = { typ: 'JWT' }
  const untyped = { typ: undefined }

  const refused: [what: string, header: Members, claims: Members, reason: string][] = [
    ['an ID token', plain, idToken, 'not_an_access_token'],
    ['an ID token without typ', untyped, idToken, 'not_an_access_token'],
    ['an ID token with at_hash only', plain, { at_hash: 'h' }, 'not_an_access_token'],
    ['an ID token with c_hash only', plain, { c_hash: 'h' }, 'not_an_access_token'],
    ['an ID token with s_hash only', plain, { s_hash: 'h' }, 'not_an_access_token'],
    ['an ID token that says so', { typ: 'id+jwt' }, {}, 'typ'],
    ['an ID token of Keycloak', plain, { ...idToken, nonce: undefined, typ: 'ID' }, 'not_an_access_token'],
    ['a refresh token of Keycloak', plain, { typ: 'Refresh' }, 'not_an_access_token'],
    ['an offline token of Keycloak', plain, { typ: 'Offline' }, 'not_an_access_token'],
    ['a logout token of Keycloak', plain, { typ: 'Logout' }, 'not_an_access_token'],
    [
      'an ID token of Cognito',
      plain,
      { ...idToken, nonce: undefined, token_use: 'id' },
      'not_an_access_token',
    ],
    ['a logout token', { typ: 'logout+jwt' }, { events: logoutEvents }, 'typ'],
    ['a logout token without typ', untyped, { events: logoutEvents }, 'not_an_access_token'],
    ['a security event', { typ: 'secevent+jwt' }, { events: {} }, 'typ'],
    ['a DPoP proof', { typ: 'dpop+jwt' }, { htm: 'GET', htu: audience, jti: '1' }, 'typ'],
    ['a DPoP proof without typ', untyped, { htm: 'GET', jti: '1' }, 'not_an_access_token'],
    ['a DPoP proof without htm', untyped, { htu: audience, jti: '1' }, 'not_an_access_token'],
    ['a client assertion', untyped, { iss: 'client-1', sub: 'client-1' }, 'issuer'],
    ['an authorization response', untyped, { aud: 'client-1', code: 'c', state: 's' }, 'audience'],
    ['a request object', { typ: 'oauth-authz-req+jwt' }, {}, 'typ'],
    ['an introspection answer', { typ: 'token-introspection+jwt' }, {}, 'typ'],
    ['an entity statement', { typ: 'entity-statement+jwt' }, {}, 'typ'],
    ['a type that only begins well', { typ: 'at+jwt2' }, {}, 'typ'],
    ['an empty type', { typ: '' }, {}, 'typ'],
    ['a type that is no text', { typ: ['at+jwt'] }, {}, 'typ'],
    ['another media type', { typ: 'text/at+jwt' }, {}, 'typ'],
  ]

  test.each(refused)('T93 %s is refused', async (_what, header, claims, reason) => {
    const { api, issuer } = await guardedApi()
    expect(await api.verdict(issuer.token(claims, header))).toBe(`401 ${reason}`)
    expect(issuer.requests).toEqual([])
  })

  // With this profile the type alone tells, whatever the claims are.
  const byType = refused.filter(([, header]) => header['typ'] !== 'at+jwt')
  test.each(byType)(
    'T93 %s is refused by the profile of RFC 9068, too',
    async (_what, header, claims, reason) => {
      const { api, issuer } = await guardedApi({ options: { profile: 'rfc9068' } })
      const told = ['issuer', 'typ'].includes(reason) ? reason : 'typ'
      expect(await api.verdict(issuer.token({ jti: 'id-1', ...claims }, header))).toBe(`401 ${told}`)
      expect(issuer.requests).toEqual([])
    },
  )

  test('T93 a plain JWT is not enough for the profile of RFC 9068', async () => {
    const { api, issuer } = await guardedApi({ options: { profile: 'rfc9068' } })
    expect(await api.verdict(issuer.token({ jti: 'id-1' }))).toBe('200')
    expect(await api.verdict(issuer.token({ jti: 'id-1' }, plain))).toBe('401 typ')
    expect(await api.verdict(issuer.token({ jti: 'id-1' }, untyped))).toBe('401 typ')
    expect(await api.verdict(issuer.token({}))).toBe('401 jti')
  })

  // A refreshed ID token of LemonLDAP::NG has no nonce, and the API in its audience.
  test.each<[string, Members]>([
    ['LemonLDAP::NG', { ...idToken, nonce: undefined, aud: ['client-1', audience], acr: 'loa-1' }],
    ['Keycloak, with a claim of Cognito', { ...idToken, nonce: undefined, typ: 'ID', token_use: 'x' }],
    [
      'Cognito, with a number',
      { ...idToken, nonce: undefined, auth_time: undefined, token_use: 7, typ: 'ID' },
    ],
  ])('T93 an ID token by the custom of %s is refused', async (_what, claims) => {
    const { api, issuer } = await guardedApi()
    expect((await api.present(issuer.token(claims, plain))).status).toBe(401)
  })

  // RFC 9449 §7.1: whoever steals such a token could use it here without the key that it is bound to.
  test.each<[string, Members]>([
    ['a key', { jkt: 'a' }],
    ['a certificate', { 'x5t#S256': 'a' }],
    ['anything', {}],
  ])('T101 a token that is bound to %s is not a bearer token', async (_what, cnf) => {
    const { api, issuer } = await guardedApi()
    expect((await api.present(issuer.token({ cnf }))).status).toBe(401)
  })

  const accepted: [what: string, header: Members, claims: Members][] = [
    ['RFC 9068', { typ: 'at+jwt' }, {}],
    ['the long form of its type', { typ: 'application/at+jwt' }, {}],
    ['its type in capitals', { typ: 'AT+JWT' }, {}],
    [
      'its type with claims that an ID token has too',
      { typ: 'at+jwt' },
      { auth_time: 1, acr: '0', nonce: 'n' },
    ],
    ['Auth0 and Okta', plain, {}],
    ['no type', untyped, {}],
    ['Keycloak', plain, { typ: 'Bearer', azp: 'client-1', client_id: undefined, sid: 's', acr: '1' }],
    ['Cognito, but for the audience', untyped, { token_use: 'access', auth_time: 1 }],
    ['LemonLDAP::NG', plain, { aud: ['client-1', audience] }],
    ['Entra', plain, { scope: undefined, scp: 'read:projects', client_id: undefined, appid: 'client-1' }],
  ]

  test.each(accepted)(
    'T93 an access token by the custom of %s is accepted',
    async (_what, header, claims) => {
      const { api, issuer } = await guardedApi()
      const answer = await api.present(issuer.token(claims, header))
      expect(answer.status).toBe(200)
      expect(JSON.parse(answer.body)).toMatchObject({ clientId: 'client-1', scopes: ['read:projects'] })
    },
  )
})

describe('T94 the audience', () => {
  const shapes: [aud: unknown, verdict: string][] = [
    [audience, '200'],
    [[audience], '200'],
    [['https://other.example', audience], '200'],
    [undefined, '401 audience'],
    [null, '401 audience'],
    ['', '401 audience'],
    [[], '401 audience'],
    ['https://other.example', '401 audience'],
    [['https://other.example'], '401 audience'],
    [`${audience}/`, '401 audience'],
    [`${audience}.evil.example`, '401 audience'],
    ['https://api', '401 audience'],
    [audience.toUpperCase(), '401 audience'],
    [`https://other.example ${audience}`, '401 audience'],
    ['client-1', '401 audience'],
    [7, '401 audience'],
    [true, '401 audience'],
    [{ 0: audience }, '401 audience'],
    [[[audience]], '401 audience'],
    ['undefined', '401 audience'],
  ]

  test.each(shapes)('T94 aud %j: %s', async (aud, verdict) => {
    const { api, issuer } = await guardedApi()
    expect(await api.verdict(issuer.token({ aud }))).toBe(verdict)
  })

  test('T94 with several audiences a token for one of them will do', async () => {
    const { api, issuer } = await guardedApi({ options: { audience: ['one', 'two'] } })
    expect(await api.verdict(issuer.token({ aud: 'two' }))).toBe('200')
    expect(await api.verdict(issuer.token({ aud: 'one' }))).toBe('200')
    expect(await api.verdict(issuer.token({ aud: 'one two' }))).toBe('401 audience')
    expect(await api.verdict(issuer.token())).toBe('401 audience')
  })

  test.each([[undefined], [null], [''], [[]], [['']], [[audience, '']], [[undefined]], [7]])(
    'T94 there is no guard without an audience: %j',
    (wrong) => {
      const options = { issuer: 'https://auth.example.com', audience: wrong }
      expect(() => oauthBearer(options as unknown as OAuthBearerOptions)).toThrow('option "audience"')
    },
  )
})

describe('a claim that a check needs is not passed over when it is absent', () => {
  const byClient = { audience: { claim: 'client_id', values: ['client-1'] } }
  const tenants = (url: string) => ({ issuer: `${url}/{tid}`, tenants: ['one'], jwksUri: `${url}/keys` })
  const strict = { profile: 'rfc9068' } as const
  const cases: [claim: string, options: (url: string) => object, reason: string][] = [
    ['iss', () => ({}), 'issuer'],
    ['iss', (url) => ({ issuer: undefined, issuers: [url] }), 'issuer'],
    ['iss', (url) => ({ issuer: undefined, issuers: () => url }), 'issuer'],
    ['iss', tenants, 'issuer'],
    ['tid', tenants, 'issuer'],
    ['aud', () => ({}), 'audience'],
    ['aud', () => strict, 'audience'],
    ['client_id', () => byClient, 'audience'],
    ['exp', () => ({}), 'exp'],
    ['exp', () => byClient, 'exp'],
    ['sub', () => strict, 'sub'],
    ['client_id', () => strict, 'client_id'],
    ['iat', () => strict, 'iat'],
    ['jti', () => strict, 'jti'],
    [
      'scope',
      () => ({ validate: ({ scopes }: { scopes: string[] }) => scopes.includes('read:projects') }),
      'validate',
    ],
  ]

  test.each(cases)('no %s (%#)', async (claim, optionsOf, reason) => {
    const issuer = await startIssuer()
    const options = optionsOf(issuer.url)
    const api = await startApi(issuer, { options })
    const iss = 'tenants' in options ? `${issuer.url}/one` : issuer.url
    const whole = { iss, tid: 'one', jti: 'id-1' }
    expect(await api.verdict(issuer.token(whole))).toBe('200')
    expect(await api.verdict(issuer.token({ ...whole, [claim]: undefined }))).toBe(`401 ${reason}`)
    expect(await api.verdict(issuer.token({ ...whole, [claim]: null }))).toBe(`401 ${reason}`)
  })
})

describe('tokens as servers document them', () => {
  /** By public documentation: no token of a real server of these was at hand. */
  const customs: [
    server: string,
    path: string,
    options: object,
    header: Members,
    claims: Members,
    idToken: Members,
  ][] = [
    [
      'Entra ID, version 2',
      '/72f988bf/v2.0',
      { issuer: '/{tid}/v2.0', tenants: ['72f988bf'], jwksUri: '/keys', audience: 'app-1' },
      { typ: 'JWT' },
      {
        aud: 'app-1',
        tid: '72f988bf',
        ver: '2.0',
        azp: 'client-1',
        scp: 'read:projects',
        oid: 'o',
        sub: 's',
        nbf: 1,
      },
      {
        aud: 'client-1',
        tid: '72f988bf',
        ver: '2.0',
        oid: 'o',
        sub: 's',
        nonce: 'n',
        preferred_username: 'u',
      },
    ],
    [
      'Entra ID, version 1',
      '/72f988bf/',
      { issuer: '/{tid}/', tenants: ['72f988bf'], jwksUri: '/keys', audience: 'api://app-1' },
      { typ: 'JWT' },
      {
        aud: 'api://app-1',
        tid: '72f988bf',
        ver: '1.0',
        appid: 'client-1',
        scp: 'read:projects',
        acr: '1',
        amr: ['pwd'],
      },
      { aud: 'client-1', tid: '72f988bf', ver: '1.0', amr: ['pwd'], nonce: 'n' },
    ],
    [
      'Keycloak in containers',
      '/realms/main',
      { issuer: '/realms/main', jwksUri: '/keys', audience: 'projects-api' },
      { typ: 'JWT' },
      {
        aud: ['projects-api', 'account'],
        typ: 'Bearer',
        azp: 'client-1',
        acr: '1',
        sid: 's',
        jti: 'onrtac:1',
        scope: 'openid read:projects',
      },
      { aud: 'client-1', typ: 'ID', azp: 'client-1', acr: '1', sid: 's', auth_time: 1, at_hash: 'h' },
    ],
    [
      'Cognito',
      '/eu-central-1_pool',
      {
        issuer: '/eu-central-1_pool',
        jwksUri: '/keys',
        audience: { claim: 'client_id', values: ['client-1'] },
      },
      { typ: undefined },
      {
        token_use: 'access',
        client_id: 'client-1',
        scope: 'read:projects',
        auth_time: 1,
        origin_jti: 'o',
        version: 2,
        username: 'u',
      },
      { token_use: 'id', aud: 'client-1', auth_time: 1, 'cognito:username': 'u' },
    ],
    [
      'Okta',
      '/oauth2/default',
      { issuer: '/oauth2/default', jwksUri: '/keys', audience: 'api://default' },
      { typ: undefined },
      {
        aud: 'api://default',
        ver: 1,
        jti: 'AT.1',
        cid: 'client-1',
        uid: 'u',
        scp: ['openid', 'read:projects'],
        auth_time: 1,
      },
      { aud: 'client-1', ver: 1, jti: 'ID.1', amr: ['pwd'], idp: 'i', auth_time: 1, at_hash: 'h' },
    ],
    [
      'Auth0',
      '/',
      { issuer: '/', jwksUri: '/keys', audience: 'https://api.example.com' },
      { typ: 'JWT' },
      {
        aud: ['https://api.example.com', 'https://tenant.auth0.com/userinfo'],
        azp: 'client-1',
        scope: 'openid read:projects',
        permissions: [],
      },
      { aud: 'client-1', nonce: 'n', sid: 's', nickname: 'u' },
    ],
    [
      'Auth0 by the profile of RFC 9068',
      '/',
      { issuer: '/', jwksUri: '/keys', audience: 'https://api.example.com', profile: 'rfc9068' },
      { typ: 'at+jwt' },
      { aud: 'https://api.example.com', client_id: 'client-1', jti: 'j', scope: 'read:projects' },
      { aud: 'client-1', nonce: 'n', sid: 's' },
    ],
  ]
  const places = ['issuer', 'jwksUri']

  test.each(customs)(
    '%s: access tokens pass, ID tokens do not',
    async (_server, path, given, header, claims, idToken) => {
      const issuer = await startIssuer()
      const options = Object.fromEntries(
        Object.entries(given).map(([name, value]) => [
          name,
          places.includes(name) ? issuer.url + String(value) : value,
        ]),
      )
      const api = await startApi(issuer, { options })
      const bare = { iss: issuer.url + path, aud: undefined, client_id: undefined, scope: undefined }
      const answer = await api.present(issuer.token({ ...bare, ...claims }, header), '/projects')
      expect(answer.status).toBe(200)
      const { body } = await api.present(issuer.token({ ...bare, ...claims }, header))
      expect(JSON.parse(body)).toMatchObject({ clientId: 'client-1', issuer: issuer.url + path })
      expect(
        (await api.present(issuer.token({ ...bare, ...idToken }, { ...header, typ: 'JWT' }))).status,
      ).toBe(401)
      // Not even one that was made for the audience of this API.
      const near = { ...bare, ...idToken, aud: claims['aud'] }
      expect((await api.present(issuer.token(near, { ...header, typ: 'JWT' }))).status).toBe(401)
    },
  )
})

describe('T95 the times', () => {
  const tolerance = 30
  /** Claims relative to now, and what becomes of them. */
  const cases: [what: string, claims: () => Members, verdict: string][] = [
    ['no exp', () => ({ exp: undefined }), '401 exp'],
    ['exp null', () => ({ exp: null }), '401 exp'],
    ['exp as text', () => ({ exp: String(seconds() + 300) }), '401 exp'],
    ['exp as a date', () => ({ exp: new Date(Date.now() + 300_000).toISOString() }), '401 exp'],
    ['exp true', () => ({ exp: true }), '401 exp'],
    ['exp in a list', () => ({ exp: [seconds() + 300] }), '401 exp'],
    ['exp negative', () => ({ exp: -1 }), '401 exp'],
    ['exp beyond all numbers', () => ({ exp: 1e300 }), '401 exp'],
    ['exp zero', () => ({ exp: 0 }), '401 expired'],
    ['exp long past', () => ({ exp: seconds() - 360 }), '401 expired'],
    ['exp past the tolerance', () => ({ exp: seconds() - tolerance - 1 }), '401 expired'],
    ['exp within the tolerance', () => ({ exp: seconds() - tolerance + 5 }), '200'],
    ['exp with a fraction', () => ({ exp: seconds() + 300.5 }), '200'],
    ['exp after 2038', () => ({ exp: 4_102_444_800 }), '200'],
    ['nbf ahead', () => ({ nbf: seconds() + tolerance + 5 }), '401 nbf'],
    ['nbf within the tolerance', () => ({ nbf: seconds() + tolerance - 5 }), '200'],
    ['nbf as text', () => ({ nbf: '0' }), '401 nbf'],
    ['nbf null', () => ({ nbf: null }), '401 nbf'],
    ['iat ahead', () => ({ iat: seconds() + tolerance + 5 }), '401 iat'],
    ['iat within the tolerance', () => ({ iat: seconds() + tolerance - 5 }), '200'],
    ['iat as text', () => ({ iat: 'now' }), '401 iat'],
    ['no iat', () => ({ iat: undefined }), '200'],
  ]

  test.each(cases)('T95 %s', async (_what, claims, verdict) => {
    const { api, issuer } = await guardedApi()
    expect(await api.verdict(issuer.token(claims()))).toBe(verdict)
  })

  test('T95 the tolerance can be set to nothing', async () => {
    const { api, issuer } = await guardedApi({ options: { clockTolerance: 0 } })
    expect(await api.verdict(issuer.token({ exp: seconds() - 1 }))).toBe('401 expired')
    expect(await api.verdict(issuer.token({ iat: seconds() + 5 }))).toBe('401 iat')
    expect(await api.verdict(issuer.token({ exp: seconds() + 60 }))).toBe('200')
  })

  test.each([-1, 301, Number.NaN, Number.POSITIVE_INFINITY, '30', null])(
    'T95 a tolerance of %j is refused',
    (clockTolerance) => {
      const options = { issuer: 'https://auth.example.com', audience, clockTolerance }
      expect(() => oauthBearer(options as OAuthBearerOptions)).toThrow('option "clockTolerance"')
    },
  )

  test.each([[7], [null], [''], [{}], [['user-1']]])('T95 sub %j is not a subject', async (sub) => {
    const { api, issuer } = await guardedApi()
    expect(await api.verdict(issuer.token({ sub }))).toBe('401 sub')
  })
})

describe('T96 nothing outlives its end', () => {
  test('T96 a token that was good is judged anew each time', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() })
    onTestFinished(() => void vi.useRealTimers())
    const { api, issuer } = await guardedApi()
    const token = issuer.token({ iat: undefined, exp: seconds() + 2 })
    const start = Date.now()
    for (const [after, verdict] of [
      [0, '200'],
      [2, '200'],
      [31, '200'],
      [32, '401 expired'],
      [33, '401 expired'],
      [3600, '401 expired'],
    ] as const) {
      vi.setSystemTime(start + after * 1000)
      expect([after, await api.verdict(token)]).toEqual([after, verdict])
    }
  })

  test('T96 one good token does not vouch for the next', async () => {
    const { api, issuer } = await guardedApi()
    const good = issuer.token()
    const [header, , signature] = good.split('.')
    const payload = Buffer.from(JSON.stringify({ iss: issuer.url, aud: audience, exp: seconds() + 300 }))
    expect(await api.verdict(good)).toBe('200')
    expect(await api.verdict(`${header}.${payload.toString('base64url')}.${signature}`)).toBe('401 signature')
    expect(await api.verdict(good)).toBe('200')
  })
})
