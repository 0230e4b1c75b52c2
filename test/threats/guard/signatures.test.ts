/** Tokens that nobody signed, or not with a key of the issuer: algorithms, headers, encodings. */
import {
  constants,
  createHash,
  generateKeyPairSync,
  privateEncrypt,
  sign as rawSign,
  type KeyObject,
} from 'node:crypto'
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

describe('T79 signatures that are none', () => {
  const pairs = {
    RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
    PS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
    cube: generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 }),
    ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    ES384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    ES512: generateKeyPairSync('ec', { namedCurve: 'P-521' }),
    EdDSA: generateKeyPairSync('ed25519'),
  }
  type Name = keyof typeof pairs
  type Case = [what: string, key: Name, alg: string, signer: Signer]

  const otherRsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const longerRsa = generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey
  const otherEc = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const otherEd = generateKeyPairSync('ed25519').privateKey
  const ed448 = generateKeyPairSync('ed448').privateKey

  const pkcs1 =
    (hash: string, key: KeyObject): Signer =>
    (input) =>
      rawSign(hash, Buffer.from(input), key)
  const pss =
    (hash: string, saltLength: number, key = pairs.PS256.privateKey): Signer =>
    (input) =>
      rawSign(hash, Buffer.from(input), { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength })
  /** What the private key makes of a block of our own. */
  const blockOf =
    (block: (input: string) => Buffer): Signer =>
    (input) =>
      privateEncrypt({ key: pairs.RS256.privateKey, padding: constants.RSA_NO_PADDING }, block(input))
  const hashed = (hash: string, input: string) => createHash(hash).update(input).digest()
  const sha256Info = Buffer.from('3031300d060960864801650304020105000420', 'hex')
  const digestInfo = (input: string) => Buffer.concat([sha256Info, hashed('sha256', input)])
  const padded = (type: number, digest: Buffer, filler = 0xff) =>
    Buffer.concat([
      Buffer.from([0, type]),
      Buffer.alloc(256 - 3 - digest.length, filler),
      Buffer.from([0]),
      digest,
    ])
  const signers: Record<Name, Signer> = {
    RS256: pkcs1('sha256', pairs.RS256.privateKey),
    PS256: pss('sha256', 32),
    cube: pkcs1('sha256', pairs.cube.privateKey),
    ES256: ecdsa('sha256', pairs.ES256.privateKey),
    ES384: ecdsa('sha384', pairs.ES384.privateKey),
    ES512: ecdsa('sha512', pairs.ES512.privateKey),
    EdDSA: (input) => signEd25519(input, pairs.EdDSA.privateKey),
  }
  const algOf = (name: Name) => (name === 'cube' ? 'RS256' : name)
  /** The right signature, with something done to it. */
  const changed =
    (name: Name, change: (signature: Buffer) => Buffer): Signer =>
    (input) =>
      change(signers[name](input))
  const unsignedInteger = (bytes: Buffer) => BigInt(`0x${bytes.toString('hex')}`)
  const bytesOf = (value: bigint, length: number) =>
    Buffer.from(value.toString(16).padStart(length * 2, '0'), 'hex')
  const modulus = unsignedInteger(
    Buffer.from(String(pairs.RS256.publicKey.export({ format: 'jwk' }).n), 'base64url'),
  )
  const p256Order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
  const edOrder = 2n ** 252n + 27742317777372353535851937790883648493n
  const half = (signature: Buffer, which: 0 | 1) =>
    signature.subarray(which * (signature.length / 2), (which + 1) * (signature.length / 2))
  const littleEndian = (bytes: Buffer) => Buffer.from(bytes.toReversed())

  /** Done to the signatures of all keys alike. */
  const ofEvery: [what: string, signer: (name: Name) => Signer][] = [
    ['one bit of the first byte is another', byChange((bytes) => flipped(bytes, 0))],
    ['one bit in the middle is another', byChange((bytes) => flipped(bytes, bytes.length >> 1))],
    ['one bit of the last byte is another', byChange((bytes) => flipped(bytes, bytes.length - 1))],
    ['a byte is missing at the end', byChange((bytes) => bytes.subarray(0, -1))],
    ['a byte is missing at the beginning', byChange((bytes) => bytes.subarray(1))],
    ['a zero more at the end', byChange((bytes) => Buffer.concat([bytes, Buffer.alloc(1)]))],
    ['a zero more at the beginning', byChange((bytes) => Buffer.concat([Buffer.alloc(1), bytes]))],
    ['twice', byChange((bytes) => Buffer.concat([bytes, bytes]))],
    ['one byte', byChange(() => Buffer.alloc(1))],
    ['zeros', byChange((bytes) => Buffer.alloc(bytes.length))],
    ['ones', byChange((bytes) => Buffer.alloc(bytes.length, 0xff))],
    ['the number one', byChange((bytes) => bytesOf(1n, bytes.length))],
    ['the bytes in reverse', byChange(littleEndian)],
    ['of the payload alone', (name) => (input) => signers[name](input.split('.')[1] ?? '')],
    ['of another token', (name) => (input) => signers[name](`${input}A`)],
  ]

  const rsaCases: Case[] = [
    ['of another key', 'RS256', 'RS256', pkcs1('sha256', otherRsa)],
    ['of a longer key', 'RS256', 'RS256', pkcs1('sha256', longerRsa)],
    ['RS256 with SHA-384', 'RS256', 'RS256', pkcs1('sha384', pairs.RS256.privateKey)],
    ['RS256 with SHA-1', 'RS256', 'RS256', pkcs1('sha1', pairs.RS256.privateKey)],
    ['RS256 with the modulus added', 'RS256', 'RS256', plusModulus],
    ['RS256 for PS256', 'PS256', 'PS256', pkcs1('sha256', pairs.PS256.privateKey)],
    ['PS256 for RS256', 'RS256', 'RS256', pss('sha256', 32, pairs.RS256.privateKey)],
    ['PS256 of another key', 'PS256', 'PS256', pss('sha256', 32, otherRsa)],
    ['PS256 with SHA-384', 'PS256', 'PS256', pss('sha384', 32)],
    ...[0, 1, 20, 31, 33, 64, 222].map((salt): Case => [
      `PS256 with ${salt} bytes of salt`,
      'PS256',
      'PS256',
      pss('sha256', salt),
    ]),
    ['a block of type 2', 'RS256', 'RS256', blockOf((input) => padded(2, digestInfo(input)))],
    ['a block of type 0', 'RS256', 'RS256', blockOf((input) => padded(0, digestInfo(input), 0))],
    ['a block filled with zeros', 'RS256', 'RS256', blockOf((input) => padded(1, digestInfo(input), 0))],
    [
      'a block with the digest alone',
      'RS256',
      'RS256',
      blockOf((input) => padded(1, hashed('sha256', input))),
    ],
    [
      'a block that says SHA-256 without parameters',
      'RS256',
      'RS256',
      blockOf((input) =>
        padded(
          1,
          Buffer.concat([Buffer.from('302f300b06096086480165030402010420', 'hex'), hashed('sha256', input)]),
        ),
      ),
    ],
    [
      'a block with something behind the digest',
      'RS256',
      'RS256',
      blockOf((input) =>
        Buffer.concat([
          Buffer.from([0, 1, ...Array.from({ length: 8 }, () => 0xff), 0]),
          digestInfo(input),
          Buffer.alloc(256 - 11 - 51),
        ]),
      ),
    ],
    ['a cube root for the exponent 3', 'cube', 'RS256', cubeRootForgery],
  ]

  const ecCases: Case[] = [
    ['ES256 of another key', 'ES256', 'ES256', ecdsa('sha256', otherEc)],
    ['ES256 with SHA-384', 'ES256', 'ES256', ecdsa('sha384', pairs.ES256.privateKey)],
    ['ES384 with SHA-256', 'ES384', 'ES384', ecdsa('sha256', pairs.ES384.privateKey)],
    ['ES256 in DER', 'ES256', 'ES256', der],
    ['ES256 in DER, cut to its length', 'ES256', 'ES256', (input) => der(input).subarray(0, 64)],
    ['ES256 in DER behind zeros', 'ES256', 'ES256', (input) => Buffer.concat([Buffer.alloc(64), der(input)])],
    ['ES256 without r', 'ES256', 'ES256', changed('ES256', (bytes) => pairOf(0n, numberIn(bytes, 1)))],
    ['ES256 without s', 'ES256', 'ES256', changed('ES256', (bytes) => pairOf(numberIn(bytes, 0), 0n))],
    ['ES256 with r = s = 1', 'ES256', 'ES256', () => pairOf(1n, 1n)],
    [
      'ES256 with r = n',
      'ES256',
      'ES256',
      changed('ES256', (bytes) => pairOf(p256Order, numberIn(bytes, 1))),
    ],
    [
      'ES256 with s = n',
      'ES256',
      'ES256',
      changed('ES256', (bytes) => pairOf(numberIn(bytes, 0), p256Order)),
    ],
    ['ES256 with r = s = n', 'ES256', 'ES256', () => pairOf(p256Order, p256Order)],
    [
      'ES256 with r and s in turn',
      'ES256',
      'ES256',
      changed('ES256', (b) => Buffer.concat([half(b, 1), half(b, 0)])),
    ],
    ['ES256 with both numbers longer', 'ES256', 'ES256', changed('ES256', (b) => widened(b, 33))],
    ['ES256 as wide as ES384', 'ES256', 'ES256', changed('ES256', (b) => widened(b, 48))],
    ['ES256 for ES384', 'ES384', 'ES384', ecdsa('sha256', pairs.ES256.privateKey)],
  ]

  const edCases: Case[] = [
    ['Ed25519 of another key', 'EdDSA', 'EdDSA', (input) => signEd25519(input, otherEd)],
    [
      'Ed25519 of the hash',
      'EdDSA',
      'EdDSA',
      (input) => rawSign(undefined, hashed('sha512', input), pairs.EdDSA.privateKey),
    ],
    ['Ed448', 'EdDSA', 'EdDSA', (input) => rawSign(undefined, Buffer.from(input), ed448)],
    [
      'Ed448 cut to the length',
      'EdDSA',
      'EdDSA',
      (input) => rawSign(undefined, Buffer.from(input), ed448).subarray(0, 64),
    ],
    ...[1n, 2n, 15n].map((times): Case => [
      `Ed25519 with S + ${times} L`,
      'EdDSA',
      'EdDSA',
      changed('EdDSA', (bytes) =>
        Buffer.concat([
          half(bytes, 0),
          littleEndian(bytesOf(unsignedInteger(littleEndian(half(bytes, 1))) + times * edOrder, 32)),
        ]),
      ),
    ]),
    [
      'Ed25519 with S = L and a point of order 1',
      'EdDSA',
      'EdDSA',
      () => Buffer.concat([littleEndian(bytesOf(1n, 32)), littleEndian(bytesOf(edOrder, 32))]),
    ],
    [
      'Ed25519 with S = 0 and a point of order 1',
      'EdDSA',
      'EdDSA',
      () => Buffer.concat([littleEndian(bytesOf(1n, 32)), Buffer.alloc(32)]),
    ],
    [
      'Ed25519 with S and R in turn',
      'EdDSA',
      'EdDSA',
      changed('EdDSA', (b) => Buffer.concat([half(b, 1), half(b, 0)])),
    ],
  ]

  const names = Object.keys(pairs) as Name[]

  test.each(ofEvery)('T79 %s, whatever the key', async (_what, signer) => {
    const { verdictOf } = await withKeys()
    for (const name of names)
      expect([name, await verdictOf(name, algOf(name), signer(name))]).toEqual([name, '401 signature'])
  })

  test.each(names)('T79 the right one of %s is taken', async (name) => {
    const { verdictOf } = await withKeys()
    expect(await verdictOf(name, algOf(name), signers[name])).toBe('200')
  })

  test.each([...rsaCases, ...ecCases, ...edCases])('T79 %s', async (_what, name, alg, signer) => {
    const { verdictOf } = await withKeys()
    expect(await verdictOf(name, alg, signer)).toBe('401 signature')
  })

  async function withKeys() {
    const { api, issuer } = await guardedApi()
    issuer.publishes = () =>
      names.map((name) => jwkOf(pairs[name].publicKey, { kid: name, alg: algOf(name) }))
    return {
      verdictOf: async (name: Name, alg: string, signer: Signer) =>
        api.verdict(issuer.token({}, { alg, kid: name }, signer)),
    }
  }

  function byChange(change: (signature: Buffer) => Buffer): (name: Name) => Signer {
    return (name) => changed(name, change)
  }

  function der(input: string): Buffer {
    return rawSign('sha256', Buffer.from(input), { key: pairs.ES256.privateKey, dsaEncoding: 'der' })
  }

  function numberIn(signature: Buffer, which: 0 | 1): bigint {
    return unsignedInteger(half(signature, which))
  }

  function pairOf(r: bigint, s: bigint): Buffer {
    return Buffer.concat([bytesOf(r, 32), bytesOf(s, 32)])
  }

  function widened(signature: Buffer, length: number): Buffer {
    return Buffer.concat([bytesOf(numberIn(signature, 0), length), bytesOf(numberIn(signature, 1), length)])
  }

  function flipped(bytes: Buffer, index: number): Buffer {
    const copy = Buffer.from(bytes)
    copy.writeUInt8(copy.readUInt8(index) ^ 1, index)
    return copy
  }

  /** The same number to whoever calculates modulo n. It must not take more bytes, so some payloads have to be tried. */
  function plusModulus(input: string): Buffer {
    const sum = unsignedInteger(signers.RS256(input)) + modulus
    return sum < 2n ** 2048n ? bytesOf(sum, 256) : bytesOf(sum, 257)
  }

  /** Bleichenbacher's of 2006: the digest near the front of the block, and behind it whatever makes a cube. */
  function cubeRootForgery(input: string): Buffer {
    const front = Buffer.concat([Buffer.from('0001ffffffffffffffff00', 'hex'), digestInfo(input)])
    const least = unsignedInteger(Buffer.concat([front, Buffer.alloc(256 - front.length)]))
    let [low, high] = [0n, 2n ** 700n]
    while (low < high) {
      const middle = (low + high) / 2n
      if (middle ** 3n < least) low = middle + 1n
      else high = middle
    }
    expect(bytesOf(low ** 3n, 256).subarray(0, front.length)).toEqual(front)
    return bytesOf(low, 256)
  }
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
