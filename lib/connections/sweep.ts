/** Looking after all connections from time to time: dead ones are found before somebody needs them. */

import { setTimeout as sleep } from 'node:timers/promises'
import { isOAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import { checkOptions } from '../options.js'
import type { Leases } from '../stores/leases.js'
import { nameOf, type ConnectionChanges } from './connection-changes.js'
import type { ConnectionRecord } from './connection-record.js'
import type { ConnectionStore, LastTried } from './connection-store.js'
import type { Connections } from './connection.js'
import type { GrantSeal } from './grant.js'

export interface CheckOptions {
  /** Connections that were tried within these seconds are left out; with 0, those of this second. Default 86 400 (one day). */
  olderThan?: number
  /** Connections that are tried in a second, at most: one after the other. Default 5, from 0.01 to 1 000. */
  perSecond?: number
  /** Ends the sweep early; the next one goes on where it stopped. */
  signal?: AbortSignal
}

export interface CheckResult {
  /** Those that work. */
  readonly active: number
  /** Those that need their user, from now on or still. */
  readonly needsReconnect: number
  /**
   * Those of which nothing is known, or that could not be revoked, because their provider is away or answers what cannot be
   * used. Each that was tried is told as the event `check_failed`, or `revocation_failed`.
   */
  readonly unavailable: number
  /** Those that were disconnected before, and whose tokens are revoked by now. */
  readonly revoked: number
  /** Whether all that were due were gone through. False when the signal ended it, or another instance is at it. */
  readonly isComplete: boolean
}

export interface SweepOptions {
  store: ConnectionStore
  changes: ConnectionChanges
  connections: Connections
  seal: GrantSeal
  leases: Leases
  emit: Emit
  now: () => number
}

export interface Sweep {
  check(options?: CheckOptions): Promise<CheckResult>
  /** How many it has sealed anew. */
  reseal(): Promise<number>
}

type Outcome = Exclude<keyof CheckResult, 'isComplete'>

const batch = 100
/** Failures of one server, one after the other, until it is left alone for the rest of a sweep. */
const mostFailures = 5
/** Seconds after a disconnect in which its revocation is tried again. */
const revocationLife = 7 * 86_400

export function createSweep(options: SweepOptions): Sweep {
  const { store, changes, connections, seal, leases, emit, now } = options

  async function check(asked: CheckOptions = {}): Promise<CheckResult> {
    const { olderThan, perSecond, signal } = checked(asked)
    const counts: Record<Outcome, number> = { active: 0, needsReconnect: 0, unavailable: 0, revoked: 0 }
    const lease = await leases.take('connections sweep')
    if (!lease) return { ...counts, isComplete: false }
    try {
      const turn = turns(1_000 / perSecond, signal)
      const failures = new Map<string, number>()
      for await (const record of due(now() - olderThan)) {
        const server = serverKey(record)
        const inARow = failures.get(server) ?? 0
        const isLeftAlone = inARow >= mostFailures
        if (!isLeftAlone) await turn()
        if (signal?.aborted || !lease.isHeld()) return { ...counts, isComplete: false }
        const outcome = await unlessGone(isLeftAlone ? passBy(record) : tryOne(record))
        if (outcome === undefined) continue
        counts[outcome]++
        failures.set(server, outcome === 'unavailable' ? inARow + 1 : 0)
      }
      return { ...counts, isComplete: true }
    } finally {
      await lease.release()
    }
  }

  /** Each once: those that are tried move to the end, and those that are not, or cannot be, are passed by. */
  async function* due(until: number): AsyncGenerator<ConnectionRecord> {
    for (let after: LastTried | undefined; ;) {
      const records = await store.untried(until, batch, after)
      yield* records
      after = records.at(-1)
      if (records.length < batch) return
    }
  }

  /** Nothing for one that has ended by now. Throws `store_unavailable` and `connection_not_found`. */
  async function tryOne(record: ConnectionRecord): Promise<Outcome | undefined> {
    return record.status === 'disconnected' ? revoke(record) : test(record)
  }

  /** Its server is left alone. Nobody has to be asked for tokens to be forgotten. */
  async function passBy(record: ConnectionRecord): Promise<Outcome> {
    if (record.status === 'disconnected') await forgetOverdue(record)
    return 'unavailable'
  }

  async function test(record: ConnectionRecord): Promise<Outcome | undefined> {
    const tried = await attempt(record, () => connections.test(record.id))
    // What came to nothing waits for its next turn as well, or those that never work would always be the first.
    if (!tried || tried.checkedAt === record.checkedAt) await noteTried(record)
    if (!tried) return 'unavailable'
    const { status } = connections.view(tried)
    if (status === 'disconnected') return undefined
    return status === 'active' ? 'active' : 'needsReconnect'
  }

  /** Here `checkedAt` is the time of the disconnect, and stays it: after a while the tokens are forgotten unrevoked. */
  async function revoke(record: ConnectionRecord): Promise<Outcome | undefined> {
    const settled = await attempt(record, () => connections.settle(record))
    if (settled && settled.status !== 'disconnected') return undefined
    if (settled && settled.tokens === undefined) return 'revoked'
    await forgetOverdue(settled ?? record)
    return 'unavailable'
  }

  async function forgetOverdue(ended: ConnectionRecord): Promise<void> {
    if (ended.checkedAt <= now() - revocationLife) await connections.forget(ended)
  }

  /** Nothing when it fails: neither an outage nor a mistake in a function of the app ends the sweep. */
  async function attempt<T>(record: ConnectionRecord, run: () => Promise<T>): Promise<T | undefined> {
    try {
      return await run()
    } catch (error) {
      const code = isOAuthError(error) ? error.code : undefined
      if (code === 'store_unavailable' || code === 'connection_not_found') throw error
      emit({ type: 'check_failed', connection: nameOf(record), error })
      return undefined
    }
  }

  async function noteTried({ id, checkedAt }: ConnectionRecord): Promise<void> {
    await changes.change(id, (current) =>
      current.checkedAt === checkedAt && current.status !== 'disconnected'
        ? { ...current, checkedAt: now() }
        : undefined,
    )
  }

  async function reseal(): Promise<number> {
    let count = 0
    for (let after = ''; ;) {
      const records = await store.page(after, batch)
      for (const record of records) {
        if (!seal.isCurrent(record) && (await isSealedAnew(record))) count++
      }
      after = records.at(-1)?.id ?? after
      if (records.length < batch) return count
    }
  }

  async function isSealedAnew({ id }: ConnectionRecord): Promise<boolean> {
    let isSealed = false
    try {
      await changes.change(id, (current) => {
        const grant = seal.isCurrent(current) ? undefined : seal.open(current)
        isSealed = grant !== undefined
        return grant && { ...current, tokens: seal.seal(current, grant) }
      })
    } catch (error) {
      if (isOAuthError(error) && error.code === 'connection_not_found') return false
      throw error
    }
    return isSealed
  }

  return { check, reseal }
}

/** Nothing for one that was removed meanwhile. */
async function unlessGone(task: Promise<Outcome | undefined>): Promise<Outcome | undefined> {
  try {
    return await task
  } catch (error) {
    if (isOAuthError(error) && error.code === 'connection_not_found') return undefined
    throw error
  }
}

function checked(
  options: CheckOptions,
): Required<Omit<CheckOptions, 'signal'>> & Pick<CheckOptions, 'signal'> {
  const check = checkOptions('check', options, { olderThan: true, perSecond: true, signal: true })
  const { signal, perSecond = 5 } = options
  if (!(perSecond >= 0.01 && perSecond <= 1_000))
    check.refuse('perSecond', `is ${perSecond}`, 'give a number from 0.01 to 1000')
  if (signal !== undefined && !(signal instanceof AbortSignal))
    check.refuse('signal', 'is no AbortSignal', 'give the signal of an AbortController')
  return {
    // What is tried within a sweep must not be due in the same one.
    olderThan: Math.max(1, check.seconds('olderThan', options.olderThan, { default: 86_400 })),
    perSecond,
    ...(signal && { signal }),
  }
}

/** Who is asked. The endpoint that revokes may be away while all else works. */
function serverKey({ provider, issuer, status }: ConnectionRecord): string {
  return JSON.stringify([provider, issuer, status === 'disconnected'])
}

/** Waits for the next turn. Turns that were missed are not made up for, so that no second has more than it may. */
function turns(interval: number, signal: AbortSignal | undefined): () => Promise<void> {
  let next = 0
  return async () => {
    const wait = next - performance.now()
    if (wait > 0) await sleep(wait, undefined, signal && { signal }).catch(() => undefined)
    next = Math.max(next, performance.now()) + interval
  }
}
