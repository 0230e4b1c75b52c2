/** An API on loopback that answers as it is told, remembers what came, and ends with the test. */
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { onTestFinished } from 'vitest'
import { json, send, type Answer } from './faulty-server/answer.js'
import { listening, stopped } from './listening.js'

export interface ApiRequest {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface Api {
  readonly url: string
  /** In the order of arrival. */
  readonly requests: readonly ApiRequest[]
  /** The tokens that came, without the scheme. */
  readonly tokens: readonly string[]
  /** Can be replaced at any time. */
  answer: (request: ApiRequest, token: string) => Answer
}

export async function startApi(): Promise<Api> {
  const requests: ApiRequest[] = []
  const tokens: string[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method = '', url: path = '', headers } = request
      const recorded = { method, path, headers, body: Buffer.concat(chunks).toString() }
      const token = headers.authorization?.replace(/^Bearer /, '') ?? ''
      requests.push(recorded)
      tokens.push(token)
      send(response, api.answer(recorded, token))
    })
  })
  const api: Api = { url: await listening(server), requests, tokens, answer: () => json({ ok: true }) }
  onTestFinished(() => stopped(server))
  return api
}
