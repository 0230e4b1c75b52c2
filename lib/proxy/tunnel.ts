/** A connection that has left HTTP, through this server to an API: bytes both ways, until either end has had enough. */

import { request as httpRequest, type Agent, type ClientRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Socket } from 'node:net'
import { pipeline, type Duplex } from 'node:stream'
import { urlToHttpOptions } from 'node:url'
import { OAuthError } from '../errors.js'

export interface TunnelOptions {
  readonly target: string
  readonly agent: Agent
  /** Seconds until the API has answered. */
  readonly timeout: number
}

export interface TunnelRequest {
  /** Path and query. */
  readonly path: string
  /** Names and values one after the other; all of them. */
  readonly headers: readonly string[]
}

/** One end of a connection, and what came on it behind the headers. */
export interface TunnelEnd {
  readonly socket: Duplex
  readonly head: Buffer
}

export interface TunnelAnswer {
  readonly answer: IncomingMessage
  /** The API's end, when the answer is 101; else the answer has a body. */
  readonly end: (TunnelEnd & { readonly socket: Socket }) | undefined
}

/**
 * Asks the API for another protocol. When `gone` is aborted, so is the request. Throws `upstream_unavailable` or
 * `upstream_timeout`.
 */
export type OpenTunnel = (request: TunnelRequest, gone: AbortSignal) => Promise<TunnelAnswer>

export function createTunnels({ target, agent, timeout }: TunnelOptions): OpenTunnel {
  const url = new URL(target)
  const { protocol, hostname, port } = urlToHttpOptions(url)
  const start = protocol === 'https:' ? httpsRequest : httpRequest

  return function open({ path, headers }, gone) {
    return new Promise((resolve, reject) => {
      if (gone.aborted) {
        reject(new Error('nobody waits for the answer'))
        return
      }
      const outgoing: ClientRequest = start({ protocol, hostname, port, agent, path, headers })
      let isSettled = false
      const abandon = () => void outgoing.destroy()
      const settled = () => {
        isSettled = true
        clearTimeout(timer)
      }
      const timer = setTimeout(() => {
        isSettled = true
        reject(tooLate(url, timeout))
        abandon()
      }, timeout * 1000)
      gone.addEventListener('abort', abandon)
      outgoing.once('close', () => gone.removeEventListener('abort', abandon))

      outgoing.once('response', (answer) => {
        settled()
        outgoing.setTimeout(timeout * 1000, abandon)
        resolve({ answer, end: undefined })
      })
      outgoing.once('upgrade', (answer: IncomingMessage, socket: Socket, head: Buffer) => {
        settled()
        // Nobody listens any more, and an error that nobody listens for ends the process.
        socket.on('error', () => undefined)
        resolve({ answer, end: { socket, head } })
      })
      outgoing.on('error', (error: NodeJS.ErrnoException) => {
        clearTimeout(timer)
        if (isSettled) return
        // The server closed a connection that had been idle just when it was used again.
        if (outgoing.reusedSocket && error.code === 'ECONNRESET' && !gone.aborted)
          resolve(open({ path, headers }, gone))
        else reject(unavailable(url, error))
      })
      outgoing.end()
    })
  }
}

/** Seconds that one end may go on without a byte, after the other has said that it has nothing more to say. */
const longestFarewell = 30
/** Seconds without traffic after which the network is asked whether the other end is still there. */
const keepAliveDelay = 30

/** Lets bytes run both ways, as fast as the slower end reads them. An end that breaks off takes the other with it. */
export function join(client: TunnelEnd, upstream: TunnelEnd): void {
  for (const { socket, head } of [client, upstream]) {
    keepOpen(socket as Socket)
    if (head.length > 0) socket.unshift(head)
  }
  for (const [from, to] of [
    [client.socket, upstream.socket],
    [upstream.socket, client.socket],
  ] as const) {
    pipeline(from, to, (error) => {
      if (error) {
        from.destroy()
        to.destroy()
      } else if (!to.readableEnded) (to as Socket).setTimeout(longestFarewell * 1000, () => to.destroy())
    })
  }
}

/** Who has nothing to say for hours is still there, unless the network says otherwise. */
function keepOpen(socket: Socket): void {
  socket.allowHalfOpen = true
  socket.setTimeout(0)
  socket.setNoDelay(true)
  socket.setKeepAlive(true, keepAliveDelay * 1000)
}

/** Calls back when whoever waits for an answer on this socket has closed it, or said that nothing more comes. */
export function onGone(socket: Duplex, gone: () => void): () => void {
  socket.on('close', gone).on('end', gone)
  return () => void socket.off('close', gone).off('end', gone)
}

function tooLate({ origin }: URL, timeout: number): OAuthError {
  return new OAuthError('upstream_timeout', {
    message: `the API at ${origin} did not answer a WebSocket within ${timeout} s`,
    hint: 'If it needs longer, set the option "timeout" of oauthProxy.',
  })
}

function unavailable({ origin }: URL, cause: NodeJS.ErrnoException): OAuthError {
  return new OAuthError('upstream_unavailable', {
    message: `the API at ${origin} cannot be reached for a WebSocket`,
    reason: 'network',
    hint: 'Check the option "target" of oauthProxy and that this machine can reach it.',
    cause,
  })
}
