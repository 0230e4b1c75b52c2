/** One API server: sends requests to it, and gives the answers as soon as their headers are there. */

import {
  request as httpRequest,
  type Agent,
  type ClientRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Socket } from 'node:net'
import { urlToHttpOptions } from 'node:url'
import { OAuthError } from '../errors.js'

export interface UpstreamRequest {
  readonly method: string
  /** Path and query. */
  readonly path: string
  /** Names and values one after the other; all of them, the framing of the body included. */
  readonly headers: readonly string[]
  readonly body: Buffer | IncomingMessage | undefined
}

export interface UpstreamOptions {
  readonly target: string
  readonly agent: Agent
  /** Seconds until the headers of the answer, from the last byte of the request that came. */
  readonly timeout: number
  /** Seconds without a byte while the answer is on its way; 0 for no end. */
  readonly idleTimeout: number
}

export interface Upstream {
  /**
   * Redirects are answers like others. When `client` closes, the exchange ends at once. Throws `upstream_unavailable` or
   * `upstream_timeout`, and `invalid_request` when it was the client that stopped sending.
   */
  send(request: UpstreamRequest, client: ServerResponse): Promise<IncomingMessage>
}

/** What may be sent twice without being done twice (RFC 9110 §9.2.2). */
const idempotent: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'])

export function createUpstream({ target, agent, timeout, idleTimeout }: UpstreamOptions): Upstream {
  const url = new URL(target)
  const { protocol, hostname, port } = urlToHttpOptions(url)
  const start = protocol === 'https:' ? httpsRequest : httpRequest

  function send(request: UpstreamRequest, client: ServerResponse): Promise<IncomingMessage> {
    const { method, path, headers, body } = request
    return new Promise((resolve, reject) => {
      const outgoing = start({ protocol, hostname, port, agent, method, path, headers })
      let answer: IncomingMessage | undefined
      let isLate = false
      const abandon = () => void outgoing.destroy()
      const settled = () => clearTimeout(timer)
      const timer = setTimeout(() => {
        isLate = true
        offGone(client, abandon)
        reject(isStalled(body, outgoing) ? stalled() : tooLate(url, timeout))
        outgoing.destroy()
      }, timeout * 1000)
      onGone(client, abandon)

      outgoing.once('response', (response) => {
        settled()
        answer = response
        if (idleTimeout > 0) outgoing.setTimeout(idleTimeout * 1000, abandon)
        resolve(response)
      })
      outgoing.on('error', (error: NodeJS.ErrnoException) => {
        settled()
        // Whoever reads the answer sees it break off, and whoever was told that there is none asks no more.
        if (answer || isLate) return
        offGone(client, abandon)
        const mayBeRepeated = idempotent.has(method) && !isStream(body) && !client.destroyed
        // The server closed a connection that had been idle just when it was used again.
        if (outgoing.reusedSocket && mayBeRepeated) resolve(send(request, client))
        else reject(unavailable(url, error))
      })
      // Nobody has asked for another protocol. Without a listener Node would tell nothing at all.
      outgoing.once('upgrade', (_answer, socket) => {
        settled()
        offGone(client, abandon)
        socket.destroy()
        reject(unavailable(url, new Error('the protocol was switched')))
      })
      if (isStream(body)) pump(body, outgoing, timer)
      else outgoing.end(body)
    })
  }

  return { send }
}

/** What waits for a connection to close: one listener for all, however many requests came at once. */
const waiting = new WeakMap<Socket, Set<() => void>>()

/**
 * Calls back when the answer is written, or nobody is left to read it. A request that was sent behind another without
 * waiting for its answer has no part in the connection yet: its response does not close with it.
 */
function onGone(client: ServerResponse, gone: () => void): void {
  client.once('close', gone)
  if (client.socket) return
  const { socket } = client.req
  const all = waiting.get(socket) ?? new Set()
  if (!waiting.has(socket)) {
    waiting.set(socket, all)
    socket.once('close', () => all.forEach((callBack) => callBack()))
  }
  all.add(gone)
  client.once('close', () => all.delete(gone))
}

function offGone(client: ServerResponse, gone: () => void): void {
  client.off('close', gone)
  waiting.get(client.req.socket)?.delete(gone)
}

/** Unlike `stream.pipeline` it leaves the request alive when the API fails: there is an answer to give yet. */
function pump(body: IncomingMessage, outgoing: ClientRequest, timer: NodeJS.Timeout): void {
  body.pipe(outgoing)
  body.on('data', () => timer.refresh())
  outgoing.once('close', () => {
    body.unpipe(outgoing)
    // What is left of it stands between this request and the next one of the connection.
    body.resume()
  })
}

function isStream(body: UpstreamRequest['body']): body is IncomingMessage {
  return body !== undefined && !Buffer.isBuffer(body)
}

/** Whether it is the client that we wait for. */
function isStalled(body: UpstreamRequest['body'], outgoing: ClientRequest): boolean {
  return isStream(body) && !body.readableEnded && !outgoing.writableNeedDrain
}

function stalled(): OAuthError {
  return new OAuthError('invalid_request', { status: 408, reason: 'body_timeout' })
}

function tooLate({ origin }: URL, timeout: number): OAuthError {
  return new OAuthError('upstream_timeout', {
    message: `the API at ${origin} did not begin to answer within ${timeout} s`,
    hint: 'If it needs longer, set the option "timeout" of oauthProxy.',
  })
}

function unavailable({ origin }: URL, cause: NodeJS.ErrnoException): OAuthError {
  const isNonsense = cause.code?.startsWith('HPE_') === true
  return new OAuthError('upstream_unavailable', {
    message: isNonsense
      ? `the API at ${origin} does not speak HTTP`
      : `the API at ${origin} cannot be reached`,
    reason: isNonsense ? 'not_http' : 'network',
    hint: 'Check the option "target" of oauthProxy and that this machine can reach it; a private CA or a proxy goes into the option "agent".',
    cause,
  })
}
