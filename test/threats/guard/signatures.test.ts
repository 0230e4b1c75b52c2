/** Tokens that nobody signed, or not with a key of the issuer: algorithms, headers, encodings. */
import { generateKeyPairSync, sign as rawSign, type KeyObject } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { OAuthBearerOptions } from '../../../lib/index.js'
import { newSigningKey } from '../../support/faulty-server/signing-key.js'
import { startLocalServer } from '../../oauth/local-server.js'
import { json } from '../../support/faulty-server/answer.js'
import { guardedApi } from './api.js'
import {
  compactJws,
  ecdsa,
  firstKey,
  hmac,
  jwkOf,
  privateKeyOf,
  ps256,
  rs256,
  segment,
  unsigned,
  type Issuer,
  type Members,
  type Signer,
} from './issuer.js'

test('a good token opens the API', async () => {
  const { api, issuer } = await guardedApi()
  const answer = await api.present(issuer.token())
  expect(answer.status).toBe(200)
  expect(JSON.parse(answer.body)).toMatchObject({
    kind: 'bearer',
    subject: 'user-1',
    clientId: 'client-1',
    issuer: issuer.url,
    scopes: ['read:projects'],
  })
  expect(issuer.requests).toEqual(['GET /.well-known/openid-configuration', 'GET /keys'])
})

describe('T79 no algorithm', () => {
  const algorithms = ['none', 'None', 'nOnE', 'NONE', '', undefined, null, 0, ['none'], ['RS256'], 'rs256']

  test.each(algorithms.map((alg) => [alg]))('alg %j is refused before any key is fetched', async (alg) => {
    const { api, issuer } = await guardedApi()
    expect(await api.verdict(issuer.token({}, { alg }))).toBe('401 algorithm')
    expect(await api.verdict(issuer.token({}, { alg }, unsigned))).toBe('401 encoding')
    expect(issuer.requests).toEqual([])
  })

  test('an empty signature is refused whatever the algorithm', async () => {
    const { api, issuer } = await guardedApi()
    expect(await api.verdict(issuer.token({}, {}, unsigned))).toBe('401 encoding')
    expect(await api.verdict(issuer.token({}, {}, () => Buffer.alloc(256)))).toBe('401 signature')
  })
})

describe('T80 HMAC with the public key as the secret', () => {
  const encodings: Record<string, (key: KeyObject) => string | Buffer> = {
    'SPKI PEM': (key) => key.export({ type: 'spki', format: 'pem' }),
    'PKCS #1 PEM': (key) => key.export({ type: 'pkcs1', format: 'pem' }),
    'SPKI DER': (key) => key.export({ type: 'spki', format: 'der' }),
    'PKCS #1 DER': (key) => key.export({ type: 'pkcs1', format: 'der' }),
    'JWK text': (key) => JSON.stringify(key.export({ format: 'jwk' })),
    'PEM after white space': (key) => ` \n${String(key.export({ type: 'spki', format: 'pem' }))}`,
  }
  const hashes = { HS256: 'sha256', HS384: 'sha384', HS512: 'sha512' }
  const cases = Object.keys(encodings).flatMap((encoding) =>
    Object.entries(hashes).map(([alg, hash]) => [alg, encoding, hash] as const),
  )

  test.each(cases)('T80 %s with the %s', async (alg, encoding, hash) => {
    const { api, issuer } = await guardedApi()
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    issuer.publishes = () => [jwkOf(publicKey, { kid: 'public' })]
    const secret = encodings[encoding]?.(publicKey) ?? ''
    expect(await api.verdict(issuer.token({}, { alg, kid: 'public' }, hmac(hash, secret)))).toBe(
      '401 algorithm',
    )
    expect(issuer.requests).toEqual([])
  })

  test('also where the key set holds the secret itself', async () => {
    const { api, issuer } = await guardedApi()
    const secret = Buffer.alloc(32, 7)
    const shared = { kty: 'oct', k: secret.toString('base64url'), kid: 'shared', alg: 'HS256' }
    issuer.publishes = () => [firstKey(issuer).publicJwk, shared]
    const token = issuer.token({}, { alg: 'HS256', kid: 'shared' }, hmac('sha256', secret))
    expect(await api.verdict(token)).toBe('401 algorithm')
    expect(await api.verdict(issuer.token({}, { kid: 'shared' }, hmac('sha256', secret)))).toBe(
      '401 unknown_key',
    )
  })
})

