/** The public keys of an issuer, picked by what a token's header says (RFC 7517). */

import type { UnverifiedJwt } from './jwt.js'
import type { VerificationKey } from './verification-key.js'

export interface KeySet {
  /** The keys that may have signed the token, at once where they are at hand. Throws `key_set_unavailable` when they cannot be had. */
  keysFor(jwt: UnverifiedJwt): readonly VerificationKey[] | Promise<readonly VerificationKey[]>
  /**
   * What a newer set has besides, for a token without `kid` that none of `tried` signed. Nothing when there is no newer
   * set, or it has nothing new. Throws `key_set_unavailable` when that cannot be known.
   */
  newKeysFor(jwt: UnverifiedJwt, tried: readonly VerificationKey[]): Promise<readonly VerificationKey[]>
  /**
   * Whether a key is one of the set still, known without waiting. False also when the set has to be fetched first.
   * Asked of each request: it starts the renewal of a set that is due.
   */
  trusts(key: VerificationKey): boolean
  /** Waits for the keys. Throws `key_set_unavailable`. */
  ready(): Promise<void>
}

/** Keys that a set may have. */
export const mostKeys = 100
const mostKeysTried = 8

/** Two keys under one name say that somebody is confused; a token without a name may be of any of a few. */
export function candidates(
  keys: Iterable<VerificationKey>,
  { algorithm, kid }: Pick<UnverifiedJwt, 'algorithm' | 'kid'>,
): readonly VerificationKey[] {
  const fitting: VerificationKey[] = []
  for (const key of keys) if ((kid === undefined || key.kid === kid) && key.fits(algorithm)) fitting.push(key)
  return fitting.length > (kid === undefined ? mostKeysTried : 1) ? [] : fitting
}
