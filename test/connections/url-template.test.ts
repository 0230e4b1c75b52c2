import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { filled, placesIn, templateProblem } from '../../lib/connections/url-template.js'
import { OAuthError } from '../../lib/errors.js'

const fixed = (...names: string[]) => ({ isFixed: (name: string) => names.includes(name) })

/** The URL, or what is said of the field. */
function made(template: string, values: Record<string, string>, { isFixed } = fixed()): string {
  try {
    return filled(template, values, isFixed)
  } catch (error) {
    if (error instanceof OAuthError && error.code === 'invalid_fields')
      return Object.values(error.fields ?? {}).join(' ')
    throw error
  }
}

test('a place is filled in', () => {
  const template = 'https://{region}.service.example/{tenant}/oauth?x=1'
  expect(placesIn(template)).toEqual(['region', 'tenant'])
  expect(made(template, { region: 'eu', tenant: 'Acme_1' })).toBe(
    'https://eu.service.example/Acme_1/oauth?x=1',
  )
  expect(made('https://api-{region}.service.example:8443/', { region: 'eu' })).toBe(
    'https://api-eu.service.example:8443/',
  )
  expect(made('https://service.example/', {})).toBe('https://service.example/')
  expect(made('http://[::1]:3000/{tenant}', { tenant: 'a' })).toContain('/a')
})

test('what an app has listed may have dots in the host name', () => {
  const template = 'https://accounts.service.{country}/'
  expect(made(template, { country: 'com.au' }, fixed('country'))).toBe('https://accounts.service.com.au/')
  expect(made('https://{host}/', { host: 'eu.service.example' }, fixed('host'))).toBe(
    'https://eu.service.example/',
  )
  expect(made('https://{region}.service.example/', { region: 'a.b' })).toMatch(/part of an address/)
})

/** In the host: refused, each of them. */
const noLabels = [
  '',
  '.',
  '..',
  'a.b',
  '-a',
  'a-',
  'a_b',
  'EU',
  'a/b',
  'evil.example/',
  'evil.example#',
  'evil.example?',
  'evil.example\\',
  'a@evil.example',
  'a:b',
  'a:80',
  'a%2e',
  '%00',
  'a b',
  ' a',
  'a\n',
  'a\u0000',
  'a\u3002b', // an ideographic full stop, which browsers take for a dot
  'a\uff0eb',
  'a\uff61b',
  '\uff45\uff55',
  'münchen',
  'xn--mnchen-3ya',
  'xn--a',
  '[::1]',
  '①②⑦',
  '\u200b',
  'ﬀ',
  'x'.repeat(64),
]

test.each(noLabels)('%j is no part of a host name', (region) => {
  expect(made('https://{region}.service.example/', { region })).toMatch(/part of an address/)
})

test.each([
  '',
  '.',
  '..',
  '.a',
  'a/b',
  'a\\b',
  'a?b',
  'a#b',
  'a%2fb',
  'a b',
  'a;b',
  'é',
  'a\n',
  'x'.repeat(201),
])('%j is no segment of a path', (tenant) => {
  expect(made('https://service.example/{tenant}/oauth', { tenant })).toMatch(/part of an address/)
})

test.each([
  ['x', 'n--a'],
  ['a', '-'],
  ['a'.repeat(40), 'b'.repeat(40)],
])('%j and %j are harmless alone, and together no part of a host name', (a, b) => {
  expect(made('https://{a}{b}.service.example/', { a, b })).toMatch(/part of an address/)
})

test.each(['__proto__', 'constructor', 'toString'])('%s is no value', (name) => {
  expect(made(`https://{${name}}.service.example/`, {})).toBe('This is missing.')
})

const tricky = fc.oneof(
  fc.constantFrom(...noLabels, 'localhost', '127', '127.0.0.1', '0x7f', '2130706433', '169.254.169.254'),
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc
    .array(
      fc.constantFrom(
        '.',
        '/',
        '@',
        '#',
        '?',
        '%',
        ':',
        '\\',
        '-',
        'a',
        'evil.example',
        '%2e',
        '\u3002',
        '[',
        ']',
      ),
      {
        maxLength: 6,
      },
    )
    .map((pieces) => pieces.join('')),
  fc.stringMatching(/^[a-z0-9-]{0,70}$/),
)

