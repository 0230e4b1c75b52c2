/** The body of a request on its way to an API: as a stream, or written anew where a parser of the app has read it. */

import type { IncomingMessage } from 'node:http'
import { OAuthError } from '../errors.js'

export interface RequestBody {
  /** What says where it ends, as a header list. */
  readonly framing: readonly string[]
  /** All of it, or the request itself, which can be read once; nothing when there is none. */
  readonly content: Buffer | IncomingMessage | undefined
}

/**
 * Throws `invalid_request` for a body whose end is not clear, and `invalid_configuration` when a parser has read it and
 * left nothing that can be sent.
 */
export function requestBody(req: IncomingMessage): RequestBody {
  const { 'content-length': length, 'transfer-encoding': encoding } = req.headers
  // Node refuses the first two itself, unless it was told to be lenient (RFC 9112 §6.1). HTTP/1.0 has no chunks: a server
  // in front of this one may have seen the body end elsewhere.
  const isChunked = encoding?.toLowerCase() === 'chunked' && length === undefined && req.httpVersion !== '1.0'
  if (encoding !== undefined && !isChunked) throw new OAuthError('invalid_request', { reason: 'framing' })
  if (encoding === undefined && (length === undefined || Number(length) === 0)) return noBody(req, length)
  if (!req.readableDidRead) {
    const framing = length === undefined ? ['transfer-encoding', 'chunked'] : ['content-length', length]
    return { framing, content: req }
  }
  const content =
    req.readableEnded && 'body' in req ? written(req.body, req.headers['content-type']) : undefined
  if (content === undefined) throw alreadyRead()
  return { framing: ['content-length', String(content.length)], content }
}

/** A server may wait for the body of such a method when nothing is said of its length (RFC 9110 §8.6). */
function noBody({ method }: IncomingMessage, length: string | undefined): RequestBody {
  const mayHaveOne = length !== undefined || method === 'POST' || method === 'PUT' || method === 'PATCH'
  return { framing: mayHaveOne ? ['content-length', '0'] : [], content: undefined }
}

/** What a parser made of a body, as bytes again; nothing when they could be others than came. */
function written(body: unknown, contentType = ''): Buffer | undefined {
  if (Buffer.isBuffer(body)) return body
  const [type = '', ...parameters] = contentType.toLowerCase().split(';')
  const charset = parameters.map((parameter) => /^\s*charset="?([^"\s]+)/.exec(parameter)?.[1]).find(Boolean)
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8') return undefined
  const mediaType = type.trim()
  if (typeof body === 'string') return Buffer.from(body)
  if (/^application\/([\w.-]+\+)?json$/.test(mediaType)) {
    const text = JSON.stringify(body) as string | undefined
    return text === undefined ? undefined : Buffer.from(text)
  }
  return mediaType === 'application/x-www-form-urlencoded' ? flatForm(body) : undefined
}

/** A list or an object may have been written in several ways, and which one cannot be told any more. */
function flatForm(body: unknown): Buffer | undefined {
  const fields = Object.entries(body ?? {})
  const isFlat = fields.every((field): field is [string, string] => typeof field[1] === 'string')
  return isFlat ? Buffer.from(new URLSearchParams(fields).toString()) : undefined
}

function alreadyRead(): OAuthError {
  const hint =
    'Mount oauthProxy before the parser. Behind express.json(), express.text(), express.raw() and express.urlencoded() bodies of JSON, text, bytes and flat forms can be sent on; multipart bodies, lists in forms and other charsets than UTF-8 cannot.'
  return new OAuthError('invalid_configuration', {
    message: 'oauthProxy: the body of this request has been read before, and it cannot be written anew',
    reason: 'body_already_read',
    hint,
  })
}
