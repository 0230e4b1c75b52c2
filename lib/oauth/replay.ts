/** Tokens that may be used once, told apart by `jti` (RFC 7519 §4.1.7). */

import { createHash } from 'node:crypto'
import type { Store } from '../stores/store.js'

/**
 * Whether a token is used for the first time; it is remembered for `seconds`. Of those who ask at the same time one gets
 * true. Throws `store_unavailable`.
 */
export type FirstUse = (issuer: string, id: string, seconds: number) => Promise<boolean>

export function firstUse(store: Store): FirstUse {
  return async (issuer, id, seconds) => store.add(keyOf(issuer, id), '1', seconds)
}

/** A digest, because whoever issues tokens chooses their names. */
function keyOf(issuer: string, id: string): string {
  return `used:token:${createHash('sha256')
    .update(JSON.stringify([issuer, id]))
    .digest('base64url')}`
}
