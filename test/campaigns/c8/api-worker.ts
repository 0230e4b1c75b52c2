/** An API behind the guard, in a process of its own, with a route beside it that nobody guards. */
import { createServer } from 'node:http'
import express from 'express'
import { oauthBearer } from 'express-oauth-kit'
import { listening } from '../../support/listening.js'
import { serveCommands } from '../support/worker.js'

export interface ApiWorker {
  readonly args: { readonly issuer: string; readonly audience: string; readonly jwksUri: string }
  /** Its origin. */
  readonly ready: string
  readonly commands: {
    /** After its garbage was collected, in bytes; and the processor time so far, in microseconds. */
    measure(): { readonly rss: number; readonly heapUsed: number; readonly processor: number }
    /** Processor time so far, in microseconds. */
    processor(): number
  }
}

void serveCommands<ApiWorker>(async (options) => {
  const guard = oauthBearer(options)
  await guard.ready()
  const app = express()
  app.get('/open', (_req, res) => void res.json({ projects: [] }))
  app.get('/projects', guard, (_req, res) => void res.json({ projects: [] }))
  const processor = () => {
    const { user, system } = process.cpuUsage()
    return user + system
  }
  return {
    ready: await listening(createServer(app)),
    commands: {
      processor,
      measure: () => {
        globalThis.gc?.()
        const { rss, heapUsed } = process.memoryUsage()
        return { rss, heapUsed, processor: processor() }
      },
    },
  }
})
