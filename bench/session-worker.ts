/** The apps with sessions: one for each contestant, in one process, so that all of them share its luck. */
import { createServer } from 'node:http'
import express from 'express'
import { serveCommands } from '../test/campaigns/support/worker.js'
import { listening } from '../test/support/listening.js'
import { sessionContestants, type SessionSetting } from './session-contestants.js'
import { usage, type Usage } from './usage.js'

export interface SessionWorker {
  readonly args: Omit<SessionSetting, 'baseUrl'> & { readonly names: readonly string[] }
  /** Their addresses, in the order of the names. */
  readonly ready: readonly string[]
  readonly commands: { usage(): Usage }
}

void serveCommands<SessionWorker>(async ({ names, ...setting }) => {
  const ready: string[] = []
  for (const name of names) {
    const app = express()
    const server = createServer(app)
    const baseUrl = await listening(server, 'localhost')
    sessionContestants[name]?.mount(app, { ...setting, baseUrl })
    app.get('/', (_req, res) => void res.send('home'))
    ready.push(baseUrl)
  }
  return { ready, commands: { usage } }
})
