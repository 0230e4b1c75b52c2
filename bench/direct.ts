/**
 * What a guard costs by itself: its middleware is called without HTTP, with a new request object and a new header text each
 * time, as a socket would bring them. Contestants take turns in short slices, and the undisturbed ones of each count.
 */
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import type { RequestHandler } from 'express'
import { undisturbed } from './undisturbed.js'

export interface Cost {
  readonly name: string
  /** Microseconds of processor time per request, on all threads and on the one that runs JavaScript. */
  readonly all: number
  readonly main: number
}

type Slice = Omit<Cost, 'name'>

/** Of them so many at once, as a server under load has them. */
export const requestsOfSlice = 1_600
const atOnce = 16
/** Slices of each. */
const warmUp = 7

/** Those who are compared, by name. */
export type Runners = Readonly<Record<string, readonly RequestHandler[]>>

/** A header of a new request, whose texts take turns. */
export interface TurningHeader {
  readonly name: string
  readonly texts: readonly string[]
}

export async function costs(contestants: Runners, header: TurningHeader, rounds: number): Promise<Cost[]> {
  // From bytes each time: a text that was looked up before would bring its hash along.
  const texts = header.texts.map((text) => Buffer.from(text, 'latin1'))
  const runners = Object.entries(contestants).map(([name, handlers]) => ({ name, handlers }))
  const nothing: Slice[] = []
  const slices = new Map<string, Slice[]>(runners.map(({ name }) => [name, []]))
  let next = 0
  const headers = () => ({ [header.name]: texts[(next += 1) % texts.length]?.toString('latin1') ?? '' })

  for (let round = -warmUp; round < rounds; round += 1) {
    for (const { name, handlers } of runners) {
      const without = await slice([], headers)
      const own = await slice(handlers, headers)
      if (round < 0) continue // until all code is compiled
      nothing.push(without)
      slices.get(name)?.push(own)
    }
  }
  const mean = (some: readonly Slice[], thread: keyof Slice) => undisturbed(some.map((one) => one[thread]))
  return [...slices].map(([name, own]) => ({
    name,
    all: mean(own, 'all') - mean(nothing, 'all'),
    main: mean(own, 'main') - mean(nothing, 'main'),
  }))
}

type NextHeaders = () => Readonly<Record<string, string>>

async function slice(handlers: readonly RequestHandler[], headers: NextHeaders): Promise<Slice> {
  const cpu = process.cpuUsage()
  const loop = performance.eventLoopUtilization()
  for (let done = 0; done < requestsOfSlice; done += atOnce)
    await Promise.all(Array.from({ length: atOnce }, () => passed(handlers, headers())))
  const used = process.cpuUsage(cpu)
  const { active } = performance.eventLoopUtilization(loop)
  return { all: (used.user + used.system) / requestsOfSlice, main: (active * 1_000) / requestsOfSlice }
}

const socket = new Socket()

/** Rejects when the request did not get through: a refusal would cost less than what is compared. */
function passed(handlers: readonly RequestHandler[], headers: ReturnType<NextHeaders>): Promise<void> {
  const req = new IncomingMessage(socket)
  req.method = 'GET'
  req.url = '/projects'
  req.headers = { host: 'localhost', accept: '*/*', ...headers }
  req.rawHeaders = Object.entries(req.headers).flatMap(([name, value]) => [name, String(value)])
  const res = new ServerResponse(req)
  return new Promise((resolve, reject) => {
    const run = (index: number) => (error?: unknown) => {
      const handler = handlers[index]
      if (error !== undefined) reject(new Error('it was refused', { cause: error }))
      else if (handler) void handler(req as never, res as never, run(index + 1))
      else resolve()
    }
    run(0)()
  })
}
