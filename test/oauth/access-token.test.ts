import { describe, expect, test } from 'vitest'
import { isOAuthError } from '../../lib/errors.js'
import { parseJwt } from '../../lib/jose/jwt.js'
import { judgeAccessToken, type AccessTokenRules } from '../../lib/oauth/access-token.js'

const issuer = 'https://auth.example.com'
const audience = 'https://api.example.com'
const now = 1_705_326_600

const defaultRules: AccessTokenRules = {
  issuer,
  audience: { claim: 'aud', values: [audience] },
  profile: 'any',
  clockTolerance: 30,
  now: () => now,
}

async function judged(
  claims: Record<string, unknown> = {},
  header: Record<string, unknown> = {},
  changes: Partial<AccessTokenRules> = {},
) {
  const payload = { iss: issuer, aud: audience, exp: now + 3600, sub: 'user_123', ...claims }
  const segments = [{ alg: 'ES256', typ: 'at+jwt', ...header }, payload].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  )
  const rules: AccessTokenRules = { ...defaultRules, ...changes }
  return judgeAccessToken(parseJwt([...segments, 'c2lnbmF0dXJl'].join('.')), rules)
}

async function verdict(
  claims: Record<string, unknown>,
  header: Record<string, unknown> = {},
  changes: Partial<AccessTokenRules> = {},
): Promise<string> {
  try {
    await judged(claims, header, changes)
    return 'accepted'
  } catch (error) {
    return isOAuthError(error) ? `${error.code} ${error.reason}` : String(error)
  }
}

test('a token as documentation shows it says who, for which client and for what', async () => {
  const claims = {
    iss: issuer,
    sub: 'user_123',
    aud: audience,
    exp: now + 3600,
    iat: now,
    scope: 'read:projects write:projects',
    client_id: 'abc123',
  }
  expect(await judged(claims, { typ: 'JWT' })).toEqual({
    claims,
    subject: 'user_123',
    clientId: 'abc123',
    scopes: ['read:projects', 'write:projects'],
    expiresAt: now + 3600,
  })
})

test.each<[Record<string, unknown>, string | undefined]>([
  [{ client_id: 'a', azp: 'b', appid: 'c', cid: 'd' }, 'a'],
  [{ azp: 'b', appid: 'c', cid: 'd' }, 'b'],
  [{ appid: 'c', cid: 'd' }, 'c'],
  [{ cid: 'd' }, 'd'],
  [{ client_id: '', azp: 7, cid: 'd' }, 'd'],
  [{}, undefined],
])('the client of %j', async (claims, clientId) => {
  expect((await judged(claims)).clientId).toBe(clientId)
})

test.each<[Record<string, unknown>, string[]]>([
  [{ scope: 'a b' }, ['a', 'b']],
  [{ scope: ['a', 'b'] }, ['a', 'b']],
  [{ scp: 'a b' }, ['a', 'b']],
  [{ scp: ['a', 'b'] }, ['a', 'b']],
  [{ scope: 'a', scp: 'b' }, ['a']],
  [{ scope: null, scp: 'b' }, ['b']],
  [{ scope: '', scp: 'b' }, []],
  [{ scope: [], scp: 'b' }, []],
  [{ scope: ['a'], scp: ['a', 'b'] }, ['a']],
  [{ scope: 7, scp: 'b' }, []],
  [{ scope: { 0: 'a' } }, []],
  [{ scp: ['a b', 'c', 7, null] }, ['c']],
  [{}, []],
])('the scopes of %j', async (claims, scopes) => {
  expect((await judged(claims)).scopes).toEqual(scopes)
})

test('T106 the scopes of a token are read when it is known to be good, and not while it is judged', () => {
  let reads = 0
  const claims = {
    iss: issuer,
    aud: audience,
    exp: now + 3600,
    get scope() {
      reads += 1
      return 'read:projects'
    },
  }
  const token = judgeAccessToken({ typ: 'at+jwt', claims }, defaultRules)
  expect(reads).toBe(0)
  expect(token.scopes).toEqual(['read:projects'])
})

test('a machine may have no subject', async () => {
  expect((await judged({ sub: undefined })).subject).toBeUndefined()
})

