import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { memoryStore } from '../../lib/index.js'
import { jump, travel } from '../support/time.js'
import { obeysTheContract } from './contract.js'

describe('memoryStore', () => {
  obeysTheContract(async () => memoryStore())

  test('it is another one each time', async () => {
    await memoryStore().set('key', '1', 60)
    expect(await memoryStore().get(['key'])).toEqual([undefined])
  })

  test('beyond maxEntries, what came first goes', async () => {
    const store = memoryStore({ maxEntries: 3 })
    for (const key of ['a', 'b', 'c', 'a', 'd']) await store.set(key, key, 60)
    expect(await store.get(['a', 'b', 'c', 'd'])).toEqual(['a', undefined, 'c', 'd'])
  })

  test('what is still good does not go while something is over', async () => {
    const store = memoryStore({ maxEntries: 10 })
    await store.set('long', '1', 60)
    for (let n = 0; n < 9; n++) await store.set(`short ${n}`, '1', 0.03)
    await sleep(80)
    for (let n = 0; n < 9; n++) await store.set(`later ${n}`, '1', 60)
    expect(await store.get(['long', 'later 0', 'later 8'])).toEqual(['1', '1', '1'])
  })

  describe('that refuses when it is full', () => {
    const small = () => memoryStore({ maxEntries: 3, whenFull: 'refuse' })

    test('forgets nothing that is good still', async () => {
      const store = small()
      for (const key of ['a', 'b', 'c']) await store.add(key, key, 60)
      await expect(store.add('d', 'd', 60)).rejects.toThrow('the memory store is full')
      await expect(store.set('e', 'e', 60)).rejects.toThrow('the memory store is full')
      expect(await store.add('a', 'again', 60)).toBe(false)
      expect(await store.replace('b', 'b', 'B', 60)).toBe(true)
      await store.set('c', 'C', 60)
      expect(await store.get(['a', 'b', 'c', 'd', 'e'])).toEqual(['a', 'B', 'C', undefined, undefined])
    })

    test('takes new ones when the time of old ones is over', async () => {
      travel(0)
      const store = small()
      for (const key of ['a', 'b', 'c']) await store.add(key, key, 60)
      await expect(store.add('d', 'd', 60)).rejects.toThrow('is full')
      travel(61)
      for (const key of ['d', 'e', 'f']) expect(await store.add(key, key, 60)).toBe(true)
      await expect(store.add('g', 'g', 60)).rejects.toThrow('is full')
    })

    test('costs no walk for each entry of a flood', async () => {
      const store = memoryStore({ maxEntries: 50_000, whenFull: 'refuse' })
      for (let n = 0; n < 50_000; n++) await store.add(`${n}`, '1', 60)
      const start = performance.now()
      for (let n = 0; n < 5_000; n++) await store.add(`more ${n}`, '1', 60).catch(() => undefined)
      expect(performance.now() - start).toBeLessThan(1_000)
    })
  })

  test('no jump of the wall clock ends an entry or keeps it', async () => {
    const store = memoryStore()
    await store.set('key', '1', 0.05)
    await store.set('long', '1', 60)
    jump(-3600)
    await sleep(120)
    expect(await store.get(['key', 'long'])).toEqual([undefined, '1'])
    jump(2 * 3600)
    expect(await store.get(['long'])).toEqual(['1'])
  })

  test.each([
    ['maxEntries', { maxEntries: 0 }, 'option "maxEntries" is 0; give a whole number from 1'],
    ['maxEntries', { maxEntries: 1.5 }, 'option "maxEntries" is 1.5'],
    ['whenFull', { whenFull: 'drop' }, 'option "whenFull" is "drop"; set it to "forget" or "refuse"'],
    ['an unknown name', { maxEntrys: 1 }, 'did you mean "maxEntries"?'],
  ])('refuses %s', (_name, options, message) => {
    expect(() => memoryStore(options as never)).toThrow(
      expect.objectContaining({ code: 'invalid_configuration' }),
    )
    expect(() => memoryStore(options as never)).toThrow(message)
  })
})
