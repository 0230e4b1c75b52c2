import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Pool, types, type PoolConfig } from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import {
  postgresConnectionStore,
  type ConnectionStore,
  type PostgresConnectionStore,
  type PostgresPool,
} from '../../lib/index.js'
import { needProgram } from '../support/needed.js'
import { hasPostgres, startPostgres, type PostgresServer } from '../support/postgres.js'
import { aRecord, obeysTheContract } from './store-contract.js'

needProgram('PostgreSQL', hasPostgres)

describe.skipIf(!hasPostgres)('postgresConnectionStore', () => {
  let server: PostgresServer
  let pool: Pool
  beforeAll(async () => {
    server = await startPostgres()
    pool = connect()
  })
  afterAll(async () => {
    await pool.end()
    await server.stop()
  })

  function connect(config: PoolConfig = {}): Pool {
    const made = new Pool({ connectionString: server.connectionString, max: 20, ...config })
    made.on('error', () => {})
    return made
  }
  async function opened(table: string, from: PostgresPool = pool): Promise<PostgresConnectionStore> {
    const store = postgresConnectionStore(from, { table, sharedTable: `${table}_shared` })
    await store.migrate()
    return store
  }

  obeysTheContract((space) => opened(space))

  describe.each(['repeatable read', 'serializable'])(
    'with transactions that are %s by default',
    (isolation) => {
      let strict: Pool
      beforeAll(() => {
        strict = connect({ options: `-c default_transaction_isolation=${isolation.replace(' ', '\\ ')}` })
      })
      afterAll(() => strict.end())
      obeysTheContract((space) => opened(`${isolation.replace(' ', '_')}_${space}`, strict))
    },
  )

  test('the parsers that an app has set for its own types are none of its business', async () => {
    const odd = connect({
      types: {
        getTypeParser: (type) =>
          type === types.builtins.TEXT ? String : (value: unknown) => ({ odd: value }),
      },
    })
    const store = await opened('odd_types', odd)
    const record = aRecord({ isRenamed: true, version: 1 })
    expect(await store.insert(record)).toBe('done')
    expect(await store.get(record.id)).toStrictEqual(record)
    expect(await store.update({ ...record, version: 2 })).toBe('done')
    expect(await store.delete(record.id, 2)).toBe(true)
    await odd.end()
  })

  describe('migrate', () => {
    test('may be called again and keeps what is there', async () => {
      const store = await opened('again')
      const record = aRecord()
      await store.insert(record)
      await store.migrate()
      expect(await store.get(record.id)).toStrictEqual(record)
    })

    test.each(['read\\ committed', 'serializable'])(
      'may be called by several instances at once (%s)',
      async (isolation) => {
        const options = `-c default_transaction_isolation=${isolation}`
        const pools = Array.from({ length: 5 }, () => connect({ options }))
        await Promise.all(pools.map((one) => one.query('SELECT 1')))
        for (let round = 0; round < 5; round++) {
          const table = `at_once_${isolation.slice(0, 4)}_${round}`
          const stores = await Promise.all(pools.map((one) => opened(table, one)))
          expect(await stores[0]!.insert(aRecord())).toBe('done')
          expect(await stores[1]!.shared.add('key', '1', 60)).toBe(true)
        }
        await Promise.all(pools.map((one) => one.end()))
      },
    )

    test('makes what the SQL files of the package make', async () => {
      const files = ['sql/oauth-connections.sql', 'sql/oauth-store.sql'].map((file) =>
        readFileSync(file, 'utf8'),
      )
      const made: unknown[] = []
      for (const how of ['by_file', 'by_call'] as const) {
        await pool.query(`CREATE SCHEMA ${how}`)
        const inSchema = connect({ options: `-c search_path=${how}` })
        if (how === 'by_file') for (const file of files) await inSchema.query(file)
        else await postgresConnectionStore(inSchema).migrate()
        const { rows } = await pool.query<{ text: string }>(
          `SELECT concat_ws(' ', table_name, ordinal_position, column_name, data_type, is_nullable, column_default,
             collation_name) AS text
           FROM information_schema.columns WHERE table_schema = $1
           UNION ALL SELECT replace(indexdef, $1, 'schema') FROM pg_indexes WHERE schemaname = $1 ORDER BY 1`,
          [how],
        )
        made.push(rows.map(({ text }) => text))
        const store = postgresConnectionStore(inSchema)
        expect(await store.insert(aRecord())).toBe('done')
        expect(await store.shared.add('key', '1', 60)).toBe(true)
        await inSchema.end()
      }
      expect(made[0]).toHaveLength(19 + 5 + 3 + 2)
      expect(made[1]).toEqual(made[0])
    })

    test('makes tables in a schema, and the longest names have indexes of their own', async () => {
      await pool.query('CREATE SCHEMA "order"')
      const table = `order.${'x'.repeat(50)}`
      const store = postgresConnectionStore(pool, { table, sharedTable: `order.${'y'.repeat(50)}` })
      await store.migrate()
      expect(await store.insert(aRecord())).toBe('done')
      const { rows } = await pool.query<{ indexname: string }>(
        `SELECT indexname FROM pg_indexes WHERE schemaname = 'order' AND tablename LIKE 'x%'`,
      )
      const endings = ['account', 'exclusive', 'owner', 'checked_at'].map((one) => `${'x'.repeat(50)}_${one}`)
      expect(rows.map(({ indexname }) => indexname)).toEqual(expect.arrayContaining(endings))
    })

    test('a column that a later version adds disturbs no instance of this one', async () => {
      const store = await opened('later')
      const record = aRecord()
      await store.insert(record)
      await pool.query(`ALTER TABLE later ADD COLUMN IF NOT EXISTS colour text NOT NULL DEFAULT 'red'`)
      expect(await store.get(record.id)).toStrictEqual(record)
      expect(await store.update({ ...record, version: 2 })).toBe('done')
      expect(await store.insert(aRecord())).toBe('done')
    })
  })

  describe('of 10 000 connections', () => {
    const plans: { text: string; plan: string }[] = []
    let store: ConnectionStore
    beforeAll(async () => {
      await opened('many')
      await pool.query(
        `INSERT INTO many SELECT 'id ' || n, 'owner ' || n % 1000, 'projects', 'https://server.example', 'account ' || n,
           'active', NULL, 'label', false, '{}', 'client', 'https://server.example', '[]', true, 'sealed', n, n, n, 1
         FROM generate_series(1, 10000) n`,
      )
      await pool.query('ANALYZE many')
      const explaining: PostgresPool = {
        async query(text, values) {
          const { rows } = await pool.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${text}`, values)
          plans.push({ text, plan: rows.map((row) => row['QUERY PLAN']).join('\n') })
          return { rows: [] }
        },
      }
      store = postgresConnectionStore(explaining, { table: 'many', sharedTable: 'many_shared' })
    })

    test.each<[string, (store: ConnectionStore) => Promise<unknown>, string]>([
      ['get', (one) => one.get('id 1'), 'many_pkey'],
      ['list', (one) => one.list('owner 1'), 'many_owner'],
      ['linked', (one) => one.linked(aRecord({ accountId: 'account 1' })), 'many_account'],
      ['update', (one) => one.update(aRecord({ version: 2 })), 'many_pkey'],
      ['delete', (one) => one.delete('id 1', 1), 'many_pkey'],
      ['untried', (one) => one.untried(9_999, 20), 'many_checked_at'],
      ['page', (one) => one.page('id 5', 20), 'many_pkey'],
    ])('%s goes by an index', async (_name, ask, index) => {
      plans.length = 0
      await ask(store)
      expect(plans).toHaveLength(1)
      expect(plans[0]?.plan).toMatch(new RegExp(String.raw`Index Scan (using|on) ${index}\b`))
      expect(plans[0]?.plan).not.toContain('Seq Scan')
    })

    test.each<[string, (store: ConnectionStore) => Promise<unknown>]>([
      ['untried', (one) => one.untried(9_999, 20)],
      ['page', (one) => one.page('id 5', 20)],
    ])('%s sorts nothing: it reads what it gives', async (_name, ask) => {
      plans.length = 0
      await ask(store)
      expect(plans[0]?.plan).toMatch(/^Limit/)
      expect(plans[0]?.plan).not.toContain('Sort')
    })

    test('what stands in the way of a new one is found by indexes', async () => {
      plans.length = 0
      await store.insert(aRecord({ accountId: 'account 1' })).catch(() => undefined)
      const [, inTheWay] = plans
      expect(inTheWay?.text).toContain('SELECT')
      expect(inTheWay?.plan).toContain('many_pkey')
      expect(inTheWay?.plan).not.toContain('Seq Scan')
    })
  })

  test('the table survives a crash of the database', async () => {
    const { rows } = await pool.query("SELECT relpersistence FROM pg_class WHERE relname = 'one'")
    expect(rows).toEqual([{ relpersistence: 'p' }])
  })

  test('what stood in the way and is gone when it is looked for does not: it is tried again', async () => {
    const store = await opened('gone')
    const first = aRecord()
    await store.insert(first)
    const racing = postgresConnectionStore(
      {
        async query(text, values) {
          const answer = await pool.query<object>(text, values)
          if (text.startsWith('INSERT')) await store.delete(first.id, 1)
          return answer
        },
      },
      { table: 'gone', sharedTable: 'gone_shared' },
    )
    expect(await racing.insert(aRecord({ accountId: first.accountId }))).toBe('done')
  })

  test('calls fail when the database is away, and nothing was kept', async () => {
    const away = connect({ port: 1, host: '127.0.0.1', connectionString: undefined })
    const store = postgresConnectionStore(away)
    const record = aRecord({ version: 2 })
    for (const call of [
      () => store.get(record.id),
      () => store.list(record.owner),
      () => store.linked(record),
      () => store.insert(record),
      () => store.update(record),
      () => store.delete(record.id, 1),
      () => store.untried(1, 1),
      () => store.page('', 1),
      () => store.migrate(),
    ])
      await expect(call()).rejects.toThrow('ECONNREFUSED')
    await away.end()
  })
})

describe('postgresConnectionStore, when a statement fails', () => {
  const failing = (code: string) =>
    vi.fn<PostgresPool['query']>(() => Promise.reject(Object.assign(new Error(`code ${code}`), { code })))

  test('a failure that is no conflict is not tried again, and is no outcome', async () => {
    for (const code of ['42P01', '23502', '57014']) {
      const query = failing(code)
      const store = postgresConnectionStore({ query })
      await expect(store.insert(aRecord())).rejects.toThrow(`code ${code}`)
      await expect(store.update(aRecord({ version: 2 }))).rejects.toThrow(`code ${code}`)
      await expect(store.get(randomUUID())).rejects.toThrow(`code ${code}`)
      expect(query).toHaveBeenCalledTimes(3)
    }
  })

  test('a conflict that does not end is a failure', async () => {
    const query = failing('40001')
    await expect(postgresConnectionStore({ query }).update(aRecord({ version: 2 }))).rejects.toThrow(
      'code 40001',
    )
    expect(query).toHaveBeenCalledTimes(20)
  })

  test('a row that makes no sense is a failure, and not nothing', async () => {
    const store = postgresConnectionStore({
      query: async () => ({ rows: [{ record: '{"fields": "no JSON"}' }] }),
    })
    await expect(store.get('id')).rejects.toThrow(SyntaxError)
  })
})

describe('postgresConnectionStore refuses', () => {
  const pool = { query: async () => ({ rows: [] }) }

  test.each(['table', 'sharedTable'])('a %s that is no plain name', (option) => {
    for (const name of ['', 'Oauth', 'a b', "a'b", 'a$$b', 'a.b.c', 'x'.repeat(51), null]) {
      expect(() => postgresConnectionStore(pool, { [option]: name })).toThrow(
        `postgresConnectionStore: option "${option}" is not the name of a table`,
      )
    }
  })

  test('one table for both', () => {
    expect(() => postgresConnectionStore(pool, { table: 'oauth_store' })).toThrow(
      'option "sharedTable" is the table of',
    )
  })

  test.each([undefined, null, 'postgres://localhost', {}])('the pool %j', (wrong) => {
    expect(() => postgresConnectionStore(wrong as never)).toThrow('pass a Pool of pg, or a PGlite')
  })

  test('an unknown option', () => {
    expect(() => postgresConnectionStore(pool, { shared: 'a' } as never)).toThrow(
      'option "shared" is not known',
    )
  })
})
