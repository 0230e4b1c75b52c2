/** What a handler needs of a request and a response, on Node's own types: Express 4, Express 5 and Connect share them. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { OAuthError } from '../errors.js'

/** A middleware for Express and Connect. */
export type Middleware = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void

/** The path that this middleware was mounted for, without its query. */
export function requestPath(req: IncomingMessage): string {
  return (req.url ?? '/').split('?', 1)[0] ?? '/'
}

/** The query, read from the URL itself: frameworks turn repeated parameters into arrays and objects. */
export function queryParameters(req: IncomingMessage): URLSearchParams {
  const [, ...query] = (req.url ?? '').split('?')
  return new URLSearchParams(query.join('?'))
}

/**
 * Whether a browser will show the answer as a page: by Fetch Metadata, then `X-Requested-With`, then `Accept`. A prefetch
 * is no navigation. `unknown` is a client that tells nothing.
 */
export function navigation(req: IncomingMessage): 'yes' | 'no' | 'unknown' {
  const { accept, 'sec-fetch-mode': mode, 'sec-purpose': secPurpose, purpose } = req.headers
  if (String(secPurpose ?? purpose ?? '').includes('prefetch') || isFramedElsewhere(req)) return 'no'
  if (mode !== undefined) return mode === 'navigate' ? 'yes' : 'no'
  if (req.headers['x-requested-with'] !== undefined) return 'no'
  if (accept === undefined || accept === '*/*') return 'unknown'
  return accept.includes('text/html') ? 'yes' : 'no'
}

/** What a browser asks before a script's request to another origin; it brings no credentials (Fetch §3.3.6). */
export function isPreflight({ method, headers }: IncomingMessage): boolean {
  return (
    method === 'OPTIONS' &&
    headers.origin !== undefined &&
    headers['access-control-request-method'] !== undefined &&
    headers.authorization === undefined
  )
}

/** A frame in somebody else's page: its cookies are not ours to rely on, and its user does not see where they are. */
function isFramedElsewhere({ headers }: IncomingMessage): boolean {
  const { 'sec-fetch-dest': dest, 'sec-fetch-site': site } = headers
  return dest !== undefined && ['iframe', 'frame', 'embed', 'object'].includes(dest) && site !== 'same-origin'
}

const formLimit = 65_536

/**
 * The fields of a posted form, also when the app has parsed the body already. Throws `invalid_request`, with status 413
 * for more than `limit` bytes (default 65 536).
 */
export async function formParameters(req: IncomingMessage, limit = formLimit): Promise<URLSearchParams> {
  if (Number(req.headers['content-length'] ?? 0) > limit) throw bodyTooLarge()
  // Some parsers leave an empty `body` on requests that they did not read.
  if (req.readableEnded && 'body' in req) return parsedForm(req.body)
  if (!/^application\/x-www-form-urlencoded\b/i.test(req.headers['content-type'] ?? ''))
    return new URLSearchParams()
  return new URLSearchParams((await wholeBody(req, limit)).toString('utf8'))
}

/**
 * What was posted: the fields of a form, or the members of a JSON object; also when the app has parsed the body already.
 * Throws `invalid_request` for a field that came twice and for JSON that is no object, and with status 413 for more than
 * 65 536 bytes.
 */
export async function postedFields(req: IncomingMessage): Promise<Record<string, unknown>> {
  if (/^application\/json\s*(;|$)/i.test(req.headers['content-type'] ?? '')) return postedObject(req)
  const form = await formParameters(req)
  return Object.fromEntries([...form.keys()].map((name) => [name, singleParameter(form, name)]))
}

async function postedObject(req: IncomingMessage): Promise<Record<string, unknown>> {
  if (Number(req.headers['content-length'] ?? 0) > formLimit) throw bodyTooLarge()
  const body: unknown = req.readableEnded && 'body' in req ? req.body : await wholeBody(req, formLimit)
  const value = typeof body === 'string' || Buffer.isBuffer(body) ? parsedJson(body.toString()) : body
  if (value === undefined) return {}
  if (value !== null && typeof value === 'object' && !Array.isArray(value))
    return value as Record<string, unknown>
  throw new OAuthError('invalid_request', { reason: 'body', hint: 'Send a JSON object, or a form.' })
}

/** Nothing where nothing was sent: scripts often name the type of a body that they do not have. */
function parsedJson(text: string): unknown {
  if (text === '') return undefined
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new OAuthError('invalid_request', { reason: 'body', cause })
  }
}

async function wholeBody(req: IncomingMessage, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of req as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > limit) throw bodyTooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function bodyTooLarge(): OAuthError {
  return new OAuthError('invalid_request', { status: 413, reason: 'body_too_large' })
}

function parsedForm(body: unknown): URLSearchParams {
  if (typeof body === 'string' || Buffer.isBuffer(body)) return new URLSearchParams(body.toString())
  const fields = new URLSearchParams()
  for (const [name, value] of Object.entries(body ?? {})) {
    // A repeated field stays repeated, so that whoever reads the form can refuse it. A list of one was written as
    // `name[]`, and an object as `name[of]`, which no form of ours and no server does.
    const values: unknown[] =
      value !== null && typeof value === 'object' ? [...Object.values(value), '', ''] : [value]
    for (const one of values) fields.append(name, typeof one === 'string' ? one : '')
  }
  return fields
}

/** Headers of every answer that has to do with signing in. */
export function forbidStoring(res: ServerResponse): void {
  res.setHeader('cache-control', 'no-store')
  res.setHeader('referrer-policy', 'no-referrer')
  res.setHeader('x-content-type-options', 'nosniff')
}

/** The only value of a parameter; nothing when it is absent. Throws `invalid_request` when it came twice. */
export function singleParameter(parameters: URLSearchParams, name: string): string | undefined {
  const [value, ...more] = parameters.getAll(name)
  if (more.length > 0) throw new OAuthError('invalid_request', { reason: 'repeated_parameter' })
  return value
}

/** 303 to whatever method came in: a 307 would send a posted form on (RFC 9700 §4.12). */
export function redirect(res: ServerResponse, location: string, status: 302 | 303 = 302): void {
  forbidStoring(res)
  res.statusCode = status
  res.setHeader('location', location)
  res.setHeader('content-length', 0)
  res.end()
}

export function sendJson(res: ServerResponse, status: number, body: object | null): void {
  forbidStoring(res)
  res.statusCode = status
  res.setHeader('content-type', 'application/json; charset=utf-8')
  res.end(JSON.stringify(body))
}
