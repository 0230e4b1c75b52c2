/** The server under load: one app for each contestant, in one process, so that all of them share its luck. */
import { createServer } from 'node:http'
import express from 'express'
import { serveCommands } from '../test/campaigns/support/worker.js'
import { listening } from '../test/support/listening.js'
import { contestants, type Setting } from './contestants.js'
import { usage, type Usage } from './usage.js'

export interface ServerWorker {
  readonly args: { readonly names: readonly string[]; readonly setting: Setting }
  /** Their addresses, in the order of the names. */
  readonly ready: readonly string[]
  readonly commands: {
    usage(): Usage
    memory(): Memory
  }
}

/** After a garbage collection, in bytes. */
export interface Memory {
  readonly heapUsed: number
  readonly rss: number
}

void serveCommands<ServerWorker>(async ({ names, setting }) => {
  const ready: string[] = []
  for (const name of names) {
    const contestant = contestants[name]
    if (!contestant) throw new Error(`there is no contestant ${name}`)
    const app = express()
    for (const middleware of contestant(setting)) app.use(middleware)
    app.get('/projects', (_req, res) => void res.json({ projects: [] }))
    ready.push(`${await listening(createServer(app))}/projects`)
  }
  return {
    ready,
    commands: {
      usage,
      memory: () => {
        globalThis.gc?.()
        globalThis.gc?.()
        const { heapUsed, external, rss } = process.memoryUsage()
        return { heapUsed: heapUsed + external, rss }
      },
    },
  }
})
