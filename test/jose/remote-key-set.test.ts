import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { OAuthEvent } from '../../lib/events.js'
import { httpClient } from '../../lib/http.js'
import type { Algorithm, UnverifiedJwt } from '../../lib/jose/jwt.js'
import { missedNames } from '../../lib/jose/missed-names.js'
import { remoteKeySet } from '../../lib/jose/remote-key-set.js'
import { hang, json, reset, type Answer } from '../support/faulty-server/answer.js'
import { startLocalServer } from '../oauth/local-server.js'

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })
const ed = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })

/** A key set on a server of its own, at a time of its own. */
async function keySet(
  keys: () => readonly unknown[],
  answer: () => Answer = () => json({ keys: keys() }),
  timeout = 5,
) {
  const server = await startLocalServer(() => answer())
  const events: OAuthEvent[] = []
  const clock = { now: 1_000_000 }
  const set = remoteKeySet({
    uri: async () => `${server.url}/keys`,
    http: httpClient(undefined, timeout),
    emit: (event) => events.push(event),
    now: () => clock.now,
  })
  const count = async (kid?: string, algorithm: Algorithm = 'RS256') =>
    (await set.keysFor(jwt(kid, algorithm))).length
  return { server, events, clock, count, set }
}

function jwt(kid: string | undefined, algorithm: Algorithm): UnverifiedJwt {
  return { token: '', algorithm, claims: {}, ...(kid !== undefined && { kid }) }
}

test('a key is found by its name, and fetched once', async () => {
  const { count, server, events } = await keySet(() => [
    { ...rsa, kid: 'a' },
    { ...rsa, kid: 'b' },
  ])
  expect(await count('a')).toBe(1)
  expect(await count('b')).toBe(1)
  expect(server.requests).toEqual(['GET /keys'])
  expect(events).toEqual([{ type: 'jwks_fetched', url: `${server.url}/keys`, added: 2, withdrawn: 0 }])
})

