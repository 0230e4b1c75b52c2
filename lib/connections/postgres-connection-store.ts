/** A store of connections in PostgreSQL, or in PGlite, by a pool that the app has already. */

import { checkOptions } from '../options.js'
import { postgresStore } from '../stores/postgres-store.js'
import {
  checkPostgresPool,
  postgresTable,
  type PostgresPool,
  type PostgresTable,
} from '../stores/postgres-table.js'
import { untilDone } from '../stores/store.js'
import {
  checkKeepable,
  isKeepable,
  type ConnectionRecord,
  type ConnectionStatus,
} from './connection-record.js'
import type { ConnectionStore } from './connection-store.js'

export interface PostgresConnectionStoreOptions {
  /**
   * Name of the table of connections, with a schema before a dot if need be: lower-case letters, digits and `_`. Default
   * `oauth_connections`.
   */
  table?: string
  /** Name of the table of what instances know together for a while; `postgresStore` may have the same. Default `oauth_store`. */
  sharedTable?: string
}

export interface PostgresConnectionStore extends ConnectionStore {
  /**
   * Makes both tables where there are none, and adds what a later version of this package needs. Call it at each start;
   * several instances may do so at once, with the right to create tables.
   */
  migrate(): Promise<void>
}

/** A row, in the words of JSON. */
interface Row {
  readonly id: string
  readonly owner: string
  readonly provider: string
  readonly issuer: string
  readonly account_id: string
  readonly status: ConnectionStatus
  readonly reason: string | null
  readonly label: string
  readonly is_renamed: boolean
  readonly fields: string
  readonly client_id: string
  readonly token_origin: string
  readonly scope: string
  readonly is_exclusive: boolean
  readonly tokens: string | null
  readonly created_at: number
  readonly connected_at: number
  readonly checked_at: number
  readonly version: number
}

/** The types that values are given as, so that no driver has to guess. */
const columns: Readonly<Record<keyof Row, string>> = {
  id: 'text',
  owner: 'text',
  provider: 'text',
  issuer: 'text',
  account_id: 'text',
  status: 'text',
  reason: 'text',
  label: 'text',
  is_renamed: 'boolean',
  fields: 'text',
  client_id: 'text',
  token_origin: 'text',
  scope: 'text',
  is_exclusive: 'boolean',
  tokens: 'text',
  created_at: 'double precision',
  connected_at: 'double precision',
  checked_at: 'double precision',
  version: 'integer',
}
const names = Object.keys(columns) as readonly (keyof Row)[]

const known: Record<keyof PostgresConnectionStoreOptions, true> = { table: true, sharedTable: true }

/**
 * Connections in PostgreSQL 12 or later, or in PGlite (`new PGlite('folder')`), which needs no server and is for one
 * process. About the pool see `postgresStore`. Where the app must not create tables, run `sql/oauth-connections.sql` and
 * `sql/oauth-store.sql` of this package instead of `migrate()`.
 *
 * Throws `invalid_configuration` for something that is no pool, and for the name of a table that is no plain identifier.
 */
export function postgresConnectionStore(
  pool: PostgresPool,
  options: PostgresConnectionStoreOptions = {},
): PostgresConnectionStore {
  const check = checkOptions('postgresConnectionStore', options, known)
  const { table: name = 'oauth_connections', sharedTable = 'oauth_store' } = options
  const table = postgresTable(pool, name, { check, option: 'table' })
  postgresTable(pool, sharedTable, { check, option: 'sharedTable' })
  if (sharedTable === name) check.refuse('sharedTable', 'is the table of connections', 'give another name')
  checkPostgresPool('postgresConnectionStore', pool)
  const shared = postgresStore(pool, { table: sharedTable })
  const statements = statementsOn(table)

  async function records(text: string, values: unknown[]): Promise<ConnectionRecord[]> {
    const found = (await table.rows(text, values)) as readonly { record: string }[]
    return found.map(({ record }) => toRecord(JSON.parse(record) as Row))
  }
  const isOne = async (text: string, values: unknown[]) => (await table.rows(text, values)).length === 1
  /** A driver would put another sign in the place of what it cannot send, and find what has that. */
  const areKeepable = (...texts: readonly string[]) => texts.every(isKeepable)

  return {
    get: async (id) => (areKeepable(id) ? (await records(statements.get, [id]))[0] : undefined),
    list: async (owner) => (areKeepable(owner) ? records(statements.list, [owner]) : []),
    async linked({ provider, issuer, accountId }) {
      if (!areKeepable(provider, issuer, accountId)) return []
      return records(statements.linked, [provider, issuer, accountId])
    },
    async insert(record) {
      checkKeepable(record)
      const { id, owner, provider, issuer, accountId } = record
      const values = valuesOf({ ...record, version: 1 })
      // What stood in the way may be gone when it is looked for.
      return untilDone(async () => {
        if (await isOne(statements.insert, values)) return 'done'
        const inTheWay = await records(statements.inTheWay, [id, owner, provider, issuer, accountId])
        if (inTheWay.some((other) => other.id === id || other.owner === owner)) return 'stale'
        return inTheWay.length > 0 ? 'taken' : undefined
      })
    },
    async update(record) {
      checkKeepable(record)
      try {
        return (await isOne(statements.update, valuesOf(record))) ? 'done' : 'stale'
      } catch (error) {
        // What else is unique never changes.
        if (isUniqueViolation(error)) return 'taken'
        throw error
      }
    },
    delete: async (id, version) => areKeepable(id) && isOne(statements.delete, [id, version]),
    untried: (until, limit) => records(statements.untried, [until, limit]),
    page: (after, limit) => records(statements.page, [after, limit]),
    shared,
    async migrate() {
      await shared.migrate()
      await table.migrate(statements.migrate)
    },
  }
}

