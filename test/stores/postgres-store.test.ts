import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool, type PoolConfig } from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { postgresStore, type PostgresPool, type PostgresStore } from '../../lib/index.js'
import { scopedStore } from '../../lib/stores/store.js'
import { needProgram } from '../support/needed.js'
import { hasPostgres, startPostgres, type PostgresServer } from '../support/postgres.js'
import { obeysTheContract } from './contract.js'

needProgram('PostgreSQL', hasPostgres)

describe.skipIf(!hasPostgres)('postgresStore', () => {
  let server: PostgresServer
  let pool: Pool
  beforeAll(async () => {
    server = await startPostgres()
    pool = connect(server)
  })
  afterAll(async () => {
    await pool.end()
    await server.stop()
  })

  let tables = 0
  async function withTable(from = pool): Promise<{ store: PostgresStore; table: string }> {
    const table = `t${++tables}`
    const store = postgresStore(from, { table })
    await store.migrate()
    return { store, table }
  }
  const rowsIn = async (table: string) =>
    (await pool.query(`SELECT key FROM ${table} ORDER BY key`)).rows.length
  const insertOver = (table: string, count: number) =>
    pool.query(
      `INSERT INTO ${table} SELECT 'over ' || n, '', now() - interval '1 second' FROM generate_series(1, ${count}) n`,
    )

  obeysTheContract(async (space) => {
    const store = postgresStore(pool, { table: space })
    await store.migrate()
    return store
  })

  describe('with transactions that are serializable by default', () => {
    let strict: Pool
    beforeAll(() => {
      strict = connect(server, { options: '-c default_transaction_isolation=serializable', max: 10 })
    })
    afterAll(() => strict.end())
    obeysTheContract(async (space) => {
      const store = postgresStore(strict, { table: `strict_${space}` })
      await store.migrate()
      return store
    })
  })

  describe('migrate', () => {
    test('may be called again and keeps what is there', async () => {
      const { store } = await withTable()
      await store.set('key', '1', 60)
      await store.migrate()
      expect(await store.get(['key'])).toEqual(['1'])
    })

    test('may be called by several instances at once', async () => {
      for (let round = 0; round < 5; round++) {
        const table = `at_once_${round}`
        const pools = Array.from({ length: 5 }, () => connect(server))
        await Promise.all(pools.map((one) => one.query('SELECT 1')))
        await Promise.all(pools.map((one) => postgresStore(one, { table }).migrate()))
        await Promise.all(pools.map((one) => one.end()))
        expect(await rowsIn(table)).toBe(0)
      }
    })

    test('does what the SQL file of the package does', async () => {
      const asked: string[] = []
      await postgresStore({
        async query(text) {
          asked.push(text)
          return { rows: [] }
        },
      }).migrate()
      const file = readFileSync('sql/oauth-store.sql', 'utf8')
      const statements = file.replaceAll(/^--.*\n|^\n/gm, '')
      expect(asked).toEqual([
        `DO $$ BEGIN\nPERFORM pg_advisory_xact_lock(hashtext('oauth_store'));\n${statements}END $$`,
      ])
      const { files } = JSON.parse(readFileSync('package.json', 'utf8')) as { files: string[] }
      expect(files).toContain('sql')
    })

    test('the SQL file makes the table of the default options', async () => {
      await pool.query(readFileSync('sql/oauth-store.sql', 'utf8'))
      const store = postgresStore(pool)
      await store.set('key', '1', 60)
      expect(await store.get(['key'])).toEqual(['1'])
    })

    test('makes the table in a schema, also one with an odd name', async () => {
      await pool.query('CREATE SCHEMA "order"')
      const store = postgresStore(pool, { table: 'order.user' })
      await store.migrate()
      await store.set('key', '1', 60)
      expect(await store.get(['key'])).toEqual(['1'])
      expect((await pool.query('SELECT value FROM "order"."user"')).rows).toEqual([{ value: '1' }])
    })

    test('the longest name has an index of its own', async () => {
      const table = 'x'.repeat(50)
      const store = postgresStore(pool, { table })
      await store.migrate()
      const { rows } = await pool.query('SELECT indexname FROM pg_indexes WHERE tablename = $1', [table])
      expect(rows.map((row: { indexname: string }) => row.indexname)).toContain(`${table}_expires_at`)
    })
  })

  describe('sweep', () => {
    test('removes what is over, all of it and nothing else', async () => {
      const { store, table } = await withTable()
      await store.set('good', '1', 60)
      await insertOver(table, 2500)
      expect(await store.sweep()).toBe(2500)
      expect(await store.get(['good'])).toEqual(['1'])
      expect(await rowsIn(table)).toBe(1)
      expect(await store.sweep()).toBe(0)
    })

    test('takes rows that nobody else takes, and what is kept anew stays', async () => {
      const { store, table } = await withTable()
      await store.set('first write', '1', 60)
      await insertOver(table, 3000)
      const again = Array.from({ length: 300 }, (_, n) => `over ${n * 10 + 1}`)
      const kept = Promise.all(again.map((key) => store.set(key, 'anew', 60)))
      const removed = await Promise.all([store.sweep(), store.sweep(), store.sweep()])
      await kept
      expect(removed.reduce((sum, one) => sum + one)).toBeLessThanOrEqual(3000)
      await store.sweep()
      expect(await store.get(again)).toEqual(again.map(() => 'anew'))
      expect(await rowsIn(table)).toBe(301)
    })

    test('waits for nobody, and passes over what is being kept anew', async () => {
      const { store, table } = await withTable()
      await insertOver(table, 2)
      const holder = await pool.connect()
      await holder.query('BEGIN')
      await holder.query(`UPDATE ${table} SET expires_at = now() + interval '1 hour' WHERE key = 'over 1'`)
      expect(await store.sweep()).toBe(1)
      await holder.query('COMMIT')
      holder.release()
      expect(await store.get(['over 1', 'over 2'])).toEqual(['', undefined])
    })

    test('happens by itself after a write, a batch at a time and once a minute', async () => {
      vi.useFakeTimers({ toFake: ['performance'] })
      onTestFinished(() => void vi.useRealTimers())
      const { store, table } = await withTable()
      await insertOver(table, 1500)
      await store.set('1', '', 60)
      await expect.poll(() => rowsIn(table)).toBe(501)
      // The batch was full: there is more, and it need not wait for a minute.
      vi.advanceTimersByTime(1000)
      await store.replace('1', '', '', 60)
      await expect.poll(() => rowsIn(table)).toBe(1)
      await insertOver(table, 5)
      vi.advanceTimersByTime(59_000)
      await store.set('1', '', 60)
      await sleep(100)
      expect(await rowsIn(table)).toBe(6)
      vi.advanceTimersByTime(1000)
      await store.add('2', '', 60)
      await expect.poll(() => rowsIn(table)).toBe(2)
    })

    test('that fails or never ends disturbs no write', async () => {
      for (const sweep of [() => Promise.reject(new Error('no')), () => new Promise<never>(() => {})]) {
        const store = postgresStore({
          query: (text) => (text.startsWith('DELETE') ? sweep() : Promise.resolve({ rows: [{}] })),
        })
        expect(await store.add('key', '1', 60)).toBe(true)
        expect(await store.replace('key', '1', '2', 60)).toBe(true)
      }
    })
  })

  test('tables survive a crash of the database', async () => {
    const { rows } = await pool.query("SELECT relpersistence FROM pg_class WHERE relname = 'one'")
    expect(rows).toEqual([{ relpersistence: 'p' }])
  })

  test('a failure that is no conflict is not tried again', async () => {
    const query = vi.fn<PostgresPool['query']>(() =>
      Promise.reject(Object.assign(new Error('no table'), { code: '42P01' })),
    )
    await expect(postgresStore({ query }).get(['key'])).rejects.toThrow('no table')
    expect(query).toHaveBeenCalledTimes(1)
  })

  test('a conflict that does not end is a failure', async () => {
    const query = vi.fn<PostgresPool['query']>(() =>
      Promise.reject(Object.assign(new Error('conflict'), { code: '40001' })),
    )
    await expect(postgresStore({ query }).get(['key'])).rejects.toThrow('conflict')
    expect(query).toHaveBeenCalledTimes(20)
  })

  test('a row that changes while a statement waits for it is judged as it is then', async () => {
    const { store, table } = await withTable()
    const keys = ['replaced', 'added', 'deleted', 'deleted as expected']
    await Promise.all(keys.map((key) => store.set(key, '1', 0.3)))
    const holder = await pool.connect()
    await holder.query('BEGIN')
    await holder.query(`UPDATE ${table} SET value = value`)
    const answers = Promise.all([
      store.replace('replaced', '1', '2', 60),
      store.add('added', '2', 60),
      store.delete('deleted'),
      store.delete('deleted as expected', '1'),
    ])
    await sleep(600)
    await holder.query('COMMIT')
    holder.release()
    expect(await answers).toEqual([false, true, false, false])
  })
})

