/** Applications whose clock a campaign sets, one process for all, with an eye on their timers. */
import { createServer } from 'node:http'
import express, { type Express } from 'express'
import session, { MemoryStore } from 'express-session'
import { getAuth, oauthBearer, oauthLogin, type OAuthEvent, type OAuthLoginOptions } from 'express-oauth-kit'
import { listening } from '../../support/listening.js'
import { jump } from './clock.js'
import { addRoutes } from './routes.js'
import { watchTimers, wrongDelays } from './timers.js'
import { serveCommands } from './worker.js'

export interface ClockWorker {
  readonly args: {
    readonly apps: readonly (Pick<OAuthLoginOptions, 'issuer' | 'clientId' | 'storage'> &
      Partial<OAuthLoginOptions>)[]
    readonly audience: string
  }
  /** The applications, and at last the API. */
  readonly ready: readonly string[]
  readonly commands: {
    /** Sets the clock so many seconds ahead or back, where it stands still. */
    jump(seconds: number): void
    /** Delays that no timer can keep. */
    wrongDelays(): string[]
    /** Events of trouble since the start. */
    troubles(): string[]
  }
}

const troubles: string[] = []

function note(event: OAuthEvent): void {
  if ('code' in event) troubles.push(`${event.type}: ${event.code} ${event.error.reason ?? ''}`)
}

watchTimers()

void serveCommands<ClockWorker>(async ({ apps, audience }) => {
  const urls = await Promise.all(
    apps.map(async (setup) =>
      serve((baseUrl) => {
        const app = express()
        const secret = 'of the session cookie only'
        if (setup.storage === 'session')
          app.use(session({ secret, resave: false, saveUninitialized: false, store: new MemoryStore() }))
        const secrets = ['a secret of thirty-two bytes or more']
        app.use(oauthLogin({ baseUrl, secrets, ...setup, onEvent: note }))
        addRoutes(app)
        return app
      }),
    ),
  )
  const issuer = apps[0]?.issuer ?? ''
  const api = await serve(() => {
    const app = express()
    app.use(oauthBearer({ issuer, audience, onEvent: note }))
    return app.get('/', (req, res) => res.send(String(getAuth(req).expiresAt)))
  })
  return { ready: [...urls, api], commands: { jump, wrongDelays, troubles: () => troubles } }
})

async function serve(application: (url: string) => Express): Promise<string> {
  const server = createServer()
  const url = await listening(server, 'localhost')
  server.on('request', application(url))
  return url
}
