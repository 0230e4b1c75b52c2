/** What is remembered for a while: each entry until its own end, and no more than so many at once. */

export interface ExpiringMap<T> {
  /** The value, or nothing when its time is over. */
  get(key: string): T | undefined
  /** `until` in seconds since the epoch. When the map is full, the entry that came first is forgotten. */
  set(key: string, value: T, until: number): void
}

export function expiringMap<T>({ most, now }: { most: number; now: () => number }): ExpiringMap<T> {
  const entries = new Map<string, { value: T; until: number }>()
  return {
    get(key) {
      const entry = entries.get(key)
      return entry && entry.until > now() ? entry.value : undefined
    },
    set(key, value, until) {
      entries.delete(key)
      // The oldest come first. Those whose time is over go with them, as far as they are met.
      for (const [oldest, entry] of entries) {
        if (entry.until > now() && entries.size < most) break
        entries.delete(oldest)
      }
      entries.set(key, { value, until })
    },
  }
}
