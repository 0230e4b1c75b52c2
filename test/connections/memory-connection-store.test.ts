import { describe, expect, test } from 'vitest'
import { memoryConnectionStore } from '../../lib/index.js'
import { aRecord, obeysTheContract } from './store-contract.js'

describe('memoryConnectionStore', () => {
  const spaces = { one: memoryConnectionStore(), two: memoryConnectionStore() }
  obeysTheContract(async (space) => spaces[space])

  test('it is another one each time', async () => {
    const record = aRecord()
    await memoryConnectionStore().insert(record)
    expect(await memoryConnectionStore().get(record.id)).toBeUndefined()
  })

  test('10 000 are no burden to one owner', async () => {
    const store = memoryConnectionStore()
    const start = performance.now()
    for (let n = 0; n < 10_000; n++) await store.insert(aRecord({ owner: `owner ${n % 1000}` }))
    for (let n = 0; n < 1000; n++) expect(await store.list(`owner ${n}`)).toHaveLength(10)
    // A walk through all of them with each call takes half a minute.
    expect(performance.now() - start).toBeLessThan(3_000)
  })
})
