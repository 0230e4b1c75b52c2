/** An application with a proxy to an API, and a user of it whose requests are written byte by byte where it matters. */
import {
  createServer,
  request as httpRequest,
  type IncomingHttpHeaders,
  type RequestListener,
} from 'node:http'
import { connect } from 'node:net'
import { onTestFinished } from 'vitest'
import { oauthProxy, type OAuthProxyOptions } from '../../lib/index.js'
import { startApi, type Api } from '../support/api.js'
import type { Browser } from '../support/browser.js'
import { listening, stopped } from '../support/listening.js'
import { cookieHeader } from '../support/requests.js'
import { startStage, type Stage, type StageOptions } from '../support/stage.js'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly body: string
}

export interface Sent {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export interface Proxied extends Stage {
  readonly browser: Browser
  /** The Cookie header of the user who is signed in. */
  readonly cookie: string
  /** Sends what a script of the app's own pages would, with the request target as it is written. */
  send(target: string, sent?: Sent): Promise<Answer>
}

/** Headers of a request by a script of the app's own pages. */
export const ownScript = { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors', 'x-csrf': '1' } as const

/** An application, signed in to, with a proxy at `/api`. */
export async function proxied(
  target: string,
  options: Partial<OAuthProxyOptions> = {},
  stage: StageOptions = {},
): Promise<Proxied> {
  const proxy = oauthProxy({ prefix: '/api', target, token: 'user', ...options })
  const { routes } = stage
  const started = await startStage({
    ...stage,
    routes: (router) => {
      routes?.(router)
      router.use(proxy)
    },
  })
  const browser = await started.signedIn()
  const cookie = await cookieHeader(browser, started.app.url)
  const send: Proxied['send'] = async (path, { method = 'GET', headers = {}, body } = {}) =>
    exchange(started.app.url, path, { method, headers: { cookie, ...ownScript, ...headers }, body })
  return { ...started, browser, cookie, send }
}

/** The same with an API that answers as it is told. */
export async function proxiedApi(
  options: Partial<OAuthProxyOptions> = {},
  stage: StageOptions = {},
): Promise<Proxied & { readonly api: Api }> {
  const api = await startApi()
  return { ...(await proxied(`${api.url}/v1`, options, stage)), api }
}

/** One request on a connection of its own. */
export async function exchange(
  origin: string,
  path: string,
  { method, headers, body }: { method: string; headers: Record<string, string>; body?: string | undefined },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(origin, { method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const { statusCode: status = 0, headers: received, rawHeaders } = response
        resolve({ status, headers: received, rawHeaders, body: Buffer.concat(chunks).toString() })
      })
    })
    request.on('error', reject)
    request.end(body)
  })
}

/** Sends these bytes, and gives all that comes until the connection ends. */
export async function raw(origin: string, ...bytes: readonly string[]): Promise<string> {
  const { hostname, port } = new URL(origin)
  return new Promise((resolve) => {
    let received = ''
    const socket = connect(Number(port), hostname, () =>
      bytes.forEach((text) => socket.write(text, 'latin1')),
    )
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => (received += text))
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(received))
  })
}

/** An API made of one listener, until the test ends. */
export async function upstream(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  const url = await listening(server)
  onTestFinished(() => stopped(server))
  return url
}
