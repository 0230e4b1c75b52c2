import { createSecretKey, generateKeyPairSync } from 'node:crypto'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { OAuthError } from '../../lib/errors.js'
import type { UnverifiedJwt } from '../../lib/jose/jwt.js'
import { staticKeySet, type StaticKeys } from '../../lib/jose/static-key-set.js'

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const ed = generateKeyPairSync('ed25519')
const jwk = ec.publicKey.export({ format: 'jwk' })
const spki = String(rsa.publicKey.export({ type: 'spki', format: 'pem' }))

/** Self-signed, for P-256, and good for a day that is over. */
const certificate = `-----BEGIN CERTIFICATE-----
MIIBijCCATGgAwIBAgIUPjSNs8qs0GTqYEO9Vjl8ZMvCb44wCgYIKoZIzj0EAwIw
GzEZMBcGA1UEAwwQa2V5cy5leGFtcGxlLmNvbTAeFw0yNjExMjExNDE1MjNaFw0y
NjExMjIxNDE1MjNaMBsxGTAXBgNVBAMMEGtleXMuZXhhbXBsZS5jb20wWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAATdX2QBstnyfSaprn/4/8HcLU6gAzLXVZ/Do8dU
UaGNRrcr8mtyD1V4Fauk9ixDIbTapcpKc4OQsK2nAqQvEQ4Po1MwUTAdBgNVHQ4E
FgQUxFppoGfjvpv00Z2eeuBH3hv6cTswHwYDVR0jBBgwFoAUxFppoGfjvpv00Z2e
euBH3hv6cTswDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiBLlxnJ
u1DOQtoh1QttVJ1BpKDQq7vD6sg4NKbY1mQT2QIgAU8ePj0UR9oqmOBYwEG6Ku8Q
VYJhAMpv7RWV7Jvjqf8=
-----END CERTIFICATE-----`

async function count(
  keys: StaticKeys,
  { algorithm = 'ES256', kid }: { algorithm?: UnverifiedJwt['algorithm']; kid?: string } = {},
) {
  const jwt = { token: '', claims: {}, algorithm, ...(kid !== undefined && { kid }) }
  return (await staticKeySet(keys).keysFor(jwt)).length
}

describe('a key may be given as', () => {
  test.each<[string, StaticKeys, UnverifiedJwt['algorithm']]>([
    ['a JWK', jwk, 'ES256'],
    ['a JWK with a use', { ...jwk, use: 'sig', alg: 'ES256', key_ops: ['verify'] }, 'ES256'],
    ['a key set', { keys: [jwk] }, 'ES256'],
    ['a list of key sets', [{ keys: [jwk] }], 'ES256'],
    ['SPKI', spki, 'PS384'],
    ['PKCS #1', String(rsa.publicKey.export({ type: 'pkcs1', format: 'pem' })), 'RS256'],
    ['PEM with text around it', `here it is\n${spki}\nthat was it`, 'RS256'],
    ['a certificate', certificate, 'ES256'],
    ['a KeyObject', ed.publicKey, 'EdDSA'],
    ['one of a list', [jwk, spki, ed.publicKey], 'Ed25519'],
  ])('%s', async (_what, keys, algorithm) => {
    expect(await count(keys, { algorithm })).toBe(1)
    expect(await count(keys, { algorithm, kid: 'any' })).toBe(1)
    expect(await count(keys, { algorithm: 'ES512' })).toBe(0)
  })
})

describe('a name', () => {
  test('finds its key alone; a key without one may be for any token', async () => {
    const keys = [{ ...jwk, kid: 'a' }, { ...jwk, kid: 'b' }, jwk]
    expect(await count(keys, { kid: 'a' })).toBe(1)
    expect(await count(keys, { kid: 'c' })).toBe(1)
    expect(await count(keys)).toBe(3)
    expect(await count(keys.slice(0, 2), { kid: 'c' })).toBe(0)
  })

  test('that fits two keys fits none', async () => {
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })
    expect(
      await count(
        [jwk, other].map((key) => ({ ...key, kid: 'a' })),
        { kid: 'a' },
      ),
    ).toBe(0)
  })

  test('is not needed for up to eight keys', async () => {
    expect(await count(Array.from({ length: 8 }, () => jwk))).toBe(8)
    expect(await count(Array.from({ length: 9 }, () => jwk))).toBe(0)
  })
})

