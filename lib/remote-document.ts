/** A document of a server that we keep: one fetch at a time, used while fresh, and longer when the server fails. */

export interface RemoteDocument<T> {
  /**
   * The document if it may serve without waiting: a fresh one, one that is being fetched anew behind the scenes, or one
   * whose server fails. After a quiet time it may be long out of date, and then there is nothing.
   */
  peek(): T | undefined
  /** The same, waited for when there is none. Throws when it cannot be had. */
  current(): Promise<T>
  /** Fetches anew. When that fails the error is thrown and the old document stays. */
  refetch(): Promise<T>
  /** Whether the last fetch failed. */
  isFailing(): boolean
}

export interface RemoteDocumentOptions<T> {
  load: () => Promise<T>
  /** Seconds until a document is fetched anew. Default 600. */
  lifetime?: number
  /** Seconds until an old document is no longer used although the server fails. Default 86 400. */
  staleFor?: number
  /** Told after each failed fetch; `stale` is true when an old document serves on. */
  onFailure: (error: unknown, stale: boolean) => void
  /** Seconds since the epoch. */
  now: () => number
}

const firstPause = 1
const longestPause = 60

export function remoteDocument<T>(options: RemoteDocumentOptions<T>): RemoteDocument<T> {
  const { load, lifetime = 600, staleFor = 86_400, onFailure, now } = options
  let kept: { document: T; fetchedAt: number } | undefined
  let inFlight: Promise<T> | undefined
  let failure: { error: unknown; pause: number; until: number } | undefined

  // A clock that was set back makes nothing fresh for longer, and no pause longer than it was.
  const usable = (age: number) => {
    if (!kept) return false
    kept.fetchedAt = Math.min(kept.fetchedAt, now())
    return now() - kept.fetchedAt < age
  }
  const isPaused = () =>
    failure !== undefined && now() < failure.until && failure.until - now() <= failure.pause

  function refetch(): Promise<T> {
    inFlight ??= load()
      .then(
        (document) => {
          kept = { document, fetchedAt: now() }
          failure = undefined
          return document
        },
        (error: unknown) => {
          const pause = failure ? Math.min(failure.pause * 2, longestPause) : firstPause
          failure = { error, pause, until: now() + pause }
          onFailure(error, usable(staleFor))
          throw error
        },
      )
      .finally(() => {
        inFlight = undefined
      })
    return inFlight
  }

  function peek(): T | undefined {
    if (!kept || usable(lifetime)) return kept?.document
    const mayServe = usable(failure ? staleFor : 2 * lifetime)
    if (mayServe && !isPaused()) refetch().catch(() => undefined) // told to onFailure
    return mayServe ? kept.document : undefined
  }

  return {
    refetch,
    peek,
    async current() {
      const ready = peek()
      if (ready !== undefined) return ready
      // A server that just failed is left alone for a while; whoever asks meanwhile hears at once.
      if (isPaused()) throw failure?.error
      return refetch().catch((error: unknown) =>
        kept && usable(staleFor) ? kept.document : Promise.reject(error),
      )
    },
    isFailing: () => failure !== undefined,
  }
}
