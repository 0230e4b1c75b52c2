/** An API with WebSockets on loopback, and an application whose proxy lets them through. */
import { createServer, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Socket } from 'node:net'
import { MemoryStore } from 'express-session'
import { onTestFinished } from 'vitest'
import { WebSocketServer, type ServerOptions, type WebSocket } from 'ws'
import { oauthProxy, upgradeListener, type OAuthProxyOptions, type ProxyWebSockets } from '../../lib/index.js'
import { sessionOver } from '../support/express-session.js'
import { listening } from '../support/listening.js'
import { cookieHeader } from '../support/requests.js'
import { startStage, type Stage, type StageOptions } from '../support/stage.js'

export interface SocketApi {
  readonly url: string
  /** Handshakes in the order of arrival. */
  readonly handshakes: readonly IncomingMessage[]
  /** Connections that are open. */
  readonly connections: ReadonlySet<Socket>
  /** What is done with each handshake. Default: it is taken, and `talk` gets the WebSocket. */
  answer: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
  /** Takes a handshake. */
  accept: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
  /** Default: sends back what comes. */
  talk: (socket: WebSocket, request: IncomingMessage) => void
}

export async function startSocketApi(options: ServerOptions = {}): Promise<SocketApi> {
  const server = createServer((_request, response) => response.end('not a WebSocket'))
  const connections = new Set<Socket>()
  const handshakes: IncomingMessage[] = []
  const sockets = new WebSocketServer({ noServer: true, maxPayload: 64_000_000, ...options })
  server.on('connection', (socket) => {
    connections.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => connections.delete(socket))
  })
  server.on('upgrade', (request, socket, head) => {
    handshakes.push(request)
    api.answer(request, socket, head)
    // Whoever does not read never hears that the other end has closed.
    socket.resume()
    socket.on('end', () => socket.end())
  })
  const accept: SocketApi['accept'] = (request, socket, head) =>
    sockets.handleUpgrade(request, socket, head, (opened) => api.talk(opened, request))
  const api: SocketApi = {
    url: await listening(server),
    handshakes,
    connections,
    answer: accept,
    accept,
    talk: (socket) => socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })),
  }
  onTestFinished(() => {
    for (const socket of connections) socket.destroy()
    server.close()
  })
  return api
}

export interface SocketProxy extends Stage {
  readonly cookie: string
  /** Where the API's WebSockets are, for a browser. */
  readonly socketUrl: string
  /** Headers of a page of this site whose user is signed in. */
  readonly ownPage: { readonly origin: string; readonly cookie: string }
}

/** An application, signed in to, with a proxy at `/api`. */
export async function socketProxy(
  target: string,
  options: Partial<OAuthProxyOptions> & { readonly confirmEvery?: number } = {},
  stage: StageOptions = {},
): Promise<SocketProxy> {
  const { confirmEvery, ...proxyOptions } = options
  const session = stage.storage === 'session' ? sessionOver(new MemoryStore()) : undefined
  const started = await startStage({
    ...(session && { before: [session] }),
    ...stage,
    options: { scope: 'openid offline_access', ...stage.options },
    upgrades: (login) => {
      const webSockets: ProxyWebSockets = {
        login,
        ...(session && { session }),
        ...(confirmEvery !== undefined && { confirmEvery }),
      }
      const proxy = oauthProxy({ prefix: '/api', target, token: 'user', webSockets, ...proxyOptions })
      return upgradeListener(proxy.upgrade)
    },
  })
  const cookie = await cookieHeader(await started.signedIn(), started.app.url)
  return {
    ...started,
    cookie,
    socketUrl: `${started.app.url}/api/feed`,
    ownPage: { origin: started.app.url, cookie },
  }
}
