import { describe, expect, test } from 'vitest'
import { privateCacheControl, requestHeaders, responseHeaders } from '../../lib/proxy/headers.js'

const none: ReadonlySet<string> = new Set()

describe('headers of a request', () => {
  test('pass as they came, repeated ones in their order', () => {
    const headers = ['Accept', 'a', 'X-Own', '1', 'x-own', '2', 'If-None-Match', '"x"', 'Range', 'bytes=0-1']
    expect(requestHeaders(headers, undefined, none)).toEqual(headers)
    expect(requestHeaders(headers, 'keep-alive', none)).toEqual(headers)
  })

  test('that Connection names do not, however they are written', () => {
    const headers = ['X-Hop', '1', 'ACCEPT', '2', 'x-end', '3']
    expect(requestHeaders(headers, 'close, X-HOP ,accept', none)).toEqual(['x-end', '3'])
  })

  test('that an option names do not', () => {
    expect(requestHeaders(['X-Csrf', '1', 'X-End', '2'], undefined, new Set(['x-csrf']))).toEqual([
      'X-End',
      '2',
    ])
  })

  test.each(['X_User', 'x-user_id', 'X.User', 'x!user', ':authority', 'Cookie_', 'x^y', "x'y", 'x|y', 'x~y'])(
    'called %s do not: some servers read another name',
    (name) => {
      expect(requestHeaders([name, '1'], undefined, none)).toEqual([])
    },
  )

  test.each([
    'x-users',
    'X-Authorization',
    'x-remote-addr',
    'IMPERSONATE-USER',
    'X-Forwarded-Anything',
    'Sec-Fetch-Site',
  ])('called %s do not', (name) => {
    expect(requestHeaders([name, '1'], undefined, none)).toEqual([])
  })

  test.each([
    'x-request-id',
    'x-tenant',
    'x-api-key',
    'idempotency-key',
    'traceparent',
    'remoteness',
    'x-use',
    'authority',
  ])('called %s do', (name) => {
    expect(requestHeaders([name, '1'], undefined, none)).toEqual([name, '1'])
  })
})

test('cookies of an answer pass only where the app says so', () => {
  const headers = ['Set-Cookie', 'a=1', 'Set-Cookie2', 'b=2', 'X-End', '1', 'set-cookie', 'c=3']
  expect(responseHeaders(headers, undefined, { passSetCookie: false })).toEqual(['X-End', '1'])
  expect(responseHeaders(headers, undefined, { passSetCookie: true })).toEqual([
    'Set-Cookie',
    'a=1',
    'X-End',
    '1',
    'set-cookie',
    'c=3',
  ])
})

describe('Cache-Control', () => {
  test.each([
    [undefined, 'private, no-store'],
    ['no-store', 'private, no-store'],
    ['public, NO-STORE', 'private, no-store'],
    ['public', 'private'],
    ['', 'private'],
    ['public, max-age=60', 'private, max-age=60'],
    ['s-maxage=600, max-age=60', 'private, max-age=60'],
    ['Max-Age=60 , must-revalidate', 'private, max-age=60, must-revalidate'],
    ['private, no-cache', 'private, no-cache'],
    ['private="x-user", max-age=5', 'private, max-age=5'],
    ['max-age=60, x="a, public"', 'private, max-age=60'],
    ['proxy-revalidate, immutable, no-transform', 'private, immutable, no-transform'],
  ])('%s becomes %s', (given, expected) => {
    expect(privateCacheControl(given)).toBe(expected)
  })
})
