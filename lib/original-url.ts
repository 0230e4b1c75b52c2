/** The path and query of a request as the client sent them, wherever a router has mounted the handler. */

import type { IncomingMessage } from 'node:http'

export function originalUrl(req: IncomingMessage): string {
  return 'originalUrl' in req && typeof req.originalUrl === 'string' ? req.originalUrl : (req.url ?? '/')
}
