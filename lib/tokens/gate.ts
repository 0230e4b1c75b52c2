/**
 * The way to an endpoint of the authorization server, for one application: so many requests at once, the others in a queue.
 * Servers limit how often an application may ask; a limit that was met holds everybody back for as long as the server says.
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
const mostWaiting = 1_000
/** Seconds that a server may have us wait. */
const longestPause = 300
/** Turns that tell how fast those who wait are let in. */
const mostTurns = 100

/** `patience` in seconds: how long somebody waits for a turn. */
export function createGate(patience = 10): Gate {
  /**
   * Milliseconds from one turn to the next, unless they are known to be quicker. Who comes too early is told another
   * moment; a slow start, while a crowd arrives, must not have everybody wait for longer than the server needs.
   */
  const usualPace = (patience * 1000) / mostWaiting
  /** By the monotonic clock, in milliseconds. */
  let pausedUntil = 0
  let running = 0
  const waiting: Turn[] = []
  let wakeUp: NodeJS.Timeout | undefined
  let nextTurn: NodeJS.Immediate | undefined
  /** When those who waited were let in, the last few of them. */
  const turns: number[] = []
  /** How many were sent away and are expected back. */
  let away = 0

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
    turns.push(performance.now())
    if (turns.length > mostTurns) turns.shift()
    next.begin()
    nextTurn = setImmediate(() => {
      nextTurn = undefined
      admit()
    })
  }

  /**
   * Seconds until there may be a place for somebody who finds none: after all who wait, and all who were sent away before.
   * If they all came back at once they would find no place again, and keep the process from its work.
   */
  function untilPlace(): number {
    const now = performance.now()
    const first = turns.length === mostTurns ? turns[0] : undefined
    const pace = Math.min(usualPace, first === undefined ? usualPace : (now - first) / mostTurns)
    const seconds = (Math.max(0, pausedUntil - now) + (waiting.length + away) * pace) / 1000
    away++
    return Math.min(seconds, longestPause)
  }

  async function turn(isPatient: boolean): Promise<void> {
    const pause = (pausedUntil - performance.now()) / 1000
    if (pause <= 0 && running < mostAtOnce && waiting.length === 0) {
      running++
      return
    }
    if (!isPatient) throw tooBusy(pause)
    if (waiting.length >= mostWaiting || pause > patience) throw tooBusy(untilPlace())
    if (waiting.length === 0) away = turns.length = 0
    else if (away > 0) away--
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.splice(waiting.indexOf(entry), 1)
        reject(tooBusy(untilPlace()))
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

function tooBusy(seconds: number): OAuthError {
  return new OAuthError('server_unavailable', {
    reason: 'too_busy',
    headers: { 'retry-after': String(Math.max(1, Math.ceil(seconds))) },
    hint: 'More requests wait than the authorization server answers. It may limit how often this application asks.',
  })
}
