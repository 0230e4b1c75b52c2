/** Authorization headers, callback parameters and JWTs: read exactly, or refused with an error of ours. */
import type { IncomingMessage } from 'node:http'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isOAuthError } from '../../lib/index.js'
import { algorithms, parseJwt } from '../../lib/jose/jwt.js'
import { credentialsOf } from '../../lib/resource/credentials.js'
import { callbackState } from '../../lib/oauth/authorization-code.js'

const b64token = fc.stringMatching(/^[A-Za-z0-9\-._~+/]+=*$/)

describe('the Authorization header', () => {
  const scheme = fc.constantFrom(
    'Bearer',
    'bearer',
    'BEARER',
    'Basic',
    'DPoP',
    'Bearerx',
    'B',
    '',
    'Bearer Bearer',
  )
  const space = fc.constantFrom(' ', '  ', '\t', '', ' \t', ',', '\u00a0')
  const anything = fc.oneof(
    b64token,
    fc.string({ unit: 'binary' }),
    fc.constantFrom('', 'a b', 'a,b', '"a"', 'a==b', '%41'),
  )
  const header = fc
    .tuple(scheme, space, anything, fc.constantFrom('', '', ' ', ',', ', Basic a'))
    .map((parts) => parts.join(''))

  it('gives the token to the letter, or an error of ours', () => {
    fc.assert(
      fc.property(header, (value) => {
        const token = resultOf(() => credentialsOf(request([value])).token)
        const expected = /^bearer +([A-Za-z0-9\-._~+/]+=*)$/i.exec(value)?.[1]
        expect(token).toBe(expected)
      }),
      { numRuns: 10_000 },
    )
  })

  it('is refused when it comes twice, whatever it says', () => {
    fc.assert(
      fc.property(fc.array(header, { minLength: 2, maxLength: 4 }), (values) => {
        expect(resultOf(() => credentialsOf(request(values)).token)).toBe(undefined)
      }),
      { numRuns: 1_000 },
    )
  })

  it.each([
    'Bearer ' + ' '.repeat(16_000),
    `Bearer ${'a'.repeat(16_000)}!`,
    `Bearer ${'='.repeat(16_000)}`,
    'Bearer '.repeat(2_000),
  ])('of sixteen thousand characters takes no time (%#)', (value) => {
    const start = performance.now()
    expect(resultOf(() => credentialsOf(request([value])).token)).toBe(undefined)
    expect(performance.now() - start).toBeLessThan(50)
  })
})

describe('the parameters of a callback', () => {
  const names = [
    'state',
    'code',
    'iss',
    'error',
    'error_description',
    'error_uri',
    'session_state',
    'response',
  ] as const
  const name = fc.oneof(fc.constantFrom(...names, 'state[]', 'state[a]', 'State', '__proto__'), fc.string())
  const value = fc.oneof(
    fc.string(),
    fc.stringMatching(/^(r\.)?[A-Za-z0-9_-]{22}$/),
    fc.constantFrom('', `${'A'.repeat(22)}\n`),
  )
  const parameters = fc.array(fc.tuple(name, value), { maxLength: 8 })

  it('have one state and nothing twice, or are refused with an error of ours', () => {
    fc.assert(
      fc.property(parameters, (list) => {
        const given = new URLSearchParams(list)
        const state = resultOf(() => callbackState(given))
        const isRepeated = names.some((one) => list.filter(([other]) => other === one).length > 1)
        const stated = /^(?:r\.)?[\w-]{22}$/.exec(given.get('state') ?? '')?.[0]
        expect(state).toBe(isRepeated ? undefined : stated)
      }),
      { numRuns: 10_000 },
    )
  })
})

describe('a JWT', () => {
  const object = fc.dictionary(
    fc.oneof(fc.string(), fc.constantFrom('alg', 'kid', 'typ', 'crit', 'b64', '__proto__')),
    fc.jsonValue(),
  )
  const header = fc.oneof(
    object,
    fc.record(
      {
        alg: fc.oneof(
          fc.constantFrom<string>(...algorithms, 'none', 'HS256', 'rs256', 'RS256 '),
          fc.jsonValue(),
        ),
        kid: fc.oneof(fc.string(), fc.jsonValue()),
        typ: fc.oneof(fc.string(), fc.jsonValue()),
        crit: fc.jsonValue(),
        b64: fc.boolean(),
      },
      { requiredKeys: [] },
    ),
  )
  const segment = fc.oneof(
    fc.json().map((text) => Buffer.from(text).toString('base64url')),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('base64url')),
    fc.string({ maxLength: 20 }),
  )

  it('is taken apart as it is, or refused with an error of ours', () => {
    fc.assert(
      fc.property(header, object, fc.uint8Array({ minLength: 1 }), (head, claims, signature) => {
        const parts = [JSON.stringify(head), JSON.stringify(claims), signature]
        const token = parts.map((part) => Buffer.from(part as string).toString('base64url')).join('.')
        const jwt = resultOf(() => parseJwt(token))
        if (jwt === undefined) return
        expect(algorithms).toContain(jwt.algorithm)
        expect(jwt.algorithm).toBe((head as { alg: unknown }).alg)
        expect(jwt.claims).toEqual(JSON.parse(JSON.stringify(claims)))
        expect(jwt.kid === undefined || typeof jwt.kid === 'string').toBe(true)
        expect(Object.hasOwn(head, 'crit') || Object.hasOwn(head, 'b64')).toBe(false)
      }),
      { numRuns: 5_000 },
    )
  })

  it('of any text is no hang and no foreign error', () => {
    const text = fc.oneof(
      fc.array(segment, { maxLength: 6 }).map((segments) => segments.join('.')),
      fc.string({ unit: 'binary' }),
    )
    fc.assert(
      fc.property(text, (token) => {
        const jwt = resultOf(() => parseJwt(token))
        expect(jwt === undefined || token.split('.').length === 3).toBe(true)
      }),
      { numRuns: 10_000 },
    )
  })

  it('has one spelling', () => {
    const token = [{ alg: 'RS256' }, { sub: 'a' }].map((part) =>
      Buffer.from(JSON.stringify(part)).toString('base64url'),
    )
    const good = [...token, Buffer.from('signature!').toString('base64url')].join('.')
    expect(resultOf(() => parseJwt(good))).toBeDefined()
    fc.assert(
      fc.property(
        fc.nat(good.length),
        fc.constantFrom('=', ' ', '\n', '+', '/', '%', 'A', '-', '.'),
        (at, more) => {
          const other = good.slice(0, at) + more + good.slice(at)
          const jwt = resultOf(() => parseJwt(other))
          const decoded = (text: string) =>
            text
              .split('.')
              .map((part) => Buffer.from(part, 'base64url').toString('hex'))
              .join()
          expect(jwt !== undefined && decoded(other) === decoded(good)).toBe(false)
        },
      ),
      { numRuns: 2_000 },
    )
  })
})

/** Nothing when it was refused; throws for any error but ours. */
function resultOf<T>(run: () => T): T | undefined {
  try {
    return run()
  } catch (error) {
    if (isOAuthError(error)) return undefined
    throw error
  }
}

function request(authorization: string[]): IncomingMessage {
  const rawHeaders = authorization.flatMap((value) => ['Authorization', value])
  return { rawHeaders, headers: { authorization: authorization[0] } } as unknown as IncomingMessage
}