describe('T81 the header does not choose the algorithm', () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const okp = generateKeyPairSync('ed25519')
  type Case = [
    what: string,
    options: Partial<OAuthBearerOptions>,
    jwk: (issuer: Issuer) => unknown,
    alg: string,
    signer: (issuer: Issuer) => Signer,
    verdict: string,
  ]
  const rsa =
    (alg: string | undefined) =>
    (issuer: Issuer): Members => ({ ...firstKey(issuer).publicJwk, alg })
  const onlyRs256: Partial<OAuthBearerOptions> = { algorithms: ['RS256'] }
  const byRs256 = (issuer: Issuer) => rs256(firstKey(issuer))
  const byPs256 = (issuer: Issuer) => ps256(firstKey(issuer))
  const byEs256 = () => ecdsa('sha256', ec.privateKey)

  test.each<Case>([
    ['a key without alg, the configured one', onlyRs256, rsa(undefined), 'RS256', byRs256, '200'],
    ['a key without alg, another', onlyRs256, rsa(undefined), 'PS256', byPs256, '401 algorithm'],
    ['a key without alg, both allowed', {}, rsa(undefined), 'PS256', byPs256, '200'],
    ['a key with alg RS256', {}, rsa('RS256'), 'PS256', byPs256, '401 unknown_key'],
    ['a key with alg RSA-OAEP', {}, rsa('RSA-OAEP'), 'RS256', byRs256, '401 unknown_key'],
    ['an RSA key for ES256', {}, rsa(undefined), 'ES256', byEs256, '401 unknown_key'],
    ['an RSA key for EdDSA', {}, rsa(undefined), 'EdDSA', byRs256, '401 unknown_key'],
    ['a P-256 key', {}, () => jwkOf(ec.publicKey), 'ES256', byEs256, '200'],
    ['a P-256 key for ES384', {}, () => jwkOf(ec.publicKey), 'ES384', byEs256, '401 unknown_key'],
    ['a P-256 key for RS256', {}, () => jwkOf(ec.publicKey), 'RS256', byEs256, '401 unknown_key'],
    [
      'an Ed25519 key',
      {},
      () => jwkOf(okp.publicKey),
      'EdDSA',
      () => (input) => signEd25519(input, okp.privateKey),
      '200',
    ],
    ['an Ed25519 key for ES256', {}, () => jwkOf(okp.publicKey), 'ES256', byEs256, '401 unknown_key'],
  ])('T81 %s', async (_what, options, jwk, alg, signer, verdict) => {
    const { api, issuer } = await guardedApi({ options })
    const key = { ...(jwk(issuer) as Members), kid: 'one' }
    // A second key keeps the set usable when the first is not.
    issuer.publishes = () => [key, { ...firstKey(issuer).publicJwk, kid: 'other' }]
    expect(await api.verdict(issuer.token({}, { alg, kid: 'one' }, signer(issuer)))).toBe(verdict)
  })
})

describe('T82 keys that the token brings along', () => {
  test.each(['jwk', 'jku', 'x5u', 'x5c'])('T82 %s is not looked at', async (name) => {
    const { api, issuer } = await guardedApi()
    const attacker = await newSigningKey()
    const trap = await startLocalServer(() => json({ keys: [attacker.publicJwk] }))
    const brought: Members = {
      jwk: attacker.publicJwk,
      jku: `${trap.url}/keys`,
      x5u: `${trap.url}/certificate`,
      x5c: [Buffer.from('certificate').toString('base64')],
    }
    const forged = (kid: string) => issuer.token({}, { kid, [name]: brought[name] }, rs256(attacker))
    expect(await api.verdict(forged(firstKey(issuer).kid))).toBe('401 signature')
    expect(await api.verdict(forged(attacker.kid))).toBe('401 unknown_key')
    expect(trap.requests).toEqual([])
  })
})

describe('T83 a hostile kid', () => {
  const texts = [
    '../../../../etc/passwd',
    '/dev/null',
    String.raw`..\..\windows\win.ini`,
    "' OR '1'='1",
    "x'; DROP TABLE keys; --",
    '__proto__',
    'constructor',
    'toString',
    'http://127.0.0.1:1/keys',
    'file:///etc/passwd',
    '\u0000',
    '\r\nx: y',
    '$(id)',
    '',
    'k'.repeat(256),
  ]
  const illegal = ['k'.repeat(257), 'k'.repeat(10_000), 7, null, {}, [], true]

  test.each(texts.map((kid) => [kid]))('T83 %j names no key', async (kid) => {
    const { api, issuer } = await guardedApi()
    expect(await api.verdict(issuer.token({}, { kid }))).toBe('401 unknown_key')
    expect(new Set(issuer.requests)).toEqual(new Set(['GET /.well-known/openid-configuration', 'GET /keys']))
  })

  test.each(illegal.map((kid) => [kid]))('T83 %j is no kid', async (kid) => {
    const { api, issuer } = await guardedApi()
    expect(await api.verdict(issuer.token({}, { kid }))).toBe('401 kid')
    expect(issuer.requests).toEqual([])
  })
})

describe('T84 critical extensions', () => {
  test.each<[Members]>([
    [{ crit: ['exp'] }],
    [{ crit: ['b64'], b64: false }],
    [{ crit: ['b64'], b64: true }],
    [{ crit: [] }],
    [{ crit: 'exp' }],
    [{ crit: ['exp', 'exp'] }],
    [{ crit: [1] }],
    [{ crit: null }],
    [{ crit: {} }],
    [{ b64: false }],
    [{ b64: true }],
  ])('T84 %j', async (header) => {
    const { api, issuer } = await guardedApi()
    expect(await api.verdict(issuer.token({}, { ...header, exp: 1 }))).toBe('401 crit')
    expect(issuer.requests).toEqual([])
  })
})

