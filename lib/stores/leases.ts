/** Doing something alone among all instances: a lease is had by one at a time, for as long as its holder renews it. */

import { randomBytes } from 'node:crypto'
import type { Store } from './store.js'

export interface Lease {
  /** Whether nobody else can have it. Not when the store, or this process, was held up for nearly as long as it lasts. */
  isHeld(): boolean
  /** Lets the next one in. Never throws: a lease that cannot be given back ends by itself. */
  release(): Promise<void>
}

export interface Leases {
  /** A lease, or nothing while somebody else has it. Throws what the store throws. */
  take(key: string): Promise<Lease | undefined>
}

/** Seconds that others wait for a holder that was killed. Renewed three times in that time while the holder lives. */
const lifetime = 4
/** Seconds that must be left of it to begin something. */
const reserve = 1

/**
 * A holder that is held up for longer than its lease loses it, and can tell only when it asks. What is done under a
 * lease must therefore be written so that an older outcome never takes the place of a newer one.
 */
export function createLeases(store: Store): Leases {
  return {
    async take(key) {
      const name = `lease:${key}`
      const holder = randomBytes(16).toString('base64url')
      // From before the store was asked: it may have had the question long before we have its answer.
      let heldUntil = performance.now() + lifetime * 1000
      if (!(await store.add(name, holder, lifetime))) return undefined
      const renew = async () => {
        const asked = performance.now()
        const isOurs = await store.replace(name, holder, holder, lifetime)
        heldUntil = isOurs ? asked + lifetime * 1000 : 0
      }
      const renewal = setInterval(() => void renew().catch(() => undefined), (lifetime * 1000) / 4).unref()
      return {
        isHeld: () => heldUntil - performance.now() > reserve * 1000,
        async release() {
          clearInterval(renewal)
          await store.delete(name, holder).catch(() => undefined)
        },
      }
    },
  }
}
