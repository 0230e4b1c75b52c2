/** The end of a connection: first nobody uses it any more, then its tokens are revoked, then they are forgotten. */

import { isOAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import { untilDone } from '../stores/store.js'
import { nameOf, tellStatus, type ConnectionChanges } from './connection-changes.js'
import type { ConnectionRecord } from './connection-record.js'
import type { ConnectionRevocation } from './connection-revocation.js'
import type { ConnectionStore } from './connection-store.js'
import type { ConnectionTokens } from './connection-tokens.js'
import type { Provider } from './provider.js'

export interface Ending {
  /** Ends it. What could not be revoked in a moment keeps its tokens, for `settle`. Throws `connection_not_found`. */
  disconnect(id: string, owner: string): Promise<ConnectionRecord>
  /** Ends it and forgets it, revoked or not. Throws `connection_not_found`. */
  remove(id: string, owner: string): Promise<void>
  /** The same for all of an owner. */
  removeAll(owner: string): Promise<void>
  /**
   * Revokes the tokens that an ended connection still has, and forgets them when that is done. Throws what keeps it from
   * being known; then they stay.
   */
  settle(ended: ConnectionRecord): Promise<ConnectionRecord>
  /** Forgets the tokens of an ended connection, revoked or not. */
  forget(ended: ConnectionRecord): Promise<ConnectionRecord>
}

export interface EndingOptions {
  store: ConnectionStore
  changes: ConnectionChanges
  providers: ReadonlyMap<string, Provider>
  tokens: ConnectionTokens
  revocation: ConnectionRevocation
  emit: Emit
  now: () => number
}

/** Milliseconds that somebody waits for a revocation. */
const patience = 2_500

export function createEnding(options: EndingOptions): Ending {
  const { store, changes, providers, tokens, revocation, emit, now } = options

  async function disconnect(id: string, owner: string): Promise<ConnectionRecord> {
    const record = await changes.get(id, owner)
    let before = record
    // Before anybody is asked or waited for: whatever happens then, nobody uses it any more.
    const ended = await changes.change(id, (current) => {
      before = current
      const { reason: _reason, ...others } = current
      return current.status === 'disconnected'
        ? undefined
        : { ...others, status: 'disconnected', checkedAt: now() }
    })
    tellStatus(before, ended, emit)
    return ended.tokens === undefined ? ended : withinMoment(settledOrNot(ended), ended)
  }

  async function settledOrNot(ended: ConnectionRecord): Promise<ConnectionRecord> {
    try {
      return await settle(ended)
    } catch (error) {
      if (!isOAuthError(error)) throw error
      if (error.code !== 'connection_not_found')
        emit({ type: 'revocation_failed', code: error.code, error, connection: nameOf(ended) })
      return ended
    }
  }

  async function settle({ id, tokens: kept }: ConnectionRecord): Promise<ConnectionRecord> {
    const ended = await changes.get(id)
    if (kept === undefined || !providers.has(ended.provider)) return ended
    // Behind a refresh that is under way: what it brings has to be revoked as well.
    return tokens.alone(ended, async () => {
      // One that was removed while this waited for its turn has tokens all the same.
      const current = await changes.get(id).catch((error: unknown) => {
        unlessGone(error)
        return ended
      })
      return current.status === 'disconnected' ? revocation.giveUp(current) : current
    })
  }

  function forget(ended: ConnectionRecord): Promise<ConnectionRecord> {
    return changes.change(ended.id, (current) => {
      const { tokens: kept, ...others } = current
      return current.status === 'disconnected' && kept === ended.tokens && kept !== undefined
        ? others
        : undefined
    })
  }

  async function remove(id: string, owner: string): Promise<void> {
    const removed = await untilDone(async () => {
      const ended = await disconnect(id, owner)
      return (await store.delete(id, ended.version)) ? ended : undefined
    })
    emit({ type: 'connection_removed', connection: nameOf(removed) })
  }

  /** Also those that come to be meanwhile. */
  async function removeAll(owner: string): Promise<void> {
    await untilDone(async () => {
      const records = await store.list(owner)
      await Promise.all(records.map(async ({ id }) => remove(id, owner).catch(unlessGone)))
      return records.length === 0 || undefined
    })
  }

  return { disconnect, remove, removeAll, settle, forget }
}

async function withinMoment<T>(task: Promise<T>, otherwise: T): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<T>((resolve) => {
    timer = setTimeout(() => resolve(otherwise), patience)
  })
  try {
    return await Promise.race([task, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Somebody else has removed it. */
function unlessGone(error: unknown): void {
  if (!isOAuthError(error) || error.code !== 'connection_not_found') throw error
}
