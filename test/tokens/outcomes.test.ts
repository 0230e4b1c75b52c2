/** What became of a refresh that the store did not take: it is given as soon as it does, and never for ever. */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import type { TokenSet } from '../../lib/oauth/token-set.js'
import { createSeal } from '../../lib/seal.js'
import { createOutcomes } from '../../lib/tokens/outcomes.js'
import { breakableStore } from '../support/open-store.js'
import { travel } from '../support/time.js'

const seal = createSeal<TokenSet>([randomBytes(32).toString('base64url')], 'outcomes')

function tokenSet(generation: number): TokenSet {
  return {
    access_token: `access-${generation}`,
    refresh_token: `refresh-${generation}`,
    scope: [],
    generation,
  }
}

/** Two instances over a store that takes nothing for now. */
function startInstances(lifetime = 30) {
  const { store, calls, breaks } = breakableStore()
  breaks((method) => method === 'set')
  const [here, there] = [createOutcomes({ store, seal, lifetime }), createOutcomes({ store, seal, lifetime })]
  return { here, there, calls, back: () => breaks(() => false), away: () => breaks(() => true) }
}

test('what the store did not take reaches the other instances when it is back', async () => {
  const { here, there, back } = startInstances()
  await here.keep('refresh-1', tokenSet(2))
  await here.keep('refresh-2', tokenSet(3))

  expect(await here.newest(tokenSet(1))).toMatchObject({ access_token: 'access-3' })
  expect(await there.newest(tokenSet(1))).toMatchObject({ access_token: 'access-1' })
  back()

  await vi.waitFor(async () =>
    expect(await there.newest(tokenSet(1))).toMatchObject({ access_token: 'access-3' }),
  )
})

test.each([
  ['when the store takes neither', () => undefined],
  ['when the store takes that one', (back: () => void) => back()],
])('of two outcomes of one refresh token the newer one stays: %s', async (_what, meanwhile) => {
  const { here, there, back } = startInstances()
  await here.keep('refresh-1', tokenSet(2))
  meanwhile(back)
  await here.keep('refresh-1', tokenSet(3))
  back()

  await sleep(250)
  for (const instance of [here, there])
    expect(await instance.newest(tokenSet(1))).toMatchObject({ access_token: 'access-3' })
})

test('one that the store never takes keeps no other waiting', async () => {
  const { store, breaks } = breakableStore()
  const [here, there] = [createOutcomes({ store, seal }), createOutcomes({ store, seal })]
  const lost: string[] = []
  const { set } = store
  store.set = async (key, ...rest) => {
    const isFirst = !lost.includes(key)
    lost.push(key)
    if (isFirst || key === lost[0]) throw new Error('too large')
    return set(key, ...rest)
  }
  breaks(() => false)
  await here.keep('refresh-7', tokenSet(8))
  await here.keep('refresh-1', tokenSet(2))

  await vi.waitFor(async () =>
    expect(await there.newest(tokenSet(1))).toMatchObject({ access_token: 'access-2' }),
  )
})

test('a store that stays away is asked while it matters, seldom, and by nothing that keeps the process alive', async () => {
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
  const { here, calls, away } = startInstances(2)
  away()
  const before = timers()
  for (let n = 1; n <= 50; n++) await here.keep(`refresh-${n}`, tokenSet(n + 1))
  const kept = calls.length
  expect(timers()).toBeLessThanOrEqual(before)

  await vi.waitFor(() => expect(calls.length).toBeGreaterThan(kept))
  // One at a time: not one for each of the fifty.
  expect(calls.length).toBeLessThan(kept + 10)
  travel(3)
  await sleep(150)
  const asked = calls.length
  await sleep(250)
  expect(calls.length).toBe(asked)
})
