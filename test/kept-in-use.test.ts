import { expect, test } from 'vitest'
import { keptInUse } from '../lib/kept-in-use.js'

test('a value is made once, and the one not used for longest goes first', () => {
  const made: string[] = []
  let losses = 0
  const kept = keptInUse<string>({ most: 2, onLoss: () => void (losses += 1) })
  const get = (name: string) =>
    kept.get(name, () => {
      made.push(name)
      return name.toUpperCase()
    })
  expect([get('a'), get('b'), get('a')]).toEqual(['A', 'B', 'A'])
  expect(losses).toBe(0)
  expect([get('c'), get('a'), get('c')]).toEqual(['C', 'A', 'C'])
  expect(losses).toBe(1)
  expect(get('b')).toBe('B')
  expect(made).toEqual(['a', 'b', 'c', 'b'])
})
