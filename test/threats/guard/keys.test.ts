/** The issuer's keys: bad ones, confusing ones, floods of unknown ones, and hours without any. */
import { createHash, generateKeyPairSync } from 'node:crypto'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { httpClient } from '../../../lib/http.js'
import { remoteKeySet } from '../../../lib/jose/remote-key-set.js'
import { newSigningKey } from '../../support/faulty-server/signing-key.js'
import { empty, hang, html, json, redirect, reset, type Answer } from '../../support/faulty-server/answer.js'
import { startLocalServer } from '../../oauth/local-server.js'
import { guardedApi, startApi } from './api.js'
import {
  ecdsa,
  firstKey,
  jwkOf,
  privateKeyOf,
  rs256,
  startIssuer,
  type Issuer,
  type Members,
  type Signer,
} from './issuer.js'

/** For servers that never answer; others get the default, because a busy machine is slow. */
const impatient = { timeout: 1 }

describe('T87 keys that must not verify anything', () => {
  const strong = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const koblitz = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  const byStrong = rs256(strong.privateKey)

  const cases: [what: string, jwk: Members, alg: string, signer: Signer][] = [
    ['RSA with 1024 bits', jwkOf(weak.publicKey), 'RS256', rs256(weak.privateKey)],
    ['RSA with exponent 1', jwkOf(strong.publicKey, { e: 'AQ' }), 'RS256', forgedForExponentOne(256)],
    ['RSA for encryption', jwkOf(strong.publicKey, { use: 'enc' }), 'RS256', byStrong],
    ['RSA of unknown use', jwkOf(strong.publicKey, { use: 7 }), 'RS256', byStrong],
    ['key_ops without verify', jwkOf(strong.publicKey, { key_ops: ['encrypt'] }), 'RS256', byStrong],
    ['key_ops that are no list', jwkOf(strong.publicKey, { key_ops: 'verify' }), 'RS256', byStrong],
    ['a private key', jwkOf(strong.privateKey), 'RS256', byStrong],
    ['a private key in part', jwkOf(strong.publicKey, { d: '' }), 'RS256', byStrong],
    ['a key type in lower case', jwkOf(strong.publicKey, { kty: 'rsa' }), 'RS256', byStrong],
    ['no key type', jwkOf(strong.publicKey, { kty: undefined }), 'RS256', byStrong],
    ['secp256k1', jwkOf(koblitz.publicKey), 'ES256', ecdsa('sha256', koblitz.privateKey)],
    ['P-384 for ES256', jwkOf(p384.publicKey), 'ES256', ecdsa('sha256', p384.privateKey)],
    [
      'P-384 called P-256',
      jwkOf(p384.publicKey, { crv: 'P-256' }),
      'ES256',
      ecdsa('sha256', p384.privateKey),
    ],
    ['EC called RSA', jwkOf(p384.publicKey, { kty: 'RSA' }), 'RS256', byStrong],
  ]

  test.each(cases)('T87 %s', async (_what, jwk, alg, signer) => {
    const { api, issuer } = await guardedApi()
    issuer.publishes = () => [{ ...jwk, kid: 'bad' }, firstKey(issuer).publicJwk]
    expect(await api.verdict(issuer.token({}, { alg, kid: 'bad' }, signer))).toBe('401 unknown_key')
    expect(await api.verdict(issuer.token())).toBe('200')
  })

  // For the point of order 1 every message has the signature that is that point and a zero.
  test.each([
    ['01', '00'],
    ['01', '80'],
    ['ee', 'ff'],
  ])('T87 an Ed25519 key of small order (%s…%s)', async (first, last) => {
    const { api, issuer } = await guardedApi()
    const point = Buffer.alloc(32, first === 'ee' ? 0xff : 0)
    point.writeUInt8(Number.parseInt(first, 16), 0)
    point.writeUInt8(Number.parseInt(last, 16), 31)
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: point.toString('base64url'), kid: 'bad' }
    issuer.publishes = () => [jwk, firstKey(issuer).publicJwk]
    const one = Buffer.alloc(64)
    one.writeUInt8(1, 0)
    expect(await api.verdict(issuer.token({}, { alg: 'EdDSA', kid: 'bad' }, () => one))).toBe(
      '401 unknown_key',
    )
  })

  test('T87 two keys under one name are refused, whichever signed', async () => {
    const { api, issuer } = await guardedApi()
    const other = await newSigningKey()
    const { kid } = firstKey(issuer)
    issuer.publishes = () => [firstKey(issuer).publicJwk, { ...other.publicJwk, kid }]
    expect(await api.verdict(issuer.token())).toBe('401 unknown_key')
    expect(await api.verdict(issuer.token({}, { kid }, rs256(other)))).toBe('401 unknown_key')
  })

  test('T87 decoys with the same name but another type, algorithm or use do no harm', async () => {
    const { api, issuer } = await guardedApi()
    const { publicJwk, kid } = firstKey(issuer)
    const decoys = [
      jwkOf(p384.publicKey, { kid }),
      jwkOf(strong.publicKey, { kid, alg: 'PS256' }),
      jwkOf(strong.publicKey, { kid, use: 'enc' }),
      jwkOf(weak.publicKey, { kid }),
      { kty: 'oct', k: 'c2VjcmV0', kid },
      { kid },
      null,
      'key',
      7,
    ]
    issuer.publishes = () => [...decoys, publicJwk, ...decoys]
    expect(await api.verdict(issuer.token())).toBe('200')
    expect(await api.verdict(issuer.token({}, { kid }, byStrong))).toBe('401 signature')
  })

  test('T87 without a name every fitting key is tried, up to eight', async () => {
    const { api, issuer } = await guardedApi()
    issuer.keys = await Promise.all(Array.from({ length: 8 }, newSigningKey))
    const nameless = () => issuer.keys.map(({ publicJwk }) => ({ ...publicJwk, kid: undefined }))
    issuer.publishes = nameless
    for (const key of issuer.keys)
      expect(await api.verdict(issuer.token({}, { kid: undefined }, rs256(key)))).toBe('200')

    const other = await guardedApi()
    other.issuer.keys = await Promise.all(Array.from({ length: 9 }, newSigningKey))
    const token = other.issuer.token({}, { kid: undefined })
    expect(await other.api.verdict(token)).toBe('401 unknown_key')
  })

  test('T87 a malformed key does not spoil the set', async () => {
    const { api, issuer } = await guardedApi()
    const { publicJwk } = firstKey(issuer)
    issuer.publishes = () => [{ kty: 'EC', crv: 'P-256', x: 'AA', y: '??', kid: 'bad' }, publicJwk]
    expect(await api.verdict(issuer.token({}, { alg: 'ES256', kid: 'bad' }))).toBe('401 unknown_key')
    expect(await api.verdict(issuer.token())).toBe('200')
  })
})

