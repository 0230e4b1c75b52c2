/** A store of connections in the memory of this process, for tests and for trying things out: a restart forgets them. */

import { memoryStore } from '../stores/memory-store.js'
import { checkKeepable, type ConnectionRecord, type ProviderAccount } from './connection-record.js'
import type { ConnectionStore } from './connection-store.js'

type Records = Map<string, ConnectionRecord>

/** Forgets everything when the process ends, and no other instance knows of it. */
export function memoryConnectionStore(): ConnectionStore {
  const records: Records = new Map()
  const ofOwners = new Map<string, Records>()
  const ofAccounts = new Map<string, Records>()
  const withTokens = () => [...records.values()].filter(({ tokens }) => tokens !== undefined)

  const owned = (owner: string) => [...(ofOwners.get(owner)?.values() ?? [])]
  const linked = (account: ProviderAccount) => [...(ofAccounts.get(accountKey(account))?.values() ?? [])]

  const isTaken = (record: ConnectionRecord) =>
    isHeld(record) && linked(record).some((other) => other.owner !== record.owner && isHeld(other))

  function keep(record: ConnectionRecord): 'done' {
    const { fields, scope } = record
    // A caller may go on changing what it gave.
    const kept = Object.freeze({
      ...record,
      fields: Object.freeze({ ...fields }),
      scope: Object.freeze([...scope]),
    })
    records.set(kept.id, kept)
    within(ofOwners, kept.owner).set(kept.id, kept)
    within(ofAccounts, accountKey(kept)).set(kept.id, kept)
    return 'done'
  }

  return {
    get: async (id) => records.get(id),
    list: async (owner) => owned(owner).toSorted(byAge),
    linked: async (account) => linked(account).toSorted(byAge),
    async insert(record) {
      checkKeepable(record)
      const isDouble = linked(record).some(({ owner }) => owner === record.owner)
      if (isDouble || records.has(record.id)) return 'stale'
      return isTaken(record) ? 'taken' : keep({ ...record, version: 1 })
    },
    async update(record) {
      checkKeepable(record)
      const before = records.get(record.id)
      const isSame = before?.owner === record.owner && accountKey(before) === accountKey(record)
      if (!isSame || before.version !== record.version - 1) return 'stale'
      return isTaken(record) ? 'taken' : keep(record)
    },
    async delete(id, version) {
      const record = records.get(id)
      if (record?.version !== version) return false
      records.delete(id)
      forget(ofOwners, record.owner, id)
      forget(ofAccounts, accountKey(record), id)
      return true
    },
    untried: async (until, limit) =>
      withTokens()
        .filter(({ checkedAt }) => checkedAt <= until)
        .toSorted((a, b) => a.checkedAt - b.checkedAt || byText(a.id, b.id))
        .slice(0, limit),
    page: async (after, limit) =>
      withTokens()
        .filter(({ id }) => id > after)
        .toSorted((a, b) => byText(a.id, b.id))
        .slice(0, limit),
    shared: memoryStore(),
  }
}

function within(index: Map<string, Records>, key: string): Records {
  const found = index.get(key) ?? new Map<string, ConnectionRecord>()
  index.set(key, found)
  return found
}

function forget(index: Map<string, Records>, key: string, id: string): void {
  const found = index.get(key)
  found?.delete(id)
  if (found?.size === 0) index.delete(key)
}

function accountKey({ provider, issuer, accountId }: ProviderAccount): string {
  return JSON.stringify([provider, issuer, accountId])
}

function isHeld({ isExclusive, status }: ConnectionRecord): boolean {
  return isExclusive && status !== 'disconnected'
}

function byAge(a: ConnectionRecord, b: ConnectionRecord): number {
  return a.createdAt - b.createdAt || byText(a.id, b.id)
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
