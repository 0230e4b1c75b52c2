/**
 * What became of refresh tokens that were used a moment ago. Whoever still holds the old one, such as a tab that was
 * loaded before, gets the new tokens without asking the server, which would take the second use for a theft.
 */

import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expiringMap } from '../expiring-map.js'
import type { TokenSet } from '../oauth/token-set.js'
import type { Seal } from '../seal.js'
import type { Store } from '../stores/store.js'

export interface Outcomes {
  /** Never throws: what the store does not take is remembered here, and given to it as soon as it takes it. */
  keep(spent: string, renewed: TokenSet): Promise<void>
  /** The newest tokens known in place of these. Throws `store_unavailable`. */
  newest(tokens: TokenSet): Promise<TokenSet>
}

export interface OutcomesOptions {
  store: Store
  seal: Seal<TokenSet>
  /** Seconds that they are remembered. Default 30. */
  lifetime?: number
}

/** Milliseconds until a store that was away is asked again: others must not find it back, and the spent token in it. */
const pause = 100
/** Refreshes of one session in that time, at most. */
const mostSteps = 100

export function createOutcomes({ store, seal, lifetime = 30 }: OutcomesOptions): Outcomes {
  // By the monotonic clock, like the store: a clock that is set back keeps no tokens longer.
  const now = () => performance.now() / 1000
  const untaken = expiringMap<TokenSet>({ most: 10_000, now })

  const waiting = new Set<string>()
  let isHandingOver = false

  /** One at a time, and nothing more while the store is away. */
  async function handOver(): Promise<void> {
    if (isHandingOver) return
    isHandingOver = true
    for (const key of waiting) {
      const renewed = untaken.get(key)
      const isOver = !renewed || (await isTaken(key, renewed))
      const isNewer = untaken.get(key) !== renewed
      waiting.delete(key)
      // Behind the others: one that the store never takes must not keep them waiting.
      if (!isOver || isNewer) waiting.add(key)
      if (!isOver) await sleep(pause, undefined, { ref: false })
    }
    isHandingOver = false
  }

  async function isTaken(key: string, renewed: TokenSet): Promise<boolean> {
    return store.set(key, seal.seal(renewed, key), lifetime).then(
      () => true,
      () => false,
    )
  }

  async function find(spent: string): Promise<TokenSet | undefined> {
    const key = outcomeKey(spent)
    const here = waiting.has(key) ? untaken.get(key) : undefined
    if (here) return here
    const [sealed] = await store.get([key])
    return sealed === undefined ? undefined : seal.open(sealed, key)
  }

  return {
    async keep(spent, renewed) {
      const key = outcomeKey(spent)
      // Where a refresh token is good for many uses, an older outcome may be waiting, and must not come behind this one.
      if ((await isTaken(key, renewed)) && !waiting.has(key)) return
      untaken.set(key, renewed, now() + lifetime)
      waiting.add(key)
      void handOver()
    },

    async newest(tokens) {
      let newest = tokens
      for (let step = 0; step < mostSteps && newest.refresh_token !== undefined; step++) {
        const next = await find(newest.refresh_token)
        if (!next || next.generation <= newest.generation) break
        newest = next
      }
      return newest
    },
  }
}

/** A digest: the key gives no token away, and whoever can compute it holds the token. */
function outcomeKey(refreshToken: string): string {
  return `outcome:${createHash('sha256').update(refreshToken).digest('base64url')}`
}
