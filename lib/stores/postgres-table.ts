/** A table of PostgreSQL, or of PGlite, that a store keeps its rows in. */

import { OAuthError } from '../errors.js'
import type { OptionChecks } from '../options.js'

/** The part of a `Pool` of pg, or of a `PGlite`, that is used. */
export interface PostgresPool {
  query(text: string, values?: unknown[]): Promise<{ rows: readonly object[] }>
}

export interface PostgresTable {
  /** As it stands in a statement. */
  readonly name: string
  /** An index of it with this ending, as it stands in a statement; at most 13 characters. */
  index(ending: string): string
  /** The rows that one statement gives. Tried again where it did nothing, because another one came between. */
  rows(text: string, values: unknown[]): Promise<readonly object[]>
  /** Runs statements that make the table, all or none of them, and one instance after the other. */
  migrate(statements: string): Promise<void>
}

/** A statement that met another one, under an isolation above READ COMMITTED, did nothing and may run again. */
const attempts = 20

// Together with the ending of an index's name, it fits into the 63 bytes of an identifier.
const identifier = /^([a-z_][a-z0-9_]{0,62}\.)?[a-z_][a-z0-9_]{0,49}$/

/** The table that is named in the option `option`. Throws `invalid_configuration` for what is no plain identifier. */
export function postgresTable(
  pool: PostgresPool,
  name: string,
  { check, option }: { check: OptionChecks; option: string },
): PostgresTable {
  if (typeof name !== 'string' || !identifier.test(name)) {
    check.refuse(
      option,
      'is not the name of a table',
      'give lower-case letters, digits and "_", such as "app.oauth_store"',
    )
  }
  const quoted = name
    .split('.')
    .map((part) => `"${part}"`)
    .join('.')
  return {
    name: quoted,
    index: (ending) => `"${name.split('.').at(-1)}_${ending}"`,
    async rows(text, values) {
      for (let attempt = 1; ; attempt++) {
        try {
          return (await pool.query(text, values)).rows
        } catch (error) {
          if (attempt === attempts || !isSerializationFailure(error)) throw error
        }
      }
    },
    async migrate(statements) {
      // Without the lock, two that find no table both make it. One block, because PGlite takes one statement at a time.
      await pool.query(
        `DO $$ BEGIN\nPERFORM pg_advisory_xact_lock(hashtext('${name}'));\n${statements}END $$`,
      )
    },
  }
}

/** Throws `invalid_configuration` for something that is no pool. */
export function checkPostgresPool(factory: string, pool: unknown): void {
  if (typeof (pool as Partial<PostgresPool> | undefined | null)?.query === 'function') return
  throw new OAuthError('invalid_configuration', {
    message: `${factory}: got ${pool === null ? 'null' : typeof pool} without query(); pass a Pool of pg, or a PGlite`,
  })
}

function isSerializationFailure(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '40001'
}
