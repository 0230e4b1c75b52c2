/** express-session over a store that can be looked into, counted and broken. */
import session, { MemoryStore, type Store } from 'express-session'
import type { Handler } from './serve.js'

/** The middleware, for the `before` of an application. */
export function sessionOver(store: Store): Handler {
  const middleware = session({
    secret: 'of the session cookie',
    resave: false,
    saveUninitialized: false,
    store,
  })
  return middleware as Handler
}

type Method = 'get' | 'set' | 'destroy'

/** Whether a call of the store goes wrong, by its method and its key. */
export type Breaks = (method: Method, key: string) => 'fails' | 'hangs' | undefined

export interface OpenStore {
  readonly store: Store
  readonly calls: Record<Method, number>
  /** What is kept, by key. */
  entries(): Record<string, string>
  replace(key: string, change: (entry: Record<string, unknown>) => void): void
  /** From now on these calls go wrong. */
  breaks(rule: Breaks): void
}

export function countingStore(): OpenStore {
  let rule: Breaks = () => undefined
  const calls = { get: 0, set: 0, destroy: 0 }
  const kept: Record<string, string> = Object.create(null)

  class CountingStore extends MemoryStore {
    /** Where MemoryStore keeps everything. */
    readonly sessions = kept

    override get(...[key, done]: Parameters<MemoryStore['get']>): void {
      call('get', key, done, () => super.get(key, done))
    }
    override set(...[key, value, done]: Parameters<MemoryStore['set']>): void {
      call('set', key, done, () => super.set(key, value, done))
    }
    override destroy(...[key, done]: Parameters<MemoryStore['destroy']>): void {
      call('destroy', key, done, () => super.destroy(key, done))
    }
  }

  function call(
    method: Method,
    key: string,
    done: ((error: Error) => void) | undefined,
    run: () => void,
  ): void {
    calls[method] += 1
    const fate = rule(method, key)
    if (fate === undefined) run()
    else if (fate === 'fails') setImmediate(() => done?.(new Error('the store is down')))
  }

  return {
    store: new CountingStore(),
    calls,
    entries: () => ({ ...kept }),
    replace: (key, change) => {
      const entry = JSON.parse(kept[key] ?? '{}') as Record<string, unknown>
      change(entry)
      kept[key] = JSON.stringify(entry)
    },
    breaks: (next) => {
      rule = next
    },
  }
}
