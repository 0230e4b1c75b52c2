import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { OAuthError } from '../../lib/errors.js'
import { invalidToken } from '../../lib/jose/jwt.js'
import { BearerUser } from '../../lib/resource/bearer-auth.js'
import { introspectedTokens } from '../../lib/resource/introspected-tokens.js'
import { travel } from '../support/time.js'

const issuer = 'https://auth.example.com'

function user(token: string, lifetime = 3_600): BearerUser {
  const expiresAt = Date.now() / 1000 + lifetime
  return new BearerUser(token, issuer, {
    claims: {},
    subject: token,
    clientId: undefined,
    scopes: [],
    expiresAt,
  })
}

/** A server that knows one answer, and how often it was asked. */
function asking(answer: (token: string) => BearerUser) {
  return vi.fn<(token: string) => Promise<BearerUser>>(async (token) => answer(token))
}

describe('what the server said of a token', () => {
  test('T103 is the same user for all requests with it', async () => {
    const tokens = introspectedTokens(60)
    const ask = asking(user)
    const [one, two] = await Promise.all([tokens.of('a', () => ask('a')), tokens.of('a', () => ask('a'))])
    expect(two).toBe(one)
    expect(await tokens.of('a', () => ask('a'))).toBe(one)
    expect(await tokens.of('b', () => ask('b'))).toMatchObject({ subject: 'b' })
    expect(ask.mock.calls).toEqual([['a'], ['b']])
  })

  test.each([
    [60, 3_600, 60],
    [60, 20, 20],
    [5, 3_600, 5],
    [0.5, 3_600, 0.5],
  ])('T103 is remembered for %i s, of a token with %i s left: %i s', async (lifetime, left, expected) => {
    travel(0)
    const tokens = introspectedTokens(lifetime)
    const ask = asking((token) => user(token, left))
    await tokens.of('a', () => ask('a'))
    travel(expected - 0.1)
    await tokens.of('a', () => ask('a'))
    expect(ask).toHaveBeenCalledTimes(1)
    travel(0.1)
    await tokens.of('a', () => ask('a'))
    expect(ask).toHaveBeenCalledTimes(2)
  })

  test('T103 is forgotten at once with a lifetime of 0, and asked for each request on its own', async () => {
    const tokens = introspectedTokens(0)
    const ask = asking(user)
    await Promise.all([tokens.of('a', () => ask('a')), tokens.of('a', () => ask('a'))])
    await tokens.of('a', () => ask('a'))
    expect(ask).toHaveBeenCalledTimes(3)
  })
})

describe('a refusal', () => {
  const refusing = () => asking(() => Promise.reject(invalidToken('audience')) as never)

  test.each([
    [60, 10],
    [5, 5],
  ])('T103 is remembered with its reason: lifetime %i s, for %i s', async (lifetime, expected) => {
    travel(0)
    const tokens = introspectedTokens(lifetime)
    const ask = refusing()
    const refused = async () =>
      expect(tokens.of('a', () => ask('a'))).rejects.toMatchObject({
        code: 'invalid_token',
        reason: 'audience',
      })
    await refused()
    travel(expected - 0.1)
    await refused()
    expect(ask).toHaveBeenCalledTimes(1)
    travel(0.1)
    await refused()
    expect(ask).toHaveBeenCalledTimes(2)
  })

  test('T103 is an error of its own for each who hears it', async () => {
    const tokens = introspectedTokens(60)
    const ask = refusing()
    const hear = () => tokens.of('a', () => ask('a')).catch((error: unknown) => error)
    const heard = [...(await Promise.all([hear(), hear()])), await hear()]
    expect(new Set(heard).size).toBe(3)
    expect(ask).toHaveBeenCalledTimes(1)
  })
})

test('T103 a failure is heard by all who wait for it, and by nobody after', async () => {
  const tokens = introspectedTokens(60)
  const failure = new OAuthError('server_unavailable')
  let isAway = true
  const ask = vi.fn<() => Promise<BearerUser>>(async () => {
    await sleep(1)
    return isAway ? Promise.reject(failure) : user('a')
  })
  const both = await Promise.allSettled([tokens.of('a', ask), tokens.of('a', ask)])
  expect(both).toEqual([
    { status: 'rejected', reason: failure },
    { status: 'rejected', reason: failure },
  ])
  expect(ask).toHaveBeenCalledTimes(1)
  isAway = false
  expect(await tokens.of('a', ask)).toMatchObject({ subject: 'a' })
})

test('T103 a flood of bad tokens drives out no good one, and neither kind grows without end', async () => {
  const tokens = introspectedTokens(60)
  const ask = asking(user)
  await tokens.of('good', () => ask('good'))
  for (let one = 0; one < 10_001; one += 1)
    await tokens.of(`bad-${one}`, () => Promise.reject(invalidToken('inactive'))).catch(() => undefined)
  await tokens.of('good', () => ask('good'))
  expect(ask).toHaveBeenCalledTimes(1)
  // The first of the bad ones had to make room.
  await tokens.of('bad-0', () => ask('bad-0'))
  expect(ask).toHaveBeenCalledTimes(2)
  for (let one = 0; one < 10_000; one += 1) await tokens.of(`good-${one}`, () => ask('another'))
  ask.mockClear()
  await tokens.of('good', () => ask('good'))
  expect(ask).toHaveBeenCalledTimes(1)
})