describe.skipIf(!hasPostgres)('postgresStore, when PostgreSQL', () => {
  let server: PostgresServer
  let pool: Pool
  let store: PostgresStore
  beforeAll(async () => {
    server = await startPostgres()
    pool = connect(server)
    store = postgresStore(pool)
    await store.migrate()
  })
  afterAll(async () => {
    await pool.end()
    await server.stop()
  })

  test('crashes: calls fail at once, and when it is back everything is there and works', async () => {
    await store.set('ended session', '1', 60)
    await Promise.all(Array.from({ length: 10 }, () => store.get(['fills the pool'])))
    server.pause()
    const inFlight = outcome(store.set('in flight', '1', 60))
    await sleep(50)
    await server.kill()
    expect(await inFlight).toBe('failed')
    const asked = performance.now()
    expect(await outcome(store.get(['ended session']))).toBe('failed')
    expect(await outcome(store.set('late', '1', 60))).toBe('failed')
    expect(performance.now() - asked).toBeLessThan(500)
    await server.restart()
    await expect.poll(() => store.add('back', '1', 60), { timeout: 2000, interval: 20 }).toBe(true)
    expect(await store.get(['ended session', 'late'])).toEqual(['1', undefined])
  })

  test('says nothing: calls are store_unavailable in time, and it works again when PostgreSQL does', async () => {
    const scoped = scopedStore(store, { scope: 'app', timeout: 0.2 })
    await scoped.set('key', '1', 60)
    server.pause()
    const calls = Array.from({ length: 30 }, () => scoped.get(['key']))
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'store_unavailable' })
    await sleep(1000)
    server.resume()
    await expect
      .poll(() => scoped.set('key', '2', 60).then(() => true), { timeout: 5000, interval: 20 })
      .toBe(true)
    expect(await scoped.get(['key'])).toEqual(['2'])
  })
})

