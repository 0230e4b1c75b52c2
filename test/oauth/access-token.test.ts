import { describe, expect, test } from 'vitest'
import { isOAuthError } from '../../lib/errors.js'
import { parseJwt } from '../../lib/jose/jwt.js'
import { judgeAccessToken, type AccessTokenRules } from '../../lib/oauth/access-token.js'

const issuer = 'https://auth.example.com'
const audience = 'https://api.example.com'
const now = 1_705_326_600

async function judged(
  claims: Record<string, unknown> = {},
  header: Record<string, unknown> = {},
  changes: Partial<AccessTokenRules> = {},
) {
  const payload = { iss: issuer, aud: audience, exp: now + 3600, sub: 'user_123', ...claims }
  const segments = [{ alg: 'ES256', typ: 'at+jwt', ...header }, payload].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  )
  const rules: AccessTokenRules = {
    issuer,
    audience: { claim: 'aud', values: [audience] },
    profile: 'any',
    clockTolerance: 30,
    now: () => now,
    ...changes,
  }
  return judgeAccessToken(parseJwt([...segments, 'c2lnbmF0dXJl'].join('.')), rules)
}

async function verdict(
  claims: Record<string, unknown>,
  header: Record<string, unknown> = {},
): Promise<string> {
  try {
    await judged(claims, header)
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
  [{}, []],
])('the scopes of %j', async (claims, scopes) => {
  expect((await judged(claims)).scopes).toEqual(scopes)
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
