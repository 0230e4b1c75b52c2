import { expect, test } from 'vitest'
import { httpClient } from '../../lib/http.js'
import { checkOptions } from '../../lib/options.js'
import type { IntrospectionOptions } from '../../lib/resource/introspector.js'
import { trustedIssuers, type TrustedIssuers } from '../../lib/resource/trusted-issuers.js'
import { segment } from '../threats/guard/issuer.js'

const [one, two] = ['https://one.example', 'https://two.example']

function trusting(introspections: Readonly<Record<string, Partial<IntrospectionOptions>>>): TrustedIssuers {
  const options = [one, two].map((issuer) => {
    const introspection = introspections[issuer]
    return {
      issuer,
      audience: 'https://api.example.com',
      ...(introspection && { introspection: { clientId: 'api', clientSecret: 'x', ...introspection } }),
    }
  })
  const settings = {
    http: httpClient(),
    emit: () => undefined,
    clockTolerance: 30,
    timeout: 5,
    now: () => Date.now() / 1000,
  }
  return trustedIssuers({ issuers: options }, settings, checkOptions('oauthBearer', {}, {}))
}

function jwtOf(iss: unknown): string {
  return `${segment({ alg: 'HS256' })}.${segment({ iss })}.${segment('x')}`
}

test('T103 an opaque token does not say who issued it, so that only one server can be asked', () => {
  expect(() => trusting({ [one]: {}, [two]: {} })).toThrow(
    'oauthBearer: option "issuers[0].introspection" is given for more than one issuer; keep it for one: an opaque token does not say which server issued it',
  )
})

test('T103 nobody is asked unless that is configured', () => {
  const { asked } = trusting({})
  expect([asked('opaque'), asked(jwtOf(one))]).toEqual([undefined, undefined])
})

test('T103 opaque tokens alone', () => {
  const { asked } = trusting({ [two]: {} })
  for (const token of ['opaque', 'two.parts', 'five.parts.as.encrypted.ones'])
    expect(asked(token)?.issuer).toBe(two)
  for (const token of [jwtOf(one), jwtOf(two), jwtOf(undefined), 'v4.public.paseto'])
    expect(asked(token)).toBeUndefined()
})

test('T103 all tokens, but for those that say they are from another trusted server', () => {
  const { asked } = trusting({ [two]: { tokens: 'all' } })
  for (const token of ['opaque', jwtOf(two), jwtOf(undefined), jwtOf(7), 'v4.public.paseto', 'a.b.c'])
    expect(asked(token)?.issuer).toBe(two)
  expect(asked(jwtOf(one))).toBeUndefined()
})