describe('T93 tokens of other kinds', () => {
  const lax = { typ: 'JWT' }

  test.each<[string, Record<string, unknown>, Record<string, unknown>, string]>([
    ['Keycloak: ID token', { typ: 'ID', azp: 'app', auth_time: now }, lax, 'not_an_access_token'],
    ['Keycloak: in lower case', { typ: 'id' }, lax, 'not_an_access_token'],
    ['Keycloak: refresh token', { typ: 'Refresh' }, lax, 'not_an_access_token'],
    ['Keycloak: offline token', { typ: 'Offline' }, lax, 'not_an_access_token'],
    ['Keycloak: logout token', { typ: 'Logout' }, lax, 'not_an_access_token'],
    ['Cognito: ID token', { token_use: 'id', 'cognito:username': 'u' }, lax, 'not_an_access_token'],
    [
      'LemonLDAP::NG: ID token',
      { aud: ['app', audience], azp: 'app', nonce: 'n' },
      lax,
      'not_an_access_token',
    ],
    ['LemonLDAP::NG: ID token', { aud: ['app', audience], at_hash: 'h' }, lax, 'not_an_access_token'],
    ['a nonce of null', { nonce: null }, lax, 'not_an_access_token'],
    ['logout token', { events: {} }, lax, 'not_an_access_token'],
    ['DPoP proof', { htm: 'GET' }, lax, 'not_an_access_token'],
    ['another type', {}, { typ: 'dpop+jwt' }, 'typ'],
  ])('%s %j', async (_server, claims, header, reason) => {
    expect(await verdict(claims, header)).toBe(`invalid_token ${reason}`)
  })

  test.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    ['Keycloak', { typ: 'Bearer', azp: 'app', scope: 'openid' }, lax],
    ['Cognito', { token_use: 'access', client_id: 'app', scope: 'a' }, lax],
    ['LemonLDAP::NG', { aud: ['app', audience], client_id: 'app', scope: 'a' }, lax],
    ['RFC 9068, whatever else it says', { nonce: 'n', at_hash: 'h', typ: 'ID', token_use: 'id' }, {}],
  ])('the access token of %s', async (_server, claims, header) => {
    expect(await verdict(claims, header)).toBe('accepted')
  })
})

describe('T94 another claim than aud', () => {
  const byClient = { audience: { claim: 'client_id', values: ['a', 'b'] } }

  test.each<[Record<string, unknown>, string]>([
    [{ aud: undefined, client_id: 'a' }, 'accepted'],
    [{ aud: undefined, client_id: 'b' }, 'accepted'],
    [{ aud: 'https://other.example', client_id: 'a' }, 'accepted'],
    [{ client_id: 'c' }, 'invalid_token audience'],
    [{ client_id: 'ab' }, 'invalid_token audience'],
    [{ client_id: 'a b' }, 'invalid_token audience'],
    [{ client_id: '' }, 'invalid_token audience'],
    [{ client_id: null }, 'invalid_token audience'],
    [{ client_id: { a: 'a' } }, 'invalid_token audience'],
    [{ aud: 'a' }, 'invalid_token audience'],
    [{ azp: 'a' }, 'invalid_token audience'],
  ])('%j', async (claims, expected) => {
    expect(await verdict(claims, {}, byClient)).toBe(expected)
  })

  test.each(['__proto__', 'constructor', 'toString'])(
    'a claim of the name %s has to be there',
    async (claim) => {
      const audienceRule = { audience: { claim, values: ['a', 'undefined', '[object Object]'] } }
      expect(await verdict({}, {}, audienceRule)).toBe('invalid_token audience')
    },
  )
})

describe('the profile of RFC 9068', () => {
  const strict = { profile: 'rfc9068' } as const
  const whole = { client_id: 'app', iat: now, jti: 'id-1' }

  test('a token that has all passes', async () => {
    expect(await verdict(whole, {}, strict)).toBe('accepted')
    expect(await verdict(whole, { typ: 'application/at+jwt' }, strict)).toBe('accepted')
    expect(await verdict(whole, { typ: 'AT+JWT' }, strict)).toBe('accepted')
  })

  test.each([[undefined], ['JWT'], ['jwt'], ['at'], ['id+jwt'], ['']])('typ %j', async (typ) => {
    expect(await verdict(whole, { typ }, strict)).toBe('invalid_token typ')
  })

  const wrong: unknown[] = [undefined, null, '', 7, true, {}, ['x']]
  const absent = ['iss', 'aud', 'exp', 'sub', 'client_id', 'iat', 'jti'].flatMap((name) =>
    wrong.filter((value) => !isRight(name, value)).map((value) => [name, value] as const),
  )

  test.each(absent)('%s: %j is refused', async (name, value) => {
    const reasons: Record<string, string> = { iss: 'issuer', aud: 'audience', exp: 'exp' }
    const reason = value === 7 && name === 'exp' ? 'expired' : (reasons[name] ?? name)
    expect(await verdict({ ...whole, [name]: value }, {}, strict)).toBe(`invalid_token ${reason}`)
  })
})

/** A time may be a number, and nothing else in the list is right for anything. */
function isRight(name: string, value: unknown): boolean {
  return name === 'iat' && value === 7
}