describe('which keys fit', () => {
  test.each<[string, object, Algorithm, number]>([
    ['RSA for RS256', { ...rsa }, 'RS256', 1],
    ['RSA for RS512', { ...rsa }, 'RS512', 1],
    ['RSA for PS256', { ...rsa }, 'PS256', 1],
    ['RSA with its algorithm', { ...rsa, alg: 'RS256' }, 'RS256', 1],
    ['RSA with another algorithm', { ...rsa, alg: 'RS384' }, 'RS256', 0],
    ['RSA with an algorithm that is a list', { ...rsa, alg: ['RS256'] }, 'RS256', 0],
    ['RSA for signatures', { ...rsa, use: 'sig' }, 'RS256', 1],
    ['RSA for encryption', { ...rsa, use: 'enc' }, 'RS256', 0],
    ['RSA that may verify', { ...rsa, key_ops: ['verify'] }, 'RS256', 1],
    ['RSA that may encrypt', { ...rsa, key_ops: ['encrypt'] }, 'RS256', 0],
    ['RSA that may do nothing', { ...rsa, key_ops: [] }, 'RS256', 0],
    ['RSA for ES256', { ...rsa }, 'ES256', 0],
    ['RSA for EdDSA', { ...rsa }, 'EdDSA', 0],
    ['RSA with an even exponent', { ...rsa, e: 'AQAC' }, 'RS256', 0],
    ['RSA with exponent 1', { ...rsa, e: 'AQ' }, 'RS256', 0],
    ['RSA with exponent 3', { ...rsa, e: 'Aw' }, 'RS256', 1],
    ['RSA without an exponent', { ...rsa, e: '' }, 'RS256', 0],
    ['RSA with a huge exponent', { ...rsa, e: Buffer.alloc(9, 1).toString('base64url') }, 'RS256', 0],
    ['RSA with 2040 bits', { ...rsa, n: Buffer.alloc(255, 0xff).toString('base64url') }, 'RS256', 0],
    ['RSA with 8200 bits', { ...rsa, n: Buffer.alloc(1025, 0xff).toString('base64url') }, 'RS256', 0],
    ['RSA without a modulus', { ...rsa, n: undefined }, 'RS256', 0],
    ['RSA with a private part', { ...rsa, d: 'AA' }, 'RS256', 0],
    ['RSA with other primes', { ...rsa, oth: [] }, 'RS256', 0],
    ['P-256 for ES256', { ...ec }, 'ES256', 1],
    ['P-256 for ES384', { ...ec }, 'ES384', 0],
    ['P-256 for RS256', { ...ec }, 'RS256', 0],
    ['P-256 without a point', { ...ec, x: 'AA', y: 'AA' }, 'ES256', 0],
    ['P-256 called OKP', { ...ec, kty: 'OKP' }, 'ES256', 0],
    ['P-256 with a private part', { ...ec, d: 'AA' }, 'ES256', 0],
    ['Ed25519 for EdDSA', { ...ed }, 'EdDSA', 1],
    ['Ed25519 for Ed25519', { ...ed }, 'Ed25519', 1],
    ['Ed25519 for ES256', { ...ed }, 'ES256', 0],
    ['a secret', { kty: 'oct', k: 'AAAA' }, 'RS256', 0],
    ['an unknown type', { kty: 'AKP' }, 'RS256', 0],
  ])('%s', async (_what, key, algorithm, expected) => {
    // The other one keeps the set from being empty.
    const { count } = await keySet(() => [
      { ...key, kid: 'a' },
      { ...rsa, kid: 'other' },
    ])
    expect(await count('a', algorithm)).toBe(expected)
  })

  // The leading zeros make three bytes of the exponent 1, with which every signature can be forged.
  test.each(['AAE', 'AAAB', 'AAAAAAAAAAE'])('RSA with exponent 1 written as %s', async (e) => {
    const { count } = await keySet(() => [
      { ...rsa, e, kid: 'a' },
      { ...rsa, kid: 'other' },
    ])
    expect(await count('a')).toBe(0)
  })

  test('a public key that says it may sign, too, verifies all the same', async () => {
    const { count } = await keySet(() => [{ ...rsa, kid: 'a', key_ops: ['sign', 'verify'] }, ec])
    expect(await count('a')).toBe(1)
  })

  test('one name for two keys that fit names neither', async () => {
    const { count } = await keySet(() => [
      { ...rsa, kid: 'a' },
      { ...rsa, kid: 'a', alg: 'RS256' },
      { ...ec, kid: 'a' },
    ])
    expect(await count('a')).toBe(0)
    expect(await count('a', 'PS256')).toBe(1)
    expect(await count('a', 'ES256')).toBe(1)
  })

  test('one name for two curves names the one that the algorithm asks for', async () => {
    const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'jwk' })
    const { count } = await keySet(() => [
      { ...ec, kid: 'a' },
      { ...p384, kid: 'a' },
      { ...ed, kid: 'a' },
    ])
    for (const algorithm of ['ES256', 'ES384', 'EdDSA'] as const) expect(await count('a', algorithm)).toBe(1)
    expect(await count('a', 'ES512')).toBe(0)
  })

  test('without a name all that fit, unless there are more than eight', async () => {
    const keys = Array.from({ length: 8 }, (_, index) => ({ ...rsa, kid: `k${index}` }))
    const eight = await keySet(() => [...keys, ec, ed])
    expect(await eight.count(undefined)).toBe(8)
    const nine = await keySet(() => [...keys, rsa])
    expect(await nine.count(undefined)).toBe(0)
    expect(await nine.count('k0')).toBe(1)
  })
})

