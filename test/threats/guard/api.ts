/** An API behind the guard, and requests to it with exactly the headers that a test asks for. */
import { createServer, request, type IncomingHttpHeaders } from 'node:http'
import express, { type Express, type NextFunction, type Request, type Response } from 'express'
import express4 from 'express4'
import { onTestFinished } from 'vitest'
import {
  getAuth,
  oauthBearer,
  requireLogin,
  requireScope,
  type OAuthBearerOptions,
  type OAuthEvent,
} from '../../../lib/index.js'
import { listening, stopped } from '../../support/listening.js'
import { audience, startIssuer, type Issuer } from './issuer.js'

export interface ApiAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly challenge: string | undefined
  readonly body: string
}

export interface ApiRequest {
  readonly path?: string
  readonly method?: string
  /** Names and values in turn, sent as they are, repeated ones too. */
  readonly headers?: readonly string[]
  readonly body?: string
}

export interface Api {
  readonly url: string
  readonly events: readonly OAuthEvent[]
  /** What reached the application's error handler. */
  readonly errors: readonly unknown[]
  send(request: ApiRequest): Promise<ApiAnswer>
  /** Presents a token at `path`; default `/me`, which any good token opens. */
  present(token: string, path?: string): Promise<ApiAnswer>
  /** The same in short: the status, and after a refusal the reason that the event tells. */
  verdict(token: string, path?: string): Promise<string>
}

export interface ApiOptions {
  readonly framework?: '4' | '5'
  readonly options?: Partial<OAuthBearerOptions>
  /** Adds to the application before the guard is mounted. */
  readonly before?: (app: Express) => void
  /** The routes. Default: those of {@link projectRoutes}, behind a guard for all of them. */
  readonly routes?: (app: Express, guard: ReturnType<typeof oauthBearer>) => void
}

/** Both ends, fresh for one test: no key is known yet and no request was counted. */
export async function guardedApi(options: ApiOptions = {}): Promise<{ api: Api; issuer: Issuer }> {
  const issuer = await startIssuer()
  return { issuer, api: await startApi(issuer, options) }
}

export async function startApi(issuer: Pick<Issuer, 'url'>, options: ApiOptions = {}): Promise<Api> {
  const events: OAuthEvent[] = []
  const errors: unknown[] = []
  const app = (options.framework === '4' ? express4 : express)()
  const guard = oauthBearer({
    issuer: issuer.url,
    audience,
    onEvent: (event) => events.push(event),
    ...options.options,
  } as OAuthBearerOptions)
  options.before?.(app)
  if (options.routes) options.routes(app, guard)
  else projectRoutes(app.use(guard))
  app.use((error: Error & { status?: number }, _req: Request, res: Response, _next: NextFunction) => {
    errors.push(error)
    res.status(error.status ?? 500).send('the application had an error')
  })
  // Larger than Node's default, so that the guard's own limit is the one that is met.
  const server = createServer({ maxHeaderSize: 200_000 }, app)
  const url = await listening(server)
  onTestFinished(() => stopped(server))

  const send: Api['send'] = async (one) => answerOf(url, one)
  const present: Api['present'] = async (token, path = '/me') =>
    send({ path, headers: ['authorization', `Bearer ${token}`] })
  return {
    url,
    events,
    errors,
    send,
    present,
    async verdict(token, path) {
      const before = events.length
      const { status } = await present(token, path)
      const rejection = events.slice(before).find((event) => event.type === 'token_rejected')
      const reason = rejection?.type === 'token_rejected' ? rejection.error.reason : undefined
      return reason === undefined ? String(status) : `${status} ${reason}`
    },
  }
}

export function projectRoutes(app: Express): void {
  app.all('/me', requireLogin(), (req, res) => {
    const { kind, subject, clientId, scopes, issuer, expiresAt } = getAuth(req)
    res.json({ kind, subject, clientId, scopes, issuer, expiresAt })
  })
  app.get('/projects', requireScope('read:projects'), (_req, res) => void res.send('projects'))
  app.get('/both', requireScope('read:projects', 'write:projects'), (_req, res) => void res.send('both'))
}

function answerOf(url: string, { path = '/me', method = 'GET', headers = [], body }: ApiRequest) {
  return new Promise<ApiAnswer>((resolve, reject) => {
    const { hostname, port } = new URL(url)
    // Given as a list, headers go out as they are; then the host is ours to send.
    const all = ['host', `${hostname}:${port}`, ...headers]
    const sent = request({ hostname, port, path, method, headers: all }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text += chunk))
      response.on('error', reject)
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          challenge: response.headers['www-authenticate'],
          body: text,
        }),
      )
    })
    sent.on('error', reject)
    sent.end(body)
  })
}
