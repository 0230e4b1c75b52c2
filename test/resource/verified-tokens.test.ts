import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { staticKeySet } from '../../lib/jose/static-key-set.js'
import { BearerUser } from '../../lib/resource/bearer-auth.js'
import type { TrustedIssuer } from '../../lib/resource/trusted-issuer.js'
import { usualLength, verifiedTokens, type VerifiedToken } from '../../lib/resource/verified-tokens.js'

async function setOfOneKey() {
  const keySet = staticKeySet(generateKeyPairSync('ed25519').publicKey)
  const [key] = await keySet.keysFor({ token: '', algorithm: 'EdDSA', claims: {} })
  if (!key) throw new Error('the set has no key')
  return { keySet, key }
}

const { keySet, key } = await setOfOneKey()
const end = 1_000
const issuer: TrustedIssuer = {
  issuer: 'https://auth.example.com',
  audience: { claim: 'aud', values: ['https://api.example.com'] },
  profile: 'any',
  algorithms: ['EdDSA'],
  keySet,
  clockTolerance: 0,
  now: () => 0,
}

function good(token: string, more: Partial<VerifiedToken> = {}): VerifiedToken {
  const claims = { claims: {}, subject: token, clientId: undefined, scopes: [], expiresAt: end }
  const auth = new BearerUser(token, 'https://auth.example.com', claims)
  return { header: `Bearer ${token}`, auth, until: end, key, issuer, isEnough: true, ...more }
}

/** Room for so many, at a time of its own. */
function room(maxEntries: number) {
  const clock = { now: 0 }
  const tokens = verifiedTokens({ maxEntries, clock: () => clock.now })
  const has = (...names: string[]) =>
    names.filter((name) => tokens.get(`Bearer ${name}`)?.auth.token === name)
  const keep = (...names: string[]) => {
    for (const name of names) tokens.keep(good(name))
  }
  return { tokens, clock, has, keep }
}

const numbered = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => `token-number-${String(from + index).padStart(8, '0')}`)

test('a token is found by the header that brought it', () => {
  const { tokens } = room(10)
  const token = good('one')
  tokens.keep(token)
  expect(tokens.get('Bearer one')).toBe(token)
  expect(tokens.get('Bearer two')).toBeUndefined()
})

describe('T96 a remembered token is not found', () => {
  test.each<[what: string, header: string]>([
    ['the scheme in another case', 'bearer some-long-token'],
    ['two spaces', 'Bearer  some-long-token'],
    ['a space at the end', 'Bearer some-long-token '],
    ['no scheme', 'some-long-token'],
    ['more before it', 'Bearer x, Bearer some-long-token'],
    ['the same end', 'Bearer other-long-token'],
    ['its end alone', 'some-long-token'.slice(-12)],
    ['nothing', ''],
  ])('T96 by a header with %s', (_what, header) => {
    const { keep, has, tokens } = room(10)
    keep('some-long-token')
    expect(tokens.get(header)).toBeUndefined()
    expect(has('some-long-token')).toEqual(['some-long-token'])
  })

  test('T96 from the moment on at which it ends, by the wall clock alone', () => {
    const { keep, has, clock } = room(10)
    keep('one')
    const at = (seconds: number) => {
      clock.now = seconds * 1_000
      return has('one').length === 1
    }
    expect([at(end - 0.001), at(end), at(end + 1), at(2 * end)]).toEqual([true, false, false, false])
    // Set back, the clock says that it is good again; set forward again, that it is not.
    expect([at(-end), at(end - 1), at(end)]).toEqual([true, true, false])
  })

  test('T96 when its end has a fraction', () => {
    const { tokens, clock } = room(10)
    tokens.keep(good('one', { until: 7.5 }))
    clock.now = 7_499
    expect(tokens.get('Bearer one')).toBeDefined()
    clock.now = 7_500
    expect(tokens.get('Bearer one')).toBeUndefined()
  })

  test('T96 when its end is no number', () => {
    const { tokens } = room(10)
    tokens.keep(good('one', { until: Number.NaN }))
    expect(tokens.get('Bearer one')).toBeUndefined()
  })

  test('T96 when its key is none of the set', async () => {
    const { tokens } = room(10)
    tokens.keep(good('one', { issuer: { ...issuer, keySet: (await setOfOneKey()).keySet } }))
    expect(tokens.get('Bearer one')).toBeUndefined()
  })
})

test('T96 of two tokens with the same end the later is remembered, and neither is taken for the other', () => {
  const { tokens, has, keep } = room(10)
  keep('the-first-of-one-and-the-same-end')
  keep('the-other-of-one-and-the-same-end')
  expect(tokens.get('Bearer the-first-of-one-and-the-same-end')).toBeUndefined()
  expect(has('the-other-of-one-and-the-same-end')).toHaveLength(1)
})

test('a token that was verified anew takes its own place, again and again', () => {
  const { tokens, has, keep } = room(2)
  keep('one')
  for (let time = 0; time < 100; time += 1) tokens.keep(good('two', { until: end + time }))
  expect(tokens.get('Bearer two')?.until).toBe(end + 99)
  expect(has('one', 'two')).toEqual(['one', 'two'])
})

describe('T96 memory is bounded', () => {
  test('T96 by the number of tokens, to the last of them', () => {
    const { has, keep } = room(100)
    const names = numbered(100_000)
    keep(...names.slice(0, 100))
    expect(has(...names)).toHaveLength(100)
    keep(...names.slice(100))
    expect(has(...names)).toHaveLength(100)
  })

  test('T96 by their size', () => {
    const { has, keep } = room(100)
    const long = numbered(100).map((name) => `${'x'.repeat(10 * usualLength)}${name}`)
    keep(...long)
    expect(has(...long)).toHaveLength(9) // the scheme counts, too
    const short = numbered(100, 1_000)
    keep(...short)
    expect(has(...short).length).toBeGreaterThan(90)
  })

  test('T96 also when one alone is too large', () => {
    const { has, keep } = room(1)
    const large = 'x'.repeat(2 * usualLength)
    keep(large)
    expect(has(large)).toEqual([])
    keep('small')
    expect(has('small')).toEqual(['small'])
  })

  test('what was taken out leaves room for as many others', () => {
    const { has, keep } = room(50)
    for (let round = 0; round < 20; round += 1) keep(...numbered(50, round * 25))
    expect(has(...numbered(50, 19 * 25))).toHaveLength(50)
  })
})

describe('what stays when there is no more room', () => {
  test('tokens that are used, beside a flood of those that come once', () => {
    const { has, keep } = room(100)
    const used = numbered(50)
    keep(...used)
    for (let wave = 1; wave < 200; wave += 1) {
      expect(has(...used)).toHaveLength(50)
      keep(...numbered(40, wave * 1_000))
    }
  })

  test('new tokens, when all others were used', () => {
    const { has, keep } = room(10)
    const old = numbered(10)
    keep(...old)
    has(...old)
    keep('new')
    expect(has('new')).toEqual(['new'])
    expect(has(...old)).toHaveLength(9)
  })

  test('all of as many tokens as there is room for', () => {
    const { has, keep } = room(1_000)
    const names = numbered(1_000)
    keep(...names)
    for (let turn = 0; turn < 5; turn += 1) expect(has(...names)).toHaveLength(1_000)
  })
})
