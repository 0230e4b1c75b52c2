import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isOAuthError } from '../../lib/index.js'
import { apiAllowList, apiUrlProblem } from '../../lib/tokens/api-allow-list.js'

const apis = [
  { url: 'https://api.example.com/v1/', name: 'one' },
  { url: 'https://api.example.com/v1/admin', name: 'admin' },
  { url: 'https://files.example.com', name: 'files' },
  { url: 'http://localhost:4000/v1', name: 'local' },
  { url: 'https://192.0.2.7:8443/', name: 'address' },
  { url: 'https://[2001:db8::1]/', name: 'address 6' },
]
const allowed = apiAllowList(apis)

function found(target: unknown): string {
  try {
    return allowed(target).api.name
  } catch (error) {
    if (isOAuthError(error) && error.code === 'url_not_allowed') return error.reason ?? ''
    throw error
  }
}

test('an address belongs to the listed API that it is below', () => {
  const table: Record<string, string> = {
    'https://api.example.com/v1/': 'one',
    'https://api.example.com/v1/projects': 'one',
    'https://api.example.com/v1/projects/?page=2&next=https://evil.example/../x': 'one',
    'https://api.example.com/v1/projects#top': 'one',
    'https://api.example.com/v1/a%20b/caf%C3%A9/50%25/x;v=1/...': 'one',
    'https://api.example.com/v1/.well-known': 'one',
    'https://api.example.com/v1/café': 'one',
    'https://api.example.com/v1/admin': 'admin',
    'https://api.example.com/v1/admin/users': 'admin',
    'https://api.example.com/v1/admins': 'one',
    'https://files.example.com': 'files',
    'https://files.example.com?x=1': 'files',
    'https://files.example.com/any/thing': 'files',
    'http://localhost:4000/v1': 'local',
    'http://localhost:4000/v1/x': 'local',
    'https://192.0.2.7:8443/x': 'address',
    'https://[2001:db8::1]/x': 'address 6',
  }
  for (const [url, name] of Object.entries(table)) {
    expect([url, found(url), found(new URL(url))]).toEqual([url, name, name])
  }
})

test('what was judged is what is sent, and a fragment stays here', () => {
  expect(allowed('https://api.example.com/v1/a?b=c#d').url).toBe('https://api.example.com/v1/a?b=c')
  const liar = Object.assign(new URL('https://api.example.com/v1/a'), {
    toString: () => 'https://evil.example/',
  })
  expect(allowed(liar).url).toBe('https://api.example.com/v1/a')
})

const refused: Record<string, readonly string[]> = {
  'another place': [
    'https://evil.example/v1/projects',
    'https://api.example.com.evil.example/v1/projects',
    'https://evilapi.example.com/v1/projects',
    'https://example.com/v1/projects',
    'https://api.example.com:8443/v1/projects',
    'https://api.example.com:80/v1/projects',
    'http://api.example.com/v1/projects',
    'http://localhost:4001/v1/x',
    'https://localhost:4000/v1/x',
    'http://127.0.0.1:4000/v1/x',
    'http://localhost.evil.example:4000/v1/x',
    'ftp://api.example.com/v1/projects',
    'file:///v1/projects',
    'data:text/plain,x',
    'blob:https://api.example.com/v1/x',
    'javascript:alert(1)',
    'ws://localhost:4000/v1/x',
  ],
  'user names': [
    'https://api.example.com@evil.example/v1/projects',
    'https://api.example.com%40evil.example/v1/projects',
    'https://user@api.example.com/v1/projects',
    'https://user:password@api.example.com/v1/projects',
    'https://@api.example.com/v1/projects',
    'https://:@api.example.com/v1/projects',
    'https://evil.example\\@api.example.com/v1/projects',
  ],
  'the border of the path': [
    'https://api.example.com/v1',
    'https://api.example.com/v1x',
    'https://api.example.com/v10/projects',
    'https://api.example.com/',
    'https://api.example.com',
    'https://api.example.com?/v1/projects',
    'https://api.example.com#/v1/projects',
    'https://api.example.com/V1/projects',
    'https://api.example.com/%76%31/projects',
    'http://localhost:4000/v1x',
    'http://localhost:4000/v1;x/y',
  ],
  'dots and slashes': [
    'https://api.example.com/v1/../admin',
    'https://api.example.com/v1/..',
    'https://api.example.com/v1/./projects',
    'https://api.example.com/v1/projects/..',
    'https://api.example.com/v1/a/../projects',
    'https://api.example.com/v2/../v1/projects',
    'https://api.example.com/v1/%2e%2e/admin',
    'https://api.example.com/v1/%2E%2e/admin',
    'https://api.example.com/v1/.%2e/admin',
    'https://api.example.com/v1/%2e/admin',
    'https://api.example.com/v1/%252e%252e/admin',
    'https://api.example.com/v1/%25252e%25252e/admin',
    'https://api.example.com/v1/..;/admin',
    'https://api.example.com/v1/..;x=1/admin',
    'https://api.example.com/v1/%2e%2e%3b/admin',
    'https://api.example.com/v1/..%2fadmin',
    'https://api.example.com/v1/a%2fb',
    'https://api.example.com/v1/a%2Fb',
    'https://api.example.com/v1/a%252fb',
    'https://api.example.com/v1/a%5cb',
    'https://api.example.com/v1/a%255Cb',
    'https://api.example.com/v1/a%00b',
    'https://api.example.com/v1/a%0d%0ab',
    'https://api.example.com/v1//projects',
    'https://api.example.com/v1/a//b',
    'https://api.example.com//v1/projects',
    'https://api.example.com//evil.example/v1/projects',
    'https://files.example.com//',
    'https://files.example.com//evil.example',
    'https://api.example.com/v1\\projects',
    'https://api.example.com\\v1/projects',
    'https:\\\\api.example.com\\v1\\projects',
    'https://api.example.com/v1/%c0%ae%c0%ae/admin',
    'https://api.example.com/v1/%ff',
    'https://api.example.com/v1/%',
    'https://api.example.com/v1/%EF%BC%8E%EF%BC%8E/admin',
    'https://api.example.com/v1/．．/admin',
    'https://api.example.com/v1/a／b',
    'https://api.example.com/v1/‥/admin',
  ],
  'odd spellings': [
    '/v1/projects',
    '//api.example.com/v1/projects',
    'https:/api.example.com/v1/projects',
    'https:api.example.com/v1/projects',
    'https:///api.example.com/v1/projects',
    'HTTPS://api.example.com/v1/projects',
    'https://API.example.com/v1/projects',
    'https://api.example.com./v1/projects',
    'https://api.example.com:443/v1/projects',
    'https://api.example.com:/v1/projects',
    'https://api%2eexample.com/v1/projects',
    'https://api。example.com/v1/projects',
    'https://ａpi.example.com/v1/projects',
    ' https://api.example.com/v1/projects',
    'https://api.example.com/v1/projects\n',
    'https://api.exam\tple.com/v1/projects',
    'https://api.example.com/v1/.\t./admin',
    'https://api.example.com/v1/x?a=\nb',
    'https://api.example.com/v1/x?a=\\b',
    'https://3221225991:8443/x',
    'https://0xc0.0.2.7:8443/x',
    'https://0300.0.2.7:8443/x',
    'https://192.0.519:8443/x',
    'https://192.0.2.7.:8443/x',
    'https://[2001:0db8:0:0:0:0:0:1]/x',
    'https://[2001:DB8::1]/x',
    'https://[::ffff:192.0.2.7]:8443/x',
    'http://[::1]:4000/v1/x',
    'http://LOCALHOST:4000/v1/x',
    'http://localhost.:4000/v1/x',
    '',
  ],
}

