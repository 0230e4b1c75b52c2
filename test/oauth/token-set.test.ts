import type { TokenEndpointResponse } from 'openid-client'
import { describe, expect, test } from 'vitest'
import { OAuthError } from '../../lib/errors.js'
import { tokenSet } from '../../lib/oauth/token-set.js'
import { everythingIn } from '../support/canaries.js'

const now = 1_000_000
const good = { access_token: 'at', token_type: 'bearer', expires_in: 3600, scope: 'a b' } as const

function tokens(changes: Record<string, unknown> = {}, requested: readonly string[] = ['a']): unknown {
  const response = Object.fromEntries(
    Object.entries({ ...good, ...changes }).filter(([, value]) => value !== undefined),
  )
  try {
    return tokenSet(response as unknown as TokenEndpointResponse, requested, now)
  } catch (error) {
    return error instanceof OAuthError ? error : String(error)
  }
}

test('an answer becomes a token set with an absolute end', () => {
  expect(tokens({ refresh_token: 'rt', id_token: 'h.p.s', iat: 1, session_state: 'x' })).toEqual({
    access_token: 'at',
    expires_at: now + 3600,
    generation: 0,
    refresh_at: expect.any(Number),
    scope: ['a', 'b'],
    refresh_token: 'rt',
    id_token: 'h.p.s',
  })
  expect(tokens({ expires_in: undefined, scope: undefined })).toEqual({
    access_token: 'at',
    scope: ['a'],
    generation: 0,
  })
})

describe('T70 the end', () => {
  test.each<[unknown, number | undefined]>([
    [undefined, undefined],
    [0, now],
    [1, now + 1],
    [59.9, now + 59],
    [-1, now],
    [1e300, now + 315_360_000],
    [Number.POSITIVE_INFINITY, now + 315_360_000],
  ])('expires_in %d', (expires_in, expires_at) => {
    const { expires_at: end } = tokens({ expires_in }) as { expires_at?: number }
    expect(end).toBe(expires_at)
  })
})

test('a refresh is due a minute ahead, not for all at the same moment, and later for short lives', () => {
  const due = (expires_in: number) => (tokens({ expires_in }) as { refresh_at: number }).refresh_at - now
  const moments = Array.from({ length: 200 }, () => due(3_600))
  expect(Math.min(...moments)).toBeGreaterThanOrEqual(3_600 - 80)
  expect(Math.max(...moments)).toBeLessThanOrEqual(3_600 - 40 + 1)
  expect(new Set(moments).size).toBeGreaterThan(5)
  expect([due(20), due(2), due(0)]).toEqual([18, 2, 0])
})

describe('T70 the scope is what was granted', () => {
  test.each<[unknown, string[]]>([
    [undefined, ['a', 'b', 'c']],
    ['a', ['a']],
    ['a b c d', ['a', 'b', 'c', 'd']],
    ['', []],
    ['b  a', ['b', 'a']],
  ])('%j', (scope, granted) => {
    expect(tokens({ scope }, ['a', 'b', 'c'])).toMatchObject({ scope: granted })
  })
})

describe('T70 the token type', () => {
  test.each(['bearer', 'Bearer', 'BEARER'])('%s is known', (token_type) => {
    expect(tokens({ token_type })).toMatchObject({ access_token: 'at' })
  })

  test.each(['mac', 'dpop', 'DPoP', 'N_A', 'bearer ', ''])('%j is refused', (token_type) => {
    expect(tokens({ token_type })).toMatchObject({ code: 'invalid_server_response', status: 502 })
  })
})

describe('T71 tokens go into headers', () => {
  const legal = ['a', 'AZaz09-._~+/', 'abc==', 'eyJh.eyJi.c2ln']
  const illegal = [
    '',
    'a\r\nx: y',
    'a\n',
    'a b',
    ' a',
    'a,b',
    'a"b',
    'a\u0000',
    'a\u00e4',
    '=',
    'a=b',
    'a;b',
    'a\tb',
  ]

  test.each(legal)('%j is an access token', (access_token) => {
    expect(tokens({ access_token })).toMatchObject({ access_token })
  })

  test.each(illegal)('%j is not an access token', (access_token) => {
    expect(tokens({ access_token })).toMatchObject({ code: 'invalid_server_response' })
  })

  test('an illegal token is not repeated', () => {
    const error = tokens({ access_token: 'hidden\r\nhidden', refresh_token: 'hidden\r\n' })
    expect(error).toMatchObject({ code: 'invalid_server_response' })
    expect(everythingIn(error)).not.toContain('hidden')
  })

  test.each(['a\r\nx: y', 'a\n', '', 'a\u00e4', 'a\u0000'])('%j is not a refresh token', (refresh_token) => {
    expect(tokens({ refresh_token })).toMatchObject({ code: 'invalid_server_response' })
  })

  test('a refresh token may have any printable character', () => {
    expect(tokens({ refresh_token: 'a b"\\~!' })).toMatchObject({ refresh_token: 'a b"\\~!' })
  })
})
