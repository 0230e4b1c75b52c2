import { generateKeyPairSync, sign, type JsonWebKey } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { keyFromJwk, UnusableKey } from '../../lib/jose/verification-key.js'

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const ed = generateKeyPairSync('ed25519')
const jwkOf = ({ publicKey }: { publicKey: typeof rsa.publicKey }) => publicKey.export({ format: 'jwk' })

function problem(jwk: unknown): string | undefined {
  try {
    keyFromJwk(jwk)
    return undefined
  } catch (error) {
    return error instanceof UnusableKey ? error.message : `not an UnusableKey: ${String(error)}`
  }
}

test('a key verifies what it signed with an algorithm of its type, and nothing else', async () => {
  const key = keyFromJwk({ ...jwkOf(ec), kid: 'k' })
  expect([key.kid, key.fits('ES256'), key.fits('ES384'), key.fits('RS256')]).toEqual([
    'k',
    true,
    false,
    false,
  ])
  const signature = sign('sha256', Buffer.from('a.b'), { key: ec.privateKey, dsaEncoding: 'ieee-p1363' })
  const token = `a.b.${signature.toString('base64url')}`
  expect(await key.verifies({ token, algorithm: 'ES256' })).toBe(true)
  expect(await key.verifies({ token: `b${token.slice(1)}`, algorithm: 'ES256' })).toBe(false)
  for (const algorithm of ['ES384', 'RS256', 'EdDSA'] as const)
    expect(await key.verifies({ token, algorithm })).toBe(false)
})

test('"alg" leaves one algorithm of those that fit', () => {
  const key = keyFromJwk({ ...jwkOf(rsa), alg: 'PS384' })
  expect([key.fits('PS384'), key.fits('PS256'), key.fits('RS384')]).toEqual([true, false, false])
})

describe('an Ed25519 key of small order', () => {
  // The sixteen spellings: eight points, some with a sign that they do not have, some with a number beyond the field.
  const points = [
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0100000000000000000000000000000000000000000000000000000000000000',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  ].flatMap((hex) => {
    const signed = Buffer.from(hex, 'hex')
    signed.writeUInt8(signed.readUInt8(31) | 0x80, 31)
    return [hex, signed.toString('hex')]
  })

  test.each(points)('%s is refused', (hex) => {
    const x = Buffer.from(hex, 'hex').toString('base64url')
    expect(problem({ kty: 'OKP', crv: 'Ed25519', x })).toMatch(/forged/)
  })

  test('is not what an honest one is taken for', () => {
    for (let round = 0; round < 20; round++)
      expect(problem(jwkOf(generateKeyPairSync('ed25519')))).toBeUndefined()
  })
})

describe('malformed', () => {
  const n = Buffer.from(String(jwkOf(rsa).n), 'base64url')
  const even = Buffer.from(n)
  even.writeUInt8(even.readUInt8(255) & 0xfe, 255)
  const { x, y } = jwkOf(ec)

  test.each<[string, JsonWebKey, RegExp]>([
    ['an even modulus', { ...jwkOf(rsa), n: even.toString('base64url') }, /even/],
    ['a modulus that is a number', { ...jwkOf(rsa), n: 7 as never }, /malformed/],
    ['no modulus', { kty: 'RSA', e: 'AQAB' }, /malformed/],
    ['a modulus of zeros', { ...jwkOf(rsa), n: Buffer.alloc(256).toString('base64url') }, /bits|malformed/],
    ['a point with its coordinates in turn', { ...jwkOf(ec), x: y ?? '', y: x ?? '' }, /malformed/],
    ['the point at infinity', { ...jwkOf(ec), x: '', y: '' }, /malformed/],
    ['a point of zeros', { ...jwkOf(ec), x: 'AA', y: 'AA' }, /malformed/],
    ['a point beside the curve', { ...jwkOf(ec), y: Buffer.alloc(32, 1).toString('base64url') }, /malformed/],
    ['a point of another curve', { ...jwkOf(ec), crv: 'P-384' }, /malformed/],
    ['an unknown curve', { ...jwkOf(ec), crv: 'P-257' }, /malformed/],
    ['a short Ed25519 key', { ...jwkOf(ed), x: 'AAAA' }, /malformed/],
    ['an X25519 key', jwkOf(generateKeyPairSync('x25519') as typeof ed), /"x25519"/],
    ['an Ed448 key', jwkOf(generateKeyPairSync('ed448') as typeof ed), /"ed448"/],
  ])('%s', (_what, jwk, expected) => {
    expect(problem(jwk)).toMatch(expected)
  })
})
