/** Values too long for one cookie, in several: at most four each, within a budget that real servers and proxies accept. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { clearCookie, cookieNames, readCookie, writeCookie, type CookieAttributes } from './cookies.js'

/** Browsers keep 4 096 bytes of a cookie, its name and attributes included. */
const chunkLength = 3_900 - '9~'.length
const mostChunks = 4
/** Characters in all, names included: nginx refuses a Cookie header of more than 8 192. */
const budget = 7_500

/**
 * The value, or nothing when a chunk is missing. The first chunk tells the count (`3~…`). A count that was changed gives
 * a value of another length, which its seal refuses.
 */
export function readChunkedCookie(req: IncomingMessage, name: string): string | undefined {
  const first = readCookie(req, name)
  if (first === undefined) return undefined
  const count = /^([2-9])~/.exec(first)?.[1]
  if (count === undefined) return first
  if (Number(count) > mostChunks) return undefined
  const chunks = [first.slice(2)]
  for (let index = 1; index < Number(count); index++) {
    const chunk = readCookie(req, chunkName(name, index))
    if (chunk === undefined) return undefined
    chunks.push(chunk)
  }
  return chunks.join('')
}

/** Whether values of these lengths, by the names of their cookies, can be kept together. */
export function fitChunkedCookies(lengths: Readonly<Record<string, number>>): boolean {
  let size = 0
  for (const [name, length] of Object.entries(lengths)) {
    const chunks = Math.ceil(length / chunkLength)
    if (chunks > mostChunks) return false
    size += length + chunks * (name.length + '.1=; '.length)
  }
  return size <= budget
}

/** Writes the value and clears the chunks that a longer one has left behind. */
export function writeChunkedCookie(
  req: IncomingMessage,
  res: ServerResponse,
  name: string,
  value: string,
  attributes: CookieAttributes,
): void {
  const count = Math.ceil(value.length / chunkLength)
  for (let index = 0; index < count; index++) {
    const chunk = value.slice(index * chunkLength, (index + 1) * chunkLength)
    writeCookie(
      res,
      chunkName(name, index),
      index === 0 && count > 1 ? `${count}~${chunk}` : chunk,
      attributes,
    )
  }
  clearChunks(req, res, name, count, attributes)
}

export function clearChunkedCookie(
  req: IncomingMessage,
  res: ServerResponse,
  name: string,
  attributes: Omit<CookieAttributes, 'maxAge'>,
): void {
  clearChunks(req, res, name, 0, attributes)
}

function clearChunks(
  req: IncomingMessage,
  res: ServerResponse,
  name: string,
  from: number,
  attributes: Omit<CookieAttributes, 'maxAge'>,
): void {
  const sent = cookieNames(req, name)
  for (let index = from; index < mostChunks; index++) {
    if (sent.includes(chunkName(name, index))) clearCookie(res, chunkName(name, index), attributes)
  }
}

function chunkName(name: string, index: number): string {
  return index === 0 ? name : `${name}.${index}`
}