test('the keys are trusted for ever, those of another set never, and there are never new ones', async () => {
  const [set, other] = [staticKeySet(jwk), staticKeySet(jwk)]
  await set.ready()
  const jwt = { token: '', claims: {}, algorithm: 'ES256' } as const
  const [key] = await set.keysFor(jwt)
  if (!key) throw new Error('a key is needed')
  expect([set.trusts(key), other.trusts(key)]).toEqual([true, false])
  expect(await set.newKeysFor(jwt, [])).toEqual([])
})

describe('refused, by name', () => {
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey
  const pss = generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey
  const koblitz = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey
  const secret = createSecretKey(Buffer.alloc(32, 7))

  test.each<[string, unknown, string]>([
    ['nothing', undefined, 'the key at "keys" is no object'],
    ['null', null, 'the key at "keys" is no object'],
    ['a number', 7, 'the key at "keys" is no object'],
    ['no key', [], '"keys" holds 0 keys'],
    ['an empty set', { keys: [] }, '"keys" holds 0 keys'],
    ['101 keys', Array.from({ length: 101 }, () => jwk), '"keys" holds 101 keys'],
    ['an object that is no key', {}, 'the key at "keys" has no type ("kty") that is known'],
    ['an unknown type', { kty: 'AKP' }, 'the key at "keys" has no type ("kty") that is known'],
    ['a private JWK', ec.privateKey.export({ format: 'jwk' }), 'the key at "keys" is private'],
    ['a private KeyObject', [jwk, ec.privateKey], 'the key at "keys[1]" is private'],
    [
      'a private PEM',
      { keys: [ec.privateKey.export({ type: 'pkcs8', format: 'pem' })] },
      'the key at "keys.keys[0]" is private',
    ],
    [
      'an old private PEM',
      rsa.privateKey.export({ type: 'pkcs1', format: 'pem' }),
      'the key at "keys" is private',
    ],
    ['a secret', { kty: 'oct', k: 'AAAA' }, 'the key at "keys" is a shared secret'],
    ['a secret KeyObject', secret, 'the key at "keys" is a shared secret'],
    ['text', 'my key', 'the key at "keys" is no PEM'],
    ['two PEMs', spki + spki, 'the key at "keys" is PEM with 2 parts'],
    ['broken PEM', spki.replace('MII', 'AAA'), 'the key at "keys" is PEM that cannot be read'],
    ['a short RSA key', weak, 'the key at "keys" is an RSA key of 1024 bits'],
    ['an RSA-PSS key', pss, 'the key at "keys" is of the type "rsa-pss"'],
    ['another curve', koblitz, 'the key at "keys" is on the curve "secp256k1"'],
    ['a malformed JWK', { ...jwk, x: 'AA' }, 'the key at "keys" is malformed'],
    ['a key for encryption', { ...jwk, use: 'enc' }, 'the key at "keys" is not for signatures'],
    ['a key for agreement', { ...jwk, key_ops: ['deriveKey'] }, 'the key at "keys" is not for verifying'],
    ['another algorithm', { ...jwk, alg: 'ECDH-ES' }, 'the key at "keys" is for another algorithm'],
    ['a kid that is a number', { ...jwk, kid: 7 }, 'the key at "keys" has a "kid" that is no text'],
  ])('%s', (_what, keys, message) => {
    expect(() => staticKeySet(keys as StaticKeys)).toThrow(
      expect.objectContaining({
        code: 'invalid_configuration',
        message: expect.stringContaining(message),
      }),
    )
  })

  test('and no message repeats the key', () => {
    const privateJwk = ec.privateKey.export({ format: 'jwk' })
    const d = String(privateJwk.d)
    for (const keys of [privateJwk, d, `-----BEGIN KEY-----${d}-----END KEY-----`]) {
      const error = thrown(() => staticKeySet(keys))
      expect(error).toBeInstanceOf(OAuthError)
      expect(inspect(error) + JSON.stringify(error)).not.toContain(d)
    }
  })
})

function thrown(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    return error
  }
}
