import { describe, expect, test } from 'vitest'
import { OAuthError } from '../../lib/errors.js'
import { algorithms, parseJwt } from '../../lib/jose/jwt.js'

const signature = 'c2lnbmF0dXJl'

function jws(header: unknown, payload: unknown = {}): string {
  return [header, payload]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .concat(signature)
    .join('.')
}

function reason(token: string, accepted = algorithms as Parameters<typeof parseJwt>[1]): string | undefined {
  try {
    parseJwt(token, accepted)
    return undefined
  } catch (error) {
    const isRefusal = error instanceof OAuthError && error.code === 'invalid_token'
    return isRefusal ? error.reason : String(error)
  }
}

test('a JWT is taken apart', () => {
  const token = jws({ alg: 'ES256', kid: 'k', typ: 'application/AT+JWT' }, { sub: 's', __proto__x: 1 })
  expect(parseJwt(token)).toEqual({
    token,
    algorithm: 'ES256',
    kid: 'k',
    typ: 'at+jwt',
    claims: { sub: 's', __proto__x: 1 },
  })
  expect(Object.keys(parseJwt(jws({ alg: 'RS256' })))).toEqual(['token', 'algorithm', 'claims'])
})

test('what a header says is said of its own token only, whichever came before', () => {
  const headers = [
    { alg: 'RS256', kid: 'a' },
    { alg: 'RS256', kid: 'b' },
    { alg: 'ES256', kid: 'a' },
  ]
  for (const one of [...headers, ...headers.toReversed()])
    expect(parseJwt(jws(one))).toMatchObject({ algorithm: one.alg, kid: one.kid })
  const [header] = headers
  expect([reason(jws(header)), reason(jws(header), ['PS256'])]).toEqual([undefined, 'algorithm'])
  const bad = jws({ ...header, crit: [] })
  expect([reason(bad), reason(bad)]).toEqual(['crit', 'crit'])
})

test('every asymmetric algorithm is known and no other', () => {
  for (const alg of algorithms) expect(parseJwt(jws({ alg })).algorithm).toBe(alg)
  for (const alg of [
    'none',
    'HS256',
    'HS384',
    'HS512',
    'rs256',
    'RS1',
    'RSA-OAEP',
    'dir',
    'ES256K',
    'toString',
    '',
  ]) {
    expect([alg, reason(jws({ alg }))]).toEqual([alg, 'algorithm'])
  }
})

test('the caller may accept fewer', () => {
  expect(reason(jws({ alg: 'RS256' }), ['RS256'])).toBeUndefined()
  expect(reason(jws({ alg: 'ES256' }), ['RS256'])).toBe('algorithm')
  expect(reason(jws({ alg: 'RS256' }), [])).toBe('algorithm')
})

describe('refused', () => {
  const good = jws({ alg: 'RS256' })
  const [header = '', payload = ''] = good.split('.')

  test.each<[string, string, string]>([
    ['nothing', '', 'not_a_jwt'],
    ['an opaque token', 'opaque', 'not_a_jwt'],
    ['a JWE', `${good}.aa.aa`, 'encrypted'],
    ['no signature', `${header}.${payload}.`, 'encoding'],
    ['no header', `.${payload}.${signature}`, 'encoding'],
    ['padding', `${header}.${payload}.${signature}=`, 'encoding'],
    ['unused bits', `${header}.${payload}.YWK`, 'encoding'],
    ['one character', `${header}.${payload}.Y`, 'encoding'],
    ['a line break at the end', `${good}\n`, 'encoding'],
    ['a character beyond ASCII', `${header}.${payload}.YWJ\u0131`, 'encoding'],
    ['a header that is no JSON', `YWJj.${payload}.${signature}`, 'not_a_jwt'],
    [
      'a header that is null',
      `${Buffer.from('null').toString('base64url')}.${payload}.${signature}`,
      'not_a_jwt',
    ],
    [
      'a payload that is a number',
      `${header}.${Buffer.from('1').toString('base64url')}.${signature}`,
      'not_a_jwt',
    ],
    ['crit', jws({ alg: 'RS256', crit: ['x'] }), 'crit'],
    ['b64', jws({ alg: 'RS256', b64: true }), 'crit'],
    ['a long kid', jws({ alg: 'RS256', kid: 'k'.repeat(257) }), 'kid'],
    ['a kid that is a number', jws({ alg: 'RS256', kid: 1 }), 'kid'],
    ['a typ that is a number', jws({ alg: 'RS256', typ: 1 }), 'typ'],
  ])('%s', (_what, token, expected) => {
    expect(reason(token)).toBe(expected)
  })
})

test('hostile members of the payload stay members of the payload', () => {
  const text = '{"__proto__":{"admin":true},"constructor":1}'
  const token = `${jws({ alg: 'RS256' }).split('.')[0]}.${Buffer.from(text).toString('base64url')}.${signature}`
  const { claims } = parseJwt(token)
  expect(Object.keys(claims)).toEqual(['__proto__', 'constructor'])
  expect(claims['admin']).toBeUndefined()
  expect(({} as Record<string, unknown>)['admin']).toBeUndefined()
})

test('junk of the greatest length is refused at once', () => {
  const junk = ['.'.repeat(16_384), 'a.'.repeat(8_192), 'A'.repeat(16_384), `${'A'.repeat(16_000)}.AA.AA`]
  const start = performance.now()
  for (let round = 0; round < 100; round++) for (const token of junk) expect(reason(token)).toBeDefined()
  expect((performance.now() - start) / 400).toBeLessThan(2)
})
