/** Tokens that were found good, so that the same token need not be verified on every request. */

import type { KeySet } from '../jose/key-set.js'
import type { VerificationKey } from '../jose/verification-key.js'
import type { BearerUser } from './bearer-auth.js'
import type { TrustedIssuer } from './trusted-issuer.js'

export interface VerifiedToken {
  /** The `Authorization` header that brought it, to the letter. */
  readonly header: string
  readonly auth: BearerUser
  /** Seconds since the epoch, fractions included: from then on it has expired. */
  readonly until: number
  /** What it was verified with. A key that leaves its set takes its tokens along. */
  readonly key: VerificationKey
  readonly keySet: KeySet
  /** Who was trusted with it. To another one, also to the same server by other options, it says nothing. */
  readonly issuer: TrustedIssuer
  /** Whether nothing else has to be asked about a request with it: no proof, no check of the app's own. */
  readonly isEnough: boolean
}

export interface VerifiedTokens {
  /** The token of exactly this header, if it is good still. */
  get(header: string): VerifiedToken | undefined
  keep(token: VerifiedToken): void
}

export interface VerifiedTokenOptions {
  /** Tokens at most. */
  maxEntries: number
  /** Milliseconds since the epoch. */
  clock: () => number
}

/** Characters at the end of a token that it is filed under; they are of its signature. */
const fileLength = 40

/**
 * Two generations: a token that is used moves to the young one; when that is full it becomes the old one, and what was
 * old and not used since is forgotten. A token is filed under its end and compared as a whole.
 */
export function verifiedTokens({ maxEntries, clock }: VerifiedTokenOptions): VerifiedTokens {
  const half = Math.max(1, Math.ceil(maxEntries / 2))
  let young = new Map<string, VerifiedToken>()
  let old = new Map<string, VerifiedToken>()

  function file(name: string, token: VerifiedToken): void {
    if (young.size >= half) {
      old = young
      young = new Map()
    }
    young.set(name, token)
  }

  return {
    get(header) {
      const name = header.slice(-fileLength)
      let token = young.get(name)
      if (!token) {
        token = old.get(name)
        if (!token || token.header !== header) return undefined
        old.delete(name)
        file(name, token)
      }
      if (token.header !== header) return undefined
      return clock() < token.until * 1000 && token.keySet.trusts(token.key) ? token : undefined
    },
    keep: (token) => file(token.header.slice(-fileLength), token),
  }
}
