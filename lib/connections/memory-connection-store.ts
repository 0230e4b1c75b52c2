/** A store of connections in the memory of this process, for tests and for trying things out: a restart forgets them. */

import { memoryStore } from '../stores/memory-store.js'
import type { ConnectionRecord, ProviderAccount } from './connection-record.js'
import type { ConnectionStore } from './connection-store.js'

export function memoryConnectionStore(): ConnectionStore {
  const records = new Map<string, ConnectionRecord>()
  const all = () => [...records.values()]

  const isTaken = (record: ConnectionRecord) =>
    isHeld(record) &&
    all().some((other) => other.owner !== record.owner && isHeld(other) && isSameAccount(other, record))

  return {
    get: async (id) => records.get(id),
    list: async (owner) =>
      all()
        .filter((record) => record.owner === owner)
        .toSorted((a, b) => a.createdAt - b.createdAt || byText(a.id, b.id)),
    linked: async (account) => all().filter((record) => isSameAccount(record, account)),
    async insert(record) {
      const isDouble = all().some((other) => other.owner === record.owner && isSameAccount(other, record))
      if (isDouble || records.has(record.id)) return 'stale'
      if (isTaken(record)) return 'taken'
      records.set(record.id, record)
      return 'done'
    },
    async update(record) {
      if (records.get(record.id)?.version !== record.version - 1) return 'stale'
      if (isTaken(record)) return 'taken'
      records.set(record.id, record)
      return 'done'
    },
    delete: async (id, version) => records.get(id)?.version === version && records.delete(id),
    untried: async (until, limit) =>
      all()
        .filter(({ tokens, checkedAt }) => tokens !== undefined && checkedAt <= until)
        .toSorted((a, b) => a.checkedAt - b.checkedAt || byText(a.id, b.id))
        .slice(0, limit),
    page: async (after, limit) =>
      all()
        .filter(({ tokens, id }) => tokens !== undefined && id > after)
        .toSorted((a, b) => byText(a.id, b.id))
        .slice(0, limit),
    shared: memoryStore(),
  }
}

function isHeld({ isExclusive, status }: ConnectionRecord): boolean {
  return isExclusive && status !== 'disconnected'
}

function isSameAccount(a: ProviderAccount, b: ProviderAccount): boolean {
  return a.provider === b.provider && a.issuer === b.issuer && a.accountId === b.accountId
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
