/** The API behind the proxies, in a process of its own. */
import { createServer } from 'node:http'
import { serveCommands } from '../test/campaigns/support/worker.js'
import { listening } from '../test/support/listening.js'

export interface UpstreamWorker {
  readonly args: null
  /** Its address. */
  readonly ready: string
  readonly commands: object
}

const small = JSON.stringify({ projects: [{ id: 1, name: 'one' }] })
const large = Buffer.alloc(1_048_576, 'x')

void serveCommands<UpstreamWorker>(async () => {
  const server = createServer((req, res) => {
    const isLarge = req.url?.endsWith('/large') === true
    const content = isLarge ? large : small
    req.resume()
    req.on('end', () => {
      const type = isLarge ? 'application/octet-stream' : 'application/json'
      res.writeHead(200, { 'content-type': type, 'content-length': Buffer.byteLength(content) }).end(content)
    })
  })
  server.keepAliveTimeout = 0 // a connection that ends just when it is used again says nothing about a proxy
  return { ready: await listening(server), commands: {} }
})
