/**
 * A comparison that other work on the machine cannot spoil: short slices in turn, bare Express before and after each
 * contestant, and the median over all rounds of what each took beside its neighbours.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { startWorker, type Worker } from '../test/campaigns/support/workers.js'
import { quantile } from '../test/campaigns/support/quantile.js'
import type { Setting } from './contestants.js'
import type { LoadWorker, Tokens } from './load-worker.js'
import type { ServerWorker } from './server-worker.js'

export const bareExpress = 'bare Express'

export interface Bout {
  readonly names: readonly string[]
  readonly tokens: Tokens
  /** What the contestants answer; bare Express always has 200. */
  readonly status?: number
}

export interface Effort {
  readonly rounds: number
  /** Milliseconds. */
  readonly slice: number
}

/** Medians over all rounds. */
export interface Score {
  readonly name: string
  /** Processor time of bare Express, by that of the contestant, per request. */
  readonly share: number
  /** The same, in place of bare Express, for each other contestant of the bout by its name. */
  readonly shares: Readonly<Record<string, number>>
  /** Microseconds of processor time per request. */
  readonly total: number
  /** Microseconds that come on top of bare Express, on all threads and on the one that runs JavaScript. */
  readonly added: number
  readonly addedToMainThread: number
  /** Requests per second by those of bare Express, which is a matter of the load generator, too. */
  readonly rate: number
}

interface Slice {
  readonly all: number
  readonly main: number
  readonly rate: number
}

export async function play(
  { names, tokens, status = 200 }: Bout,
  setting: Setting,
  load: Worker<LoadWorker>,
  { rounds, slice }: Effort,
): Promise<Score[]> {
  const entry = new URL('server-worker.ts', import.meta.url)
  const server = await startWorker<ServerWorker>(entry, { names: [bareExpress, ...names], setting })
  try {
    await pin(server.pid, 0)
    const [bareUrl = '', ...urls] = server.ready
    const measured = async (url: string): Promise<Slice> => {
      const before = await server.call('usage')
      const drive = { url, tokens, time: slice, status: url === bareUrl ? 200 : status }
      const { requests, seconds } = await load.call('drive', drive)
      const after = await server.call('usage')
      return {
        all: (after.allThreads - before.allThreads) / requests,
        main: (after.mainThread - before.mainThread) / requests,
        rate: requests / seconds,
      }
    }
    // Until all code is compiled, and what is remembered is known.
    const warmUp = Math.max(2 * tokens.count, 8_000)
    for (const url of server.ready)
      await load.call('drive', { url, tokens, requests: warmUp, status: url === bareUrl ? 200 : status })

    const slices = new Map<string, { own: Slice; bare: Slice }[]>(names.map((name) => [name, []]))
    for (let round = 0; round < rounds; round += 1) {
      let before = await measured(bareUrl)
      for (const [index, name] of names.entries()) {
        const own = await measured(urls[index] ?? '')
        const after = await measured(bareUrl)
        slices.get(name)?.push({ own, bare: mean(before, after) })
        before = after
      }
    }
    return names.map((name) => score(name, slices))
  } finally {
    await server.stop()
  }
}

function score(name: string, slices: ReadonlyMap<string, readonly { own: Slice; bare: Slice }[]>): Score {
  const rounds = slices.get(name) ?? []
  const share = (one: (typeof rounds)[number]) => one.bare.all / one.own.all
  const others = [...slices].map(([other, theirs]): [string, number] => [
    other,
    median(rounds.map((own, round) => share(own) / share(theirs[round] ?? own))),
  ])
  return {
    name,
    share: median(rounds.map(share)),
    shares: Object.fromEntries(others),
    total: median(rounds.map(({ own }) => own.all)),
    added: median(rounds.map(({ own, bare }) => own.all - bare.all)),
    addedToMainThread: median(rounds.map(({ own, bare }) => own.main - bare.main)),
    rate: median(rounds.map(({ own, bare }) => own.rate / bare.rate)),
  }
}

function mean(one: Slice, other: Slice): Slice {
  const half = (a: number, b: number) => (a + b) / 2
  return {
    all: half(one.all, other.all),
    main: half(one.main, other.main),
    rate: half(one.rate, other.rate),
  }
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** All threads of a process to one processor, where the machine can do that. */
export async function pin(pid: number, processor: number): Promise<boolean> {
  try {
    await promisify(execFile)('taskset', ['-acp', String(processor), String(pid)])
    return true
  } catch {
    return false
  }
}
