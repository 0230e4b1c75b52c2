/** The logout token, by which a server tells that somebody signed out there (OpenID Connect Back-Channel Logout §2.4 to §2.6). */

import { invalidToken, parseJwt, type Algorithm, type Claims } from '../jose/jwt.js'
import type { KeySet } from '../jose/key-set.js'
import { isTime } from '../jose/time.js'
import { verifySignature } from '../jose/verify.js'
import { isSubject, sessionIdIn } from './id-token.js'

export interface LogoutTokenRules {
  /** The `iss` that a token must have, to the letter. */
  issuer: string
  /** The client that it must be for. */
  clientId: string
  algorithms: readonly Algorithm[]
  keySet: KeySet
  /** Seconds that clocks may differ. */
  clockTolerance: number
  /** Seconds since the epoch. */
  now: () => number
}

/** Who is signed out: one session when `sid` is there, else all of the user's. One of the two always is. */
export interface LogoutToken {
  readonly sid?: string
  readonly subject?: string
  /** Seconds since the epoch, by the server's clock. */
  readonly issuedAt: number
  /** Names the token, so that it can be used once. */
  readonly id: string
}

/** Seconds that a token is good for after it was issued. */
export const logoutTokenLifetime = 300

const event = 'http://schemas.openid.net/event/backchannel-logout'
const longestId = 512

/**
 * Everything that can be judged without keys comes first, so that junk never reaches the network.
 * Throws `invalid_token` with the reason, or `key_set_unavailable`.
 */
export async function verifyLogoutToken(token: string, rules: LogoutTokenRules): Promise<LogoutToken> {
  const jwt = parseJwt(token, rules.algorithms)
  const { claims } = jwt
  // Several servers leave the type out, or say what all their tokens say.
  if (jwt.typ !== undefined && jwt.typ !== 'logout+jwt' && jwt.typ !== 'jwt') throw invalidToken('typ')
  if (claims['iss'] !== rules.issuer) throw invalidToken('issuer')
  if (![claims['aud']].flat().includes(rules.clientId)) throw invalidToken('audience')
  if (!isLogoutEvent(claims['events'])) throw invalidToken('events')
  if (claims['nonce'] !== undefined) throw invalidToken('nonce') // an ID token has one, so that neither passes for the other
  const issuedAt = checkedTimes(claims, rules)
  const { jti, sub } = claims
  if (typeof jti !== 'string' || jti === '' || jti.length > longestId) throw invalidToken('jti')
  const sid = sessionIdIn(claims)
  if (claims['sid'] !== undefined && sid === undefined) throw invalidToken('sid')
  if (sub !== undefined && !isSubject(sub)) throw invalidToken('sub')
  if (sid === undefined && sub === undefined) throw invalidToken('nobody')
  await verifySignature(rules.keySet, jwt)
  return { ...(sid !== undefined && { sid }), ...(sub !== undefined && { subject: sub }), issuedAt, id: jti }
}

function isLogoutEvent(events: unknown): boolean {
  return isObject(events) && Object.hasOwn(events, event) && isObject(events[event])
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * When it was issued, which must be of late. `exp` came into the specification with its last draft: Ory Hydra
 * (ory/hydra#4035) and LemonLDAP::NG still leave it out, so it counts only where it is.
 */
function checkedTimes({ iat, exp, nbf }: Claims, { now, clockTolerance }: LogoutTokenRules): number {
  if (!isTime(iat) || iat - clockTolerance > now()) throw invalidToken('iat')
  if (iat + logoutTokenLifetime + clockTolerance <= now()) throw invalidToken('too_old')
  if (exp !== undefined && !isTime(exp)) throw invalidToken('exp')
  if (exp !== undefined && exp + clockTolerance <= now()) throw invalidToken('expired')
  if (nbf !== undefined && !(isTime(nbf) && nbf - clockTolerance <= now())) throw invalidToken('nbf')
  return iat
}
