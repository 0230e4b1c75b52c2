/** The times in a JWT against our clock (RFC 7519 §4.1.4 to §4.1.6). */

import { invalidToken, type Claims } from './jwt.js'

/** `exp` must be there and ahead, `nbf` and `iat` not ahead, each give or take `tolerance` seconds. */
export function checkTimes(claims: Claims, now: number, tolerance: number): { exp: number } {
  const { exp, nbf, iat } = claims
  if (!isTime(exp)) throw invalidToken('exp')
  if (exp + tolerance <= now) throw invalidToken('expired')
  if (nbf !== undefined && !(isTime(nbf) && nbf - tolerance <= now)) throw invalidToken('nbf')
  if (iat !== undefined && !(isTime(iat) && iat - tolerance <= now)) throw invalidToken('iat')
  return { exp }
}

/** Seconds since the epoch (RFC 7519 §2). */
export function isTime(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER
}