describe('postgresStore refuses', () => {
  const pool = { query: async () => ({ rows: [] }) }

  test.each([
    '',
    'Oauth',
    'a b',
    'a;b',
    'a"b',
    "a'b",
    '"a"',
    '1a',
    'a-b',
    'a.b.c',
    'a.',
    '.a',
    'a\n',
    'ä',
    'x'.repeat(51),
    `${'x'.repeat(64)}.a`,
    7,
    null,
  ])('the table %j', (table) => {
    const make = () => postgresStore(pool, { table: table as never })
    expect(make).toThrow(expect.objectContaining({ code: 'invalid_configuration' }))
    expect(make).toThrow('option "table" is not the name of a table')
  })

  test.each([undefined, null, 'postgres://localhost', {}, { connectionString: 'postgres://localhost' }])(
    'the pool %j',
    (wrong) => {
      const make = () => postgresStore(wrong as never)
      expect(make).toThrow(expect.objectContaining({ code: 'invalid_configuration' }))
      expect(make).toThrow('pass a Pool of pg')
    },
  )

  test('an unknown option', () => {
    expect(() => postgresStore(pool, { tabel: 'a' } as never)).toThrow('did you mean "table"?')
  })
})

/** A pool with the settings that the README recommends. */
function connect({ connectionString }: PostgresServer, config: PoolConfig = {}): Pool {
  const pool = new Pool({
    connectionString,
    connectionTimeoutMillis: 2000,
    query_timeout: 2000,
    statement_timeout: 2000,
    keepAlive: true,
    ...config,
  })
  pool.on('error', () => {})
  return pool
}

async function outcome(call: Promise<unknown>): Promise<'answered' | 'failed'> {
  return call.then(
    () => 'answered',
    () => 'failed',
  )
}