describe('whatever a user gives', () => {
  test('T116 the address stays below the domain that the app wrote, on its port', () => {
    fc.assert(
      fc.property(tricky, tricky, (a, b) => {
        for (const template of [
          'https://{a}.service.example:8443/oauth/authorize',
          'https://x-{a}.{b}.service.example:8443/oauth/authorize',
          'https://{a}{b}.service.example:8443/oauth/authorize',
        ]) {
          const url = made(template, { a, b })
          if (url.startsWith('This ')) continue
          expect(new URL(url).href).toBe(url)
          expect(new URL(url)).toMatchObject({
            protocol: 'https:',
            port: '8443',
            username: '',
            password: '',
            pathname: '/oauth/authorize',
            search: '',
            hash: '',
          })
          expect(new URL(url).hostname).toMatch(/^[a-z0-9-]+(\.[a-z0-9-]+)?\.service\.example$/)
        }
      }),
      { numRuns: 1_000 },
    )
  })

  test('the path stays below what the app wrote', () => {
    fc.assert(
      fc.property(tricky, (a) => {
        const url = made('https://service.example/tenants/{a}/oauth/authorize', { a })
        if (url.startsWith('This ')) return
        expect(new URL(url).href).toBe(url)
        expect(new URL(url).origin).toBe('https://service.example')
        expect(new URL(url).pathname).toMatch(/^\/tenants\/[^/]+\/oauth\/authorize$/)
      }),
      { numRuns: 1_000 },
    )
  })
})

describe('a template', () => {
  const problem = (template: string, { isFixed } = fixed()) => templateProblem(template, isFixed)?.advice

  test.each([
    'https://service.example/',
    'http://[::1]:3000/',
    'https://{a}.service.example/',
    'https://{a}.{b}.service.example:8443/x',
    'https://api-{a}.service.example',
    'https://service.example/{a}/x/{b}',
    'http://localhost:3000/{a}',
  ])('%s is good', (template) => {
    expect(problem(template)).toBeUndefined()
  })

  test.each([
    ['https://{a}/', 'give the domain itself'],
    ['https://{a}.example/', 'give the domain itself'],
    ['https://service.{a}/', 'give the domain itself'],
    ['https://x.service-{a}.example/', 'give the domain itself'],
    ['https://{a}.service.example:{b}/', 'a port as a number'],
    ['https://{a}.SERVICE.example/', 'in small letters'],
    ['https://{a}.bücher.example/', 'in small letters'],
    ['https://{a}.0.0.1/', 'cannot be part of an IP address'],
    ['https://{a}.0.0.1:8443/', 'cannot be part of an IP address'],
    ['https://user:hidden@{a}.service.example/', 'before the "@"'],
    ['https://{a}@service.example/', 'before the "@"'],
    ['{a}://service.example/', 'in the host name and in the path'],
    ['{a}', 'in the host name and in the path'],
    ['https://service.example/?x={a}', 'in the host name and in the path'],
    ['https://service.example/#{a}', 'in the host name and in the path'],
    ['https://service.example/{a', 'in the host name and in the path'],
    ['https://service.example/a}', 'in the host name and in the path'],
    ['https://service.example/{{a}}', 'in the host name and in the path'],
    ['https://service.example/x-{a}/', 'a whole segment'],
    ['https://service.example/{a}{b}/', 'a whole segment'],
  ])('%s is not', (template, advice) => {
    expect(problem(template)).toContain(advice)
    expect(templateProblem(template, fixed().isFixed)?.problem).not.toContain('hidden')
  })

  test('may end in what the app has listed', () => {
    expect(problem('https://{a}/', fixed('a'))).toBeUndefined()
    expect(problem('https://service.{a}/', fixed('a'))).toBeUndefined()
    expect(problem('https://{b}.{a}/', fixed('a'))).toContain('give the domain itself')
  })
})
