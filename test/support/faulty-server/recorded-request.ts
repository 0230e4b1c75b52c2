/** A request as the server saw it, kept for assertions. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'

export interface RecordedRequest {
  readonly endpoint: Endpoint
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  /** The form that was posted; empty for any other content. */
  readonly body: URLSearchParams
}

export type Endpoint =
  | 'discovery'
  | 'jwks'
  | 'authorize'
  | 'token'
  | 'revocation'
  | 'introspection'
  | 'userinfo'
  | 'endSession'
  | 'unknown'

export async function recordedRequest(
  request: IncomingMessage,
  endpointOf: (path: string) => Endpoint,
): Promise<RecordedRequest> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://server')
  const text = await bodyText(request)
  return {
    endpoint: endpointOf(pathname),
    method: request.method ?? 'GET',
    path: pathname,
    query: searchParams,
    headers: request.headers,
    body: new URLSearchParams(isForm(request.headers) ? text : ''),
  }
}

export function isForm(headers: IncomingHttpHeaders): boolean {
  return /^application\/x-www-form-urlencoded\b/i.test(headers['content-type'] ?? '')
}

/** Names that occur more than once, which RFC 6749 §3.1 and §3.2 forbid. */
export function repeatedNames(parameters: URLSearchParams): string[] {
  const names = [...parameters.keys()]
  return [...new Set(names.filter((name, index) => names.indexOf(name) !== index))]
}

async function bodyText(request: IncomingMessage): Promise<string> {
  request.setEncoding('utf8')
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return text
}
