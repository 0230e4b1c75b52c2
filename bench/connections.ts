/** What a store of connections takes for one call, when it holds many: each by itself, one after the other. */
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import {
  memoryConnectionStore,
  postgresConnectionStore,
  type ConnectionRecord,
  type ConnectionStore,
} from '../dist/index.js'
import { Pool } from 'pg'
import { startPostgres } from '../test/support/postgres.js'

export interface ConnectionCost {
  readonly store: string
  readonly call: string
  /** Milliseconds. */
  readonly median: number
  readonly p99: number
}

const connections = 10_000
const owners = 1000
/** Bytes of tokens, sealed: those of a server that gives signed access tokens. */
const sealed = 2000

const stores: Readonly<
  Record<string, (measure: (store: ConnectionStore) => Promise<void>) => Promise<void>>
> = {
  async 'PostgreSQL, by pg'(measure) {
    const server = await startPostgres()
    const pool = new Pool({ connectionString: server.connectionString })
    try {
      const store = postgresConnectionStore(pool)
      await store.migrate()
      await measure(store)
    } finally {
      await pool.end()
      await server.stop()
    }
  },
  async 'PGlite, in a folder'(measure) {
    const folder = mkdtempSync(join(tmpdir(), 'pglite-'))
    const db = await PGlite.create(join(folder, 'data'))
    try {
      const store = postgresConnectionStore(db)
      await store.migrate()
      await measure(store)
    } finally {
      await db.close()
      rmSync(folder, { recursive: true })
    }
  },
  memory: (measure) => measure(memoryConnectionStore()),
}

/** `calls` of each kind, after a tenth of them that does not count. */
export async function measureConnections(calls: number): Promise<ConnectionCost[]> {
  const costs: ConnectionCost[] = []
  for (const [name, open] of Object.entries(stores)) {
    await open(async (store) => {
      const records = Array.from({ length: connections }, (_, n) => record(n))
      const inserts = await timed(
        records.length,
        async (n) => void (await store.insert(records[n] as ConnectionRecord)),
      )
      const kinds: Readonly<Record<string, readonly number[]>> = {
        insert: inserts,
        list: await timed(calls, () => store.list(`owner ${Math.floor(Math.random() * owners)}`)),
        get: await timed(calls, (n) => store.get(records[(n * 7919) % connections]?.id ?? '')),
        // Each record once, as its version goes up with that.
        update: await timed(Math.min(calls, connections / 2), (n) =>
          store.update({ ...(records[n] as ConnectionRecord), version: 2 }),
        ),
        'untried, 20 of them': await timed(calls, () => store.untried(Date.now(), 20)),
        'page of 100': await timed(calls, () => store.page(randomUUID(), 100)),
      }
      for (const [call, times] of Object.entries(kinds))
        costs.push({ store: name, call, ...quantiles(times) })
    })
  }
  return costs
}

function record(n: number): ConnectionRecord {
  const now = Date.now() / 1000
  return {
    id: randomUUID(),
    owner: `owner ${n % owners}`,
    provider: n % 2 ? 'apaleo' : 'projects',
    issuer: 'https://server.example',
    accountId: `account ${n}`,
    status: 'active',
    label: `Projects of ${n}`,
    isRenamed: false,
    fields: { region: 'eu' },
    clientId: 'client',
    tokenOrigin: 'https://server.example',
    scope: ['offline_access', 'availability.read', 'reservations.read'],
    isExclusive: true,
    tokens: randomBytes(sealed * 0.75).toString('base64url'),
    createdAt: now,
    connectedAt: now,
    checkedAt: now + n / 1000,
    version: 1,
  }
}

async function timed(calls: number, call: (n: number) => Promise<unknown>): Promise<number[]> {
  const times: number[] = []
  for (let n = 0; n < calls; n++) {
    const start = performance.now()
    await call(n)
    times.push(performance.now() - start)
  }
  return times.slice(Math.floor(calls / 10))
}

function quantiles(times: readonly number[]): { median: number; p99: number } {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? 0
  return { median: at(0.5), p99: at(0.99) }
}
