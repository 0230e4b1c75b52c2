/** A store in a table of PostgreSQL, by a pool that the app has already. */

import { checkOptions } from '../options.js'
import { checkPostgresPool, postgresTable, type PostgresPool, type PostgresTable } from './postgres-table.js'
import type { Store } from './store.js'

export interface PostgresStoreOptions {
  /**
   * Name of the table, with a schema before a dot if need be: lower-case letters, digits and `_`. Default
   * `oauth_store`.
   */
  table?: string
}

export interface PostgresStore extends Store {
  /** Makes the table where there is none. Several instances may call this at once, with the right to create tables. */
  migrate(): Promise<void>
  /** Removes all entries whose time is over, and tells how many. Writes do the same now and then by themselves. */
  sweep(): Promise<number>
}

/** Rows that one sweep removes at most, so that it is short. */
const batch = 1000
/** Milliseconds between two sweeps of an instance; shorter while there is more to remove than a sweep takes. */
const pause = { usual: 60_000, behind: 1000 }

const known: Record<keyof PostgresStoreOptions, true> = { table: true }

/**
 * A store in PostgreSQL 12 or later, or in PGlite; each operation is one statement. The pool stays the app's: it listens to its
 * `error` events, without which a lost connection ends the process, and closes it. Where the app must not create
 * tables, run `sql/oauth-store.sql` of this package instead of `migrate()`.
 *
 * A pool waits for ever by default. Give it `{ connectionTimeoutMillis: 2000, query_timeout: 2000, statement_timeout:
 * 2000, keepAlive: true }`, so that no statement runs long after the request that asked is over.
 *
 * Throws `invalid_configuration` for something that is no pool, and for the name of a table that is no plain identifier.
 */
export function postgresStore(pool: PostgresPool, options: PostgresStoreOptions = {}): PostgresStore {
  const check = checkOptions('postgresStore', options, known)
  const { table: name = 'oauth_store' } = options
  const table = postgresTable(pool, name, { check, option: 'table' })
  checkPostgresPool('postgresStore', pool)
  const { rows } = table
  const statements = statementsOn(table)
  let nextSweep = 0

  async function write(text: string, values: unknown[]): Promise<boolean> {
    const written = rows(text, values)
    if (performance.now() >= nextSweep) {
      nextSweep = performance.now() + pause.usual
      // Asked for after the write, and nobody waits for it. A database in trouble is told by the writes.
      void sweepOnce().then(
        (removed) => {
          if (removed === batch) nextSweep = performance.now() + pause.behind
        },
        () => {},
      )
    }
    return (await written).length === 1
  }

  async function sweepOnce(): Promise<number> {
    return (await rows(statements.sweep, [batch])).length
  }

  return {
    async get(keys) {
      const found = (await rows(statements.get, [[...keys]])) as readonly { key: string; value: string }[]
      const values = new Map(found.map(({ key, value }) => [key, value]))
      return keys.map((key) => values.get(key))
    },
    async set(key, value, ttl) {
      await write(statements.set, [key, value, ttl])
    },
    add: (key, value, ttl) => write(statements.add, [key, value, ttl]),
    replace: (key, expected, value, ttl) => write(statements.replace, [key, value, ttl, expected]),
    async delete(key, expected) {
      const removed =
        expected === undefined
          ? await rows(statements.delete, [key])
          : await rows(statements.deleteExpected, [key, expected])
      return removed.length === 1
    },
    migrate: () => table.migrate(statements.migrate),
    async sweep() {
      for (let total = 0; ;) {
        const removed = await sweepOnce()
        total += removed
        if (removed < batch) return total
      }
    },
  }
}

/**
 * The clock is the database's at the moment when a row is judged: `now()` would be that of the statement's begin, before
 * it waited for another one to be done with the row.
 */
function statementsOn({ name: table, index }: PostgresTable) {
  const until = "clock_timestamp() + $3::double precision * interval '1 second'"
  const insert = `INSERT INTO ${table} AS kept (key, value, expires_at) VALUES ($1, $2, ${until})
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at`
  return {
    // Not UNLOGGED: a crash would empty the table, and sessions that were ended would be alive again. The collation "C"
    // keeps the index right when the system's collations change.
    migrate: `CREATE TABLE IF NOT EXISTS ${table} (
  key text COLLATE "C" PRIMARY KEY,
  value text NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS ${index('expires_at')} ON ${table} (expires_at);
`,
    get: `SELECT key, value FROM ${table} WHERE key = ANY($1::text[]) AND expires_at > clock_timestamp()`,
    set: `${insert} RETURNING 1`,
    add: `${insert} WHERE kept.expires_at <= clock_timestamp() RETURNING 1`,
    replace: `UPDATE ${table} SET value = $2, expires_at = ${until}
      WHERE key = $1 AND value = $4 AND expires_at > clock_timestamp() RETURNING 1`,
    delete: `DELETE FROM ${table} WHERE key = $1 AND expires_at > clock_timestamp() RETURNING 1`,
    deleteExpected: `DELETE FROM ${table}
      WHERE key = $1 AND value = $2 AND expires_at > clock_timestamp() RETURNING 1`,
    // Two sweeps at once take different rows. A row that somebody is about to keep anew is passed over, one that was
    // kept anew is judged as it is now.
    sweep: `DELETE FROM ${table} WHERE key = ANY(ARRAY(
      SELECT key FROM ${table} WHERE expires_at <= now() LIMIT $1 FOR UPDATE SKIP LOCKED)) RETURNING 1`,
  }
}
