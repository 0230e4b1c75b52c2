/** Where connections are kept: in a folder by PGlite, in a PostgreSQL, or in memory. */

import { memoryConnectionStore, postgresConnectionStore, type ConnectionStore } from 'express-oauth-kit'

export interface ConnectionDatabase {
  readonly store: ConnectionStore
  /** In words, for people. */
  readonly place: string
  close(): Promise<void>
}

/** Takes a moment, and some seconds at the very first start: the folder is filled then. */
export async function openDatabase(
  folder: string | undefined,
  databaseUrl: string | undefined,
): Promise<ConnectionDatabase> {
  if (databaseUrl !== undefined) return openPostgres(databaseUrl)
  if (folder !== undefined) return openPGlite(folder)
  return { store: memoryConnectionStore(), place: 'in memory, until the demo ends', close: async () => {} }
}

async function openPGlite(folder: string): Promise<ConnectionDatabase> {
  // Loaded when it is needed: it is the biggest part of the demo.
  const { PGlite } = await import('@electric-sql/pglite')
  // A few megabytes do for a demo, where usual are some hundred.
  const small = { initialMemory: 128 * 1024 * 1024, postgresqlconf: ['shared_buffers=16MB'] }
  const db = await PGlite.create({ dataDir: folder, ...small })
  const store = postgresConnectionStore(db)
  await store.migrate()
  return {
    store,
    place: `in the folder ${folder}, also when the demo is stopped and started again`,
    close: () => db.close(),
  }
}

async function openPostgres(connectionString: string): Promise<ConnectionDatabase> {
  const { default: pg } = await import('pg')
  const pool = new pg.Pool({
    connectionString,
    connectionTimeoutMillis: 2000,
    query_timeout: 2000,
    statement_timeout: 2000,
    keepAlive: true,
  })
  pool.on('error', (error) => console.warn(`PostgreSQL: ${error.message}`))
  const store = postgresConnectionStore(pool)
  await store.migrate()
  return {
    store,
    place: 'in your PostgreSQL, also when the demo is stopped and started again',
    close: () => pool.end(),
  }
}
