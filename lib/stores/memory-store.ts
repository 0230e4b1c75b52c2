/** A store in this process alone: for one instance, for development and for tests. */

import { checkOptions } from '../options.js'
import type { Store } from './store.js'

export interface MemoryStoreOptions {
  /** Entries at most. Default 100 000. */
  maxEntries?: number
  /**
   * What a new entry meets when all of them are good still. `forget`: those go that came first. `refuse`: it fails, for
   * what must never be forgotten, such as proofs that were used. Default `forget`.
   */
  whenFull?: 'forget' | 'refuse'
}

interface Entry {
  readonly value: string
  /** Milliseconds of the monotonic clock: no jump of the wall clock makes an entry live longer. */
  readonly until: number
}

const memoryStores = new WeakMap<Store, MemoryStoreOptions['whenFull']>()

/** Whether a store ends with the process, so that nothing may be kept in it that is missed afterwards. */
export function isMemoryStore(store: Store): boolean {
  return memoryStores.has(store)
}

/** Whether many new entries make a store forget old ones before their time, as far as that is known. */
export function forgetsWhenFull(store: Store): boolean {
  return memoryStores.get(store) === 'forget'
}

/** Milliseconds between two walks through a full store that refuses: a flood must not cause one with each entry. */
const pause = 1000

const known: Record<keyof MemoryStoreOptions, true> = { maxEntries: true, whenFull: true }

/**
 * Forgets everything when the process ends. Several instances need a store that they share. Throws
 * `invalid_configuration` for options that are not right.
 */
export function memoryStore(options: MemoryStoreOptions = {}): Store {
  const check = checkOptions('memoryStore', options, known)
  const { maxEntries = 100_000 } = options
  if (!Number.isInteger(maxEntries) || maxEntries < 1)
    check.refuse('maxEntries', `is ${maxEntries}`, 'give a whole number from 1')
  const whenFull = check.oneOf('whenFull', options.whenFull, ['forget', 'refuse'], 'forget')
  const entries = new Map<string, Entry>()
  let room = Math.min(maxEntries, 1000)
  let nextWalk = 0

  function found(key: string): Entry | undefined {
    const entry = entries.get(key)
    return entry && entry.until > performance.now() ? entry : undefined
  }

  function keep(key: string, value: string, ttl: number): void {
    entries.delete(key)
    if (entries.size >= room) makeRoom()
    entries.set(key, { value, until: performance.now() + ttl * 1000 })
  }

  /** Forgets what is over, wherever it stands. When everything is good still, it forgets the oldest few, or throws. */
  function makeRoom(): void {
    const now = performance.now()
    const isFull = () => whenFull === 'refuse' && entries.size >= maxEntries
    if (isFull()) {
      if (now < nextWalk) throw full()
      nextWalk = now + pause
    }
    for (const [key, entry] of entries) if (entry.until <= now) entries.delete(key)
    if (isFull()) throw full()
    // A hundredth at once, and next time after as many writes as there is room for: each bears little of this walk.
    const most = entries.size < maxEntries ? maxEntries : maxEntries - 1 - Math.floor(maxEntries / 100)
    for (const oldest of entries.keys()) {
      if (entries.size <= most) break
      entries.delete(oldest)
    }
    room = Math.min(maxEntries, Math.max(1000, 2 * entries.size))
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
  memoryStores.set(store, whenFull)
  return store
}

function full(): Error {
  return new Error('the memory store is full')
}