describe.each(Object.entries(refused))('T109 %s', (_what, urls) => {
  test.each(urls)('%j', (url) => {
    expect(found(url)).toMatch(/^(not_a_url|not_https|spelling|not_listed)$/)
  })
})

test('T109 a URL object whose text has been put right already is judged by what it became', () => {
  expect(found(new URL('https://api.example.com/v1/../admin'))).toBe('not_listed')
  expect(found(new URL('HTTPS://API.example.com:443/v1/x'))).toBe('one')
  expect(found(new URL('https://user@api.example.com/v1/x'))).toBe('spelling')
  expect(found(new URL('https://api.example.com./v1/x'))).toBe('spelling')
  expect(found(new URL('https://api.example.com/v1/a%2fb'))).toBe('spelling')
})

test.each([
  undefined,
  null,
  5,
  {},
  [],
  new Request('https://api.example.com/v1/x'),
  ['https://files.example.com/'],
])('%o is no address', (target) => {
  expect(found(target)).toBe('not_a_url')
})

test('T109 whatever is let through goes to a listed place and nowhere else', () => {
  const pieces = [
    '..',
    '.',
    '%2e',
    '%2f',
    '%5c',
    '\\',
    '//',
    '/',
    '@',
    ';',
    'v1',
    'admin',
    ':',
    '?',
    '#',
    '%25',
    'a',
    '．',
  ]
  const path = fc.array(fc.constantFrom(...pieces), { maxLength: 10 }).map((some) => some.join(''))
  const start = fc.constantFrom(
    'https://api.example.com/v1/',
    'https://api.example.com',
    'http://localhost:4000/v1',
  )
  fc.assert(
    fc.property(start, path, (origin, rest) => {
      let url: string
      try {
        ;({ url } = allowed(origin + rest))
      } catch {
        return
      }
      const { origin: to, pathname } = new URL(url)
      expect(`${to}${pathname}`).toMatch(
        /^https:\/\/api\.example\.com\/v1\/|^http:\/\/localhost:4000\/v1(\/|$)/,
      )
      expect(decodeURIComponent(pathname)).not.toMatch(/\/\.{1,2}(\/|;|$)|\\|\/\//)
    }),
    { numRuns: 5_000 },
  )
})

test('no part of a refused address is repeated but its origin', () => {
  const said = [
    `https://evil.example/canary-path?canary-query`,
    'https://canary-user:canary-word@evil.example/',
  ].map((url) => {
    try {
      return allowed(url).url
    } catch (error) {
      return isOAuthError(error) ? `${error.message} ${error.hint}` : 'another error'
    }
  })
  expect(said[0]).toContain('https://evil.example: not listed')
  expect(said.join(' ')).not.toContain('canary')
})

test.each([
  undefined,
  '',
  '/v1',
  'api.example.com',
  'http://api.example.com/v1',
  'https://api.example.com/v1/../',
  'https://api.example.com//v1/',
  'https://api.example.com/v1/%2f/',
  'https://API.example.com/',
  'https://api.example.com:443/',
  'https://api.example.com./',
  'https://user@api.example.com/',
  'https://*.example.com/',
  'https://api.example.com/*',
  'https://api.example.com/v1?x=1',
  'https://api.example.com/v1#x',
])('%j is not listed', (url) => {
  expect(apiUrlProblem(url)).toBeDefined()
})

test('addresses in their normal form can be listed', () => {
  expect(apis.map(({ url }) => apiUrlProblem(url))).toEqual(apis.map(() => undefined))
})
