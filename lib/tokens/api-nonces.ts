/** The newest nonce of each API for our proofs (RFC 9449 §8.2). */

import { expiringMap } from '../expiring-map.js'

export interface ApiNonces {
  newestFor(url: string): string | undefined
  note(url: string, nonce: string): void
}

/** Seconds. An API that was not called for so long will have another by now. */
const lifetime = 3_600
const most = 1_000

/** By origin. Those of authorization servers are kept elsewhere, even where the two are one. */
export function apiNonces(): ApiNonces {
  const now = () => performance.now() / 1_000
  const nonces = expiringMap<string>({ most, now })
  return {
    newestFor: (url) => nonces.get(new URL(url).origin),
    note: (url, nonce) => nonces.set(new URL(url).origin, nonce, now() + lifetime),
  }
}