describe('T88 two issuers do not share keys', () => {
  test('T88 the same kid means each issuer its own key', async () => {
    const [one, two] = await Promise.all([guardedApi(), guardedApi()])
    const { kid } = firstKey(one.issuer)
    const own = await newSigningKey()
    two.issuer.keys = [{ ...own, kid, publicJwk: { ...own.publicJwk, kid } }]

    expect(await one.api.verdict(one.issuer.token())).toBe('200')
    expect(await two.api.verdict(two.issuer.token())).toBe('200')
    expect(await two.api.verdict(one.issuer.token())).toBe('401 issuer')
    expect(await two.api.verdict(one.issuer.token({ iss: two.issuer.url }))).toBe('401 signature')
    expect(one.issuer.keyFetches).toBe(1)
    expect(two.issuer.keyFetches).toBe(1)
  })

  test('T88 no kid and no issuer glued together reaches the keys of another', async () => {
    const [one, two] = await Promise.all([guardedApi(), guardedApi()])
    const own = firstKey(two.issuer)
    expect(await two.api.verdict(two.issuer.token())).toBe('200')
    for (const separator of [':', '|', '/', '#', ' ', '\u0000', '']) {
      const kid = `${two.issuer.url}${separator}${own.kid}`
      const forged = one.issuer.token({}, { kid }, rs256(own))
      expect(await one.api.verdict(forged)).toBe('401 unknown_key')
      const iss = `${two.issuer.url}${separator}${one.issuer.url}`
      expect(await one.api.verdict(one.issuer.token({ iss }, { kid: own.kid }, rs256(own)))).toBe(
        '401 issuer',
      )
    }
  })

  test('T88 two guards in one application judge apart', async () => {
    const [one, two] = await Promise.all([startIssuer(), startIssuer()])
    const [forOne, forTwo] = await Promise.all([startApi(one), startApi(two)])
    expect(await forOne.verdict(one.token())).toBe('200')
    expect(await forTwo.verdict(one.token())).toBe('401 issuer')
    expect(two.requests).toEqual([])
  })
})

