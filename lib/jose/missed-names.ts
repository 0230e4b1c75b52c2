/** Names of keys that were looked for in vain. */

import { elapsedTime } from '../elapsed-time.js'

export interface MissedNames {
  /** Whether the server may be asked for a key of this name. */
  mayAskFor(kid: string | undefined): boolean
  /** A new set was fetched, and the key was not there. */
  inSet(kid: string | undefined): void
  /** The set could not be fetched. */
  inOutage(kid: string | undefined): void
}

const most = 256
const pauseInSet = 30
const longestPauseInSet = 600
/** Shorter, so that a new key is to be had as soon as the server is back. */
const pauseInOutage = 1
const longestPauseInOutage = 30

/**
 * One dead token in steady use neither empties the bucket nor has the set fetched every half minute: each time the pause
 * is twice as long. Tokens without a name share one entry, which therefore does not grow.
 */
export function missedNames(now: () => number): MissedNames {
  const elapsed = elapsedTime(now)
  const entries = new Map<string | undefined, { pause: number; until: number }>()

  function miss(kid: string | undefined, first: number, longest: number): void {
    const before = entries.get(kid)
    // Others who waited for the same fetch say the same.
    if (before && elapsed() < before.until) return
    const pause = before && kid !== undefined ? Math.min(longest, Math.max(first, before.pause * 2)) : first
    entries.delete(kid)
    entries.set(kid, { pause, until: elapsed() + pause })
    for (const oldest of entries.keys()) {
      if (entries.size <= most) break
      entries.delete(oldest)
    }
  }

  return {
    mayAskFor(kid) {
      const entry = entries.get(kid)
      return !entry || elapsed() >= entry.until
    },
    inSet: (kid) => miss(kid, pauseInSet, longestPauseInSet),
    inOutage: (kid) => miss(kid, pauseInOutage, longestPauseInOutage),
  }
}
