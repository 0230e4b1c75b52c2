/** What every store of connections must do, whatever it is made of. */
import { randomBytes, randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import type { ConnectionRecord, ConnectionStore, WriteOutcome } from '../../lib/index.js'

/** A record of an owner and an account that no other has. */
export function aRecord(parts: Partial<ConnectionRecord> = {}): ConnectionRecord {
  return {
    id: randomUUID(),
    owner: randomUUID(),
    provider: 'projects',
    issuer: 'https://server.example',
    accountId: randomUUID(),
    status: 'active',
    label: 'Projects of Ann',
    isRenamed: false,
    fields: { region: 'eu' },
    clientId: 'client',
    tokenOrigin: 'https://server.example',
    scope: ['read:projects', 'offline_access'],
    isExclusive: true,
    tokens: 'sealed',
    createdAt: 1_700_000_000.125,
    connectedAt: 1_700_000_001.5,
    checkedAt: 1_700_000_002.999,
    version: 1,
    ...parts,
  }
}

/** The same with other values in everything that may change. */
function changed(record: ConnectionRecord, parts: Partial<ConnectionRecord> = {}): ConnectionRecord {
  const { tokens: _tokens, ...rest } = record
  return {
    ...rest,
    status: 'needs_reconnect',
    reason: 'refresh_refused',
    label: 'Mine',
    isRenamed: true,
    fields: {},
    clientId: 'other client',
    tokenOrigin: 'https://other.example',
    scope: [],
    isExclusive: false,
    connectedAt: record.connectedAt + 10.25,
    checkedAt: record.checkedAt + 20.001,
    version: record.version + 1,
    ...parts,
  }
}

const times = <T>(count: number, make: (n: number) => T) => Array.from({ length: count }, (_, n) => make(n))
const ids = (records: readonly ConnectionRecord[]) => records.map(({ id }) => id)

/** How often each outcome came, of writes at the same moment. */
async function tally(
  writes: readonly Promise<WriteOutcome>[],
): Promise<Partial<Record<WriteOutcome, number>>> {
  const outcomes = await Promise.all(writes)
  return Object.fromEntries(
    [...new Set(outcomes)].map((one) => [one, outcomes.filter((o) => o === one).length]),
  )
}

/** `open` gives the store of a space; another space is another table or instance. */
export function obeysTheContract(open: (space: 'one' | 'two') => Promise<ConnectionStore>): void {
  describe('the contract', () => {
    let store: ConnectionStore
    beforeAll(async () => {
      store = await open('one')
    })
    async function inserted(parts: Partial<ConnectionRecord> = {}): Promise<ConnectionRecord> {
      const record = aRecord(parts)
      expect(await store.insert(record)).toBe('done')
      return record
    }

    test('what was inserted comes back as it was', async () => {
      const record = await inserted()
      expect(await store.get(record.id)).toStrictEqual(record)
      expect(await store.list(record.owner)).toStrictEqual([record])
      expect(await store.linked(record)).toStrictEqual([record])
      expect(await store.get(randomUUID())).toBeUndefined()
      expect(await store.list(randomUUID())).toEqual([])
      expect(await store.linked({ ...record, accountId: 'another' })).toEqual([])
    })

    test('an update changes all that may change, and nothing else', async () => {
      const record = await inserted()
      const other = await inserted({ owner: record.owner })
      const next = changed(record)
      expect(await store.update(next)).toBe('done')
      expect(await store.get(record.id)).toStrictEqual(next)
      expect(await store.get(other.id)).toStrictEqual(other)
      const back = { ...record, version: 3 }
      expect(await store.update(back)).toBe('done')
      expect(await store.get(record.id)).toStrictEqual(back)
    })

    test('a new one has version 1, whatever it says', async () => {
      const record = await inserted({ version: 7 })
      expect(await store.get(record.id)).toStrictEqual({ ...record, version: 1 })
    })

    test('an update by an old version, by one to come or of nothing is stale', async () => {
      const record = await inserted()
      expect(await store.update({ ...record, label: 'the same' })).toBe('stale')
      expect(await store.update({ ...record, label: 'too far', version: 3 })).toBe('stale')
      expect(await store.update(aRecord({ version: 2 }))).toBe('stale')
      expect(await store.get(record.id)).toStrictEqual(record)
    })

    test.each(['owner', 'provider', 'issuer', 'accountId'] as const)(
      'an update that says another %s is stale',
      async (name) => {
        const record = await inserted()
        expect(await store.update({ ...record, [name]: 'another', version: 2 })).toBe('stale')
        expect(await store.get(record.id)).toStrictEqual(record)
        expect(await store.list('another')).toEqual([])
      },
    )

    test('delete forgets the one of this version, once', async () => {
      const record = await inserted()
      expect(await store.delete(record.id, 2)).toBe(false)
      expect(await store.get(record.id)).toStrictEqual(record)
      const answers = await Promise.all(times(10, () => store.delete(record.id, 1)))
      expect(answers.filter(Boolean)).toHaveLength(1)
      expect(await store.get(record.id)).toBeUndefined()
      expect(await store.list(record.owner)).toEqual([])
      expect(await store.linked(record)).toEqual([])
      expect(await store.update({ ...record, version: 2 })).toBe('stale')
      expect(await store.insert(record)).toBe('done')
    })

    test('list gives the oldest first, and what came at the same moment by id', async () => {
      const owner = randomUUID()
      const at = [5, 3, 3, 4, 1.5, 1.25]
      const made = await Promise.all(times(6, async (n) => inserted({ owner, createdAt: at[n] ?? 0 })))
      const expected = made.toSorted((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1))
      expect(await store.list(owner)).toStrictEqual(expected)
    })

    describe('one owner has one connection to an account', () => {
      test('of 20 that come at once', async () => {
        const { owner, accountId } = aRecord()
        const writes = times(20, () => store.insert(aRecord({ owner, accountId })))
        expect(await tally(writes)).toEqual({ done: 1, stale: 19 })
        expect(await store.list(owner)).toHaveLength(1)
      })

      test('of 20 that come at once and are not exclusive', async () => {
        const { owner, accountId } = aRecord()
        const writes = times(20, () => store.insert(aRecord({ owner, accountId, isExclusive: false })))
        expect(await tally(writes)).toEqual({ done: 1, stale: 19 })
      })

      test('also while it is disconnected', async () => {
        const { owner, accountId } = await inserted({ status: 'disconnected' })
        expect(await store.insert(aRecord({ owner, accountId }))).toBe('stale')
      })

      test('and another one at another provider, issuer or account', async () => {
        const { owner, accountId } = await inserted()
        await inserted({ owner, accountId, provider: 'other' })
        await inserted({ owner, accountId, issuer: 'https://sandbox.example' })
        await inserted({ owner })
        expect(await store.list(owner)).toHaveLength(4)
      })

      test('an id is there once', async () => {
        const { id } = await inserted()
        expect(await store.insert(aRecord({ id }))).toBe('stale')
      })
    })

    describe('an account that is exclusive has one owner', () => {
      test('of 20 that come at once', async () => {
        const { accountId } = aRecord()
        const writes = times(20, () => store.insert(aRecord({ accountId })))
        expect(await tally(writes)).toEqual({ done: 1, taken: 19 })
        expect(await store.linked(aRecord({ accountId }))).toHaveLength(1)
      })

      test('of 4 who each come 5 times at once: told apart', async () => {
        for (let round = 0; round < 5; round++) {
          const { accountId } = aRecord()
          const owners = times(4, () => randomUUID())
          const writes = times(20, (n) => store.insert(aRecord({ accountId, owner: owners[n % 4] ?? '' })))
          expect(await tally(writes)).toEqual({ done: 1, stale: 4, taken: 15 })
        }
      })

      test('and needs_reconnect does not free it, disconnected does', async () => {
        const first = await inserted()
        const { accountId } = first
        expect(await store.update(changed(first, { isExclusive: true }))).toBe('done')
        expect(await store.insert(aRecord({ accountId }))).toBe('taken')
        expect(await store.update({ ...first, status: 'disconnected', version: 3 })).toBe('done')
        const second = await inserted({ accountId })
        expect(ids(await store.linked(first)).toSorted()).toEqual([first.id, second.id].toSorted())
      })

      test('who comes back finds it taken, and his record as it was', async () => {
        const first = await inserted({ status: 'disconnected' })
        const second = await inserted({ accountId: first.accountId })
        expect(await store.update({ ...first, status: 'active', version: 2 })).toBe('taken')
        expect(await store.get(first.id)).toStrictEqual(first)
        expect(await store.delete(second.id, 1)).toBe(true)
        expect(await store.update({ ...first, status: 'active', version: 2 })).toBe('done')
      })

      test('of 10 who come back and 10 who are new, at once', async () => {
        const { accountId } = aRecord()
        const old = await Promise.all(times(10, () => inserted({ accountId, status: 'disconnected' })))
        const writes = old.flatMap((record) => [
          store.update({ ...record, status: 'active', version: 2 }),
          store.insert(aRecord({ accountId })),
        ])
        expect(await tally(writes)).toEqual({ done: 1, taken: 19 })
        const live = (await store.linked(aRecord({ accountId }))).filter(({ status }) => status === 'active')
        expect(live).toHaveLength(1)
      })

      test('what is stale and taken at once is stale', async () => {
        const first = await inserted({ status: 'disconnected' })
        await inserted({ accountId: first.accountId })
        expect(await store.update({ ...first, status: 'active', version: 1 })).toBe('stale')
        expect(await store.insert(aRecord({ accountId: first.accountId, owner: first.owner }))).toBe('stale')
      })

      test('where it is not, it has many', async () => {
        const { accountId } = await inserted({ isExclusive: false })
        await inserted({ accountId, isExclusive: false })
        // One who insists does not end what others have.
        const third = await inserted({ accountId })
        expect(await store.linked(third)).toHaveLength(3)
        expect(await store.insert(aRecord({ accountId }))).toBe('taken')
      })
    })

    test('of 20 updates of a version, one is kept, in each round', async () => {
      const record = await inserted()
      for (let version = 2; version < 7; version++) {
        const labels = times(20, (n) => `by ${n}`)
        const writes = labels.map((label) => store.update({ ...record, label, version }))
        const outcomes = await Promise.all(writes)
        expect(await tally(writes)).toEqual({ done: 1, stale: 19 })
        expect((await store.get(record.id))?.label).toBe(labels[outcomes.indexOf('done')])
      }
    })

    test('an update and a delete of one version: one of them', async () => {
      for (let round = 0; round < 10; round++) {
        const record = await inserted()
        const [updated, deleted] = await Promise.all([
          store.update({ ...record, label: 'new', version: 2 }),
          store.delete(record.id, 1),
        ])
        expect([updated, deleted]).toEqual(deleted ? ['stale', true] : ['done', false])
        expect((await store.get(record.id))?.label).toBe(deleted ? undefined : 'new')
      }
    })

    describe('texts', () => {
      test.each([
        ['of many scripts', 'žluťoučký 漢字 العربية 👩‍👩‍👧 \u200f\ud7ff\uffff'],
        ['with quotes', `it's "quoted" \\' \\" \\u0000 $1 $$ ; DROP TABLE oauth_connections; --`],
        ['with line ends and control characters', '\r\n\t\u0001\u007f\\r\\n'],
        ['like nothing', 'null'],
        ['like a list', '{a,"b",NULL}'],
        ['that are empty', ''],
      ])('%s come back as they were', async (_name, odd) => {
        const unique = randomUUID()
        const names = {
          id: odd + unique,
          owner: odd + unique,
          accountId: odd + unique,
          provider: odd,
          issuer: odd,
        }
        const rest = { reason: odd, label: odd, clientId: odd, tokenOrigin: odd, tokens: odd }
        const record = await inserted({ ...names, ...rest, fields: { [odd]: odd }, scope: [odd, odd] })
        expect(await store.get(record.id)).toStrictEqual(record)
        expect(await store.list(record.owner)).toStrictEqual([record])
        expect(await store.linked(record)).toStrictEqual([record])
        expect(await store.update({ ...record, version: 2 })).toBe('done')
        expect(await store.delete(record.id, 2)).toBe(true)
      })

      test('tokens and labels may be long', async () => {
        const long = randomBytes(50_000).toString('base64url')
        const record = await inserted({ tokens: long, label: long, fields: { long } })
        expect(await store.get(record.id)).toStrictEqual(record)
      })

      test('owners and accounts are told apart to the letter', async () => {
        const unique = randomUUID()
        const odd = ['a', 'A', 'a ', ' a', 'é', 'e\u0301', '%', '_', '\\']
        for (const one of odd) await inserted({ owner: one + unique, accountId: one + unique })
        for (const one of odd) {
          expect(await store.list(one + unique)).toHaveLength(1)
          expect(await store.linked(aRecord({ accountId: one + unique }))).toHaveLength(1)
        }
      })

      const notText = [
        ['U+0000', 'a\0b'],
        ['half a character', 'a\ud800b'],
        ['the other half', '\udc00'],
      ] as const
      test.each(notText)('%s is refused wherever it stands, and nothing is kept', async (_name, bad) => {
        const good = await inserted()
        const parts: Partial<ConnectionRecord>[] = [
          { id: bad },
          { owner: bad },
          { provider: bad },
          { issuer: bad },
          { accountId: bad },
          { reason: bad },
          { label: bad },
          { fields: { a: bad } },
          { fields: { [bad]: 'a' } },
          { clientId: bad },
          { tokenOrigin: bad },
          { scope: ['a', bad] },
          { tokens: bad },
        ]
        for (const part of parts) {
          const [name] = Object.keys(part)
          await expect(store.insert(aRecord({ owner: good.owner, ...part }))).rejects.toThrow(`"${name}" of`)
          await expect(store.update({ ...good, ...part, version: 2 })).rejects.toThrow(`"${name}" of`)
        }
        expect(await store.list(good.owner)).toStrictEqual([good])
      })

      test.each(notText)('nothing is found by %s', async (_name, bad) => {
        // What drivers send in the place of half a character.
        const mark = bad.replaceAll(/\p{Surrogate}/gu, '\ufffd').replaceAll('\0', '')
        const record = await inserted({ id: mark, owner: mark, accountId: mark })
        expect(await store.get(bad)).toBeUndefined()
        expect(await store.list(bad)).toEqual([])
        expect(await store.linked({ ...record, accountId: bad })).toEqual([])
        expect(await store.delete(bad, 1)).toBe(false)
        expect(await store.delete(mark, 1)).toBe(true)
      })

      test('names of 2 500 bytes together are kept, and longer ones are refused', async () => {
        const { id, owner, provider, issuer } = aRecord()
        const room = 2500 - Buffer.byteLength(id + owner + provider + issuer)
        // Nothing that could be compressed.
        const accountId = randomBytes(2500).toString('base64url').slice(0, room)
        const record = await inserted({ id, owner, accountId })
        expect(await store.linked(record)).toStrictEqual([record])
        const longer = aRecord({ owner, accountId: `${accountId.slice(1)}é` })
        await expect(store.insert(longer)).rejects.toThrow('have 2501 bytes; 2500 are the most')
        expect(await store.list(owner)).toHaveLength(1)
      })
    })

    test('records that were given, or given out, change nothing here', async () => {
      const fields = { region: 'eu' }
      const scope = ['read:projects']
      const record = { ...aRecord(), fields, scope }
      const copy = structuredClone(record)
      await store.insert(record)
      fields.region = 'us'
      scope.push('write:projects')
      record.owner = 'another'
      expect(await store.get(copy.id)).toStrictEqual(copy)
      const [out] = (await store.list(copy.owner)) as (typeof record)[]
      for (const change of [
        () => (out!.fields.region = 'us'),
        () => out!.scope.push('write:projects'),
        () => (out!.status = 'disconnected'),
      ]) {
        try {
          change()
        } catch {
          // A record may be frozen.
        }
      }
      expect(await store.get(copy.id)).toStrictEqual(copy)
    })

    describe('sweeps', () => {
      let swept: ConnectionStore
      let records: readonly ConnectionRecord[]
      beforeAll(async () => {
        swept = await open('two')
        records = await Promise.all(
          times(30, async (n) => {
            const { tokens, ...rest } = aRecord({ checkedAt: 1000 + (n % 6) + 0.5 })
            const status = n % 4 === 0 ? 'disconnected' : 'active'
            const record: ConnectionRecord = { ...rest, status, ...(n % 5 !== 0 && tokens && { tokens }) }
            await swept.insert(record)
            return record
          }),
        )
      })
      const withTokens = () => records.filter(({ tokens }) => tokens !== undefined)
      const byId = (a: ConnectionRecord, b: ConnectionRecord) => (a.id < b.id ? -1 : 1)

      test('page gives all that have tokens, by id, wherever it goes on', async () => {
        const seen: ConnectionRecord[] = []
        for (;;) {
          const page = await swept.page(seen.at(-1)?.id ?? '', 7)
          expect(page.length).toBeLessThanOrEqual(7)
          if (page.length === 0) break
          seen.push(...page)
        }
        expect(seen).toStrictEqual(withTokens().toSorted(byId))
      })

      test('untried gives those with tokens that were last tried at a time or before, the longest ago first', async () => {
        const expected = withTokens()
          .filter(({ checkedAt }) => checkedAt <= 1003.5)
          .toSorted((a, b) => a.checkedAt - b.checkedAt || byId(a, b))
        expect(await swept.untried(1003.5, 100)).toStrictEqual(expected)
        expect(await swept.untried(1003.5, 5)).toStrictEqual(expected.slice(0, 5))
        expect(await swept.untried(1000.4, 5)).toEqual([])
        expect(await swept.untried(Number.MAX_SAFE_INTEGER, 100)).toHaveLength(24)
      })

      test('another space knows nothing of this one', async () => {
        const [record] = records
        expect(await store.get(record!.id)).toBeUndefined()
        expect(await store.insert(record!)).toBe('done')
      })
    })

    test('what is shared is a store', async () => {
      const key = randomUUID()
      expect(await Promise.all(times(5, () => store.shared.add(key, '1', 60)))).toContain(true)
      expect(await store.shared.get([key])).toEqual(['1'])
    })
  })
}
