/** Looking after all connections from time to time: dead ones are found before somebody needs them. */

import { isOAuthError } from '../errors.js'
import { checkOptions } from '../options.js'
import type { Leases } from '../stores/leases.js'
import type { ConnectionChanges } from './connection-changes.js'
import type { ConnectionRecord } from './connection-record.js'
import type { ConnectionStore } from './connection-store.js'
import type { Connections } from './connection.js'
import type { GrantSeal } from './grant.js'

export interface CheckOptions {
  /** Connections that were tried within these seconds are left out. Default 86 400 (one day). */
  olderThan?: number
  /** Test calls in a second, at most. Default 5. */
  perSecond?: number
  /** Ends the sweep early; the next one goes on where it stopped. */
  signal?: AbortSignal
}

export interface CheckResult {
  /** Those that work. */
  readonly active: number
  /** Those that need their user, from now on or still. */
  readonly needsReconnect: number
  /** Those of which nothing is known, because their provider is away. The next sweep begins with them. */
  readonly unavailable: number
  /** Those that were disconnected, and whose tokens are revoked by now. */
  readonly revoked: number
  /** Whether all that were due were tried. False when the signal ended it, or another instance is at it. */
  readonly isComplete: boolean
}

export interface SweepOptions {
  store: ConnectionStore
  changes: ConnectionChanges
  connections: Connections
  seal: GrantSeal
  leases: Leases
  now: () => number
}

export interface Sweep {
  check(options?: CheckOptions): Promise<CheckResult>
  reseal(): Promise<number>
}

const batch = 100

export function createSweep({ store, changes, connections, seal, leases, now }: SweepOptions): Sweep {
  return {
    async check(options = {}) {
      const checks = checkOptions('check', options, { olderThan: true, perSecond: true, signal: true })
      const until = now() - checks.seconds('olderThan', options.olderThan, { default: 86_400 })
      const perSecond = checks.seconds('perSecond', options.perSecond, { default: 5, min: 0.01, max: 1_000 })
      const { signal } = options
      const counts = { active: 0, needsReconnect: 0, unavailable: 0, revoked: 0 }
      const lease = await leases.take('connections sweep')
      if (!lease) return { ...counts, isComplete: false }
      try {
        const passedOver = new Set<string>()
        for (;;) {
          const due = await store.untried(until, batch + passedOver.size)
          const fresh = due.filter(({ id }) => !passedOver.has(id))
          if (fresh.length === 0) return { ...counts, isComplete: true }
          for (const record of fresh) {
            if (signal?.aborted || !lease.isHeld()) return { ...counts, isComplete: false }
            const begun = performance.now()
            const outcome = await tryOne(record)
            counts[outcome]++
            if (outcome === 'unavailable') passedOver.add(record.id)
            await pauseFor(1000 / perSecond - (performance.now() - begun), signal)
          }
        }
      } finally {
        await lease.release()
      }
    },

    async reseal() {
      let count = 0
      for (let after = ''; ;) {
        const records = await store.page(after, batch)
        for (const { id } of records) {
          after = id
          const sealed = await changes.change(id, (current) => {
            const grant = seal.isCurrent(current) ? undefined : seal.open(current)
            return grant && { ...current, tokens: seal.seal(current, grant) }
          })
          if (sealed.tokens !== undefined) count++
        }
        if (records.length < batch) return count
      }
    },
  }

  async function tryOne({
    id,
    owner,
    status,
  }: ConnectionRecord): Promise<Exclude<keyof CheckResult, 'isComplete'>> {
    try {
      if (status === 'disconnected') {
        const ended = await connections.disconnect(id, owner)
        return ended.tokens === undefined ? 'revoked' : 'unavailable'
      }
      const record = await connections.test(id)
      return record.status === 'active' ? 'active' : 'needsReconnect'
    } catch (error) {
      if (!isOAuthError(error)) throw error
      if (error.code === 'needs_reconnect' || error.code === 'connection_not_found') return 'needsReconnect'
      return 'unavailable'
    }
  }
}

async function pauseFor(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  if (milliseconds <= 0 || signal?.aborted) return
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, milliseconds)
    signal?.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true })
  })
}