function statementsOn({ name: table, index }: PostgresTable) {
  const parameter = (column: keyof Row) => `$${names.indexOf(column) + 1}::${columns[column]}`
  const equal = (column: keyof Row) => `${column} = ${parameter(column)}`
  const fixed = names.slice(0, 5)
  const changing = names.slice(5)
  const isHeld = "is_exclusive AND status <> 'disconnected'"
  // As one text, which no app has a type parser for.
  const select = `SELECT row_to_json(kept)::text AS record FROM ${table} AS kept`
  return {
    // The collation "C" keeps indexes right when the system's collations change. What a later version adds stands behind:
    // ALTER TABLE ... ADD COLUMN IF NOT EXISTS, with a default, because instances of this version go on writing meanwhile.
    migrate: `CREATE TABLE IF NOT EXISTS ${table} (
  id text COLLATE "C" PRIMARY KEY,
  owner text COLLATE "C" NOT NULL,
  provider text COLLATE "C" NOT NULL,
  issuer text COLLATE "C" NOT NULL,
  account_id text COLLATE "C" NOT NULL,
  status text NOT NULL,
  reason text,
  label text NOT NULL,
  is_renamed boolean NOT NULL,
  fields text NOT NULL,
  client_id text NOT NULL,
  token_origin text NOT NULL,
  scope text NOT NULL,
  is_exclusive boolean NOT NULL,
  tokens text,
  created_at double precision NOT NULL,
  connected_at double precision NOT NULL,
  checked_at double precision NOT NULL,
  version integer NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS ${index('account')} ON ${table} (provider, issuer, account_id, owner);
CREATE UNIQUE INDEX IF NOT EXISTS ${index('exclusive')} ON ${table} (provider, issuer, account_id)
  WHERE ${isHeld};
CREATE INDEX IF NOT EXISTS ${index('owner')} ON ${table} (owner, created_at, id);
CREATE INDEX IF NOT EXISTS ${index('checked_at')} ON ${table} (checked_at, id) WHERE tokens IS NOT NULL;
`,
    get: `${select} WHERE id = $1::text`,
    list: `${select} WHERE owner = $1::text ORDER BY created_at, id`,
    linked: `${select} WHERE provider = $1::text AND issuer = $2::text AND account_id = $3::text ORDER BY created_at, id`,
    insert: `INSERT INTO ${table} (${names.join(', ')}) VALUES (${names.map(parameter).join(', ')})
      ON CONFLICT DO NOTHING RETURNING 1`,
    inTheWay: `${select} WHERE id = $1::text OR
      provider = $3::text AND issuer = $4::text AND account_id = $5::text AND (owner = $2::text OR ${isHeld})`,
    update: `UPDATE ${table} SET ${changing.map(equal).join(', ')}
      WHERE ${fixed.map(equal).join(' AND ')} AND version = ${parameter('version')} - 1 RETURNING 1`,
    delete: `DELETE FROM ${table} WHERE id = $1::text AND version = $2::integer RETURNING 1`,
    untried: `${select} WHERE tokens IS NOT NULL AND checked_at <= $1::double precision
      ORDER BY checked_at, id LIMIT $2::integer`,
    page: `${select} WHERE tokens IS NOT NULL AND id > $1::text ORDER BY id LIMIT $2::integer`,
  }
}

function valuesOf(record: ConnectionRecord): unknown[] {
  const row: Row = {
    id: record.id,
    owner: record.owner,
    provider: record.provider,
    issuer: record.issuer,
    account_id: record.accountId,
    status: record.status,
    reason: record.reason ?? null,
    label: record.label,
    is_renamed: record.isRenamed,
    fields: JSON.stringify(record.fields),
    client_id: record.clientId,
    token_origin: record.tokenOrigin,
    scope: JSON.stringify(record.scope),
    is_exclusive: record.isExclusive,
    tokens: record.tokens ?? null,
    created_at: record.createdAt,
    connected_at: record.connectedAt,
    checked_at: record.checkedAt,
    version: record.version,
  }
  return names.map((name) => row[name])
}

function toRecord(row: Row): ConnectionRecord {
  return {
    id: row.id,
    owner: row.owner,
    provider: row.provider,
    issuer: row.issuer,
    accountId: row.account_id,
    status: row.status,
    ...(row.reason !== null && { reason: row.reason }),
    label: row.label,
    isRenamed: row.is_renamed,
    fields: JSON.parse(row.fields) as Record<string, string>,
    clientId: row.client_id,
    tokenOrigin: row.token_origin,
    scope: JSON.parse(row.scope) as string[],
    isExclusive: row.is_exclusive,
    ...(row.tokens !== null && { tokens: row.tokens }),
    createdAt: row.created_at,
    connectedAt: row.connected_at,
    checkedAt: row.checked_at,
    version: row.version,
  }
}

function isUniqueViolation(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '23505'
}
