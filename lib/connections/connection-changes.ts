/** Changes of connections: each goes by what is kept at that moment, and nothing is written over what came between. */

import { OAuthError } from '../errors.js'
import type { ConnectionName, Emit } from '../events.js'
import { untilDone } from '../stores/store.js'
import type { ConnectionRecord } from './connection-record.js'
import type { ConnectionStore } from './connection-store.js'

export interface ConnectionChanges {
  /** Throws `connection_not_found`. */
  get(id: string, owner?: string): Promise<ConnectionRecord>
  /**
   * Keeps what `change` makes of the connection, and gives it as it is then; as it was when `change` gives nothing. It may
   * be asked several times. Throws `connection_not_found`, `account_taken` and what `change` throws.
   */
  change(
    id: string,
    change: (current: ConnectionRecord) => ConnectionRecord | undefined,
  ): Promise<ConnectionRecord>
}

export function createConnectionChanges(store: ConnectionStore): ConnectionChanges {
  async function get(id: string, owner?: string): Promise<ConnectionRecord> {
    // From a query it may be anything, and a store may take an object for a search.
    const record = typeof id === 'string' ? await store.get(id) : undefined
    // Another owner's is none: not even that it exists is theirs to know.
    if (record && (owner === undefined || record.owner === owner)) return record
    throw new OAuthError('connection_not_found')
  }

  return {
    get,
    change: (id, change) =>
      untilDone(async () => {
        const current = await get(id)
        const changed = change(current)
        if (!changed) return current
        const next = { ...changed, version: current.version + 1 }
        const outcome = await store.update(next)
        if (outcome === 'taken') throw new OAuthError('account_taken')
        return outcome === 'done' ? next : undefined
      }),
  }
}

export function nameOf({ id, owner, provider }: ConnectionRecord): ConnectionName {
  return { id, owner, provider }
}

/**
 * Tells of the status of a connection when it has changed. Only whoever wrote the change sees it, so that it is told once.
 * Another reason for the same status is none: its user has been told what to do.
 */
export function tellStatus(before: ConnectionRecord, after: ConnectionRecord, emit: Emit): void {
  if (before.status === after.status) return
  const connection = nameOf(after)
  if (after.status === 'active') emit({ type: 'reconnected', connection })
  if (after.status === 'needs_reconnect')
    emit({ type: 'needs_reconnect', connection, reason: after.reason ?? 'refresh_refused' })
  if (after.status === 'disconnected') emit({ type: 'disconnected', connection })
}
