/** The opening handshake of a WebSocket, which both ends must take for the same (RFC 6455 §4). */

import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { OAuthError } from '../errors.js'

/** What a browser and an API settle between them. */
const ownHeaders = [
  'sec-websocket-version',
  'sec-websocket-key',
  'sec-websocket-protocol',
  'sec-websocket-extensions',
] as const

/**
 * The headers of a client's handshake, as a list of names and values. Throws `invalid_request` for a request that is none,
 * or that some servers take for none: what followed it would be read as requests, by a server that trusts this one.
 */
export function handshakeHeaders({ method, httpVersion, headers, rawHeaders }: IncomingMessage): string[] {
  const isUpgrade =
    method === 'GET' &&
    httpVersion === '1.1' &&
    headers.upgrade?.toLowerCase() === 'websocket' &&
    headers.connection?.split(',').some((name) => name.trim().toLowerCase() === 'upgrade')
  if (!isUpgrade) throw malformed('not_a_websocket')
  if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0)
    throw malformed('body')
  if (!isKey.test(headers['sec-websocket-key'] ?? '') || isRepeated('sec-websocket-key', rawHeaders))
    throw malformed('key')
  return [
    ...ownHeaders.flatMap((name) => (headers[name] === undefined ? [] : [name, headers[name]])),
    'connection',
    'Upgrade',
    'upgrade',
    'websocket',
  ]
}

/** 16 bytes in base64. */
const isKey = /^[A-Za-z0-9+/]{21}[AQgw]==$/

function isRepeated(name: string, rawHeaders: readonly string[]): boolean {
  return rawHeaders.filter((key, index) => index % 2 === 0 && key.toLowerCase() === name).length > 1
}

/** Whether an answer 101 is that of a server which has read this handshake (RFC 6455 §4.2.2). */
export function isAccepted(answer: IncomingMessage, { headers }: IncomingMessage): boolean {
  const accept = createHash('sha1').update(`${headers['sec-websocket-key']}${guid}`).digest('base64')
  return (
    answer.statusCode === 101 &&
    answer.headers.upgrade?.toLowerCase() === 'websocket' &&
    answer.headers['sec-websocket-accept'] === accept
  )
}

const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

function malformed(reason: 'not_a_websocket' | 'body' | 'key'): OAuthError {
  return new OAuthError('invalid_request', { reason })
}
