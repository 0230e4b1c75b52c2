/** WebSockets as clients of many kinds open them, correct or not. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { WebSocket, WebSocketServer, type ClientOptions } from 'ws'
import type { oauthLogin } from '../../lib/index.js'
import type { UpgradeListener } from './app.js'

export interface HandshakeAnswer {
  readonly status: number
  readonly headers: Headers
  /** What came behind the headers until the end; of an answer 101 nothing. */
  readonly body: string
  /** Open with an answer 101, else closed by the server. */
  readonly socket: Socket
}

type Headers = Readonly<Record<string, string>>

/** Headers of a correct handshake. */
const handshakeHeaders = (): Headers => ({
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': randomBytes(16).toString('base64'),
})

export interface HandshakeRequest {
  readonly method?: string
  readonly target?: string
  readonly body?: string
  /** Gets the socket before there is an answer. */
  readonly began?: (socket: Socket) => void
}

/** Sends a handshake as it is told, and waits for the answer; an answer other than 101 must end with the connection. */
export async function handshake(
  url: string,
  headers: Readonly<Record<string, string | undefined>> = {},
  { method = 'GET', target, body = '', began }: HandshakeRequest = {},
): Promise<HandshakeAnswer> {
  const { host, hostname, port, pathname, search } = new URL(url)
  const socket = connect(Number(port), hostname)
  onTestFinished(() => void socket.destroy())
  began?.(socket)
  const lines = Object.entries({ host, ...handshakeHeaders(), ...headers })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`${method} ${target ?? pathname + search} HTTP/1.1\r\n${lines.join('')}\r\n${body}`)
  let text = ''
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no end after: ${text.slice(0, 500)}`)), 8_000)
    const done = () => {
      clearTimeout(late)
      const [head = '', ...rest] = text.split('\r\n\r\n')
      const [statusLine = '', ...fields] = head.split('\r\n')
      const pairs = fields.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line] as const)
      const merged: Record<string, string> = {}
      for (const [name, line] of pairs)
        merged[name] = [merged[name], line.slice(line.indexOf(':') + 1).trim()].filter(Boolean).join('\n')
      resolve({
        status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(statusLine)?.[1] ?? 0),
        headers: merged,
        body: rest.join('\r\n\r\n'),
        socket,
      })
    }
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => {
      text += chunk
      if (/^HTTP\/1\.1 101 [^]*\r\n\r\n/.test(text)) done()
    })
    socket.on('error', () => undefined)
    socket.on('close', done)
  })
}

/** What came and nobody has asked for yet. */
const waiting = new WeakMap<WebSocket, Buffer[]>()

/** Opens one as `ws` does; fails when it is refused. */
export async function openWebSocket(
  url: string,
  headers: Headers = {},
  options: ClientOptions = {},
): Promise<WebSocket> {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), { ...options, headers, maxPayload: 64_000_000 })
  onTestFinished(() => socket.terminate())
  const messages: Buffer[] = []
  waiting.set(socket, messages)
  socket.on('message', (data: Buffer) => messages.push(data))
  await once(socket, 'open')
  return socket
}

/** The next message as text. */
export async function nextMessage(socket: WebSocket): Promise<string> {
  const messages = waiting.get(socket) ?? []
  if (messages.length === 0) await once(socket, 'message', { signal: AbortSignal.timeout(8_000) })
  return String(messages.shift())
}

/** The code that a WebSocket is closed with. */
export async function closeCode(socket: WebSocket): Promise<number> {
  const [code] = (await once(socket, 'close')) as [number]
  return code
}

type Login = ReturnType<typeof oauthLogin>

/** A WebSocket of the app itself, as its documentation says: the first message is what `greet` gives, others `answer`. */
export function greetingSockets(
  login: Login,
  greet: (user: Awaited<ReturnType<Login['authenticateUpgrade']>>) => string | Promise<string>,
  options?: Parameters<Login['authenticateUpgrade']>[1],
  answer?: (login: Login, req: IncomingMessage) => Promise<string>,
): UpgradeListener {
  const sockets = new WebSocketServer({ noServer: true })
  sockets.on('headers', (headers, req) => headers.push(...login.upgradeHeaders(req)))
  return (req, socket, head) => {
    login
      .authenticateUpgrade(req, options)
      .then(async (user) => {
        const greeting = await greet(user)
        sockets.handleUpgrade(req, socket, head, (client) => {
          client.on('message', () => void answer?.(login, req).then((text) => client.send(text)))
          client.send(greeting)
        })
      })
      .catch((error: unknown) => login.refuseUpgrade(req, socket, error))
  }
}
