import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import {
  createVerifier,
  isOAuthError,
  oauthBearer,
  type IssuerOptions,
  type VerifierOptions,
} from '../../lib/index.js'
import { checkOptions } from '../../lib/options.js'
import { knownIssuerOptions } from '../../lib/resource/issuer-options.js'
import { trustedIssuers } from '../../lib/resource/trusted-issuers.js'

const issuer = 'https://auth.example.com'
const template = 'https://login.example.com/{tid}/v2.0'
const audience = 'https://api.example.com'
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })

function problem(options: object): string {
  try {
    createVerifier(options as VerifierOptions)
    return 'nothing was thrown'
  } catch (error) {
    return isOAuthError(error) && error.code === 'invalid_configuration' ? error.message : String(error)
  }
}

test.each<[string, object]>([
  ['one', { issuer, audience }],
  ['one whose neighbours are undefined', { issuer, audience, issuers: undefined, jwksUri: undefined }],
  ['several', { issuers: [issuer, 'https://other.example'], audience }],
  ['several, each with its own audience', { issuers: [{ issuer, audience }] }],
  ['a function', { issuers: () => issuer, audience }],
  ['a function that gives the audience, too', { issuers: () => ({ issuer, audience }) }],
  ['tenants', { issuer: template, tenants: ['a', 'b'], audience }],
  ['tenants by a function', { issuer: template, tenants: () => true, audience }],
  ['a template among others', { issuers: [issuer, { issuer: template, tenants: ['a'] }], audience }],
  ['metadata elsewhere', { issuer, audience, discoveryUrl: 'https://inside.example/metadata?appid=1' }],
  ['keys elsewhere', { issuer, audience, jwksUri: 'http://localhost:8080/keys' }],
  ['its keys', { issuer, audience, keys: publicKey }],
  ['another claim', { issuer, audience: { claim: 'client_id', values: ['a'] } }],
  ['RFC 9068', { issuer, audience, profile: 'rfc9068' }],
  ['RFC 9068 in so many words', { issuer, audience: { claim: 'aud', values: ['a'] }, profile: 'rfc9068' }],
])('%s can be trusted', (_what, options) => {
  expect(problem(options)).toBe('nothing was thrown')
})

