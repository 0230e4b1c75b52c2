/** The HTTP answer to a request that asks for another protocol, for which Node makes no response (RFC 9110 §7.8). */

import { ServerResponse, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

/** Seconds without any traffic after which an answer is given up. */
const longestPause = 60

const responses = new WeakMap<IncomingMessage, ServerResponse>()

/** One for each request, without a socket. It collects headers, such as cookies, for whatever is sent in the end. */
export function upgradeResponse(req: IncomingMessage): ServerResponse {
  const known = responses.get(req)
  if (known) return known
  const res = new ServerResponse(req)
  responses.set(req, res)
  // Node has taken its own listeners off, and an error that nobody listens for ends the process. Nothing is lost: a
  // socket that failed is closed, and whoever takes it over sees that.
  req.socket.on('error', () => undefined)
  return res
}

/** Whether somebody has asked for the response to this upgrade. */
export function isUpgrade(req: IncomingMessage): boolean {
  return responses.has(req)
}

/**
 * Has `answer` write the response, and closes the socket behind it. Where an answer has begun, or nobody is left to read
 * one, the socket is closed at once. What `answer` throws is thrown on, and another answer can be given.
 */
export function answerUpgrade(
  req: IncomingMessage,
  socket: Duplex,
  answer: (res: ServerResponse) => void,
): void {
  const res = upgradeResponse(req)
  if (res.headersSent || !socket.writable) {
    socket.destroy()
    return
  }
  socket.on('error', () => undefined)
  const connection = assigned(res, socket)
  if (!connection) {
    socket.destroy()
    return
  }
  res.shouldKeepAlive = false
  req.socket.setTimeout(longestPause * 1_000, () => socket.destroy())
  // What else the client sends is read and thrown away: closing with unread bytes would reset the connection, and the
  // client might never read the answer.
  socket.resume()
  res.once('finish', () => socket.end(() => socket.destroy()))
  try {
    answer(res)
  } catch (error) {
    res.detachSocket(connection)
    throw error
  }
}

/**
 * Answers 101: what follows on the socket is another protocol. False when there is nobody left to answer, or another answer
 * is still being written.
 */
export function switchProtocols(req: IncomingMessage, socket: Duplex): boolean {
  const res = upgradeResponse(req)
  if (res.headersSent || !socket.writable) return false
  const connection = assigned(res, socket)
  if (!connection) return false
  res.writeHead(101)
  res.flushHeaders()
  res.detachSocket(connection)
  return true
}

type Connection = Parameters<ServerResponse['assignSocket']>[0]

/**
 * Gives the response the socket. Nothing when it has one that is not done: the client has sent the upgrade behind a request
 * without waiting for the answer, which nobody does who means it well (RFC 9112 §9.3.2).
 */
function assigned(res: ServerResponse, socket: Duplex): Connection | undefined {
  const connection = socket as Connection
  try {
    res.assignSocket(connection)
    return connection
  } catch {
    return undefined
  }
}
