/** A place in front of Redis that cuts connections after so many commands, before Redis sees the last or after it did. */
import { connect, createServer, type Socket } from 'node:net'

export interface RedisFront {
  readonly url: string
  /** Connections that were cut since the start. */
  readonly cuts: number
  /** From now on draws how many commands a connection may carry; none: all. */
  cut(commands?: () => number): void
  close(): Promise<void>
}

export async function startRedisFront(port: number): Promise<RedisFront> {
  const sockets = new Set<Socket>()
  let cuts = 0
  let draw: (() => number) | undefined
  const server = createServer({ noDelay: true }, (socket) => {
    const behind = connect(port, '127.0.0.1')
    let left = draw?.() ?? Infinity
    let drawn = draw
    for (const one of [socket, behind]) sockets.add(one.on('close', () => sockets.delete(one)))
    socket.on('error', () => undefined).on('close', () => behind.destroy())
    behind.on('error', () => socket.destroy()).on('close', () => socket.destroy())
    behind.pipe(socket)
    socket.on('data', (data: Buffer) => {
      if (drawn !== draw) left = draw?.() ?? Infinity
      drawn = draw
      for (const command of commandsIn(data)) {
        left -= 1
        // With a half left, Redis carries it out, and nobody hears of it.
        if (left < 1) {
          cuts += 1
          if (left < 0.5) behind.write(command, () => socket.destroy())
          else socket.destroy()
          return
        }
        behind.write(command)
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    url: `redis://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`,
    get cuts() {
      return cuts
    },
    cut: (commands) => void (draw = commands),
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => void server.close(() => resolve()))
    },
  }
}

/** Each begins with the number of its parts. Values are sealed or digests, so no line of them looks like that. */
function commandsIn(data: Buffer): Buffer[] {
  const text = data.toString('latin1')
  const starts = [...text.matchAll(/(?:^|\n)(?=\*\d+\r\n)/g)].map(
    ({ index, 0: { length } }) => index + length,
  )
  const bounds = starts[0] === 0 ? starts : [0, ...starts]
  return bounds.map((start, index) => data.subarray(start, bounds[index + 1]))
}
