import { expect, test } from 'vitest'
import { redirectUriProblem } from '../../lib/oauth/redirect-uri.js'

test.each([
  'https://example.com/auth/callback',
  'https://example.com',
  'HTTPS://EXAMPLE.COM/callback',
  'https://example.com:8443/callback',
  'http://localhost:3000/callback',
  'http://app.localhost:3000/callback',
  'http://127.0.0.1:3000/callback',
  'http://[::1]:3000/callback',
  'https://example.com/?id=1',
])('%s may be used', (uri) => {
  expect(redirectUriProblem(uri)).toBeUndefined()
})

test.each<[string, string, string]>([
  ['/auth/callback', 'not an absolute URL', 'scheme and host'],
  ['auth/callback', 'not an absolute URL', 'scheme and host'],
  ['//example.com/callback', 'not an absolute URL', 'scheme and host'],
  ['example.com/callback', 'not an absolute URL', 'scheme and host'],
  ['https:/example.com', 'not an absolute URL', 'scheme and host'],
  ['https:example.com', 'not an absolute URL', 'scheme and host'],
  ['https://', 'not an absolute URL', 'scheme and host'],
  ['', 'not an absolute URL', 'scheme and host'],
  ['ftp://example.com/', 'not an absolute URL', 'scheme and host'],
  ['javascript:alert(1)', 'not an absolute URL', 'scheme and host'],
  ['com.example.app:/callback', 'not an absolute URL', 'scheme and host'],
  ['https://example.com/auth/callback#mycat', 'has a fragment', 'remove the "#"'],
  ['https://example.com/#', 'has a fragment', 'remove the "#"'],
  ['https://user@example.com/', 'user name or password', 'before the "@"'],
  ['https://user:password@example.com/', 'user name or password', 'before the "@"'],
  ['http://example.com/callback', 'is not https', 'use https'],
  ['http://localhost.example.com/', 'is not https', 'use https'],
  ['http://127.0.0.1.example.com/', 'is not https', 'use https'],
  ['http://0.0.0.0/', 'is not https', 'use https'],
  ['http://192.168.1.2/', 'is not https', 'use https'],
  ['http://[::2]/', 'is not https', 'use https'],
])('%s: %s', (uri, problem, advice) => {
  const found = redirectUriProblem(uri)
  expect(found?.problem).toContain(problem)
  expect(found?.advice).toContain(advice)
})

test('a password is not repeated', () => {
  expect(JSON.stringify(redirectUriProblem('https://user:hidden@example.com/'))).not.toContain('hidden')
})