test.each<[object, string]>([
  [{ audience }, 'option "issuer" is missing'],
  [{ issuer, issuers: [issuer], audience }, 'option "issuers" is given beside "issuer"'],
  [{ issuers: [], audience }, 'option "issuers" is no list of issuers'],
  [{ issuers: issuer, audience }, 'option "issuers" is no list of issuers'],
  [{ issuers: { issuer }, audience }, 'option "issuers" is no list of issuers'],
  [{ issuers: null, audience }, 'option "issuers" is no list of issuers'],
  [{ issuers: [null], audience }, 'option "issuers[0]" is null; give an object with issuer'],
  [{ issuers: [issuer, 7], audience }, 'option "issuers[1]" is 7; give an object with issuer'],
  [{ issuers: [[issuer]], audience }, 'option "issuers[0]"'],
  [{ issuers: [issuer, {}], audience }, 'option "issuers[1].issuer" is missing'],
  [{ issuers: [issuer, ''], audience }, 'option "issuers[1].issuer"'],
  [{ issuers: [issuer, 'http://auth.example.com'], audience }, 'option "issuers[1].issuer" is "http://'],
  [{ issuers: [issuer, { issuer, audience: 'x' }], audience }, 'option "issuers[1].issuer" is there twice'],
  [
    { issuers: [{ issuer, jwks_uri: 'x' }], audience },
    'option "issuers[0].jwks_uri" is not known; did you mean "jwksUri"?',
  ],
  [{ issuers: [{ issuer, clockTolerance: 1 }], audience }, 'option "issuers[0].clockTolerance" is not known'],
  [{ issuers: [issuer] }, 'option "issuers[0].audience" is missing'],
  [{ issuers: [{ issuer, audience }, 'https://other.example'] }, 'option "issuers[1].audience" is missing'],
  [{ issuers: [{ issuer, algorithms: ['HS256'] }], audience }, 'option "issuers[0].algorithms"'],
  [{ issuers: [issuer], algorithms: ['none'], audience }, 'option "issuers[0].algorithms"'],
  [{ issuers: [{ issuer, profile: 'rfc' }], audience }, 'option "issuers[0].profile" is "rfc"'],
  [
    { issuers: [issuer], audience, jwksUri: 'https://a.example/k' },
    'option "jwksUri" is given beside "issuers"',
  ],
  [
    { issuers: [issuer], audience, discoveryUrl: 'https://a.example/' },
    'option "discoveryUrl" is given beside',
  ],
  [{ issuers: [issuer], audience, keys: publicKey }, 'option "keys" is given beside "issuers"'],
  [{ issuers: [issuer], audience, tenants: ['a'] }, 'option "tenants" is given beside "issuers"'],
  [{ issuers: () => issuer, audience: [] }, 'option "audience"'],
  [{ issuers: () => issuer, jwksUri: 'https://a.example/k' }, 'option "jwksUri" is given beside "issuers"'],
  [{ issuer: template, audience }, 'option "tenants" is missing'],
  [{ issuer: template, audience, tenants: [] }, 'option "tenants"'],
  [{ issuer: template, audience, tenants: 'a' }, 'option "tenants"'],
  [{ issuer: template, audience, tenants: true }, 'option "tenants"'],
  [{ issuer: template, audience, tenants: ['a', 'b/c'] }, 'option "tenants"'],
  [{ issuer: template, audience, tenants: ['..'] }, 'option "tenants"'],
  [{ issuer: template, audience, tenants: ['*'] }, 'option "tenants"'],
  [{ issuer, audience, tenants: ['a'] }, 'option "tenants" is given, but "issuer" has no placeholder'],
  [{ issuer: 'https://{tid}.example.com', audience, tenants: ['a'] }, 'option "issuer"'],
  [{ issuer: 'https://{tid}/v2.0', audience, tenants: ['a'] }, 'option "issuer"'],
  [{ issuer: 'https://a.example:{tid}/v2.0', audience, tenants: ['a'] }, 'option "issuer"'],
  [{ issuer: 'https://a.example/{tid}/{sub}', audience, tenants: ['a'] }, 'option "issuer"'],
  [{ issuer: 'https://a.example/{tid}/{tid}', audience, tenants: ['a'] }, 'option "issuer"'],
  [{ issuer: 'https://a.example/{}', audience, tenants: ['a'] }, 'option "issuer"'],
  [{ issuer: 'https://a.example/{a b}', audience, tenants: ['a'] }, 'option "issuer"'],
  [{ issuer: 'https://a.example/{tid', audience, tenants: ['a'] }, 'option "issuer"'],
  [{ issuer: 'https://a.example/{tid}}', audience, tenants: ['a'] }, 'option "issuer"'],
  [{ issuer: 'http://a.example/{tid}', audience, tenants: ['a'] }, 'option "issuer"'],
  [{ issuer: 'https://a.example/{tid}?x', audience, tenants: ['a'] }, 'option "issuer"'],
  [{ issuer: 'https://user:hidden@a.example/{tid}', audience, tenants: ['a'] }, 'option "issuer"'],
  [{ issuer, audience, discoveryUrl: 'http://inside:8080/metadata' }, 'option "discoveryUrl"'],
  [{ issuer, audience, discoveryUrl: '/metadata' }, 'option "discoveryUrl"'],
  [{ issuer, audience, discoveryUrl: '' }, 'option "discoveryUrl"'],
  [{ issuer, audience, discoveryUrl: 7 }, 'option "discoveryUrl"'],
  [{ issuer: template, audience, tenants: ['a'], jwksUri: `${issuer}/{tid}` }, 'option "jwksUri"'],
  [
    { issuer, audience, discoveryUrl: `${issuer}/a`, jwksUri: `${issuer}/b` },
    'option "discoveryUrl" is given beside "jwksUri"; use one of them',
  ],
  [{ issuer, audience, jwksUri: `${issuer}/b`, keys: publicKey }, 'option "jwksUri" is given beside "keys"'],
  [{ issuer, audience, keys: privateKey }, 'option "keys" cannot be used: the key at "keys" is private'],
  [{ issuer, audience, keys: [] }, 'option "keys" cannot be used'],
  [{ issuer, audience: { claim: '', values: ['a'] } }, 'option "audience.claim"'],
  [{ issuer, audience: { claim: 7, values: ['a'] } }, 'option "audience.claim"'],
  [{ issuer, audience: { claim: 'iss', values: [issuer] } }, 'option "audience.claim" is "iss"'],
  [{ issuer, audience: { claim: 'sub', values: ['a'] } }, 'option "audience.claim" is "sub"'],
  [{ issuer, audience: { claim: 'client_id', values: [] } }, 'option "audience.values"'],
  [{ issuer, audience: { claim: 'client_id', values: 'a' } }, 'option "audience.values"'],
  [{ issuer, audience: { claim: 'client_id', values: [''] } }, 'option "audience.values"'],
  [{ issuer, audience: { claim: 'client_id' } }, 'option "audience.values"'],
  [{ issuer, audience: { values: ['a'] } }, 'option "audience"'],
  [{ issuer, audience: {} }, 'option "audience"'],
  [
    { issuer, audience: { claim: 'client_id', values: ['a'] }, profile: 'rfc9068' },
    'option "audience" names another claim beside "rfc9068"',
  ],
  [{ issuer, audience, validate: true }, 'option "validate" is true; give a function'],
])('%j is refused', (options, message) => {
  expect(problem(options)).toContain(message)
  expect(problem(options)).toMatch(/^createVerifier: /)
  expect(problem(options)).not.toContain('hidden')
})

