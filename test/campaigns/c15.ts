/**
 * Looking after thousands of connections: a sweep is killed on the way, and at each point of a disconnect a user stands who is
 * cut off with it. The next process goes on where it stopped, holds to the rate, and leaves no connection that is half.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import {
  postgresConnectionStore,
  type ConnectionRecord,
  type PostgresConnectionStore,
} from 'express-oauth-kit'
import { Pool } from 'pg'
import { startAccountServer, type AccountServer } from '../support/account-server.js'
import { linkedRecord } from '../support/linked-record.js'
import { startPostgres } from '../support/postgres.js'
import type { SweepWorker } from './c15/sweep-worker.js'
import { atMost, exactly, noted, type Campaign } from './support/campaign.js'
import { startWorker, type Worker } from './support/workers.js'

const disconnectPoints = [
  'before update 1',
  'after update 1',
  'before /revoke 1',
  'after /revoke 1',
  'before /revoke 2',
  'after /revoke 2',
  'before update 2',
  'after update 2',
]
const sweepPoints = ['before /me 1', 'after /me 1', 'before update 1', 'after update 1']
const day = 86_400
/** Milliseconds until everybody must stand at their point: the sweep has thousands before it, and waits for a lease. */
const patience = 90_000

export const campaign: Campaign = {
  title: 'a sweep over thousands of connections, and kill -9 on the way and in every disconnect',
  within: { short: 60, long: 900 },
  async run({ long, random }) {
    const [count, perSecond, kills] = long ? [10_000, 100, 4] : [40, 20, 1]
    const postgres = await startPostgres()
    const server = await startAccountServer()
    const pool = new Pool({ connectionString: postgres.connectionString, max: 20 })
    pool.on('error', () => undefined)
    const store = postgresConnectionStore(pool)
    await store.migrate()
    const now = Math.floor(Date.now() / 1_000)
    await seed(store, server, count, (n) => ({ checkedAt: now - 3 * day + n }))

    const started: Worker<SweepWorker>[] = []
    const newWorker = async () => {
      const args = { database: postgres.connectionString, server: server.url }
      const worker = await startWorker<SweepWorker>(new URL('c15/sweep-worker.ts', import.meta.url), args)
      started.push(worker)
      return worker
    }
    const half: string[] = []
    const notMet: string[] = []
    const ended: string[] = []
    const first = Math.floor(random() * sweepPoints.length)
    try {
      for (let kill = 0; kill < kills; kill++) {
        const worker = await newWorker()
        const account = name(Math.floor(((kill + 1) * count) / (kills + 2)))
        const point = sweepPoints[(first + kill) % sweepPoints.length] ?? ''
        await worker.call('standAt', { account, point })
        const leaving = disconnectPoints.map((_, n) => `leaving-${kill}-${n}`)
        for (const [n, one] of leaving.entries()) {
          await store.insert(linkedRecord(server.url, one))
          await worker.call('standAt', { account: one, point: disconnectPoints[n] ?? '' })
        }
        ended.push(...leaving)
        const cutOff = [
          worker.call('check', { perSecond }),
          ...leaving.map((one) => worker.call('disconnect', one)),
        ]
        for (const one of cutOff) one.catch(() => undefined)
        const missing = await allStanding(worker, [account, ...leaving])
        notMet.push(...missing)
        await worker.kill()
      }
      half.push(...(await halfIn(store, ended)))
      // As if they had been cut off two days ago.
      for (const account of ended) {
        const record = await store.get(`id-${account}`)
        if (record?.status === 'disconnected')
          await store.update({ ...record, checkedAt: now - 2 * day, version: record.version + 1 })
      }

      const worker = await newWorker()
      await worker.call('heap')
      await sleep(100)
      const before = await worker.call('heap')
      const result = await worker.call('check', { perSecond })
      const after = await worker.call('heap')

      const calls = server.requests.filter(({ path }) => path === '/me')
      const tried = new Set(calls.map(({ account }) => account))
      const untried = Array.from({ length: count }, (_, n) => name(n)).filter(
        (account) => !tried.has(account),
      )
      const twice = calls.length - tried.size
      const pending: string[] = []
      for (const account of ended) {
        const record = await store.get(`id-${account}`)
        const isAlive = !server.revoked.includes(`refresh-${account}.1`)
        if (record?.status === 'disconnected' && (record.tokens !== undefined || isAlive))
          pending.push(account)
      }
      return [
        noted('kills', kills),
        noted('disconnects that were cut off', ended.length),
        exactly('connections and users that did not come to their point', notMet.length, 0, {
          details: notMet,
        }),
        exactly('connections that were half', half.length, 0, { details: half }),
        exactly('ended connections with tokens after the next sweep', pending.length, 0, {
          details: pending,
        }),
        exactly('sweeps that ended', Number(result.isComplete), 1),
        exactly('connections that were never tried', untried.length, 0),
        atMost('connections that were tried twice, one for each kill', twice, kills),
        // Measured where they arrive, and some arrive late.
        atMost('most test calls in a second', mostInASecond(calls.map(({ at }) => at)), perSecond * 1.2),
        noted(
          'test calls in a second, on the average of the last sweep',
          averageRate(calls.slice(-result.active)),
        ),
        atMost('growth of the heap in the last sweep', Math.round((after - before) * 10) / 10, 5, {
          unit: 'MB',
        }),
        exactly('unhandled rejections', started.flatMap(({ rejections }) => rejections).length, 0),
      ]
    } finally {
      await Promise.all(started.map((worker) => worker.stop()))
      await pool.end()
      await Promise.all([server.close(), postgres.stop()])
    }
  },
}

function name(n: number): string {
  return `account-${String(n).padStart(5, '0')}`
}

async function seed(
  store: PostgresConnectionStore,
  { url }: AccountServer,
  count: number,
  parts: (n: number) => Partial<ConnectionRecord>,
): Promise<void> {
  const lanes = 20
  await Promise.all(
    Array.from({ length: lanes }, async (_, lane) => {
      for (let n = lane; n < count; n += lanes) {
        const life = 2 * day
        await store.insert(linkedRecord(url, name(n), { ...parts(n), life }))
      }
    }),
  )
}

/** Those that are not there in time. */
async function allStanding(worker: Worker<SweepWorker>, accounts: readonly string[]): Promise<string[]> {
  const deadline = performance.now() + patience
  for (;;) {
    const standing = new Set(await worker.call('standing'))
    const missing = accounts.filter((account) => !standing.has(account))
    if (missing.length === 0 || performance.now() > deadline) return missing
    await sleep(20)
  }
}

/** Works as before, or is over: with tokens that have still to be revoked, or without any. */
async function halfIn(store: PostgresConnectionStore, accounts: readonly string[]): Promise<string[]> {
  const half: string[] = []
  for (const account of accounts) {
    const record = await store.get(`id-${account}`)
    const isWhole =
      record?.status === 'disconnected' || (record?.status === 'active' && record.tokens !== undefined)
    const isAsStood = account.endsWith('-0') === (record?.status === 'active')
    if (!isWhole || !isAsStood) half.push(`${account}: ${record?.status}`)
  }
  return half
}

function mostInASecond(times: readonly number[]): number {
  let [most, from] = [0, 0]
  for (const [n, time] of times.entries()) {
    while (time - (times[from] ?? 0) >= 1_000) from++
    most = Math.max(most, n - from + 1)
  }
  return most
}

function averageRate(calls: readonly { at: number }[]): number {
  const seconds = ((calls.at(-1)?.at ?? 0) - (calls[0]?.at ?? 0)) / 1_000
  return Math.round(calls.length / seconds)
}
