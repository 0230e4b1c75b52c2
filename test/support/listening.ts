/** Start and end of a loopback server. */
import type { Server } from 'node:http'

/** Connections that may wait until a busy process takes them; beyond that they are reset. */
const backlog = 4_096

/** Listens on a free port and gives the origin. */
export async function listening(server: Server, host = '127.0.0.1'): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, host, backlog, resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return `http://${host}:${address.port}`
}

/** Ends the server together with every open connection. */
export async function stopped(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