test('what must be given does not compile without it', () => {
  const wrong = [
    // @ts-expect-error neither "issuer" nor "issuers"
    () => oauthBearer({ audience }),
    // @ts-expect-error no audience
    () => oauthBearer({ issuer }),
    // @ts-expect-error both
    () => oauthBearer({ issuer, issuers: [issuer], audience }),
  ]
  for (const make of wrong) expect(make).toThrow('oauthBearer: option "')
  // @ts-expect-error a check that may forget its answer
  oauthBearer({ issuer, audience, validate: () => undefined })
})

test('of two servers with tenants each has its own, though they name them by the same claim', async () => {
  const asked: string[] = []
  const tenants = (tenant: string) => asked.push(tenant) > 0
  const other = 'https://other.example/{tid}'
  const options = {
    issuers: [
      { issuer: template, tenants },
      { issuer: other, tenants: ['a'] },
    ],
    audience,
  }
  const check = checkOptions('make', options, { issuers: true, audience: true })
  const trust = trustedIssuers(options, settings, check)
  const trusted = await trust.of({ iss: 'https://other.example/a', tid: 'a' }, undefined)
  expect(trusted.issuer).toBe('https://other.example/a')
  expect(asked).toEqual([])
  expect((await trust.of({ iss: template.replace('{tid}', 'a'), tid: 'a' }, undefined)).issuer).toContain(
    '/a/v2.0',
  )
  expect(asked).toEqual(['a'])
})

test('options that an app changes later change nothing', async () => {
  const tenants = ['a']
  const values = ['one']
  const options: IssuerOptions = {
    issuer: template,
    tenants,
    audience: { claim: 'aud', values },
    keys: publicKey,
  }
  const check = checkOptions('make', options, knownIssuerOptions)
  const trust = trustedIssuers(options, settings, check)
  tenants.push('b')
  values.push('two')
  const claims = (tid: string) => ({ iss: template.replace('{tid}', tid), tid })
  expect((await trust.of(claims('a'), undefined)).audience.values).toEqual(['one'])
  await expect(async () => trust.of(claims('b'), undefined)).rejects.toMatchObject({ reason: 'issuer' })
})

