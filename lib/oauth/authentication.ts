/** How and when a user signed in, and what an operation asks of that (RFC 9470, OpenID Connect Core §2). */

import type { Claims } from '../jose/jwt.js'
import { isTime } from '../jose/time.js'

export interface Authentication {
  /** The kind of sign-in: the `acr` claim. */
  readonly acr?: string
  /** Seconds since the epoch, by the server's clock: the `auth_time` claim. */
  readonly authTime?: number
}

export interface AuthenticationDemand {
  /** One of these must be the `acr`; the first is liked best. */
  readonly acr?: readonly string[]
  /** Seconds that may have passed since the user signed in. */
  readonly maxAge?: number
}

export interface AuthenticationClock {
  /** Seconds since the epoch. */
  now(): number
  /** Seconds that clocks may differ. */
  readonly clockTolerance: number
}

const longestAcr = 256

/** What claims say about it. A value that cannot be one counts as missing, and what is missing meets no demand. */
export function authenticationIn({ acr, auth_time: authTime }: Claims): Authentication {
  return {
    ...(typeof acr === 'string' && acr !== '' && acr.length <= longestAcr && { acr }),
    ...(isTime(authTime) && { authTime }),
  }
}

/** The claim by which it falls short of what is demanded; nothing when it does not. */
export function shortcoming(
  { acr, authTime }: Authentication,
  demand: AuthenticationDemand,
  { now, clockTolerance }: AuthenticationClock,
): 'acr' | 'auth_time' | undefined {
  if (demand.acr && (acr === undefined || !demand.acr.includes(acr))) return 'acr'
  if (demand.maxAge === undefined) return undefined
  const age = authTime === undefined ? Infinity : now() - authTime
  // One that lies ahead is no sign-in yet: it would stay young for as long as somebody likes.
  return age > demand.maxAge + clockTolerance || age < -clockTolerance ? 'auth_time' : undefined
}
