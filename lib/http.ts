/** The one way out: every request to an authorization server has a deadline, a size cap and no redirects. */

import { OAuthError } from './errors.js'

export type Fetch = typeof globalThis.fetch

export interface HttpRequest {
  method?: string
  headers?: Record<string, string>
  body?: Exclude<RequestInit['body'], undefined>
  /** Bytes that the answer's body may have, after decompression. */
  limit: number
}

/**
 * Sends a request and reads the whole answer. Throws `server_unavailable` when no answer came in time and
 * `invalid_server_response` when it was too large or a redirect.
 */
export type HttpClient = (url: string, request: HttpRequest) => Promise<Response>

/** Bytes accepted from token and userinfo endpoints. */
export const tokenLimit = 1_000_000
/** Bytes accepted of metadata and key sets. */
export const documentLimit = 512_000

/** `timeout` in seconds covers the whole exchange, body included. */
export function httpClient(fetch: Fetch = globalThis.fetch, timeout = 5): HttpClient {
  warnOfUnverifiedTls()
  return async (url, { limit, ...request }) => {
    if (!isSecure(new URL(url))) {
      throw new OAuthError('invalid_configuration', {
        message: `${withoutQuery(url)} is not https, so nothing is sent there`,
      })
    }
    const signal = AbortSignal.timeout(Math.ceil(timeout * 1000))
    let response: Response
    let body: Uint8Array<ArrayBuffer>
    try {
      response = await fetch(url, { ...request, redirect: 'manual', signal })
      body = await readAtMost(limit, response)
    } catch (cause) {
      if (cause instanceof OAuthError) throw cause
      throw new OAuthError('server_unavailable', {
        message: `${request.method ?? 'GET'} ${withoutQuery(url)} ${signal.aborted ? `gave no answer within ${timeout} s` : 'failed'}`,
        hint: 'Check that the address is right and that this machine can reach it; a proxy or a private CA goes into the option "fetch".',
        reason: signal.aborted ? 'timeout' : 'network',
        cause,
      })
    }
    if (response.redirected || (response.status >= 300 && response.status < 400)) {
      // A followed redirect would carry the body, secrets included, to wherever the answer points.
      throw invalidResponse(url, 'was answered by a redirect, which is never followed', 'redirect')
    }
    if (response.status < 200 || response.status > 599) {
      throw invalidResponse(url, `was answered with status ${response.status}`, 'status')
    }
    const bodiless = response.status === 204 || response.status === 205
    return new Response(bodiless ? null : body, {
      status: response.status,
      headers: response.headers,
    })
  }
}

let isWarned = false

/** Node says so, too, but at the first connection: by then somebody may have read the secrets that go with it. */
function warnOfUnverifiedTls(): void {
  if (isWarned || process.env['NODE_TLS_REJECT_UNAUTHORIZED'] !== '0') return
  isWarned = true
  process.emitWarning(
    'NODE_TLS_REJECT_UNAUTHORIZED is 0: any server is taken for the authorization server, and is given secrets and tokens. Remove it; a private certificate authority goes into NODE_EXTRA_CA_CERTS, or into the option "fetch".',
    { code: 'OAUTH_TLS_NOT_VERIFIED' },
  )
}

async function readAtMost(limit: number, response: Response): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength
    if (size > limit) throw invalidResponse(response.url, `sent more than ${limit} bytes`, 'too_large')
    chunks.push(chunk)
  }
  return new Uint8Array(Buffer.concat(chunks))
}

function invalidResponse(url: string, problem: string, reason: string): OAuthError {
  return new OAuthError('invalid_server_response', { message: `${withoutQuery(url)} ${problem}`, reason })
}

function withoutQuery(url: string): string {
  return url.split('?', 1)[0] ?? url
}

/** Reads an answer as a JSON object; throws `invalid_server_response` for anything else, `server_unavailable` for 5xx and 429. */
export async function jsonObject(response: Response, what: string): Promise<Record<string, unknown>> {
  const { status } = response
  if (status !== 200) {
    // A server in trouble is not a server that lies: 5xx and 429 count as being away.
    const isAway = status >= 500 || status === 429
    throw new OAuthError(isAway ? 'server_unavailable' : 'invalid_server_response', {
      message: `${what}: the answer has status ${status}`,
      reason: `status_${status}`,
      hint: 'Check the address: "issuer", or the endpoint that was configured.',
    })
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(await response.arrayBuffer())
    const value: unknown = JSON.parse(text)
    if (value === null || typeof value !== 'object' || Array.isArray(value))
      throw new Error('not a JSON object')
    return value as Record<string, unknown>
  } catch (cause) {
    throw new OAuthError('invalid_server_response', {
      message: `${what}: the answer is not a JSON object`,
      cause,
    })
  }
}

/** Whether secrets may travel to this URL: https, or http to this very machine. */
export function isSecure(url: URL): boolean {
  return url.protocol === 'https:' || isLoopback(url)
}

/** http to this very machine, as in development. */
export function isLoopback(url: URL): boolean {
  return (
    url.protocol === 'http:' &&
    /^(localhost|[a-z0-9-]+\.localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(url.hostname)
  )
}
