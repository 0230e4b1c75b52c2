import { generateKeyPair, SignJWT, type CryptoKey } from 'jose'
import { beforeAll, describe, expect, test } from 'vitest'
import { isOAuthError } from '../../lib/errors.js'
import { algorithms } from '../../lib/jose/jwt.js'
import { verifyAccessToken } from '../../lib/oauth/access-token.js'

const issuer = 'https://auth.example.com'
const audience = 'https://api.example.com'
const now = 1_705_326_600

let publicKey: CryptoKey
let privateKey: CryptoKey
let asked = 0

beforeAll(async () => {
  const pair = await generateKeyPair('ES256')
  publicKey = pair.publicKey
  privateKey = pair.privateKey
})

const keySet = {
  keysFor: async () => {
    asked += 1
    return [publicKey]
  },
}

async function verified(claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}) {
  const token = await new SignJWT({ iss: issuer, aud: audience, exp: now + 3600, sub: 'user_123', ...claims })
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', ...header })
    .sign(privateKey)
  asked = 0
  return verifyAccessToken(token, {
    issuer,
    audience: [audience],
    algorithms,
    keySet,
    clockTolerance: 30,
    now: () => now,
  })
}

async function verdict(
  claims: Record<string, unknown>,
  header: Record<string, unknown> = {},
): Promise<string> {
  try {
    await verified(claims, header)
    return 'accepted'
  } catch (error) {
    const reason = isOAuthError(error) ? `${error.code} ${error.reason}` : String(error)
    return asked === 0 ? reason : `${reason}, after keys were asked for`
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
  expect(await verified(claims, { typ: 'JWT' })).toEqual({
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
  expect((await verified(claims)).clientId).toBe(clientId)
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
  expect((await verified(claims)).scopes).toEqual(scopes)
})

test('a machine may have no subject', async () => {
  expect((await verified({ sub: undefined })).subject).toBeUndefined()
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

test('what can be refused without a key asks for none', async () => {
  expect(await verdict({ iss: 'https://evil.example' })).toBe('invalid_token issuer')
  expect(await verdict({ aud: 'https://other.example' })).toBe('invalid_token audience')
  expect(await verdict({ exp: now - 31 })).toBe('invalid_token expired')
  expect(await verdict({ sub: 7 })).toBe('invalid_token sub')
})

test('the signature is asked for, and decides', async () => {
  await verified()
  expect(asked).toBe(1)
  const other = await generateKeyPair('ES256')
  const token = await new SignJWT({ iss: issuer, aud: audience, exp: now + 1 })
    .setProtectedHeader({ alg: 'ES256' })
    .sign(other.privateKey)
  const rules = { issuer, audience: [audience], algorithms, keySet, clockTolerance: 0, now: () => now }
  await expect(verifyAccessToken(token, rules)).rejects.toMatchObject({ reason: 'signature' })
})