describe('T89 the token does not say where keys come from', () => {
  const near: [string, (url: string, attacker: string) => unknown][] = [
    ['another server', (_url, attacker) => attacker],
    ['a slash at the end', (url) => `${url}/`],
    ['upper case', (url) => url.toUpperCase()],
    ['more after it', (url) => `${url}.evil.example`],
    ['less of it', (url) => url.slice(0, -1)],
    ['white space', (url) => `${url} `],
    ['a list', (url) => [url]],
    ['an object', (url) => ({ toString: url })],
    ['null', () => null],
    ['nothing', () => undefined],
    ['an empty text', () => ''],
  ]

  test.each(near)('T89 %s as iss', async (_what, iss) => {
    const { api, issuer } = await guardedApi()
    const attacker = await newSigningKey()
    const trap = await startLocalServer(() => json({ keys: [attacker.publicJwk] }))
    const forged = issuer.token({ iss: iss(issuer.url, trap.url) }, { kid: attacker.kid }, rs256(attacker))
    expect(await api.verdict(forged)).toBe('401 issuer')
    expect(await api.verdict(issuer.token({ iss: iss(issuer.url, trap.url) }))).toBe('401 issuer')
    expect(trap.requests).toEqual([])
    expect(issuer.requests).toEqual([])
  })
})

describe('T90 a flood of unknown keys', () => {
  test('T90 causes at most three fetches, and good tokens pass all the while', async () => {
    const { api, issuer } = await guardedApi()
    expect(await api.verdict(issuer.token())).toBe('200')
    for (let round = 0; round < 20; round++) {
      const answers = await Promise.all([
        api.present(issuer.token()),
        ...Array.from({ length: 50 }, (_, index) => api.present(unknownKid(issuer, round * 50 + index))),
      ])
      expect(answers.map(({ status }) => status)).toEqual([200, ...Array.from({ length: 50 }, () => 401)])
    }
    expect(issuer.keyFetches).toBeGreaterThan(1)
    expect(issuer.keyFetches).toBeLessThanOrEqual(1 + 3)
  })

  test('T90 ten thousand names that nobody has cause at most three fetches in ten seconds', async () => {
    const issuer = await startIssuer()
    let now = 1_000_000
    const keys = remoteKeySet({
      uri: async () => `${issuer.url}/keys`,
      http: httpClient(),
      emit: () => undefined,
      now: () => now,
    })
    const ask = async (kid: string) =>
      (await keys.keysFor({ token: '', claims: {}, algorithm: 'RS256', kid })).length
    const { kid: known } = firstKey(issuer)
    expect(await ask(known)).toBe(1)
    for (let tenth = 0; tenth < 100; tenth++) {
      now = 1_000_000 + Math.floor(tenth / 10)
      const found = await Promise.all(Array.from({ length: 100 }, (_, index) => ask(`${tenth}-${index}`)))
      expect(new Set(found)).toEqual(new Set([0]))
      expect(await ask(known)).toBe(1)
    }
    expect(issuer.keyFetches - 1).toBe(3)
  })

  test('T90 the first requests of all share one fetch', async () => {
    const { api, issuer } = await guardedApi()
    const answers = await Promise.all(Array.from({ length: 50 }, () => api.present(issuer.token())))
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 50 }, () => 200))
    expect(issuer.requests).toEqual(['GET /.well-known/openid-configuration', 'GET /keys'])
  })

  test('T90 a rotation is seen at once, three times over', async () => {
    const { api, issuer } = await guardedApi()
    for (let rotation = 0; rotation < 4; rotation++) {
      expect(await api.verdict(issuer.token())).toBe('200')
      issuer.keys = [await newSigningKey()]
    }
    expect(issuer.keyFetches).toBe(4)
  })

  test('T90 a rotation in a flood is seen within half a minute', async () => {
    setClock()
    const { api, issuer } = await guardedApi()
    expect(await api.verdict(issuer.token())).toBe('200')
    for (let index = 0; index < 10; index++) await api.present(unknownKid(issuer, index))
    issuer.keys = [await newSigningKey()]
    expect(await api.verdict(issuer.token())).toBe('401 unknown_key')
    advance(30)
    // Whoever comes first takes the one fetch, and everybody has the new key of it.
    expect(await api.verdict(unknownKid(issuer, 99))).toBe('401 unknown_key')
    expect(await api.verdict(issuer.token())).toBe('200')
  })

  test('T90 a key that was withdrawn is not trusted after the set is fetched anew', async () => {
    setClock()
    const { api, issuer } = await guardedApi()
    const withdrawn = firstKey(issuer)
    const byWithdrawn = () => issuer.token({}, { kid: withdrawn.kid }, rs256(withdrawn))
    expect(await api.verdict(byWithdrawn())).toBe('200')
    issuer.keys = [await newSigningKey()]
    advance(601)
    await api.present(issuer.token()) // has the set fetched
    expect(await api.verdict(byWithdrawn())).toBe('401 unknown_key')
  })
})