describe('T85 other serializations', () => {
  const cases: [string, (good: string, issuer: Issuer) => string, string][] = [
    ['a JWE', (good) => `${good}.aaaa.aaaa`, '401 encrypted'],
    ['one segment', () => 'b3BhcXVl', '401 not_a_jwt'],
    ['two segments', (good) => good.split('.').slice(0, 2).join('.'), '401 not_a_jwt'],
    ['four segments', (good) => `${good}.aaaa`, '401 not_a_jwt'],
    ['six segments', (good) => `${good}.aaaa.aaaa.aaaa`, '401 not_a_jwt'],
    ['a detached payload', (good) => good.replace(/\.[^.]+\./, '..'), '401 encoding'],
    ['a nested JWT', (good, issuer) => signedText(issuer, good), '401 not_a_jwt'],
    ['a payload that is an array', (_, issuer) => signedText(issuer, '[]'), '401 not_a_jwt'],
    ['a payload that is null', (_, issuer) => signedText(issuer, 'null'), '401 not_a_jwt'],
    ['a payload that is no JSON', (_, issuer) => signedText(issuer, '{'), '401 not_a_jwt'],
    [
      'a header that is an array',
      (_, issuer) => compactJws(['RS256'], {}, rs256(firstKey(issuer))),
      '401 not_a_jwt',
    ],
    [
      'a flattened JSON serialization',
      (good) => segment({ payload: good.split('.')[1], signature: good.split('.')[2] }),
      '401 not_a_jwt',
    ],
  ]

  test.each(cases)('T85 %s', async (_what, change, verdict) => {
    const { api, issuer } = await guardedApi()
    expect(await api.verdict(change(issuer.token(), issuer))).toBe(verdict)
    expect(issuer.requests).toEqual([])
  })
})

describe('T86 one token has one spelling', () => {
  test.each([0, 1, 2])('T86 unused bits in segment %i', async (index) => {
    const { api, issuer } = await guardedApi()
    const { token, twins } = withTwins(issuer, index)
    expect(await api.verdict(token)).toBe('200')
    for (const twin of twins) expect(await api.verdict(twin)).toBe('401 encoding')
    expect(twins.length).toBeGreaterThan(2)
  })

  const changes: [string, (segments: string[]) => string, string][] = [
    ['padding at the end', (parts) => `${parts.join('.')}==`, '401 encoding'],
    ['padding in the middle', ([a, b, c]) => `${a}.${b}=.${c}`, '400 malformed_header'],
    ['the other alphabet', ([a, b]) => `${a}.${b}.++//`, '401 encoding'],
    ['a dot at the end', (parts) => `${parts.join('.')}.`, '401 not_a_jwt'],
    ['a tilde', ([a, b, c]) => `${a}.${b}~.${c}`, '401 encoding'],
    ['a space inside', ([a, b, c]) => `${a}.${b} .${c}`, '400 malformed_header'],
    ['a tab inside', ([a, b, c]) => `${a}.\t${b}.${c}`, '400 malformed_header'],
    ['a spare character', ([a, b, c]) => `${a}.${b}.${c}AAA`, '401 encoding'],
    ['quotes around', (parts) => `"${parts.join('.')}"`, '400 malformed_header'],
  ]

  test.each(changes)('T86 %s', async (_what, change, verdict) => {
    const { api, issuer } = await guardedApi()
    expect(await api.verdict(change(issuer.token().split('.')))).toBe(verdict)
  })
})

function signEd25519(input: string, key: KeyObject): Buffer {
  return rawSign(undefined, Buffer.from(input), key)
}

function signedText(issuer: Issuer, payload: string): string {
  const { kid } = firstKey(issuer)
  return compactJws({ alg: 'RS256', kid, typ: 'at+jwt' }, payload, rs256(privateKeyOf(firstKey(issuer))))
}

/** A good token whose segment has unused bits in its last character, and all that decode to the same bytes. */
function withTwins(issuer: Issuer, index: number): { token: string; twins: string[] } {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  for (let length = 0; length < 3; length++) {
    const filler = 'x'.repeat(length)
    const token = issuer.token({ filler }, { filler })
    const segments = token.split('.')
    const changed = segments[index] ?? ''
    if (changed.length % 4 === 0) continue
    const bytes = Buffer.from(changed, 'base64url')
    const twins = alphabet
      .split('')
      .map((last) => changed.slice(0, -1) + last)
      .filter((twin) => twin !== changed && Buffer.from(twin, 'base64url').equals(bytes))
      .map((twin) => segments.with(index, twin).join('.'))
    return { token, twins }
  }
  throw new Error('no length leaves unused bits')
}
