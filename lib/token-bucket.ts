/** A bucket that lets a burst through and then one call per interval. */

export interface TokenBucket {
  /** Whether a call may go ahead now; takes its place when it may. */
  take(): boolean
}

export function tokenBucket(options: {
  burst: number
  refillSeconds: number
  now: () => number
}): TokenBucket {
  const { burst, refillSeconds, now } = options
  let level = burst
  let filledAt = now()
  return {
    take() {
      filledAt = Math.min(filledAt, now()) // a clock that was set back must not close the bucket
      const refills = Math.floor((now() - filledAt) / refillSeconds)
      if (refills > 0) {
        level = Math.min(burst, level + refills)
        filledAt += refills * refillSeconds
      }
      if (level < 1) return false
      level -= 1
      return true
    },
  }
}
