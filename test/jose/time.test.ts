import { expect, test } from 'vitest'
import { isOAuthError } from '../../lib/errors.js'
import type { Claims } from '../../lib/jose/jwt.js'
import { checkTimes } from '../../lib/jose/time.js'

const now = 1_000_000

function verdict(claims: Claims, tolerance = 10): string {
  try {
    return `until ${checkTimes(claims, now, tolerance).exp}`
  } catch (error) {
    return isOAuthError(error) ? `${error.code} ${error.reason}` : String(error)
  }
}

test.each<[Claims, string]>([
  [{ exp: now + 1 }, `until ${now + 1}`],
  [{ exp: now + 0.5 }, `until ${now + 0.5}`],
  [{ exp: now - 9 }, `until ${now - 9}`],
  [{ exp: now - 10 }, 'invalid_token expired'],
  [{ exp: now - 9.5 }, `until ${now - 9.5}`],
  [{ exp: 0 }, 'invalid_token expired'],
  [{ exp: Number.MAX_SAFE_INTEGER }, `until ${Number.MAX_SAFE_INTEGER}`],
  [{ exp: Number.MAX_SAFE_INTEGER * 2 }, 'invalid_token exp'],
  [{ exp: Number.POSITIVE_INFINITY }, 'invalid_token exp'],
  [{ exp: Number.NaN }, 'invalid_token exp'],
  [{ exp: -1 }, 'invalid_token exp'],
  [{ exp: '2000000' }, 'invalid_token exp'],
  [{ exp: null }, 'invalid_token exp'],
  [{}, 'invalid_token exp'],
  [{ exp: now + 1, nbf: now + 10 }, `until ${now + 1}`],
  [{ exp: now + 1, nbf: now + 11 }, 'invalid_token nbf'],
  [{ exp: now + 1, nbf: Number.NaN }, 'invalid_token nbf'],
  [{ exp: now + 1, nbf: '0' }, 'invalid_token nbf'],
  [{ exp: now + 1, iat: now + 10 }, `until ${now + 1}`],
  [{ exp: now + 1, iat: now + 11 }, 'invalid_token iat'],
  [{ exp: now + 1, iat: {} }, 'invalid_token iat'],
  [{ exp: now + 1, iat: 0, nbf: 0 }, `until ${now + 1}`],
])('%j: %s', (claims, expected) => {
  expect(verdict(claims)).toBe(expected)
})

test('without tolerance a token ends at its exp', () => {
  expect(verdict({ exp: now + 1 }, 0)).toBe(`until ${now + 1}`)
  expect(verdict({ exp: now }, 0)).toBe('invalid_token expired')
  expect(verdict({ exp: now + 9, iat: now + 1 }, 0)).toBe('invalid_token iat')
})
