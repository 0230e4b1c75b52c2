import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { ownScript, proxied, upstream } from './proxied.js'

const size = 40_000_000

async function lengthOf(stream: IncomingMessage): Promise<number> {
  let length = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) length += chunk.length
  return length
}

describe('a body', () => {
  it('of events passes each as it comes, the head before the first', async () => {
    let say: (text: string) => void = () => undefined
    const target = await upstream((_request, response) => {
      response
        .writeHead(200, { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' })
        .flushHeaders()
      say = (text) => void response.write(text)
    })
    const { app, cookie } = await proxied(target, { csrfHeader: false })
    const request = httpRequest(`${app.url}/api/events`, {
      headers: { cookie, ...ownScript },
      agent: false,
    }).end()
    const answer = await new Promise<IncomingMessage>((resolve) => request.on('response', resolve))
    expect(answer.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'x-accel-buffering': 'no',
      'cache-control': 'private, no-store, no-transform',
    })
    for (const event of ['data: 1\n\n', 'data: 2\n\n']) {
      const heard = new Promise((resolve) =>
        answer.once('data', (chunk: Buffer) => resolve(chunk.toString())),
      )
      say(event)
      expect(await heard).toBe(event)
    }
    request.destroy()
  })

  it('of 40 MB passes both ways, and waits where nobody takes it', async () => {
    let received = 0
    let written = 0
    const serveFile = async (request: IncomingMessage, response: ServerResponse) => {
      if (request.method === 'POST') {
        received = await lengthOf(request)
        response.end('ok')
        return
      }
      const chunk = Buffer.alloc(100_000)
      for (; written < size && !response.destroyed; written += chunk.length) {
        if (!response.write(chunk)) await new Promise((resolve) => response.once('drain', resolve))
      }
      response.end()
    }
    const target = await upstream((request, response) => void serveFile(request, response))
    const { app, cookie } = await proxied(target)
    const send = async (method: string, body?: Buffer) =>
      new Promise<IncomingMessage>((resolve, reject) =>
        httpRequest(`${app.url}/api/file`, { method, headers: { cookie, ...ownScript }, agent: false })
          .on('response', resolve)
          .on('error', reject)
          .end(body),
      )
    const uploaded = await send('POST', Buffer.alloc(size))
    expect([await lengthOf(uploaded), received]).toEqual([2, size])
    const download = await send('GET')
    await new Promise((resolve) => setTimeout(resolve, 300))
    // Only what sockets and buffers hold has left the API.
    expect(written).toBeLessThan(size / 2)
    expect(await lengthOf(download)).toBe(size)
  })
})
