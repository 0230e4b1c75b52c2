/** Nonces of a resource server for DPoP proofs (RFC 9449 §9): each says when it was made, sealed, so that nobody keeps them. */

import { createSeal } from '../seal.js'

export interface DPoPNonces {
  issue(): string
  /** Seconds since it was issued, as far as it is one of ours and not too old. */
  ageOf(nonce: string): number | undefined
}

export interface DPoPNonceOptions {
  /** The first makes them, all are accepted. */
  secrets: readonly string[]
  /** What they are for, so that no other server takes them. */
  place: string
  /** Seconds that one is accepted. */
  lifetime: number
  /** Seconds that clocks of instances may differ. */
  clockTolerance: number
  now: () => number
}

export function dpopNonces({ secrets, place, lifetime, clockTolerance, now }: DPoPNonceOptions): DPoPNonces {
  const seal = createSeal<number>(secrets, `dpop nonce ${place}`)
  return {
    issue: () => seal.seal(now()),
    ageOf(nonce) {
      const issuedAt = seal.open(nonce)
      if (issuedAt === undefined) return undefined
      const age = now() - issuedAt
      return age >= -clockTolerance && age < lifetime ? age : undefined
    },
  }
}
