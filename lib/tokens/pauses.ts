/** Leaving a server alone that has just failed, for as long as it asks or for longer each time. */

import { OAuthError } from '../errors.js'
import { expiringMap } from '../expiring-map.js'

export interface Pauses {
  /** The failure that is still being waited for, with the seconds that are left in `Retry-After`. */
  current(key: string): OAuthError | undefined
  failed(key: string, error: OAuthError): void
  succeeded(key: string): void
}

/** Seconds after the first failure, twice as many after each further one. */
const firstPause = 5
const longestPause = 60
/** Seconds that a server may ask for; more is cut down to this. */
const longestAsked = 300
const mostRemembered = 1_000

export function createPauses({ now }: { now: () => number }): Pauses {
  const failures = expiringMap<{ error: OAuthError; until: number; inARow: number }>({
    most: mostRemembered,
    now,
  })
  return {
    current(key) {
      const failure = failures.get(key)
      return failure && failure.until > now() ? later(failure.error, failure.until - now()) : undefined
    },
    failed(key, error) {
      const last = failures.get(key)
      // Those that were under way together fail together, which is one failure.
      const inARow = last === undefined ? 1 : last.until > now() ? last.inARow : last.inARow + 1
      const until = Math.max(last?.until ?? 0, now() + seconds(error, inARow))
      failures.set(key, { error, until, inARow }, until + longestAsked)
    },
    succeeded(key) {
      const last = failures.get(key)
      // A pause that a server has asked for stays: this was under way before.
      if (last && last.until <= now()) failures.set(key, { ...last, inARow: 0 }, now())
    },
  }
}

/** What the server asks for, and no less than our own measure. */
function seconds(error: OAuthError, inARow: number): number {
  const asked = Number(error.headers['retry-after'])
  const own = Math.min(firstPause * 2 ** (inARow - 1), longestPause)
  return Number.isFinite(asked) ? Math.max(own, Math.min(asked, longestAsked)) : own
}

function later(error: OAuthError, left: number): OAuthError {
  const { code, message, hint, reason, scope, status, headers, serverError } = error
  return new OAuthError(code, {
    message,
    status,
    headers: { ...headers, 'retry-after': String(left) },
    cause: error,
    ...(hint !== undefined && { hint }),
    ...(reason !== undefined && { reason }),
    ...(scope !== undefined && { scope }),
    ...(serverError !== undefined && { serverError }),
  })
}
