/** A document of a server that we keep: one fetch at a time, used while fresh, and longer when the server fails. */

export interface RemoteDocument<T> {
  /**
   * The document; fetched when there is none, or none newer than two lifetimes. In the second lifetime it is fetched
   * anew behind the scenes.
   */
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

  return {
    refetch,
    async current() {
      if (kept && usable(lifetime)) return kept.document
      // A server that just failed is left alone for a while; whoever asks meanwhile hears at once.
      if (isPaused() && !usable(staleFor)) throw failure?.error
      if (kept && isPaused()) return kept.document
      if (kept && usable(2 * lifetime)) {
        refetch().catch(() => undefined) // told to onFailure
        return kept.document
      }
      // After a quiet night the document may be long out of date: it serves only if there is no newer one.
      return refetch().catch((error: unknown) =>
        kept && usable(staleFor) ? kept.document : Promise.reject(error),
      )
    },
    isFailing: () => failure !== undefined,
  }
}
