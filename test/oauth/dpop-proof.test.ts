/** What a proof says is judged before its signature, and neither by a key that the token does not name. */
import { createHash, randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { isOAuthError } from '../../lib/index.js'
import { algorithms } from '../../lib/jose/jwt.js'
import { verifyDPoPProof, type DPoPProofRules, type ProvenRequest } from '../../lib/oauth/dpop-proof.js'
import { targetUri } from '../../lib/oauth/target-uri.js'
import type { Members, Signer } from '../threats/guard/issuer.js'
import {
  edwardsKey,
  ellipticKey,
  proofFor,
  rsaKey,
  thumbprintOf,
  type ProofKey,
} from '../threats/guard/proof.js'

const key = ellipticKey()
const token = 'an access token'
const htu = 'https://api.example.com/projects'
const now = 1_705_326_600
const rules: DPoPProofRules = { algorithms, lifetime: 60, clockTolerance: 30, now: () => now }
const request: ProvenRequest = { method: 'GET', uri: htu, token, thumbprint: key.thumbprint }

async function verdict(
  proof: string,
  changes: Partial<ProvenRequest> = {},
  otherRules: Partial<DPoPProofRules> = {},
): Promise<string> {
  try {
    await verifyDPoPProof(proof, { ...request, ...changes }, { ...rules, ...otherRules })
    return 'accepted'
  } catch (error) {
    return isOAuthError(error) ? `${error.code} ${error.reason}` : String(error)
  }
}

const made = (claims: Members = {}, header: Members = {}) =>
  proofFor({ htu, token }, key, { iat: now, ...claims }, header)

test('a good proof tells its name, its nonce and for how long it must be remembered', async () => {
  const proof = made({ jti: 'proof', nonce: 'nonce' })
  expect(await verifyDPoPProof(proof, request, rules)).toEqual({
    jti: 'proof',
    nonce: 'nonce',
    replayable: 60 + 30 + 30 + 1,
  })
})

test.each([
  [-90, 31],
  [-60, 61],
  [0, 121],
  [30, 151],
])('a proof made at %i s is remembered for %i s', async (offset, seconds) => {
  const { replayable } = await verifyDPoPProof(made({ iat: now + offset }), request, rules)
  expect(replayable).toBe(seconds)
  // By a clock that is behind by as much as it may be, it is too old by then.
  const later = { ...rules, now: () => now + seconds - rules.clockTolerance }
  expect(await verdict(made({ iat: now + offset }), {}, later)).toBe('invalid_dpop_proof iat')
})

test.each([
  [-91, 'invalid_dpop_proof iat'],
  [-90, 'accepted'],
  [30, 'accepted'],
  [31, 'invalid_dpop_proof iat'],
])('a proof made at %i s: %s', async (offset, expected) => {
  expect(await verdict(made({ iat: now + offset }))).toBe(expected)
})

test.each<[Partial<ProvenRequest>, string]>([
  [{ method: 'POST' }, 'invalid_dpop_proof htm'],
  [{ method: '' }, 'invalid_dpop_proof htm'],
  [{ uri: `${htu}/1` }, 'invalid_dpop_proof htu'],
  [{ uri: undefined }, 'invalid_dpop_proof htu'],
  [{ token: 'another' }, 'invalid_dpop_proof ath'],
  [{ thumbprint: 'another' }, 'invalid_token key_binding'],
  [{ thumbprint: '' }, 'invalid_token key_binding'],
])('a request with %j is another one', async (changes, expected) => {
  expect(await verdict(made(), changes)).toBe(expected)
})

test('a URI that cannot be spelled is none, though both cannot', async () => {
  expect(await verdict(made({ htu: 'junk' }), { uri: undefined })).toBe('invalid_dpop_proof htu')
})

test('what else the header says of its key changes nothing', async () => {
  const jwk = { ...key.publicJwk, use: 'enc', key_ops: [], alg: 'RS256', kid: 'x', ext: false }
  expect(await verdict(made({}, { jwk }))).toBe('accepted')
})

describe('T101 a key that proves nothing, though the token is bound to it', () => {
  const edwards = edwardsKey()
  const rsa = rsaKey(2048)
  const modulus = Buffer.from(String(rsa.publicJwk.n), 'base64url')
  const even = Buffer.from(modulus)
  even.writeUInt8(even.readUInt8(255) & 0xfe, 255)
  const base64url = (...bytes: number[]) => Buffer.from(bytes).toString('base64url')
  /** Of order 1: what follows from it is good for every message. */
  const neutral = Buffer.from([1, ...Buffer.alloc(31)])
  /** With an exponent of 1, what a signature should give is the signature. */
  const padded: Signer = (input) => {
    const sha256 = Buffer.from('3031300d060960864801650304020105000420', 'hex')
    const end = Buffer.concat([Buffer.alloc(1), sha256, createHash('sha256').update(input).digest()])
    return Buffer.concat([Buffer.from([0, 1]), Buffer.alloc(254 - end.length, 0xff), end])
  }

  test.each<[what: string, by: ProofKey, jwk: Members, signer: Signer, reason: string]>([
    [
      'Ed25519 of small order',
      edwards,
      { ...edwards.publicJwk, x: neutral.toString('base64url') },
      () => Buffer.concat([neutral, Buffer.alloc(32)]),
      'jwk',
    ],
    ['RSA, even', rsa, { ...rsa.publicJwk, n: even.toString('base64url') }, rsa.signer, 'jwk'],
    ['RSA, exponent 1', rsa, { ...rsa.publicJwk, e: base64url(1) }, padded, 'key_size'],
    ['RSA, even exponent', rsa, { ...rsa.publicJwk, e: base64url(1, 0, 0) }, rsa.signer, 'key_size'],
    ['RSA, exponent 0', rsa, { ...rsa.publicJwk, e: base64url(0) }, rsa.signer, 'key_size'],
    ['private, EC', key, key.privateKey.export({ format: 'jwk' }), key.signer, 'private_key'],
    ['private, RSA', rsa, rsa.privateKey.export({ format: 'jwk' }), rsa.signer, 'private_key'],
    [
      'private, Ed25519',
      edwards,
      edwards.privateKey.export({ format: 'jwk' }),
      edwards.signer,
      'private_key',
    ],
    ['oct', key, { kty: 'oct', k: randomBytes(32).toString('base64url') }, key.signer, 'private_key'],
    ['beside its curve', key, { ...key.publicJwk, y: key.publicJwk.x }, key.signer, 'jwk'],
    ['of another type', rsa, key.publicJwk, rsa.signer, 'jwk'],
    ['of no known type', key, { ...key.publicJwk, kty: '__proto__' }, key.signer, 'jwk'],
  ])('T101 %s', async (_what, by, jwk, signer, reason) => {
    const proof = proofFor({ htu, token }, by, { iat: now }, { jwk }, signer)
    expect(await verdict(proof, { thumbprint: thumbprintOf(jwk) })).toBe(`invalid_dpop_proof ${reason}`)
  })

  test('T101 one that the token does not name is not read', async () => {
    const jwk = { ...key.publicJwk, y: key.publicJwk.x, d: 'AA' }
    expect(await verdict(made({}, { jwk }))).toBe('invalid_token key_binding')
  })

  test('T101 neither is any before what the proof says of the request', async () => {
    const jwk = { ...key.publicJwk, d: 'AA' }
    expect(await verdict(made({ htm: 'POST' }, { jwk }))).toBe('invalid_dpop_proof htm')
  })
})

test('a good proof by RSA and by Ed25519', async () => {
  for (const by of [rsaKey(2048), edwardsKey(), edwardsKey('EdDSA')]) {
    const proof = proofFor({ htu, token }, by, { iat: now })
    expect(await verdict(proof, { thumbprint: by.thumbprint })).toBe('accepted')
  }
})

describe('one spelling of a URI', () => {
  test.each([
    ['https://api.example.com', 'https://api.example.com/'],
    ['https://api.example.com?a#b', 'https://api.example.com/'],
    ['HTTPS://API.example.COM:443/A?b#c', 'https://api.example.com/A'],
    ['http://api.example.com:80/', 'http://api.example.com/'],
    ['http://api.example.com:443/', 'http://api.example.com:443/'],
    ['http://localhost:8080/a', 'http://localhost:8080/a'],
    ['http://[::1]/a', 'http://[::1]/a'],
    ['http://[::1]:80/a', 'http://[::1]/a'],
    ['https://[2001:DB8::443]/a', 'https://[2001:db8::443]/a'],
    ['https://a.example/%7euser/%41%2f%3a', 'https://a.example/~user/A%2F%3A'],
    ['https://a.example//a//', 'https://a.example//a//'],
    ['https://a.example/a?b=/../c', 'https://a.example/a'],
    ['https://a.example/...', 'https://a.example/...'],
    ['https://a.example/a..b/.c', 'https://a.example/a..b/.c'],
    ["https://a.example/a-._~!$&'()*+,;=:@|[]", "https://a.example/a-._~!$&'()*+,;=:@|[]"],
  ])('%s: %s', (uri, spelled) => {
    expect(targetUri(uri)).toBe(spelled)
    expect(targetUri(spelled)).toBe(spelled)
  })

  test.each([
    '',
    '/a',
    '//a.example/a',
    'a.example/a',
    'ftp://a.example/a',
    'https:/a.example/a',
    'https:///a',
    'https://',
    'https://user@a.example/a',
    'https://user:password@a.example/a',
    'https://a.example/..',
    'https://a.example/a/./b',
    'https://a.example/%2e%2E/b',
    'https://a.example/.%2e',
    'https://a.example/%',
    'https://a.example/%4',
    'https://a.example/%zz',
    'https://a.example\\@b.example/a',
    'https://a.example/a\\b',
    'https://a.example/a b',
    'https://a.example/\u00e4',
    'https://\u00e4.example/',
    'https://a%2eexample/a',
    'https://a.example/a\n',
    ' https://a.example/a',
  ])('%j has none', (uri) => {
    expect(targetUri(uri)).toBeUndefined()
  })
})