describe('rotation', () => {
  test('an unknown name has the set fetched at once, three times, and once more each half minute', async () => {
    let kid = 'v0'
    const { count, clock, server } = await keySet(() => [{ ...rsa, kid }])
    expect(await count('v0')).toBe(1)
    for (const next of ['v1', 'v2', 'v3']) {
      kid = next
      expect(await count(next)).toBe(1)
    }
    kid = 'v4'
    expect(await count('v4')).toBe(0)
    clock.now += 29
    expect(await count('v4')).toBe(0)
    clock.now += 1
    expect(await count('v4')).toBe(1)
    expect(server.requests.length).toBe(5)
  })

  test('a key that is gone is gone', async () => {
    let keys = [
      { ...rsa, kid: 'old' },
      { ...rsa, kid: 'new' },
    ]
    const { count, clock } = await keySet(() => keys)
    expect(await count('old')).toBe(1)
    keys = keys.slice(1)
    clock.now += 601
    await count('new')
    await expect.poll(async () => count('old')).toBe(0)
  })

  test('a set that was fetched for this very token is not fetched again', async () => {
    const { count, server } = await keySet(() => [{ ...rsa, kid: 'a' }])
    expect(await count('x')).toBe(0)
    expect(server.requests.length).toBe(1)
  })

  test('many who miss the same new key take one place in the bucket', async () => {
    let kid = 'v0'
    const { count } = await keySet(() => [{ ...rsa, kid }])
    await count('v0')
    for (const next of ['v1', 'v2', 'v3']) {
      kid = next
      const found = await Promise.all(Array.from({ length: 10 }, () => count(next)))
      expect(found).toEqual(Array.from({ length: 10 }, () => 1))
    }
  })

  test('while the server is away an unknown name is never the token’s fault', async () => {
    let answer: () => Answer = () => json({ keys: [{ ...rsa, kid: 'a' }] })
    const { count } = await keySet(
      () => [],
      () => answer(),
    )
    await count('a')
    answer = () => reset()
    for (let attempt = 0; attempt < 10; attempt++) {
      await expect(count('new')).rejects.toMatchObject({ code: 'key_set_unavailable' })
    }
    expect(await count('a')).toBe(1)
  })

  test('a key that was withdrawn is not trusted after a quiet night', async () => {
    let keys = [{ ...rsa, kid: 'old' }]
    const { count, clock } = await keySet(() => keys)
    expect(await count('old')).toBe(1)
    keys = [{ ...rsa, kid: 'new' }]
    clock.now += 12 * 3600
    expect(await count('old')).toBe(0)
  })

  test('a thousand unknown names at once or one by one cause three fetches', async () => {
    const { count, server } = await keySet(() => [{ ...rsa, kid: 'a' }])
    expect(await count('a')).toBe(1)
    const flood = await Promise.all(Array.from({ length: 500 }, (_, index) => count(`x${index}`)))
    expect(new Set(flood)).toEqual(new Set([0]))
    for (let index = 0; index < 500; index++) expect(await count(`y${index}`)).toBe(0)
    expect(server.requests.length - 1).toBeLessThanOrEqual(3)
    expect(await count('a')).toBe(1)
  })

  test('a cold start of many is one fetch', async () => {
    const { count, server } = await keySet(() => [{ ...rsa, kid: 'a' }])
    await Promise.all(Array.from({ length: 100 }, () => count('a')))
    expect(server.requests).toEqual(['GET /keys'])
  })
})

describe('how long a set is fresh', () => {
  test.each<[string, Record<string, string>, number]>([
    ['no word of it', {}, 600],
    ['max-age', { 'cache-control': 'public, max-age=1000' }, 1_000],
    ['max-age in quotes and upper case', { 'cache-control': 'MAX-AGE="1000", public' }, 1_000],
    ['the time that it was in a cache', { 'cache-control': 'max-age=1000', age: '300' }, 700],
    ['a time in a cache that is no number', { 'cache-control': 'max-age=1000', age: 'long' }, 1_000],
    ['s-maxage, which is for caches', { 'cache-control': 's-maxage=5000' }, 600],
    ['s-maxage beside max-age', { 'cache-control': 's-maxage=5000, max-age=1000' }, 1_000],
    ['a name that ends so', { 'cache-control': 'x-max-age=1000' }, 600],
    ['a number that is none', { 'cache-control': 'max-age=soon' }, 600],
    ['no-store', { 'cache-control': 'no-store' }, 60],
    ['no-cache', { 'cache-control': 'max-age=1000, no-cache' }, 60],
    ['max-age=0', { 'cache-control': 'max-age=0' }, 60],
    ['ten seconds', { 'cache-control': 'max-age=10' }, 60],
    ['a year', { 'cache-control': 'max-age=31536000' }, 86_400],
    ['for ever and longer', { 'cache-control': `max-age=${'9'.repeat(400)}` }, 86_400],
  ])('%s', async (_what, headers, lifetime) => {
    const { count, clock, server } = await keySet(
      () => [],
      () => ({ status: 200, headers, body: JSON.stringify({ keys: [{ ...rsa, kid: 'a' }] }) }),
    )
    await count('a')
    clock.now += Math.ceil(lifetime * 0.8) - 1
    await count('a')
    await settled()
    expect(server.requests.length).toBe(1)
    clock.now += 1
    await count('a')
    await expect.poll(() => server.requests.length).toBe(2)
  })
})

