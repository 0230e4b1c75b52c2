/** A store that can be looked into and broken. */
import { memoryStore } from '../../lib/stores/memory-store.js'
import type { Store } from '../../lib/stores/store.js'

export interface BreakableStore {
  readonly store: Store
  /** Calls so far, as "method key". */
  readonly calls: readonly string[]
  /** Keys that something is kept under. */
  keys(): Promise<string[]>
  /** From now on these calls fail. */
  breaks(rule: (method: keyof Store, keys: string) => boolean): void
}

export function breakableStore(): BreakableStore {
  const inner = memoryStore()
  const calls: string[] = []
  const seen = new Set<string>()
  let isBroken: (method: keyof Store, keys: string) => boolean = () => false

  async function call<T>(method: keyof Store, keys: readonly string[], run: () => Promise<T>): Promise<T> {
    calls.push(`${method} ${keys.join(' ')}`)
    for (const key of keys) seen.add(key)
    if (isBroken(method, keys.join(' '))) throw new Error('the store is down')
    return run()
  }

  return {
    store: {
      get: async (keys) => call('get', keys, () => inner.get(keys)),
      set: async (key, value, ttl) => call('set', [key], () => inner.set(key, value, ttl)),
      add: async (key, value, ttl) => call('add', [key], () => inner.add(key, value, ttl)),
      replace: async (key, expected, value, ttl) =>
        call('replace', [key], () => inner.replace(key, expected, value, ttl)),
      delete: async (key, expected) => call('delete', [key], () => inner.delete(key, expected)),
    },
    calls,
    async keys() {
      const all = [...seen]
      const values = await inner.get(all)
      return all.filter((_key, index) => values[index] !== undefined)
    },
    breaks: (rule) => {
      isBroken = rule
    },
  }
}
