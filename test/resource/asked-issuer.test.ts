/** Which server is asked about a token, and which tokens are verified here. */
import { describe, expect, test } from 'vitest'
import { createVerifier, type IntrospectionOptions, type VerifierOptions } from '../../lib/index.js'
import { httpClient } from '../../lib/http.js'
import { checkOptions } from '../../lib/options.js'
import { knownIssuerOptions } from '../../lib/resource/issuer-options.js'
import { trustedIssuers, type TrustedIssuers } from '../../lib/resource/trusted-issuers.js'
import { segment } from '../threats/guard/issuer.js'

const [one, two] = ['https://one.example', 'https://two.example']
const audience = 'https://api.example.com'
const introspection: IntrospectionOptions = { clientId: 'api', clientSecret: 'x' }

function trusting(options: object): TrustedIssuers {
  const settings = {
    http: httpClient(),
    emit: () => undefined,
    clockTolerance: 30,
    timeout: 5,
    now: () => Date.now() / 1000,
  }
  const known = { ...knownIssuerOptions, issuers: true as const }
  return trustedIssuers({ audience, ...options }, settings, checkOptions('oauthBearer', options, known))
}

function jwtOf(iss: unknown): string {
  return `${segment({ alg: 'HS256' })}.${segment({ iss })}.${segment('x')}`
}

describe('T103 an opaque token does not say who issued it, so that', () => {
  test.each<[object, string]>([
    [
      {
        issuers: [
          { issuer: one, introspection },
          { issuer: two, introspection },
        ],
      },
      'option "issuers[1].introspection" is given for a second issuer; keep it for one: an opaque token does not say which server issued it',
    ],
    [{ issuers: [one], introspection }, 'option "introspection" is given beside "issuers"; give it with the'],
    [
      { issuer: 'https://one.example/{tid}', tenants: ['a'], introspection },
      'option "introspection" is given beside "tenants"',
    ],
    [
      { issuers: [one, { issuer: two, introspection: { clientId: 'api' } }] },
      'option "issuers[1].introspection.clientSecret" is missing',
    ],
  ])('T103 %j is refused', (options, message) => {
    expect(() => createVerifier({ audience, ...options } as unknown as VerifierOptions)).toThrow(
      `createVerifier: ${message}`,
    )
  })

  test('T103 a function names nobody who could be asked', async () => {
    const verifier = createVerifier({ audience, issuers: () => ({ issuer: one, introspection }) })
    await expect(
      verifier.verify(`${segment({ alg: 'RS256' })}.${segment({ iss: one })}.eHg`),
    ).rejects.toThrow('option "issuers().introspection" is given by a function')
    await expect(verifier.verify('opaque')).rejects.toMatchObject({ reason: 'not_a_jwt' })
  })
})

test('T103 nobody is asked unless that is configured', () => {
  const { asked } = trusting({ issuers: [one, two] })
  expect([asked('opaque'), asked(jwtOf(one))]).toEqual([undefined, undefined])
})

describe.each([
  ['one issuer', { issuer: two }],
  ['several', { issuers: [one, { issuer: two }] }],
])('T103 of %s', (_what, { issuer, issuers }: { issuer?: string; issuers?: unknown[] }) => {
  const askedOf = (tokens: 'opaque' | 'all') => {
    const settings = { ...introspection, tokens }
    const last = { issuer: two, introspection: settings }
    return trusting(issuer === undefined ? { issuers: [issuers?.[0], last] } : last).asked
  }

  test('T103 opaque tokens alone', () => {
    const asked = askedOf('opaque')
    for (const token of ['opaque', 'two.parts', 'five.parts.as.encrypted.ones'])
      expect(asked(token)?.issuer).toBe(two)
    for (const token of [jwtOf(one), jwtOf(two), jwtOf(undefined), 'v4.public.paseto'])
      expect(asked(token)).toBeUndefined()
  })

  test('T103 all tokens, but for those that say they are from elsewhere', () => {
    const asked = askedOf('all')
    for (const token of ['opaque', jwtOf(two), jwtOf(undefined), 'v4.public.paseto', 'a.b.c'])
      expect(asked(token)?.issuer).toBe(two)
    for (const token of [jwtOf(one), jwtOf('https://three.example'), jwtOf(7)])
      expect(asked(token)).toBeUndefined()
  })
})
