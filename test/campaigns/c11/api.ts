/** An API that streams, listens, sends events, echoes and hangs, and knows who is connected to it. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocketServer } from 'ws'
import { listening, stopped } from '../../support/listening.js'

export interface StreamingApi {
  readonly url: string
  /** Requests that came so far. */
  readonly requests: number
  /** Those that are being answered. */
  readonly active: number
  readonly sockets: number
  close(): Promise<void>
}

const chunk = randomBytes(65_536)

export async function startStreamingApi(): Promise<StreamingApi> {
  let requests = 0
  let active = 0
  const sockets = new Set<object>()
  const server = createServer((req, res) => {
    requests += 1
    active += 1
    res.on('close', () => (active -= 1))
    answer(req, res).catch(() => res.destroy())
  })
  // What is kept for the next request, and does not get one, goes.
  server.keepAliveTimeout = 1_000
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  const webSockets = new WebSocketServer({ server })
  webSockets.on('connection', (socket) => {
    socket.on('error', () => undefined)
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  const url = await listening(server)
  return {
    url,
    get requests() {
      return requests
    },
    get active() {
      return active
    },
    get sockets() {
      return sockets.size
    },
    async close() {
      for (const socket of webSockets.clients) socket.terminate()
      await stopped(server)
    },
  }
}

async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(req.url ?? '/', 'http://api.invalid')
  if (pathname === '/hang') {
    req.resume() // who does not read does not see that nobody is there any more
    return
  }
  if (pathname === '/upload') {
    let bytes = 0
    for await (const part of req as AsyncIterable<Buffer>) bytes += part.length
    res.end(JSON.stringify({ bytes }))
  } else if (pathname === '/events') {
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    for (let event = 0; !res.destroyed; event += 1) {
      res.write(`id: ${event}\ndata: ${Date.now()}\n\n`)
      await sleep(Number(searchParams.get('every') ?? 5))
    }
  } else {
    res.writeHead(200, { 'content-type': 'application/octet-stream' })
    const chunks = Number(searchParams.get('chunks') ?? 1)
    for (let sent = 0; sent < chunks && !res.destroyed; sent += 1) {
      if (!res.write(chunk)) await drained(res)
    }
    res.end()
  }
}

async function drained(res: ServerResponse): Promise<void> {
  const gone = new AbortController()
  const { signal } = gone
  await Promise.race([once(res, 'drain', { signal }), once(res, 'close', { signal })]).finally(() =>
    gone.abort(),
  )
}
