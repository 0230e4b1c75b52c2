import { expect, test } from 'vitest'
import { expiringMap } from '../lib/expiring-map.js'

function memory(most = 3) {
  const clock = { now: 1_000 }
  return { clock, map: expiringMap<string>({ most, now: () => clock.now }) }
}

test('an entry is there until its end', () => {
  const { map, clock } = memory()
  map.set('a', 'one', 1_010)
  clock.now = 1_009
  expect([map.get('a'), map.get('b')]).toEqual(['one', undefined])
  clock.now = 1_010
  expect(map.get('a')).toBeUndefined()
})

test('a later value and end take the place of earlier ones', () => {
  const { map, clock } = memory()
  map.set('a', 'one', 1_010)
  map.set('a', 'two', 1_020)
  clock.now = 1_015
  expect(map.get('a')).toBe('two')
})

test('when it is full, the entry that came first goes', () => {
  const { map } = memory()
  for (const key of ['a', 'b', 'c', 'd', 'e']) map.set(key, key, 2_000)
  expect(['a', 'b', 'c', 'd', 'e'].map((key) => map.get(key))).toEqual([undefined, undefined, 'c', 'd', 'e'])
})

test('what is over makes room first', () => {
  const { map, clock } = memory()
  map.set('short', 'x', 1_001)
  map.set('a', 'a', 2_000)
  map.set('b', 'b', 2_000)
  clock.now = 1_002
  map.set('c', 'c', 2_000)
  expect(['a', 'b', 'c'].map((key) => map.get(key))).toEqual(['a', 'b', 'c'])
})

test('names of Object.prototype are names like any other', () => {
  const { map } = memory()
  expect([map.get('__proto__'), map.get('constructor')]).toEqual([undefined, undefined])
  map.set('__proto__', 'x', 2_000)
  expect(map.get('__proto__')).toBe('x')
})
