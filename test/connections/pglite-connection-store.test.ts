import type { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { postgresConnectionStore, type ConnectionStore } from '../../lib/index.js'
import { obeysTheContract as isAStore } from '../stores/contract.js'
import { dataFolder, openPGlite, type DataFolder } from '../support/pglite.js'
import { aRecord, obeysTheContract } from './store-contract.js'

async function opened(db: PGlite, table: string): Promise<ConnectionStore> {
  const store = postgresConnectionStore(db, { table, sharedTable: `${table}_shared` })
  await Promise.all([store.migrate(), store.migrate()])
  return store
}

describe('postgresConnectionStore on PGlite in memory', () => {
  let db: PGlite
  beforeAll(async () => {
    db = await openPGlite()
  })
  afterAll(() => db.close())

  obeysTheContract((space) => opened(db, space))

  describe('what it shares', () => {
    isAStore(async (space) => (await opened(db, `store_${space}`)).shared)
  })

  test('closed, it fails', async () => {
    const other = await openPGlite()
    const store = postgresConnectionStore(other)
    await store.migrate()
    await other.close()
    await expect(store.list('owner')).rejects.toThrow('PGlite is closed')
    await expect(store.insert(aRecord())).rejects.toThrow('PGlite is closed')
  })
})

describe('postgresConnectionStore on PGlite in a folder', () => {
  let folder: DataFolder
  let db: PGlite
  beforeAll(async () => {
    folder = dataFolder()
    db = await openPGlite(folder.path)
  })
  afterAll(async () => {
    await db.close()
    folder.remove()
  })

  obeysTheContract((space) => opened(db, space))

  test('keeps everything, and its rules, when it is closed and opened again', async () => {
    const store = await opened(db, 'kept')
    const first = aRecord()
    const second = aRecord({ owner: first.owner, createdAt: first.createdAt + 1 })
    await store.insert(first)
    await store.insert(second)
    await store.update({ ...first, label: 'renamed', isRenamed: true, version: 2 })
    await store.shared.set('key', '1', 60)
    await db.close()
    db = await openPGlite(folder.path)
    const again = await opened(db, 'kept')
    expect(await again.list(first.owner)).toStrictEqual([
      { ...first, label: 'renamed', isRenamed: true, version: 2 },
      second,
    ])
    expect(await again.shared.get(['key'])).toEqual(['1'])
    expect(await again.insert(aRecord({ owner: first.owner, accountId: first.accountId }))).toBe('stale')
    expect(await again.insert(aRecord({ accountId: first.accountId }))).toBe('taken')
    expect(await again.update({ ...first, version: 2 })).toBe('stale')
  })
})
