import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { memoryStore, type Store } from '../../lib/index.js'
import { scopedStore, withinTime } from '../../lib/stores/store.js'
import { obeysTheContract } from './contract.js'

/** A store whose calls all go this way. */
function always(answer: () => Promise<never>): Store {
  return { get: answer, set: answer, add: answer, replace: answer, delete: answer }
}

const calls: readonly [name: string, call: (store: Store) => Promise<unknown>][] = [
  ['get', (store) => store.get(['key'])],
  ['set', (store) => store.set('key', 'value', 60)],
  ['add', (store) => store.add('key', 'value', 60)],
  ['replace', (store) => store.replace('key', 'old', 'value', 60)],
  ['delete', (store) => store.delete('key')],
  ['delete with an expected value', (store) => store.delete('key', 'value')],
]

describe('scopedStore', () => {
  const shared = memoryStore()
  obeysTheContract(async (space) => scopedStore(shared, { scope: space, timeout: 2 }))

  test('its keys begin with the scope, and values are as given', async () => {
    const store = memoryStore()
    const scoped = scopedStore(store, { scope: 'app', timeout: 2 })
    await scoped.set('a', 'A', 60)
    await scoped.add('b', 'B', 60)
    await scoped.replace('b', 'B', 'B2', 60)
    expect(await store.get(['app:a', 'app:b', 'a'])).toEqual(['A', 'B2', undefined])
    expect(await scoped.delete('a', 'A')).toBe(true)
    expect(await store.get(['app:a'])).toEqual([undefined])
  })

  test.each(calls)('%s that gives no answer is store_unavailable in time', async (_name, call) => {
    const silent = always(() => new Promise<never>(() => {}))
    const asked = performance.now()
    await expect(call(scopedStore(silent, { scope: 'app', timeout: 0.1 }))).rejects.toMatchObject({
      code: 'store_unavailable',
      status: 503,
      cause: expect.objectContaining({ message: 'no answer within 0.1 s' }),
    })
    expect(performance.now() - asked).toBeGreaterThanOrEqual(90)
  })

  test.each(calls)('%s that fails is store_unavailable, with the cause', async (_name, call) => {
    const broken = always(async () => {
      throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
    })
    await expect(call(scopedStore(broken, { scope: 'app', timeout: 2 }))).rejects.toMatchObject({
      code: 'store_unavailable',
      cause: expect.objectContaining({ message: 'connect ECONNREFUSED', code: 'ECONNREFUSED' }),
    })
  })

  test.each([
    ['throws at once', new TypeError('no promise')],
    ['throws something else', 'a string'],
  ])('a store that %s is store_unavailable', async (_name, thrown) => {
    const broken = always(() => {
      throw thrown
    })
    await expect(scopedStore(broken, { scope: 'app', timeout: 2 }).get(['key'])).rejects.toMatchObject({
      code: 'store_unavailable',
      cause: expect.any(Error),
    })
  })
})

describe('withinTime', () => {
  test.each([
    ['an answer', async () => 'yes'],
    ['a failure', () => Promise.reject(new Error('no'))],
    [
      'a throw',
      () => {
        throw new Error('no')
      },
    ],
  ])('leaves no timer behind after %s', async (_name, run: () => Promise<unknown>) => {
    vi.useFakeTimers()
    try {
      await withinTime(run, 60).catch(() => {})
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  test('a failure after the deadline disturbs nobody', async () => {
    const unhandled = vi.fn<() => void>()
    process.on('unhandledRejection', unhandled)
    const late = async () => {
      await sleep(60)
      throw new Error('late')
    }
    await expect(withinTime(late, 0.02)).rejects.toMatchObject({ code: 'store_unavailable' })
    await sleep(120)
    process.off('unhandledRejection', unhandled)
    expect(unhandled).not.toHaveBeenCalled()
  })
})
