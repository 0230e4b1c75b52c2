/** A bucket that lets a burst through and then one call per interval. */

import { elapsedTime } from './elapsed-time.js'

export interface TokenBucket {
  /** Whether a call may go ahead now; takes its place when it may. */
  take(): boolean
}

export function tokenBucket(options: {
  burst: number
  refillSeconds: number
  /** Seconds since the epoch. */
  now: () => number
}): TokenBucket {
  const { burst, refillSeconds, now } = options
  const elapsed = elapsedTime(now)
  let level = burst
  let filledAt = 0
  return {
    take() {
      const refills = Math.floor((elapsed() - filledAt) / refillSeconds)
      level = Math.min(burst, level + refills)
      filledAt += refills * refillSeconds
      if (level < 1) return false
      level -= 1
      return true
    },
  }
}