const settings = {
  http: () => Promise.reject(new Error('nothing is to be fetched')),
  emit: () => undefined,
  clockTolerance: 0,
  timeout: 5,
  now: () => 0,
}

describe('a function that names the issuer', () => {
  function resolving(issuers: (claimed: string) => IssuerOptions | string) {
    const options = { issuers, audience }
    const trust = trustedIssuers(
      options,
      settings,
      checkOptions('make', options, { issuers: true, audience: true }),
    )
    return async (iss: string) => trust.of({ iss }, undefined)
  }

  test('names the same one each time, whatever object it is in', async () => {
    const trusted = resolving((iss) => ({ issuer: iss, keys: [publicKey], audience: ['x'] }))
    const first = await trusted(issuer)
    expect(await trusted(issuer)).toBe(first)
    expect(await trusted('https://other.example')).not.toBe(first)
    expect(await resolving((iss) => ({ issuer: iss, keys: publicKey }))(issuer)).not.toBe(first)
  })

  test.each<[string, IssuerOptions, IssuerOptions]>([
    ['the audience', { issuer, audience: 'a' }, { issuer, audience: 'b' }],
    ['one of two audiences', { issuer, audience: ['a', 'b'] }, { issuer, audience: ['a,b'] }],
    ['where quotes are', { issuer, audience: ['a', 'b'] }, { issuer, audience: ['a","b'] }],
    ['the algorithms', { issuer, algorithms: ['RS256'] }, { issuer, algorithms: ['ES256'] }],
    ['the profile', { issuer, profile: 'any' }, { issuer, profile: 'rfc9068' }],
    ['the place', { issuer, jwksUri: `${issuer}/a` }, { issuer, discoveryUrl: `${issuer}/a` }],
    [
      'the key object',
      { issuer, keys: publicKey },
      { issuer, keys: generateKeyPairSync('ed25519').publicKey },
    ],
    [
      'the key',
      { issuer, keys: publicKey.export({ format: 'jwk' }) },
      { issuer, keys: generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }) },
    ],
  ])('tells two apart by %s', async (_what, one, two) => {
    const named = [one, two]
    const trusted = resolving(() => named.shift() ?? issuer)
    expect(await trusted(issuer)).not.toBe(await trusted(issuer))
  })

  test('that names a thousand keeps them; beyond that the unused go, and somebody is told once', async () => {
    const warnings: string[] = []
    const emitWarning = vi.spyOn(process, 'emitWarning').mockImplementation((text) => {
      warnings.push(String(text))
    })
    onTestFinished(() => emitWarning.mockRestore())
    const trusted = resolving((iss) => iss)
    const name = (index: number) => `https://auth.example.com/${index}`
    const first = await trusted(name(0))
    const second = await trusted(name(1))
    for (let index = 2; index < 1_000; index++) await trusted(name(index))
    expect(await trusted(name(0))).toBe(first)
    expect(warnings).toEqual([])
    for (let index = 1_000; index < 1_010; index++) await trusted(name(index))
    expect(await trusted(name(0))).toBe(first)
    expect(await trusted(name(1))).not.toBe(second)
    expect(warnings).toEqual([expect.stringContaining('"issuers" named more than 1000 servers')])
  })
})

test('tenants of whom nobody knows the number are kept as long as they are used', async () => {
  const options = { issuer: template, audience, tenants: () => true }
  const trust = trustedIssuers(options, settings, checkOptions('make', options, knownIssuerOptions))
  const trusted = async (tid: number) =>
    trust.of({ iss: template.replace('{tid}', String(tid)), tid: String(tid) }, undefined)
  const [first, second] = [await trusted(0), await trusted(1)]
  for (let tid = 2; tid < 1_000; tid++) await trusted(tid)
  expect(await trusted(0)).toBe(first)
  await trusted(1_000)
  expect(await trusted(0)).toBe(first)
  expect(await trusted(1)).not.toBe(second)
})
