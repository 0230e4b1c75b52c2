/**
 * What a guard costs by itself: its middleware is called without HTTP, with a new request object and a new header text each
 * time, as a socket would bring them. Contestants take turns in short slices, and the quickest slice of each counts: other
 * work on the machine only ever makes a slice slower.
 */
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { RequestHandler } from 'express'
import { contestants, type Setting } from './contestants.js'

export interface Cost {
  readonly name: string
  /** Microseconds of processor time per request, on all threads and on the one that runs JavaScript. */
  readonly all: number
  readonly main: number
}

/** Requests of a slice, and of them so many at once, as a server under load has them. */
const sliceOf = 4_000
const atOnce = 16

export async function costs(
  names: readonly string[],
  setting: Setting,
  tokens: readonly string[],
  rounds: number,
): Promise<Cost[]> {
  // From bytes each time: a text that was looked up before would bring its hash along.
  const headers = tokens.map((token) => Buffer.from(`Bearer ${token}`, 'latin1'))
  const runners = names.map((name) => ({ name, handlers: contestants[name]?.(setting) ?? [] }))
  const quickest = new Map<string, { all: number; main: number }>()
  const note = (name: string, { all, main }: { all: number; main: number }) => {
    const known = quickest.get(name) ?? { all: Infinity, main: Infinity }
    quickest.set(name, { all: Math.min(known.all, all), main: Math.min(known.main, main) })
  }
  let next = 0
  const header = () => headers[(next += 1) % headers.length]?.toString('latin1') ?? ''

  for (let round = -2; round < rounds; round += 1) {
    for (const { name, handlers } of runners) {
      const nothing = await slice([], header)
      const own = await slice(handlers, header)
      if (round < 0) continue // until all code is compiled
      note('', nothing)
      note(name, own)
    }
  }
  const { all: allOfNothing = 0, main: mainOfNothing = 0 } = quickest.get('') ?? {}
  return names.map((name) => {
    const { all, main } = quickest.get(name) ?? { all: 0, main: 0 }
    return { name, all: all - allOfNothing, main: main - mainOfNothing }
  })
}

async function slice(
  handlers: readonly RequestHandler[],
  header: () => string,
): Promise<{ all: number; main: number }> {
  const cpu = process.cpuUsage()
  const loop = performance.eventLoopUtilization()
  for (let done = 0; done < sliceOf; done += atOnce)
    await Promise.all(Array.from({ length: atOnce }, () => passed(handlers, header())))
  const used = process.cpuUsage(cpu)
  const { active } = performance.eventLoopUtilization(loop)
  return { all: (used.user + used.system) / sliceOf, main: (active * 1_000) / sliceOf }
}

const socket = new Socket()

/** Rejects when the request did not get through: a refusal would cost less than what is compared. */
function passed(handlers: readonly RequestHandler[], authorization: string): Promise<void> {
  const req = new IncomingMessage(socket)
  req.headers = { host: 'localhost', accept: '*/*', authorization }
  req.rawHeaders = ['Host', 'localhost', 'Accept', '*/*', 'Authorization', authorization]
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
