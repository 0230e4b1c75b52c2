/** The demo's single page with an authorization server that tells the test which tokens it gave. */
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { BrowserContext, Response } from 'playwright-core'
import { createAuthorizationServer } from '../../example-app/src/authorization-server.js'
import { startDemo, type Demo } from './demo.js'
import { listening, stopped } from './listening.js'

export interface SinglePage {
  readonly url: string
  readonly issuer: string
  readonly demo: Demo
  /** Access, refresh and ID tokens, in the order of their issue. */
  readonly tokens: readonly Token[]
  stop(): Promise<void>
}

export interface Token {
  readonly kind: 'access_token' | 'refresh_token' | 'id_token'
  readonly value: string
}

export async function startSinglePage(environment: Readonly<Record<string, string>>): Promise<SinglePage> {
  const server = createServer()
  const issuer = await listening(server, 'localhost')
  const client = { CLIENT_ID: 'projects', CLIENT_SECRET: 'known to the demo and to its server' }
  // Any name will do: the server and the API have to agree, and nobody opens it.
  const resource = 'https://projects.example/api'
  const demo = await startDemo({ ISSUER: issuer, RESOURCE: resource, ...client, ...environment })
  const tokens: Token[] = []
  const authorizationServer = createAuthorizationServer({
    issuer,
    apiUrl: resource,
    clients: [
      {
        client_id: client.CLIENT_ID,
        client_secret: client.CLIENT_SECRET,
        client_name: 'Projects',
        grant_types: ['authorization_code', 'refresh_token'],
        redirect_uris: [`${demo.url}/callback`],
        post_logout_redirect_uris: [`${demo.url}/`],
      },
    ],
  })
  server.on('request', noting(tokens, authorizationServer))
  return {
    url: `${demo.url}/spa`,
    issuer,
    demo,
    tokens,
    async stop() {
      await demo.stop()
      await stopped(server)
    },
  }
}

/** Reads what the token endpoint says. */
function noting(tokens: Token[], next: RequestListener): RequestListener {
  return (request: IncomingMessage, response: ServerResponse) => {
    if (request.method === 'POST' && request.url === '/token') {
      const end = response.end.bind(response)
      response.end = ((body: string | Buffer) => {
        const answer = JSON.parse(body.toString()) as Record<string, string>
        for (const kind of ['access_token', 'refresh_token', 'id_token'] as const) {
          const value = answer[kind]
          if (value !== undefined) tokens.push({ kind, value })
        }
        return end(body)
      }) as typeof response.end
    }
    next(request, response)
  }
}

/** Everything that the app at this origin lets a browser see: bodies and headers. */
export interface Seen {
  all(): Promise<readonly Place[]>
}

export interface Place {
  readonly where: string
  readonly text: string
}

export function watch(context: BrowserContext, origin: string): Seen {
  const parts: Promise<readonly Place[]>[] = []
  context.on('response', (response) => {
    if (new URL(response.url()).origin === origin) parts.push(partsOf(response))
  })
  return { all: async () => (await Promise.all(parts)).flat() }
}

async function partsOf(response: Response): Promise<Place[]> {
  const where = `${response.request().method()} ${response.url()}`
  const headers = await response.headersArray()
  // A stream has no end before the page has.
  const isStream = headers.some(({ value }) => value.startsWith('text/event-stream'))
  return [
    { where, text: isStream ? '' : await textOf(response) },
    { where: `${where}, address`, text: response.url() },
    ...headers.map(({ name, value }) => ({ where: `${where}, ${name.toLowerCase()}`, text: value })),
  ]
}

/** There is none of a redirect, and none that can be had of a page that was left while it came. */
async function textOf(response: Response): Promise<string> {
  return Promise.race([response.text().catch(() => ''), sleep(1000, '')])
}