describe('T91 faulty key sets', () => {
  const cases: [what: string, answer: (issuer: Issuer) => Answer, options?: { timeout?: number }][] = [
    ['an error 500', () => json({ error: 'server_error' }, 500)],
    ['an error 404', () => json({}, 404)],
    ['an empty 200', () => empty(200)],
    ['no content', () => empty(204)],
    ['a page', () => html('<!doctype html><title>Sign in</title>')],
    ['a redirect to the same keys', (issuer) => redirect(`${issuer.url}/keys?again`)],
    ['half a document', (issuer) => text(JSON.stringify({ keys: issuer.publishes() }).slice(0, -5))],
    ['a list', (issuer) => json(issuer.publishes())],
    ['null', () => json(null)],
    ['keys that are no list', (issuer) => json({ keys: { 0: firstKey(issuer).publicJwk } })],
    ['no keys member', () => json({})],
    ['an empty set', () => json({ keys: [] })],
    ['a private key alone', (issuer) => json({ keys: [jwkOf(privateKeyOf(firstKey(issuer)))] })],
    ['a shared secret alone', () => json({ keys: [{ kty: 'oct', k: 'c2VjcmV0', kid: 'k' }] })],
    ['101 keys', (issuer) => json({ keys: many(issuer, 101) })],
    ['100 000 keys', (issuer) => json({ keys: many(issuer, 100_000, { kty: 'x' }) })],
    ['more than 512 kB', (issuer) => json({ keys: issuer.publishes(), filler: 'x'.repeat(512_000) })],
    ['bytes that are no UTF-8', (issuer) => broken(issuer)],
    ['a reset connection', () => reset()],
    ['no answer at all', () => hang(), impatient],
    ['half an answer and then nothing', () => halfAnswer, impatient],
  ]

  test.each(cases)('T91 %s: no key, no verdict', async (_what, answer, options = {}) => {
    const { api, issuer } = await guardedApi({ options })
    issuer.answerKeys = () => answer(issuer)
    expect(await api.present(issuer.token())).toMatchObject({ status: 503, challenge: undefined })
  })

  test.each(cases)('T91 %s: the last good set works on', async (_what, answer, options = {}) => {
    setClock()
    const { api, issuer } = await guardedApi({ options })
    expect(await api.verdict(issuer.token())).toBe('200')
    issuer.answerKeys = () => answer(issuer)
    advance(601)
    for (let request = 0; request < 3; request++) expect(await api.verdict(issuer.token())).toBe('200')
    await expect
      .poll(() => api.events, { timeout: 5_000 })
      .toContainEqual(expect.objectContaining({ type: 'jwks_failed', stale: true }))
  })

  test('T91 exactly 100 keys are no fault', async () => {
    const { api, issuer } = await guardedApi()
    issuer.answerKeys = () => json({ keys: many(issuer, 100) })
    expect(await api.verdict(issuer.token())).toBe('200')
  })
})

