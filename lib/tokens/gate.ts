/**
 * The way to the token endpoint, for one application: so many requests at once, the others in a queue. Servers limit how
 * often an application may ask; a limit that was met holds everybody back for as long as the server says.
 */

import { isOAuthError, OAuthError } from '../errors.js'

export interface Gate {
  /**
   * Runs `ask` when its turn has come. Throws what it throws, and `server_unavailable` with `Retry-After` when the turn
   * would come too late; at once for somebody who is not `patient`.
   */
  run<T>(ask: () => Promise<T>, isPatient: boolean): Promise<T>
}

/** Requests that the server has to answer at the same time. */
const mostAtOnce = 50
const mostWaiting = 10_000
/** Seconds that somebody waits for a turn. */
const patience = 10
/** Seconds that a server may have us wait. */
const longestPause = 300

export function createGate(): Gate {
  /** By the monotonic clock, in milliseconds. */
  let pausedUntil = 0
  let running = 0
  const waiting: Turn[] = []
  let wakeUp: NodeJS.Timeout | undefined
  let nextTurn: NodeJS.Immediate | undefined

  /** Lets in whoever may go, one in each turn of the event loop: between two of them, other requests have their turn. */
  function admit(): void {
    if (nextTurn) return
    const pause = pausedUntil - performance.now()
    if (pause > 0) {
      if (waiting.length === 0) return
      clearTimeout(wakeUp)
      wakeUp = setTimeout(admit, pause).unref() // those who wait have timers of their own
      return
    }
    if (running >= mostAtOnce) return
    const next = waiting.shift()
    if (!next) return
    running++
    next.begin()
    nextTurn = setImmediate(() => {
      nextTurn = undefined
      admit()
    })
  }

  async function turn(isPatient: boolean): Promise<void> {
    const pause = (pausedUntil - performance.now()) / 1000
    if (pause <= 0 && running < mostAtOnce && waiting.length === 0) {
      running++
      return
    }
    if (!isPatient || waiting.length >= mostWaiting || pause > patience) throw tooBusy(pause)
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.splice(waiting.indexOf(entry), 1)
        reject(tooBusy((pausedUntil - performance.now()) / 1000))
      }, patience * 1000)
      const entry: Turn = {
        begin() {
          clearTimeout(timer)
          resolve()
        },
      }
      waiting.push(entry)
      admit()
    })
  }

  return {
    async run(ask, isPatient) {
      await turn(isPatient)
      try {
        return await ask()
      } catch (error) {
        const pause = pauseAskedFor(error)
        pausedUntil = Math.max(pausedUntil, performance.now() + pause * 1000)
        throw error
      } finally {
        running--
        admit()
      }
    },
  }
}

interface Turn {
  begin(): void
}

/** Seconds. Only a limit holds everybody back: another failure may be of one session, or of one request. */
function pauseAskedFor(error: unknown): number {
  if (!isOAuthError(error) || error.reason !== 'status_429') return 0
  const asked = Number(error.headers['retry-after'])
  return Number.isFinite(asked) ? Math.min(asked, longestPause) : 0
}

function tooBusy(pause: number): OAuthError {
  return new OAuthError('server_unavailable', {
    reason: 'too_busy',
    headers: { 'retry-after': String(Math.max(1, Math.ceil(pause))) },
    hint: 'More requests for tokens wait than the authorization server answers. It may limit how often this application asks.',
  })
}
