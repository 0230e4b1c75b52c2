/** A server made of middlewares alone, for what the shared application does not have. */
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { onTestFinished } from 'vitest'
import { listening, stopped } from './listening.js'

export type Handler = (
  request: IncomingMessage,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => unknown

/** Listens until the test ends; the handlers are made when the address is known. */
export async function serve(listener: (url: string) => RequestListener): Promise<string> {
  const server = createServer()
  const url = await listening(server, 'localhost')
  server.on('request', listener(url))
  onTestFinished(() => stopped(server))
  return url
}

/** Runs handlers one after the other; an error is answered by its status. */
export function chain(...handlers: readonly Handler[]): RequestListener {
  return (request, response) => {
    const run = (index: number) => (error?: unknown) => {
      if (error !== undefined) response.writeHead(statusOf(error)).end('error')
      else handlers[index]?.(request, response, run(index + 1))
    }
    run(0)()
  }
}

function statusOf(error: unknown): number {
  return error instanceof Error && 'status' in error ? Number(error.status) : 500
}
