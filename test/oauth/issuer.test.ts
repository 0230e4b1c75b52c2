import { expect, test } from 'vitest'
import { issuerProblem } from '../../lib/oauth/issuer.js'

test.each([
  'https://auth.example.com',
  'https://auth.example.com/',
  'https://auth.example.com/realms/main',
  'https://auth.example.com:8443/',
  'http://localhost:3001',
  'http://127.0.0.1:3001',
  'http://[::1]:3001',
])('%s may be an issuer', (issuer) => {
  expect(issuerProblem(issuer)).toBeUndefined()
})

test.each<[string, string]>([
  ['http://auth.example.com', 'https'],
  ['http://localhost.example.com', 'https'],
  ['auth.example.com', 'https'],
  ['/realms/main', 'https'],
  ['', 'https'],
  ['file:///etc/issuer', 'https'],
  ['https://auth.example.com?tenant=1', 'remove the query'],
  ['https://auth.example.com?', 'remove the query'],
  ['https://auth.example.com#x', 'remove the query and the fragment'],
])('%s: %s', (issuer, advice) => {
  const found = issuerProblem(issuer)
  expect(found?.problem).toBe(`is "${issuer}"`)
  expect(found?.advice).toContain(advice)
})
