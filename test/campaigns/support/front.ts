/** A place in front of a server where connections can be refused or reset before a byte of the request is read. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** `passes` everything on, `refuses` connections, or `resets` each as soon as it stands. */
export type FrontManner = 'passes' | 'refuses' | 'resets'

export interface Front {
  readonly port: number
  /** Connections that were reset since the start. */
  readonly resets: number
  /** Connections that stand now. */
  readonly open: number
  /** From now on does this. Connections that stand are closed, so that the next request needs a new one. */
  behave(manner: FrontManner): Promise<void>
  close(): Promise<void>
}

export async function startFront(target: URL): Promise<Front> {
  const sockets = new Set<Socket>()
  let manner: FrontManner = 'passes'
  let resets = 0
  const server = createServer({ noDelay: true }, (socket) => {
    if (manner === 'resets') {
      resets += 1
      socket.resetAndDestroy()
      return
    }
    sockets.add(socket)
    const behind = connect(Number(target.port), target.hostname)
    // A reset is handed on as a reset, and an end as an end.
    socket.on('error', () => behind.destroy()).on('close', () => sockets.delete(socket) && behind.destroy())
    behind.on('error', () => socket.resetAndDestroy()).on('close', () => socket.end())
    socket.pipe(behind).pipe(socket)
  })
  const listen = async (port: number) => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  }
  const stop = () => new Promise<void>((resolve) => void server.close(() => resolve()))
  const hangUp = () => {
    for (const socket of sockets) socket.destroy()
  }
  await listen(0)
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    port,
    get resets() {
      return resets
    },
    get open() {
      return sockets.size
    },
    behave: async (next) => {
      hangUp()
      if (next === 'refuses' && server.listening) await stop()
      if (next !== 'refuses' && !server.listening) await listen(port)
      manner = next
    },
    close: async () => {
      hangUp()
      if (server.listening) await stop()
    },
  }
}
