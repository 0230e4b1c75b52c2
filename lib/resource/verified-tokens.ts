/** Tokens that were found good, so that the same token need not be verified on every request. */

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
  /** Tokens at most; fewer when they are longer than {@link usualLength}. */
  maxEntries: number
  /** Milliseconds since the epoch. */
  clock: () => number
}

/** Characters of a header that there is room for, times the number of tokens. Headers may have ten times as many. */
export const usualLength = 1_600

/**
 * Characters at the end of a token that it is filed under, and compared as a whole then. They are of its signature, which
 * nobody can choose; to find a token by all of its thousand characters takes ten times as long.
 */
const nameLength = 12

interface File {
  readonly token: VerifiedToken
  /** Since the hand passed it. */
  wasUsed: boolean
}

/**
 * When there is no more room, a hand goes round from the oldest to the youngest and takes the first token that was not used
 * since it came by (the SIEVE algorithm). To find a token changes nothing but a mark, and tokens that come once cannot
 * drive out those that come often.
 */
export function verifiedTokens({ maxEntries, clock }: VerifiedTokenOptions): VerifiedTokens {
  const mostCharacters = maxEntries * usualLength
  const files = new Map<string, File>()
  let characters = 0
  let hand = files.entries()

  function remove(name: string, { token }: File): void {
    files.delete(name)
    characters -= token.header.length
  }

  function makeRoom(length: number): void {
    while (files.size >= maxEntries || characters + length > mostCharacters) {
      const { value, done } = hand.next()
      if (done) {
        hand = files.entries()
        continue
      }
      const [name, file] = value
      if (file.wasUsed) file.wasUsed = false
      else remove(name, file)
    }
  }

  return {
    get(header) {
      const file = files.get(header.slice(-nameLength))
      if (file?.token.header !== header) return undefined
      const { token } = file
      if (!(clock() < token.until * 1000 && token.issuer.keySet.trusts(token.key))) return undefined
      file.wasUsed = true
      return token
    },
    keep(token) {
      const { header } = token
      if (header.length > mostCharacters) return
      const name = header.slice(-nameLength)
      const namesake = files.get(name)
      if (namesake) remove(name, namesake)
      makeRoom(header.length)
      files.set(name, { token, wasUsed: false })
      characters += header.length
    },
  }
}
