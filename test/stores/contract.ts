/** What every store must do, whatever it is made of. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Store } from '../../lib/index.js'

/** `open` gives the store of a space; another space is another prefix, table or instance. */
export function obeysTheContract(open: (space: 'one' | 'two') => Promise<Store>): void {
  describe.concurrent('the contract', () => {
    let store: Store
    beforeAll(async () => {
      store = await open('one')
    })
    const value = async (key: string) => (await store.get([key]))[0]
    /** A key whose entry was there and is over. */
    const expired = async () => {
      const key = randomUUID()
      await store.set(key, 'old', 0.05)
      await sleep(120)
      return key
    }
    /** How many of so many that ask at once are told that they did it. */
    const winners = async (count: number, ask: (n: number) => Promise<boolean>) => {
      const answers = await Promise.all(Array.from({ length: count }, (_, n) => ask(n)))
      return answers.filter(Boolean).length
    }

    test('get gives values in the order of the keys, and nothing for what is not there', async () => {
      const [a, b] = [randomUUID(), randomUUID()]
      await store.set(a, 'A', 60)
      await store.set(b, 'B', 60)
      expect(await store.get([b, 'absent', a, b])).toEqual(['B', undefined, 'A', 'B'])
      expect(await store.get([])).toEqual([])
    })

    test('get gives many at once, wherever they are kept', async () => {
      const keys = Array.from({ length: 50 }, () => randomUUID())
      await Promise.all(keys.map((key) => store.set(key, `of ${key}`, 60)))
      expect(await store.get(keys)).toEqual(keys.map((key) => `of ${key}`))
    })

    test('set replaces', async () => {
      const key = randomUUID()
      await store.set(key, '1', 60)
      await store.set(key, '2', 60)
      expect(await value(key)).toBe('2')
    })

    test('an entry ends with its time, fractions of a second included', async () => {
      const [short, long] = [randomUUID(), randomUUID()]
      // By the clock that stores go by, which may be set while this runs.
      const start = Date.now()
      // Whoever has much to do may come to look when it is over.
      const unlessLate = (seconds: number, kept: string): unknown =>
        expect.toSatisfy((found) => {
          const isLate = Date.now() - start > seconds * 900 // clocks differ a little
          return found === kept || (isLate && found === undefined)
        })
      await store.set(short, 'short', 0.5)
      await store.set(long, 'long', 1.9)
      expect(await store.get([short, long])).toEqual([unlessLate(0.5, 'short'), unlessLate(1.9, 'long')])
      await sleep(600)
      expect(await store.get([short, long])).toEqual([undefined, unlessLate(1.9, 'long')])
      await sleep(500)
      expect(await store.get([short, long])).toEqual([undefined, unlessLate(1.9, 'long')])
      await sleep(1_000)
      expect(await store.get([short, long])).toEqual([undefined, undefined])
    })

    test.each([0, 0.0001])('a time of %d s is over at once, whatever was there', async (ttl) => {
      const key = randomUUID()
      await store.set(key, '1', 60)
      await store.set(key, '2', ttl)
      await sleep(20)
      expect(await value(key)).toBeUndefined()
    })

    test('each write that is kept gives an entry a new time', async () => {
      const [set, replaced, kept] = [randomUUID(), randomUUID(), randomUUID()]
      await Promise.all([set, replaced, kept].map((key) => store.set(key, '1', 1.5)))
      await store.set(set, '2', 60)
      await store.replace(replaced, '1', '2', 60)
      await store.add(kept, '2', 60)
      await store.replace(kept, 'another', '2', 60)
      await sleep(1_700)
      expect(await store.get([set, replaced, kept])).toEqual(['2', '2', undefined])
      await store.set(set, '3', 0.05)
      await store.replace(replaced, '2', '3', 0.05)
      await sleep(120)
      expect(await store.get([set, replaced])).toEqual([undefined, undefined])
    })

    test('add keeps once, of 50 that ask at once', async () => {
      const key = randomUUID()
      expect(await winners(50, (n) => store.add(key, String(n), 60))).toBe(1)
      expect(await store.add(key, 'late', 60)).toBe(false)
      expect(await value(key)).not.toBe('late')
    })

    test('add takes the place of what is over, once', async () => {
      const key = await expired()
      expect(await winners(50, (n) => store.add(key, String(n), 60))).toBe(1)
      expect(await value(key)).not.toBe('old')
    })

    test('what was added ends, too', async () => {
      const key = randomUUID()
      expect(await store.add(key, '1', 0.05)).toBe(true)
      await sleep(120)
      expect(await value(key)).toBeUndefined()
      expect(await store.add(key, '2', 60)).toBe(true)
    })

    test('replace lets exactly one of 50 through, in each round', async () => {
      const key = randomUUID()
      await store.set(key, 'round 0', 60)
      for (let round = 0; round < 10; round++) {
        const next = `round ${round + 1}`
        expect(await winners(50, () => store.replace(key, `round ${round}`, next, 60))).toBe(1)
        expect(await value(key)).toBe(next)
      }
    })

    test('replace knows whose value it was', async () => {
      const key = randomUUID()
      await store.set(key, 'start', 60)
      const tried = Array.from({ length: 50 }, (_, n) => `by ${n}`)
      const answers = await Promise.all(tried.map((mine) => store.replace(key, 'start', mine, 60)))
      expect(await value(key)).toBe(tried[answers.indexOf(true)])
    })

    test('replace does nothing where another value is, or none', async () => {
      const key = randomUUID()
      expect(await store.replace(key, '1', '2', 60)).toBe(false)
      expect(await store.replace(key, '', '2', 60)).toBe(false)
      expect(await value(key)).toBeUndefined()
      await store.set(key, '1', 60)
      expect(await store.replace(key, '1 ', '2', 60)).toBe(false)
      expect(await value(key)).toBe('1')
    })

    test('delete forgets once, and tells whether there was something', async () => {
      const key = randomUUID()
      expect(await store.delete(key)).toBe(false)
      await store.set(key, '1', 60)
      expect(await winners(50, () => store.delete(key))).toBe(1)
      expect(await value(key)).toBeUndefined()
    })

    test('delete with an expected value forgets that one alone', async () => {
      const key = randomUUID()
      await store.set(key, '1', 60)
      expect(await store.delete(key, '2')).toBe(false)
      expect(await store.delete(key, '')).toBe(false)
      expect(await value(key)).toBe('1')
      expect(await winners(50, () => store.delete(key, '1'))).toBe(1)
      expect(await store.delete(key, '1')).toBe(false)
      expect(await value(key)).toBeUndefined()
    })

    test('an owner who comes late cannot undo what the next one holds', async () => {
      const lock = randomUUID()
      await store.add(lock, 'first', 0.05)
      await sleep(120)
      expect(await store.add(lock, 'second', 60)).toBe(true)
      expect(await store.delete(lock, 'first')).toBe(false)
      expect(await store.replace(lock, 'first', 'again', 60)).toBe(false)
      expect(await value(lock)).toBe('second')
    })

    test('what is over is not there for anybody', async () => {
      expect(await value(await expired())).toBeUndefined()
      expect(await store.replace(await expired(), 'old', 'new', 60)).toBe(false)
      expect(await store.delete(await expired())).toBe(false)
      expect(await store.delete(await expired(), 'old')).toBe(false)
      expect(await store.add(await expired(), 'new', 60)).toBe(true)
    })

    test.each([
      ['empty', ''],
      ['of many scripts', 'žluťoučký 漢字 العربية 👩‍👩‍👧 \u200f\ud7ff\uffff'],
      ['with quotes', `it's "quoted" \\' \\" $1 ; DROP TABLE oauth_store; --`],
      ['with line ends and control characters', '\r\n\t\u0001\u007f\\r\\n'],
      ['like a number', '1e3'],
      ['like nothing', 'null'],
      ['of 100 KB', 'ž漢x'.repeat(17_000)],
    ])('a value %s comes back as it was', async (_name, odd) => {
      const key = randomUUID()
      await store.set(key, odd, 60)
      expect(await value(key)).toBe(odd)
      expect(await store.replace(key, odd, `${odd}2`, 60)).toBe(true)
      expect(await store.replace(key, odd, 'wrong', 60)).toBe(false)
      expect(await store.delete(key, odd)).toBe(false)
      expect(await store.delete(key, `${odd}2`)).toBe(true)
      expect(await store.add(key, odd, 60)).toBe(true)
      expect(await value(key)).toBe(odd)
    })

    test('keys with odd characters are keys, each of its own', async () => {
      const unique = randomUUID()
      const plain = [
        ' ',
        '  ',
        '\t',
        '\r\n',
        ':',
        '::',
        '{',
        '{}',
        '{a}b',
        '*',
        '?',
        '%',
        '_',
        '\\',
        '\\\\',
        'A',
        'a',
      ]
      const quoted = ["'", '"', "';--", '{"a","b"}', 'NULL', 'a,b']
      const wide = ['é', 'e\u0301', '漢', '👩‍👩‍👧', 'x'.repeat(500)]
      const keys = [...plain, ...quoted, ...wide].map((odd) => unique + odd)
      await Promise.all(keys.map((key, n) => store.set(key, String(n), 60)))
      expect(await store.get(keys)).toEqual(keys.map((_, n) => String(n)))
      for (const key of keys.slice(1)) expect(await store.delete(key)).toBe(true)
      expect((await store.get(keys)).filter((one) => one !== undefined)).toEqual(['0'])
    })

    test('another space knows nothing of this one', async () => {
      const other = await open('two')
      const key = randomUUID()
      await store.set(key, '1', 60)
      expect(await other.get([key])).toEqual([undefined])
      expect(await other.replace(key, '1', '2', 60)).toBe(false)
      expect(await other.delete(key)).toBe(false)
      expect(await other.add(key, 'other', 60)).toBe(true)
      expect(await value(key)).toBe('1')
    })
  })
}
