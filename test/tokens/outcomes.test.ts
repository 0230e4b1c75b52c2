/** What became of refresh tokens: kept for others, also where the store did not take it at once. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { TokenSet } from '../../lib/oauth/token-set.js'
import { createSeal } from '../../lib/seal.js'
import { memoryStore } from '../../lib/stores/memory-store.js'
import { scopedStore, type Store } from '../../lib/stores/store.js'
import { createOutcomes } from '../../lib/tokens/outcomes.js'

const secret = 'a secret of thirty-two bytes or more'
const tokens = (refresh_token: string, generation: number): TokenSet => ({
  access_token: `access-${generation}`,
  refresh_token,
  generation,
  scope: [],
})

/** Two instances over one store, of which the first is told what `set` does. */
function start(set: (to: Store) => Store['set']) {
  const shared = memoryStore()
  const over = (store: Store) =>
    createOutcomes({
      store: scopedStore(store, { scope: 'test', timeout: 1 }),
      seal: createSeal([secret], 'outcome'),
    })
  return { here: over({ ...shared, set: set(shared) }), there: over(shared) }
}

test('the newest of a chain is found, and nothing older than what one has', async () => {
  const { here, there } = start((to) => to.set)
  await here.keep('a', tokens('b', 2))
  await here.keep('b', tokens('c', 3))

  expect(await there.newest(tokens('a', 1))).toEqual(tokens('c', 3))
  // A server that gives the same refresh token again, to an account that was connected anew.
  expect(await there.newest(tokens('a', 2))).toEqual(tokens('a', 2))
})

test('one that the store does not take is handed over when it does, and others find it', async () => {
  let isAway = true
  const { here, there } = start((to) => async (...call) => {
    if (isAway) throw new Error('away')
    return to.set(...call)
  })
  await here.keep('a', tokens('b', 2))
  expect(await here.newest(tokens('a', 1))).toEqual(tokens('b', 2))
  expect(await there.newest(tokens('a', 1))).toEqual(tokens('a', 1))

  isAway = false

  await expect.poll(async () => there.newest(tokens('a', 1))).toEqual(tokens('b', 2))
})

test('one that the store never takes keeps no other waiting', async () => {
  const calls: string[] = []
  const { here, there } = start((to) => async (key, value, ttl) => {
    calls.push(key)
    const isFirst = calls.filter((one) => one === key).length === 1
    if (key === calls[0] || isFirst) throw new Error('too large')
    return to.set(key, value, ttl)
  })
  await here.keep('a', tokens('b', 2))
  await here.keep('c', tokens('d', 2))

  await expect.poll(async () => there.newest(tokens('c', 1))).toEqual(tokens('d', 2))
})

test('a newer one of a refresh token that stays the same is what is handed over', async () => {
  let isAway = true
  const { here, there } = start((to) => async (...call) => {
    if (isAway) throw new Error('away')
    return to.set(...call)
  })
  await here.keep('same', tokens('same', 2))
  await here.keep('same', tokens('same', 3))
  isAway = false
  await expect.poll(async () => there.newest(tokens('same', 1))).toEqual(tokens('same', 3))

  isAway = true
  await here.keep('same', tokens('same', 4))
  isAway = false
  await here.keep('same', tokens('same', 5))
  await sleep(250)
  expect(await there.newest(tokens('same', 1))).toEqual(tokens('same', 5))
  expect(await here.newest(tokens('same', 1))).toEqual(tokens('same', 5))
})
