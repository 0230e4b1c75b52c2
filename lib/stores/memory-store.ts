/** A store in this process alone: for one instance, for development and for tests. */

import type { Store } from './store.js'

export interface MemoryStoreOptions {
  /** Entries at most; a further one takes the place of the one that came first. Default 100 000. */
  maxEntries?: number
}

interface Entry {
  readonly value: string
  /** Milliseconds of the monotonic clock: no jump of the wall clock makes an entry live longer. */
  readonly until: number
}

const memoryStores = new WeakSet<Store>()

/** Whether a store ends with the process, so that nothing may be kept in it that is missed afterwards. */
export function isMemoryStore(store: Store): boolean {
  return memoryStores.has(store)
}

/** Forgets everything when the process ends. Several instances need a store that they share. */
export function memoryStore({ maxEntries = 100_000 }: MemoryStoreOptions = {}): Store {
  const entries = new Map<string, Entry>()

  function found(key: string): Entry | undefined {
    const entry = entries.get(key)
    return entry && entry.until > performance.now() ? entry : undefined
  }

  function keep(key: string, value: string, ttl: number): void {
    entries.delete(key)
    // The oldest come first. Those whose time is over go with them, as far as they are met.
    for (const [oldest, entry] of entries) {
      if (entry.until > performance.now() && entries.size < maxEntries) break
      entries.delete(oldest)
    }
    entries.set(key, { value, until: performance.now() + ttl * 1000 })
  }

  const store: Store = {
    get: async (keys) => keys.map((key) => found(key)?.value),
    set: async (key, value, ttl) => keep(key, value, ttl),
    async add(key, value, ttl) {
      if (found(key)) return false
      keep(key, value, ttl)
      return true
    },
    async replace(key, expected, value, ttl) {
      if (found(key)?.value !== expected) return false
      keep(key, value, ttl)
      return true
    },
    async delete(key, expected) {
      const entry = found(key)
      if (!entry || (expected !== undefined && entry.value !== expected)) return false
      return entries.delete(key)
    },
  }
  memoryStores.add(store)
  return store
}
