/** An app with connections in PostgreSQL, in a process of its own, in which what is done to one of them can stand still. */
import { setTimeout as sleep } from 'node:timers/promises'
import { oauthConnections, postgresConnectionStore, type CheckResult } from 'express-oauth-kit'
import { Pool } from 'pg'
import { filesProvider, linkedSecret } from '../../support/linked-record.js'
import { serveCommands } from '../support/worker.js'

export interface SweepWorker {
  readonly args: { readonly database: string; readonly server: string }
  readonly ready: undefined
  readonly commands: {
    /** What is done to a connection from now on stands still at a point, such as `after update 1`. */
    standAt(point: { readonly account: string; readonly point: string }): void
    /** Accounts at which something stands still. */
    standing(): string[]
    disconnect(account: string): Promise<string>
    /** Sweeps; as soon as nobody else does. */
    check(options: { readonly perSecond: number }): Promise<CheckResult>
    /** Megabytes that are in use. */
    heap(): number
    /** Types of what was told. */
    events(): string[]
  }
}

const points = new Map<string, string>()
const standing: string[] = []
const made = new Map<string, number>()
const events: string[] = []

/** Ends here where it is to stand still. The first step of a kind has the number 1. */
async function around<T>(account: string, what: string, run: () => Promise<T>): Promise<T> {
  const step = `${account} ${what}`
  const number = (made.get(step) ?? 0) + 1
  if (points.has(account)) made.set(step, number)
  await meet(account, `before ${what} ${number}`)
  const result = await run()
  await meet(account, `after ${what} ${number}`)
  return result
}

async function meet(account: string, point: string): Promise<void> {
  if (points.get(account) !== point) return
  standing.push(account)
  await new Promise(() => undefined)
}

function bodyOf({ body }: RequestInit = {}): string {
  return body instanceof URLSearchParams || typeof body === 'string' ? body.toString() : ''
}

function accountIn(init: RequestInit | undefined): string {
  const authorization = new Headers(init?.headers).get('authorization') ?? ''
  const shown = authorization.startsWith('Bearer') ? authorization : bodyOf(init)
  return /(?:access|refresh)-([^.]*)/.exec(shown)?.[1] ?? ''
}

void serveCommands<SweepWorker>(async ({ database, server }) => {
  const pool = new Pool({ connectionString: database, max: 10 })
  pool.on('error', () => undefined)
  const store = postgresConnectionStore(pool)
  const connections = oauthConnections({
    baseUrl: 'http://localhost:1',
    secrets: [linkedSecret],
    store: {
      ...store,
      update: (record) => around(record.accountId, 'update', async () => store.update(record)),
    },
    providers: { files: filesProvider(server) },
    fetch: async (input, init) =>
      around(accountIn(init), new URL(input instanceof Request ? input.url : input).pathname, async () =>
        fetch(input, init),
      ),
    onEvent: (event) => void events.push(event.type),
  })
  return {
    ready: undefined,
    commands: {
      standAt: ({ account, point }) => void points.set(account, point),
      standing: () => standing,
      async disconnect(account) {
        const connection = await connections.for(`owner-of-${account}`).get(`id-${account}`)
        return (await connection.disconnect()).status
      },
      async check(options) {
        for (;;) {
          const result = await connections.check(options)
          const isBusy = !result.isComplete && result.active === 0
          if (!isBusy) return result
          await sleep(100)
        }
      },
      heap() {
        globalThis.gc?.()
        return process.memoryUsage().heapUsed / 2 ** 20
      },
      events: () => events,
    },
  }
})
