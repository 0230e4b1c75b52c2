import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { memoryStore, type Store } from '../../lib/index.js'
import { createLeases } from '../../lib/stores/leases.js'

describe('a lease', () => {
  test('is had by one at a time, in all instances of the store', async () => {
    const store = memoryStore()
    const [here, there] = [createLeases(store), createLeases(store)]
    const takes = await Promise.all([here, there].flatMap((leases) => [leases.take('a'), leases.take('a')]))
    expect(takes.filter(Boolean)).toHaveLength(1)
    expect(await there.take('b')).toBeDefined()
  })

  test('can be taken again once it was given back', async () => {
    const leases = createLeases(memoryStore())
    await (await leases.take('a'))?.release()
    expect(await leases.take('a')).toBeDefined()
  })

  test('is renewed while its holder lives, and had by the next one four seconds after its end', async () => {
    const store = memoryStore()
    const lease = await createLeases(store).take('a')
    await sleep(4_500)
    expect(await createLeases(store).take('a')).toBeUndefined()
    await lease?.release()

    // A holder that was killed renews nothing.
    const dead: Store = { ...store, replace: async () => false }
    await createLeases(dead).take('b')
    expect(await createLeases(store).take('b')).toBeUndefined()
    await sleep(4_100)
    expect(await createLeases(store).take('b')).toBeDefined()
  }, 15_000)

  test('that was lost is not given back for the one who has it now', async () => {
    const store = memoryStore()
    const late = await createLeases({ ...store, replace: async () => false }).take('a')
    await sleep(4_100)
    const current = await createLeases(store).take('a')
    await late?.release()
    expect(await createLeases(store).take('a')).toBeUndefined()
    await current?.release()
  }, 10_000)

  test('of a store that fails is none, and giving back never throws', async () => {
    const store = memoryStore()
    const failing = { ...store, add: async () => Promise.reject(new Error('down')) }
    await expect(createLeases(failing).take('a')).rejects.toThrow('down')
    const forgetful = { ...store, delete: async () => Promise.reject(new Error('down')) }
    const lease = await createLeases(forgetful).take('a')
    await expect(lease?.release()).resolves.toBeUndefined()
  })
})
