/** An API behind our guard that says what the token says. */
import { Agent, createServer, request } from 'node:http'
import express from 'express'
import { getAuth, oauthBearer } from 'express-oauth-kit'
import { listening, stopped } from '../../support/listening.js'
import { audience } from './draft.js'
import type { Verifier, VerifierOptions } from './verifiers.js'

export interface GuardedApi {
  readonly ask: Verifier
  stop(): Promise<void>
}

export async function startGuardedApi(options: VerifierOptions): Promise<GuardedApi> {
  const app = express()
  app.use(oauthBearer({ ...options, audience }))
  app.get('/', (req, res) => void res.json(getAuth(req).claims))
  const server = createServer(app)
  const url = await listening(server)
  const agent = new Agent({ keepAlive: true })
  const ask: Verifier = async (token) =>
    new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}` }
      const sent = request(url, { agent, headers }, (response) => {
        let body = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => (body += chunk))
        response.on('error', reject)
        response.on('end', () => {
          const { statusCode = 0 } = response
          if (statusCode === 200) resolve({ claims: JSON.parse(body) as object })
          else if (statusCode === 400 || statusCode === 401) resolve({ refusal: body })
          else reject(new Error(`the API answered ${statusCode} ${body}`))
        })
      })
      sent.on('error', reject)
      sent.end()
    })
  return {
    ask,
    async stop() {
      agent.destroy()
      await stopped(server)
    },
  }
}

/** As a header, to a server that takes 16 KB of them. */
export function canTravel(token: string): boolean {
  return /^[\t\u0020-\u007e\u0080-\u00ff]*$/.test(token) && token.length < 12_000
}

/** Blanks around it are none of a header's value (RFC 9110 §5.5), nor those after the scheme of the token. */
export function asHeaderHasIt(token: string): string {
  return token.replace(/^ +/, '').replace(/[ \t]+$/, '')
}
