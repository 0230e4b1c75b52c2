/** The times in a JWT against our clock (RFC 7519 §4.1.4 to §4.1.6). */

import { invalidToken, shownClaim, type Claims } from './jwt.js'

/** `exp` must be there and ahead, `nbf` and `iat` not ahead, each give or take `tolerance` seconds. */
export function checkTimes(claims: Claims, now: number, tolerance: number): { exp: number } {
  const { exp, nbf, iat } = claims
  const refuse = (name: string, reason = name) =>
    invalidToken(reason, `"${name}" is ${shownClaim(claims[name])}, now is ${now}`)
  if (!isTime(exp)) throw refuse('exp')
  if (exp + tolerance <= now) throw refuse('exp', 'expired')
  if (nbf !== undefined && !(isTime(nbf) && nbf - tolerance <= now)) throw refuse('nbf')
  if (iat !== undefined && !(isTime(iat) && iat - tolerance <= now)) throw refuse('iat')
  return { exp }
}

/** Seconds since the epoch (RFC 7519 §2). */
export function isTime(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER
}
