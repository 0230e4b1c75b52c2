import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { memoryStore } from '../../lib/index.js'
import { jump } from '../support/time.js'
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
    ['an unknown name', { maxEntrys: 1 }, 'did you mean "maxEntries"?'],
  ])('refuses %s', (_name, options, message) => {
    expect(() => memoryStore(options as never)).toThrow(
      expect.objectContaining({ code: 'invalid_configuration' }),
    )
    expect(() => memoryStore(options as never)).toThrow(message)
  })
})
