/**
 * A comparison that other work on the machine cannot spoil: many short slices, in a new order each round, so that nothing
 * that comes and goes by a beat of its own meets the same contestant each time. Of each contestant the undisturbed slices
 * count. A slice is long enough for a collection or two of young garbage; full collections are rarer, and not in it.
 */
import { execFile } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { promisify } from 'node:util'
import { startWorker, type Worker } from '../test/campaigns/support/workers.js'
import type { Setting } from './contestants.js'
import type { Drive, LoadWorker, Tokens } from './load-worker.js'
import type { ServerWorker } from './server-worker.js'
import { undisturbed } from './undisturbed.js'
import type { Usage } from './usage.js'

const bareExpress = 'bare Express'
/** The same once more: by what it differs from the first, the machine may be off with everything else. */
export const control = 'bare Express again'

export const tolerated = 0.05
/** As many times the rounds are played while the control is off; all of them count then. */
const mostTimes = 3

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
  /** Requests before anything counts. */
  readonly warmUp?: number
}

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

/** Microseconds per request: of the processor, of the thread that runs JavaScript, and from the first to the last. */
interface Slice {
  readonly all: number
  readonly main: number
  readonly passed: number
}

/** Who takes part, and what is asked of them; the first is what all are compared with, the second the control. */
export interface Contender extends Pick<Drive, 'url' | 'tokens' | 'shape' | 'status'> {
  readonly name: string
}

/** The process under load. */
interface Server {
  readonly pid: number
  call(name: 'usage'): Promise<Usage>
}

/** Of all names, and of the control, which is in every bout. */
export async function play(
  { names, tokens, status = 200 }: Bout,
  setting: Setting,
  load: Worker<LoadWorker>,
  effort: Effort,
): Promise<Score[]> {
  const everybody = [bareExpress, control, ...names.filter((name) => name !== control)]
  const entry = new URL('server-worker.ts', import.meta.url)
  const server = await startWorker<ServerWorker>(entry, { names: everybody, setting })
  try {
    const contenders = everybody.map((name, index) => ({
      name,
      url: server.ready[index] ?? '',
      tokens,
      status: index < 2 ? 200 : status,
    }))
    return await race(contenders, server, load, effort)
  } finally {
    await server.stop()
  }
}

/** In slices that take turns, until the control is at rest or there have been too many. */
export async function race(
  contenders: readonly Contender[],
  server: Server,
  load: Pick<Worker<LoadWorker>, 'call'>,
  { rounds, slice, warmUp = 4_000 }: Effort,
): Promise<Score[]> {
  await pin(server.pid, 0)
  const runners = contenders.map((contender) => ({ contender, slices: [] as Slice[] }))
  // Until all code is compiled, and what is remembered is known.
  for (const { name: _, ...drive } of contenders)
    await load.call('drive', { ...drive, requests: Math.max(drive.tokens?.count ?? 0, warmUp) })

  const playRound = async () => {
    for (const { contender, slices } of shuffled(runners)) {
      const { name: _, ...drive } = contender
      const before = await server.call('usage')
      const driven = await load.call('drive', { ...drive, time: slice })
      const after = await server.call('usage')
      slices.push({
        all: (after.allThreads - before.allThreads) / driven.requests,
        main: (after.mainThread - before.mainThread) / driven.requests,
        passed: (driven.seconds * 1_000_000) / driven.requests,
      })
    }
  }
  let scores: Score[] = []
  for (let times = 0; times < mostTimes && !isTrusted(scores); times += 1) {
    for (let round = 0; round < rounds; round += 1) await playRound()
    scores = scoresOf(
      runners.map(({ contender, slices }) => ({ name: contender.name, taken: sliceOf(slices) })),
    )
  }
  return scores
}

/** Whether the control says that this machine is in a state to compare. */
export function isTrusted([first]: readonly Score[]): boolean {
  const { share = 0 } = first ?? {}
  return Math.abs(share - 1) <= tolerated
}

function sliceOf(slices: readonly Slice[]): Slice {
  return {
    all: undisturbed(slices.map(({ all }) => all)),
    main: undisturbed(slices.map(({ main }) => main)),
    passed: undisturbed(slices.map(({ passed }) => passed)),
  }
}

function scoresOf(results: readonly { name: string; taken: Slice }[]): Score[] {
  const [bare, ...others] = results
  if (!bare) return []
  return others.map(({ name, taken }) => ({
    name,
    share: bare.taken.all / taken.all,
    shares: Object.fromEntries(others.map((other) => [other.name, other.taken.all / taken.all])),
    total: taken.all,
    added: taken.all - bare.taken.all,
    addedToMainThread: taken.main - bare.taken.main,
    rate: bare.taken.passed / taken.passed,
  }))
}

function shuffled<T>(values: readonly T[]): T[] {
  const mixed: T[] = []
  for (const value of values) mixed.splice(randomInt(mixed.length + 1), 0, value)
  return mixed
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