describe('a key that is not to be had', () => {
  test('is looked for after half a minute, and then after twice as long each time', async () => {
    const { count, clock, server } = await keySet(
      () => [],
      () => json({ keys: [{ ...rsa, kid: 'a' }] }, 200, { 'cache-control': 'max-age=86400' }),
    )
    await count('a')
    const start = clock.now
    const asked: number[] = []
    for (; clock.now - start < 2_600; clock.now += 5) {
      const before = server.requests.length
      expect(await count('dead')).toBe(0)
      if (server.requests.length > before) asked.push(clock.now - start)
    }
    expect(asked).toEqual([0, 30, 90, 210, 450, 930, 1_530, 2_130])
  })

  test('does not keep another from being found', async () => {
    let kid = 'v0'
    const { count, clock } = await keySet(() => [{ ...rsa, kid }])
    await count('v0')
    for (let second = 0; second < 50; second++) {
      clock.now += 1
      expect(await count('dead')).toBe(0)
    }
    for (const next of ['v1', 'v2']) {
      kid = next
      expect(await count(next)).toBe(1)
    }
  })

  test('is forgotten when 256 others were looked for since', async () => {
    const missed = missedNames(() => 0)
    for (let index = 0; index < 257; index++) missed.inSet(`k${index}`)
    expect(missed.mayAskFor('k0')).toBe(true)
    expect(missed.mayAskFor('k1')).toBe(false)
    expect(missed.mayAskFor('k256')).toBe(false)
  })

  test('was published while an earlier fetch was under way', async () => {
    const clock = { now: 0 }
    const release: (() => void)[] = []
    let kid = 'old'
    const set = remoteKeySet({
      uri: async () => 'https://keys.example.com',
      http: async () => {
        const body = JSON.stringify({ keys: [{ ...rsa, kid }] })
        if (clock.now > 0) await new Promise<void>((resolve) => release.push(resolve))
        return new Response(body)
      },
      emit: () => undefined,
      now: () => clock.now,
    })
    await set.ready()
    clock.now = 500
    expect((await set.keysFor(jwt('old', 'RS256'))).length).toBe(1) // has the set renewed, without waiting
    await expect.poll(() => release.length).toBe(1)
    kid = 'new'
    const found = set.keysFor(jwt('new', 'RS256'))
    release[0]?.()
    await expect.poll(() => release.length).toBe(2)
    release[1]?.()
    expect((await found).length).toBe(1)
  })
})

describe('a token without a name that no key of the set signed', () => {
  const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' })

  test('gets the keys of a newer set, once each half minute', async () => {
    let keys: unknown[] = [rsa]
    const { set, clock, server } = await keySet(() => keys)
    const token = jwt(undefined, 'RS256')
    const tried = await set.keysFor(token)
    expect(tried.length).toBe(1)
    expect(await set.newKeysFor(token, tried)).toEqual([])
    expect(server.requests.length).toBe(2)
    keys = [rsa, other]
    expect(await set.newKeysFor(token, tried)).toEqual([])
    expect(server.requests.length).toBe(2)
    clock.now += 30
    const newer = await set.newKeysFor(token, tried)
    expect(newer.length).toBe(1)
    expect(tried).not.toContain(newer[0])
    expect(server.requests.length).toBe(3)
  })

  test('may be of a key that cannot be fetched', async () => {
    let answer: () => Answer = () => json({ keys: [rsa] })
    const { set } = await keySet(
      () => [],
      () => answer(),
    )
    const tried = await set.keysFor(jwt(undefined, 'RS256'))
    answer = () => reset()
    await expect(set.newKeysFor(jwt(undefined, 'RS256'), tried)).rejects.toMatchObject({
      code: 'key_set_unavailable',
    })
  })
})

