/** A document of a server that we keep: one fetch at a time, used while fresh, and longer when the server fails. */

export interface RemoteDocument<T> {
  /** The document; fetched when there is none. An old one is used while a new one is fetched behind the scenes. */
  current(): Promise<T>
  /** Fetches anew. When that fails the error is thrown and the old document stays. */
  refetch(): Promise<T>
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

  const usable = (age: number) => kept !== undefined && now() - kept.fetchedAt < age

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
      const paused = failure !== undefined && now() < failure.until
      if (kept && usable(staleFor)) {
        if (!paused) refetch().catch(() => undefined) // told to onFailure
        return kept.document
      }
      if (paused && failure) throw failure.error
      return refetch()
    },
  }
}