describe('T92 hours without the key server', () => {
  test('T92 known keys work for a day, then it is 503 and never 401; then all is well again', async () => {
    setClock()
    const { api, issuer } = await guardedApi()
    const { answerKeys } = issuer
    expect(await api.verdict(issuer.token())).toBe('200')
    issuer.answerKeys = () => reset()

    for (let minutes = 0; minutes < 23 * 60; minutes += 30) {
      advance(30 * 60)
      expect(await api.verdict(issuer.token())).toBe('200')
    }
    advance(2 * 3600)
    expect(await api.present(issuer.token())).toMatchObject({ status: 503, challenge: undefined })

    issuer.answerKeys = answerKeys
    advance(61)
    expect(await api.verdict(issuer.token())).toBe('200')
  })

  test('T92 a server that is away is asked less and less often', async () => {
    setClock()
    const { api, issuer } = await guardedApi()
    issuer.answerKeys = () => reset()
    for (let second = 0; second < 240; second++) {
      expect((await api.present(issuer.token())).status).toBe(503)
      advance(1)
    }
    // After 1, 2, 4, 8, 16, 32, 60, 60 … seconds.
    expect(issuer.keyFetches).toBeGreaterThan(5)
    expect(issuer.keyFetches).toBeLessThanOrEqual(10)
  })

  test('T92 nobody waits for a slow server while there are keys', async () => {
    setClock()
    const { api, issuer } = await guardedApi()
    expect(await api.verdict(issuer.token())).toBe('200')
    issuer.answerKeys = () => hang()
    advance(601)
    for (let request = 0; request < 5; request++) {
      const start = performance.now()
      expect(await api.verdict(issuer.token())).toBe('200')
      expect(performance.now() - start).toBeLessThan(1000)
    }
  })

  test('T92 after a quiet night the first request waits for the keys, and a withdrawn one is withdrawn', async () => {
    setClock()
    const { api, issuer } = await guardedApi()
    const withdrawn = firstKey(issuer)
    expect(await api.verdict(issuer.token())).toBe('200')
    issuer.keys = [await newSigningKey()]
    advance(12 * 3600)
    expect(await api.verdict(issuer.token({}, { kid: withdrawn.kid }, rs256(withdrawn)))).toBe(
      '401 unknown_key',
    )
  })

  test('T92 a key that a newer set lacks stays withdrawn when the server fails after that', async () => {
    setClock()
    const { api, issuer } = await guardedApi()
    const withdrawn = firstKey(issuer)
    const byWithdrawn = () => issuer.token({}, { kid: withdrawn.kid }, rs256(withdrawn))
    expect(await api.verdict(byWithdrawn())).toBe('200')
    issuer.keys = [await newSigningKey()]
    expect(await api.verdict(issuer.token())).toBe('200')
    issuer.answerKeys = () => reset()
    advance(601)
    await api.present(issuer.token())
    for (let hour = 0; hour < 3; hour++) {
      // It may be in a set that cannot be fetched: no verdict, and above all no entry.
      expect((await api.present(byWithdrawn())).status).not.toBe(200)
      expect(await api.verdict(issuer.token())).toBe('200')
      advance(1800)
    }
  })

  test('T92 a new key is taken as soon as the server is back', async () => {
    setClock()
    const { api, issuer } = await guardedApi()
    const { answerKeys } = issuer
    expect(await api.verdict(issuer.token())).toBe('200')
    issuer.answerKeys = () => reset()
    advance(3600)
    expect(await api.verdict(issuer.token())).toBe('200')
    issuer.keys = [await newSigningKey()]
    expect((await api.present(issuer.token())).status).toBe(503)
    issuer.answerKeys = answerKeys
    advance(1)
    expect(await api.verdict(issuer.token())).toBe('200')
  })

  test('T92 metadata that cannot be had is the same: 503, then recovery', async () => {
    setClock()
    const { api, issuer } = await guardedApi()
    const { metadata } = issuer
    issuer.metadata = () => ({ issuer: 'https://other.example' })
    expect(await api.present(issuer.token())).toMatchObject({ status: 503, challenge: undefined })
    issuer.metadata = metadata
    advance(2)
    expect(await api.verdict(issuer.token())).toBe('200')
  })

  test('T92 with "jwksUri" the metadata is never asked for', async () => {
    const issuer = await startIssuer()
    const api = await startApi(issuer, { options: { jwksUri: `${issuer.url}/keys` } })
    expect(await api.verdict(issuer.token())).toBe('200')
    expect(issuer.requests).toEqual(['GET /keys'])
  })
})

/** From now on time passes only by {@link advance}; timers and the network are not touched. */
function setClock(): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() })
  onTestFinished(() => void vi.useRealTimers())
}

function advance(bySeconds: number): void {
  vi.setSystemTime(Date.now() + bySeconds * 1000)
}

function unknownKid(issuer: Issuer, index: number): string {
  return issuer.token({}, { kid: `unknown-${index}` }, () => Buffer.alloc(256, 1))
}

/** The padded hash itself: with the exponent 1 a signature is what it decrypts to. */
function forgedForExponentOne(length: number): Signer {
  const sha256 = Buffer.from('3031300d060960864801650304020105000420', 'hex')
  return (input) => {
    const digest = Buffer.concat([sha256, createHash('sha256').update(input).digest()])
    const filler = Buffer.alloc(length - 3 - digest.length, 0xff)
    return Buffer.concat([Buffer.from([0, 1]), filler, Buffer.from([0]), digest])
  }
}

function many(issuer: Issuer, count: number, other: Members = { kty: 'oct' }): unknown[] {
  return [firstKey(issuer).publicJwk, ...Array.from({ length: count - 1 }, () => other)]
}

function text(body: string | Buffer): Answer {
  return { status: 200, headers: { 'content-type': 'application/json' }, body }
}

function broken(issuer: Issuer): Answer {
  return text(
    Buffer.concat([
      Buffer.from(`{"keys":${JSON.stringify(issuer.publishes())},"x":"`),
      Buffer.from([0xff, 0xfe]),
      Buffer.from('"}'),
    ]),
  )
}

const halfAnswer: Answer = (response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1000 })
  response.write('{"keys":[')
}
