/** Where connections are kept: for years, unlike what is in a `Store`. */

import type { OptionChecks } from '../options.js'
import { withinTime, type Store } from '../stores/store.js'
import type { ConnectionRecord, ProviderAccount } from './connection-record.js'

/**
 * `done`: it is kept. `stale`: there is another one meanwhile, and what was to be written goes by an old one. `taken`: the
 * account is another owner's, and both connections are exclusive. What is both is `stale`.
 */
export type WriteOutcome = 'done' | 'stale' | 'taken'

/**
 * Each operation is atomic, and sees what was written before it, by whatever instance. Two rules are the store's own to
 * keep, against writers that run at the same moment:
 * - One owner has one connection to an account: `owner`, `provider`, `issuer` and `accountId` together are unique.
 * - While a connection that is not `disconnected` is exclusive, no other exclusive one that is not `disconnected` has the
 *   same account.
 *
 * A call that cannot be answered throws whatever it likes; so does a write of what cannot be kept as it is (see
 * `checkKeepable`), and nothing is found under a name that cannot be kept. Records given out are the caller's: to change
 * one changes nothing here.
 */
export interface ConnectionStore {
  get(id: string): Promise<ConnectionRecord | undefined>
  /** All of an owner, the oldest first. */
  list(owner: string): Promise<readonly ConnectionRecord[]>
  /** All of an account, whoever owns them. */
  linked(account: ProviderAccount): Promise<readonly ConnectionRecord[]>
  /** Keeps a new one, with `version` 1. `stale`: its owner has one of this account. */
  insert(record: ConnectionRecord): Promise<WriteOutcome>
  /**
   * Keeps what takes the place of the one with this `id` and the version before: `record.version - 1`. `stale`: that one
   * is not there any more. Whose it is and of which account never changes; `stale` for what says otherwise.
   */
  update(record: ConnectionRecord): Promise<WriteOutcome>
  /** Forgets the one of this version. Whether it was there. */
  delete(id: string, version: number): Promise<boolean>
  /**
   * Those that have tokens and were last tried at this time or before, the longest ago first (by `checkedAt`, then by
   * `id`): at most `limit`.
   */
  untried(until: number, limit: number): Promise<readonly ConnectionRecord[]>
  /** All that have tokens, by `id`: at most `limit` behind the id `after`. */
  page(after: string, limit: number): Promise<readonly ConnectionRecord[]>
  /** What several instances know together for a while: who is refreshing, what became of a refresh token. */
  readonly shared: Store
}

const methods: readonly Exclude<keyof ConnectionStore, 'shared'>[] = [
  'get',
  'list',
  'linked',
  'insert',
  'update',
  'delete',
  'untried',
  'page',
]

/** The store in the option `store`; there is none by default, because connections must outlive the process. */
export function checkedConnectionStore(store: unknown, check: OptionChecks): ConnectionStore {
  const given = store as Partial<ConnectionStore> | undefined | null
  const isStore = methods.every((name) => typeof given?.[name] === 'function')
  if (isStore && typeof given?.shared?.get === 'function') return given as ConnectionStore
  return check.refuse(
    'store',
    store === undefined ? 'is missing' : 'is not a store of connections',
    'give postgresConnectionStore(pool), or memoryConnectionStore() to try things out',
  )
}

/** The same store; a call that fails or takes longer than `timeout` seconds is `store_unavailable`. */
export function boundedConnectionStore(store: ConnectionStore, timeout: number): ConnectionStore {
  const call = <T>(run: () => Promise<T>) => withinTime(run, timeout)
  return {
    get: (id) => call(() => store.get(id)),
    list: (owner) => call(() => store.list(owner)),
    linked: (account) => call(() => store.linked(account)),
    insert: (record) => call(() => store.insert(record)),
    update: (record) => call(() => store.update(record)),
    delete: (id, version) => call(() => store.delete(id, version)),
    untried: (until, limit) => call(() => store.untried(until, limit)),
    page: (after, limit) => call(() => store.page(after, limit)),
    shared: store.shared,
  }
}
