import { describe, expect, it, test } from 'vitest'
import { isOAuthError } from '../../lib/errors.js'
import { isProxyPrefix, upstreamUrls } from '../../lib/proxy/upstream-url.js'

const urls = upstreamUrls('/api', 'https://api.example.com/v1')

function verdict(target: string): unknown {
  try {
    return urls.upstream(target)?.path
  } catch (error) {
    return isOAuthError(error) ? `${error.status} ${error.reason}` : error
  }
}

describe('the address at the API', () => {
  test.each([
    ['/api', '/v1'],
    ['/api/', '/v1/'],
    ['/api?a=b', '/v1?a=b'],
    ['/api/users/7', '/v1/users/7'],
    ['/api/users/', '/v1/users/'],
    ['/api/a%20b', '/v1/a%20b'],
    ['/api/a.b/..c/c..', '/v1/a.b/..c/c..'],
    ['/api/users/@me', '/v1/users/@me'],
    ['/api/user;v=1', '/v1/user;v=1'],
    ['/api/caf%C3%A9', '/v1/caf%C3%A9'],
    ['/api/%40%5B%60%7B%3A', '/v1/%40%5B%60%7B%3A'],
    ['/api/x?next=http://evil.example/../%2e%2e//\\', '/v1/x?next=http://evil.example/../%2e%2e//\\'],
    ['/api/x?a=%zz&&=?%00', '/v1/x?a=%zz&&=?%00'],
    ['/api/x?caf\xe9', '/v1/x?caf\xe9'],
  ])('%s is %s', (target, path) => {
    expect(urls.upstream(target)).toEqual({ path, url: `https://api.example.com${path}` })
  })

  test.each([
    '/',
    '/apis',
    '/api.',
    '/api;x/y',
    '/API/x',
    '/%61pi/x',
    '//api/x',
    '/x/api/y',
    '*',
    '',
    '/x/../api',
  ])('%s is none of ours', (target) => {
    expect(verdict(target)).toBeUndefined()
  })

  it('is below the target whatever its form', () => {
    const of = (target: string) =>
      ['/api', '/api/', '/api/x'].map((path) => upstreamUrls('/api', target).upstream(path)?.path)
    expect(of('https://api.example.com')).toEqual(['/', '/', '/x'])
    expect(of('https://api.example.com/v1/')).toEqual(['/v1/', '/v1/', '/v1/x'])
    expect(upstreamUrls('/a/b', 'http://localhost:1/c').upstream('/a/b/d')?.url).toBe(
      'http://localhost:1/c/d',
    )
  })

  test.each([
    ['http://api.example.com/api/x', '400 absolute_form'],
    ['HTTPS://evil.example/api', '400 absolute_form'],
    ['/api/x#y', '400 query_spelling'],
    ['/api/x?y#z', '400 query_spelling'],
    ['/api/x?a b', '400 query_spelling'],
    ['/api/x?a\r\nb', '400 query_spelling'],
    ['/api/x?a\x7f', '400 query_spelling'],
    ['/api/x?\u0100', '400 query_spelling'],
    ['/api/caf\xe9', '400 path_spelling'],
    ['/api/a b', '400 path_spelling'],
    ['/api/%61dmin', '400 path_spelling'],
    ['/api/a%2Eb', '400 path_spelling'],
    ['/api/%5A', '400 path_spelling'],
    ['/api/%5f', '400 path_spelling'],
    ['/api/x%7Ey', '400 path_spelling'],
    ['/api/%39', '400 path_spelling'],
  ])('%j is refused', (target, expected) => {
    expect(verdict(target)).toBe(expected)
  })
})

describe('where an answer leads', () => {
  const address = { path: '/v1/a/b?c', url: 'https://api.example.com/v1/a/b?c' }
  test.each([
    ['https://api.example.com/v1/x?y#z', '/api/x?y#z'],
    ['/v1', '/api'],
    ['/v1/', '/api/'],
    ['x', '/api/a/x'],
    ['../x', '/api/x'],
    ['?d', '/api/a/b?d'],
    ['//api.example.com/v1/x', '/api/x'],
    ['https://user:password@api.example.com/v1/x', '/api/x'],
  ])('%s is %s here', (location, local) => {
    expect(urls.local(location, address)).toBe(local)
  })

  test.each([
    'https://evil.example/v1/x',
    'http://api.example.com/v1/x',
    'https://api.example.com:8443/v1/x',
    'https://api.example.com@evil.example/v1/x',
    '//evil.example/v1',
    '/\\evil.example/v1',
    '/',
    '/v10',
    '/v2/x',
    '../../x',
    '/v1/..%2fadmin',
    '/v1/%2e%2e/admin',
    '/v1//x',
    '/v1/%5cx',
    'javascript:alert(1)',
    'https://',
  ])('%s is nowhere here', (location) => {
    expect(urls.local(location, address)).toBeUndefined()
  })
})

test.each([['/api'], ['/a/b-c_d~e'], ['/v1.2']])('%j may be a prefix', (prefix) => {
  expect(isProxyPrefix(prefix)).toBe(true)
})

test.each([
  ['/'],
  [''],
  ['api'],
  ['/api/'],
  ['//api'],
  ['/a//b'],
  ['/..'],
  ['/.a'],
  ['/a%20'],
  ['/ä'],
  ['/a?b'],
  [undefined],
])('%j may not', (prefix) => {
  expect(isProxyPrefix(prefix)).toBe(false)
})
