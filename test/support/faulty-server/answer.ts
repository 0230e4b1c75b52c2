/** What an endpoint sends back: usually status, headers and body, for transport faults a function. */
import type { ServerResponse } from 'node:http'

export type Answer = OrderlyAnswer | TransportFault

export interface OrderlyAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Buffer
}

/** Does what it likes with the connection: nothing, half a body, a reset. */
export type TransportFault = (response: ServerResponse) => void

export function send(response: ServerResponse, answer: Answer): void {
  if (typeof answer === 'function') return answer(response)
  response.writeHead(answer.status, answer.headers).end(answer.body)
}

export function json(body: unknown, status = 200, headers: Record<string, string> = {}): OrderlyAnswer {
  return {
    status,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers },
    body: JSON.stringify(body),
  }
}

export function html(body: string, status = 200): OrderlyAnswer {
  return { status, headers: { 'content-type': 'text/html; charset=utf-8' }, body }
}

export function redirect(location: string, status = 302): OrderlyAnswer {
  return { status, headers: { location }, body: '' }
}

/** A status and not a byte of body or type. */
export function empty(status: number): OrderlyAnswer {
  return { status, headers: {}, body: '' }
}

/** The connection stays open and nothing comes. */
export function hang(): TransportFault {
  return () => {}
}

/** The connection breaks before the answer. */
export function reset(): TransportFault {
  return (response) => response.socket?.resetAndDestroy()
}
