/** Tokens that were found good once: what they must not open afterwards. */
import type { Request } from 'express'
import { describe, expect, test } from 'vitest'
import { oauthBearer, type OAuthBearerOptions } from '../../../lib/index.js'
import { newSigningKey } from '../../support/faulty-server/signing-key.js'
import { jump } from '../../support/time.js'
import { startApi } from './api.js'
import { audience, seconds, startIssuer, type Members } from './issuer.js'

/** An API that keeps what its handlers saw: the same object twice says that a token was remembered. */
async function api(options: Partial<OAuthBearerOptions> = {}) {
  const issuer = await startIssuer()
  const seen: unknown[] = []
  const guarded = await startApi(issuer, {
    options,
    routes: (app, guard) =>
      app
        .use('/other', oauthBearer({ issuer: issuer.url, audience: 'https://other.example' }))
        .use('/me', guard)
        .use((req: Request & { auth?: unknown }, res) => {
          seen.push(req.auth)
          res.send('good')
        }),
  })
  const statusOf = async (...headers: readonly string[]) => (await guarded.send({ headers })).status
  return {
    issuer,
    verdict: guarded.verdict,
    statusOf,
    /** Presents a token twice, and says whether the second time it was remembered. */
    async remembers(token: string): Promise<boolean> {
      expect([await guarded.verdict(token), await guarded.verdict(token)]).toEqual(['200', '200'])
      return seen.at(-1) === seen.at(-2)
    },
  }
}

test('T96 a token is remembered until it expires, and not for a moment longer', async () => {
  const { issuer, remembers, verdict } = await api()
  jump(0)
  const token = issuer.token({ iat: undefined, exp: seconds() + 2 })
  expect(await remembers(token)).toBe(true)
  jump(31)
  expect(await remembers(token)).toBe(true)
  jump(1)
  expect(await verdict(token)).toBe('401 expired')
  expect(await verdict(token)).toBe('401 expired')
})

test('T96 a clock that was set ahead and back leaves no token that is good for longer', async () => {
  const { issuer, remembers, verdict } = await api()
  jump(0)
  const token = issuer.token({ iat: undefined, exp: seconds() + 300 })
  expect(await remembers(token)).toBe(true)
  jump(3_600)
  expect(await verdict(token)).toBe('401 expired')
  jump(-3_600)
  expect(await remembers(token)).toBe(true)
  jump(-3_600)
  expect(await verdict(token)).toBe('200')
  jump(3_600 + 330)
  expect(await verdict(token)).toBe('401 expired')
})

test('T96 a token goes with its key, as soon as that is known to be withdrawn', async () => {
  const { issuer, remembers, verdict } = await api()
  const token = issuer.token()
  expect(await remembers(token)).toBe(true)
  issuer.keys = [await newSigningKey()]
  expect(await verdict(issuer.token())).toBe('200') // the guard has seen the new set
  expect(await verdict(token)).toBe('401 unknown_key')
})

test('T96 the end of a good token vouches for no other token', async () => {
  const { issuer, remembers, verdict } = await api()
  const token = issuer.token()
  expect(await remembers(token)).toBe(true)
  const [, , signature] = token.split('.')
  const forge = (claims: Members) => {
    const [header, payload] = issuer.token(claims).split('.')
    return `${header}.${payload}.${signature}`
  }
  expect(await verdict(forge({ sub: 'admin' }))).toBe('401 signature')
  expect(await verdict(forge({ scope: 'admin' }))).toBe('401 signature')
  expect(await verdict(token.slice(1))).toMatch(/^401/)
  expect(await remembers(token)).toBe(true)
})

test('T96 what was refused once is refused again, and displaces nothing', async () => {
  const { issuer, remembers, verdict } = await api({ rememberedTokens: 1 })
  const good = issuer.token()
  expect(await remembers(good)).toBe(true)
  const bad: [claims: Members, verdict: string][] = [
    [{ aud: 'https://other.example' }, '401 audience'],
    [{ exp: seconds() - 60 }, '401 expired'],
    [{ iss: 'https://other.example' }, '401 issuer'],
  ]
  for (const [claims, expected] of bad) {
    const token = issuer.token(claims)
    for (let time = 0; time < 3; time += 1) expect(await verdict(token)).toBe(expected)
  }
  const forged = issuer.token({}, {}, () => Buffer.alloc(256, 7))
  for (let time = 0; time < 3; time += 1) expect(await verdict(forged)).toBe('401 signature')
  expect(await remembers(good)).toBe(true)
})

describe('T96 a remembered token by another spelling is judged like any other', () => {
  test.each<[what: string, status: number, headers: (token: string) => readonly string[]]>([
    ['the scheme in lower case', 200, (token) => ['authorization', `bearer ${token}`]],
    ['the scheme in capitals', 200, (token) => ['authorization', `BEARER ${token}`]],
    ['two spaces', 200, (token) => ['authorization', `Bearer  ${token}`]],
    ['spaces around it', 200, (token) => ['authorization', ` Bearer ${token} `]],
    ['padding', 401, (token) => ['authorization', `Bearer ${token}=`]],
    ['no scheme', 401, (token) => ['authorization', token]],
    ['another scheme', 401, (token) => ['authorization', `Basic ${token}`]],
    ['a list', 400, (token) => ['authorization', `Bearer ${token}, Bearer ${token}`]],
    ['two tokens', 400, (token) => ['authorization', `Bearer x Bearer ${token}`]],
    ['a header that came twice', 400, (token) => twice('authorization', `Bearer ${token}`)],
    ['one of two headers', 400, (token) => ['authorization', `Bearer ${token}`, 'Authorization', 'Bearer x']],
    ['another header', 401, (token) => ['proxy-authorization', `Bearer ${token}`]],
  ])('T96 %s: %d', async (_what, status, headers) => {
    const { issuer, remembers, statusOf } = await api()
    const token = issuer.token()
    expect(await remembers(token)).toBe(true)
    expect(await statusOf(...headers(token))).toBe(status)
    expect(await statusOf(...headers(token))).toBe(status)
  })
})

function twice(name: string, value: string): readonly string[] {
  return [name, value, name, value]
}

test('T96 what one guard remembers is nothing to another', async () => {
  const { issuer, remembers, verdict } = await api()
  const token = issuer.token()
  expect(await remembers(token)).toBe(true)
  expect(await verdict(token, '/other')).toBe('401')
  expect(await verdict(token, '/other')).toBe('401')
})

test('T96 as many are remembered as the option says', async () => {
  const { issuer, remembers } = await api({ rememberedTokens: 2 })
  const tokens = ['a', 'b', 'c'].map((sub) => issuer.token({ sub }))
  for (const token of tokens) expect(await remembers(token)).toBe(true)
})

test('T96 with 0 none is remembered', async () => {
  const { issuer, remembers } = await api({ rememberedTokens: 0 })
  expect(await remembers(issuer.token())).toBe(false)
})

test.each([-1, 0.5, 1_000_001, Number.NaN, '20', null])(
  'T96 %j is no number of tokens to remember',
  (rememberedTokens) => {
    const options = { issuer: 'https://auth.example.com', audience, rememberedTokens }
    expect(() => oauthBearer(options as OAuthBearerOptions)).toThrow('option "rememberedTokens"')
  },
)
