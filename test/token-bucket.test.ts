import { expect, test } from 'vitest'
import { tokenBucket } from '../lib/token-bucket.js'

test('a burst passes, then one per interval', () => {
  let now = 1_000
  const bucket = tokenBucket({ burst: 3, refillSeconds: 30, now: () => now })
  const passed: number[] = []
  for (let second = 0; second <= 120; second++) {
    now = 1_000 + second
    for (let call = 0; call < 5; call++) if (bucket.take()) passed.push(second)
  }
  expect(passed).toEqual([0, 0, 0, 30, 60, 90, 120])
})

test('quiet time fills it up to the burst and no further', () => {
  let now = 0
  const bucket = tokenBucket({ burst: 3, refillSeconds: 30, now: () => now })
  const passes = () => [1, 2, 3, 4, 5].filter(() => bucket.take()).length
  expect(passes()).toBe(3)
  now = 59
  expect(passes()).toBe(1)
  now = 60
  expect(passes()).toBe(1)
  now = 1_000_000
  expect(passes()).toBe(3)
})

test('a clock that is set back does not close it for long', () => {
  let now = 31_536_000
  const bucket = tokenBucket({ burst: 1, refillSeconds: 30, now: () => now })
  expect(bucket.take()).toBe(true)
  now = 0
  bucket.take()
  now = 31
  expect(bucket.take()).toBe(true)
})

test('an interval that has begun is not lost', () => {
  let now = 0
  const bucket = tokenBucket({ burst: 1, refillSeconds: 30, now: () => now })
  expect(bucket.take()).toBe(true)
  now = 45
  expect(bucket.take()).toBe(true)
  now = 59
  expect(bucket.take()).toBe(false)
  now = 60
  expect(bucket.take()).toBe(true)
})
