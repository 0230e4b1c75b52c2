/** What several instances of an app must know together, by key, each entry for a while. */

import { OAuthError } from '../errors.js'
import type { OptionChecks } from '../options.js'

/**
 * The few operations that locks, token records, ended sessions and replay protection are made of. Each is atomic, and
 * an entry is gone once its time is over, by the store's own clock. Values are sealed or say nothing about anybody.
 * Keys have 500 characters at most; keys and values are well-formed text without U+0000, which PostgreSQL refuses.
 * A call that cannot be answered throws whatever it likes.
 */
export interface Store {
  /** The values under these keys, in their order, in one round trip. */
  get(keys: readonly string[]): Promise<readonly (string | undefined)[]>
  /** Keeps a value for `ttl` seconds (fractions count), whatever was there. */
  set(key: string, value: string, ttl: number): Promise<void>
  /** Keeps a value where there is none. Whether it did. */
  add(key: string, value: string, ttl: number): Promise<boolean>
  /** Keeps a value where `expected` is. Whether it did. */
  replace(key: string, expected: string, value: string, ttl: number): Promise<boolean>
  /** Forgets a value; with `expected`, only that one. Whether there was one to forget. */
  delete(key: string, expected?: string): Promise<boolean>
}

const methods: readonly (keyof Store)[] = ['get', 'set', 'add', 'replace', 'delete']

/** The store in the option `store`, if one was given. */
export function checkedStore(store: Store | undefined, check: OptionChecks): Store | undefined {
  if (store === undefined || methods.every((name) => typeof store?.[name] === 'function')) return store
  return check.refuse(
    'store',
    'is not a store',
    'give memoryStore(), redisStore(client), postgresStore(pool), or an object with get, set, add, replace and delete',
  )
}

/**
 * One app's part of a store: its keys begin with `scope`. A call that fails, takes too long or gives something that it
 * cannot give is `store_unavailable`: an answer that was misread could bring an ended session back.
 */
export function scopedStore(store: Store, { scope, timeout }: { scope: string; timeout: number }): Store {
  const name = (key: string) => `${scope}:${key}`
  const call = <T>(run: () => Promise<T>) => withinTime(run, timeout)
  return {
    get: (keys) => call(async () => values(await store.get(keys.map(name)), keys.length)),
    set: (key, value, ttl) => call(() => store.set(name(key), value, ttl)),
    add: (key, value, ttl) => call(async () => yesOrNo(await store.add(name(key), value, ttl))),
    replace: (key, expected, value, ttl) =>
      call(async () => yesOrNo(await store.replace(name(key), expected, value, ttl))),
    delete: (key, expected) => call(async () => yesOrNo(await store.delete(name(key), expected))),
  }
}

/** `null` for a missing value is a usual slip, and clear. */
function values(answer: readonly unknown[], count: number): (string | undefined)[] {
  const found = Array.isArray(answer) ? answer.map((value) => value ?? undefined) : []
  if (found.length === count && found.every((value) => value === undefined || typeof value === 'string'))
    return found
  throw new Error('get() gave no list of texts, one for each key')
}

function yesOrNo(answer: unknown): boolean {
  if (typeof answer === 'boolean') return answer
  throw new Error(`add(), replace() or delete() gave ${typeof answer} in place of true or false`)
}

/** Attempts of a compare-and-set that others come between. More of them speak of a store that reads what is old. */
const mostAttempts = 100

/** Tries until `attempt` gives something. Throws `store_unavailable` when it never does. */
export async function untilDone<T>(attempt: () => Promise<T | undefined>): Promise<T> {
  for (let made = 0; made < mostAttempts; made++) {
    const outcome = await attempt()
    if (outcome !== undefined) return outcome
  }
  throw new OAuthError('store_unavailable', {
    reason: 'contended',
    hint: 'The store never took a change of what it gave before. Does it read from a replica or a cache?',
  })
}

/**
 * The result of a store's call; throws `store_unavailable` when it fails, or gives none within `timeout` seconds. No timer
 * runs for a store that answers from this process (`Infinity`): each request asks it several times.
 */
export async function withinTime<T>(run: () => Promise<T>, timeout: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  try {
    if (timeout === Infinity) return await run()
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${timeout} s`)), timeout * 1000)
    })
    return await Promise.race([run(), late])
  } catch (cause) {
    throw new OAuthError('store_unavailable', {
      cause: cause instanceof Error ? cause : new Error('the store failed'),
    })
  } finally {
    clearTimeout(timer)
  }
}