describe('while the server hangs', () => {
  test('a token with an unknown name waits the first time, and then no longer than a moment', async () => {
    let answer: () => Answer = () => json({ keys: [{ ...rsa, kid: 'a' }] })
    const { count, clock } = await keySet(
      () => [],
      () => answer(),
      0.3,
    )
    await count('a')
    answer = () => hang()
    await expect(count('new')).rejects.toMatchObject({ code: 'key_set_unavailable' })
    clock.now += 2
    const start = performance.now()
    await expect(count('new')).rejects.toMatchObject({ code: 'key_set_unavailable' })
    expect(performance.now() - start).toBeLessThan(250)
  })
})

test('a key is the same object for as long as it is published, and trusted no longer', async () => {
  let keys: unknown[] = [{ ...rsa, kid: 'a' }, ec]
  const { set, clock, events, server } = await keySet(() => keys)
  const [key] = await set.keysFor(jwt('a', 'RS256'))
  if (!key) throw new Error('a key is needed')
  clock.now += 601
  await set.ready()
  expect((await set.keysFor(jwt('a', 'RS256')))[0]).toBe(key)
  expect(set.trusts(key)).toBe(true)
  keys = [ec, ed]
  clock.now += 601
  expect(set.trusts(key)).toBe(false) // nobody knows
  await set.ready()
  expect(set.trusts(key)).toBe(false)
  const url = `${server.url}/keys`
  expect(events).toEqual([
    { type: 'jwks_fetched', url, added: 2, withdrawn: 0 },
    { type: 'jwks_fetched', url, added: 0, withdrawn: 0 },
    { type: 'jwks_fetched', url, added: 1, withdrawn: 1 },
  ])
})

test('asking whether a key is trusted has a set renewed that is due', async () => {
  const { set, clock, server } = await keySet(() => [{ ...rsa, kid: 'a' }])
  const [key] = await set.keysFor(jwt('a', 'RS256'))
  if (!key) throw new Error('a key is needed')
  clock.now += 50
  expect(set.trusts(key)).toBe(true)
  await expect.poll(() => server.requests.length).toBe(2)
})

test('the address may change from one fetch to the next', async () => {
  const server = await startLocalServer(() => json({ keys: [{ ...rsa, kid: 'a' }] }))
  let path = '/one'
  let now = 0
  const set = remoteKeySet({
    uri: async () => server.url + path,
    http: httpClient(undefined, 5),
    emit: () => undefined,
    now: () => now,
  })
  await set.ready()
  path = '/two'
  now = 1_000
  await set.ready()
  expect(server.requests).toEqual(['GET /one', 'GET /two'])
})

describe('bad documents', () => {
  test.each<[string, () => Answer, number?]>([
    ['an error', () => json({ keys: [rsa] }, 500)],
    ['no list', () => json({ keys: { 0: rsa } })],
    ['no keys', () => json({ keys: [] })],
    [
      'no usable key',
      () => json({ keys: [{ ...rsa, use: 'enc' }, { kty: 'oct', k: 'AA' }, null, 7, 'x', []] }),
    ],
    ['101 keys', () => json({ keys: Array.from({ length: 101 }, () => rsa) })],
    ['a reset', () => reset()],
    ['no answer', () => hang(), 0.3],
  ])('%s: no keys, the reason in the cause', async (_what, answer, timeout) => {
    const { count, events, server } = await keySet(() => [], answer, timeout)
    const error: unknown = await count('a').catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      code: 'key_set_unavailable',
      status: 503,
      headers: { 'retry-after': '5' },
      cause: { name: 'OAuthError' },
    })
    expect(events).toMatchObject([{ type: 'jwks_failed', url: `${server.url}/keys`, stale: false }])
  })

  test('leave the good set in use', async () => {
    let answer = () => json({ keys: [{ ...rsa, kid: 'a' }] })
    const { count, clock, events } = await keySet(
      () => [],
      () => answer(),
    )
    expect(await count('a')).toBe(1)
    answer = () => json({ keys: [] })
    clock.now += 601
    expect(await count('a')).toBe(1)
    await expect.poll(() => events.at(-1)).toMatchObject({ type: 'jwks_failed', stale: true })
    expect(await count('a')).toBe(1)
    clock.now += 86_400
    await expect(count('a')).rejects.toMatchObject({ code: 'key_set_unavailable' })
  })
})

/** Until what was begun behind the scenes has had its chance. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 5))
}
