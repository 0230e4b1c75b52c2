/** A document of a server that we keep: one fetch at a time, renewed before it is out of date, kept while the server fails. */

import { elapsedTime } from './elapsed-time.js'

export interface RemoteDocument<T> {
  /**
   * The document if it may serve without waiting: one that is fresh, one that is being fetched anew behind the scenes, or
   * one whose server fails. Asked of each request: it starts the renewal that is due, and costs next to nothing.
   */
  peek(): T | undefined
  /**
   * The same, waited for when there is none. After a quiet time of two lifetimes everybody waits for the fetch: what the
   * server has withdrawn meanwhile must not serve once more. Throws when it cannot be had.
   */
  current(): Promise<T>
  /** Fetches anew, or joins the fetch under way. When that fails the error is thrown and the old document stays. */
  refetch(): Promise<T>
  /** The fetch under way, which may have begun before what the caller is looking for was published. */
  underWay(): Promise<T> | undefined
  /** Whether the last fetch failed. */
  isFailing(): boolean
}

export interface RemoteDocumentOptions<T> {
  load: () => Promise<T>
  /** Seconds that a document is fresh. It is renewed when four fifths of them are over and somebody asks. Default 600. */
  lifetime?: (document: T) => number
  /** Seconds that a document serves on after that while the server fails. Default 86 400. */
  staleFor?: number
  /** Told after each failed fetch; `stale` is true when an old document serves on. */
  onFailure: (error: unknown, stale: boolean) => void
  /** Seconds since the epoch. */
  now: () => number
}

const firstPause = 1
const longestPause = 60
/** Seconds after which a failure no longer says how the server is. */
const failureIsNews = 3_600

/** What is kept, with its times in elapsed seconds. */
interface Kept<T> {
  readonly document: T
  readonly renewedFrom: number
  /** From then on nobody knows whether the server still says so. */
  readonly quietUntil: number
  readonly staleUntil: number
}

export function remoteDocument<T>(options: RemoteDocumentOptions<T>): RemoteDocument<T> {
  const { load, lifetime = () => 600, staleFor = 86_400, onFailure, now } = options
  const elapsed = elapsedTime(now)
  let kept: Kept<T> | undefined
  let inFlight: Promise<T> | undefined
  let failure: { error: unknown; pause: number; at: number } | undefined

  const isPaused = () => failure !== undefined && elapsed() < failure.at + failure.pause
  const stale = () => (kept && elapsed() < kept.staleUntil ? kept : undefined)

  function refetch(): Promise<T> {
    inFlight ??= load()
      .then(
        (document) => {
          const seconds = lifetime(document)
          const at = elapsed()
          kept = {
            document,
            renewedFrom: at + 0.8 * seconds,
            quietUntil: at + 2 * seconds,
            staleUntil: at + seconds + staleFor,
          }
          failure = undefined
          return document
        },
        (error: unknown) => {
          const pause = failure ? Math.min(failure.pause * 2, longestPause) : firstPause
          failure = { error, pause, at: elapsed() }
          onFailure(error, stale() !== undefined)
          throw error
        },
      )
      .finally(() => {
        inFlight = undefined
      })
    return inFlight
  }

  function peek(): T | undefined {
    if (!kept) return undefined
    const time = elapsed()
    if (time < kept.renewedFrom) return kept.document
    const isFailing = failure !== undefined && time < failure.at + failureIsNews
    if (time >= (isFailing ? kept.staleUntil : kept.quietUntil)) return undefined
    if (!inFlight && !isPaused()) refetch().catch(() => undefined) // told to onFailure
    return kept.document
  }

  return {
    refetch,
    peek,
    async current() {
      const ready = peek()
      if (ready !== undefined) return ready
      // A server that just failed is left alone for a while; whoever asks meanwhile hears at once.
      if (isPaused()) throw failure?.error
      return refetch().catch((error: unknown) => stale()?.document ?? Promise.reject(error))
    },
    underWay: () => inFlight,
    isFailing: () => failure !== undefined,
  }
}
