/** What lasts, through the proxy: a large answer and a large upload, events for a minute, and a WebSocket that talks a lot. */
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { WebSocket } from 'ws'
import { startBff } from './c11/bff.js'
import type { BffWorker } from './c11/bff-worker.js'
import { atMost, exactly, noted, type Campaign } from './support/campaign.js'
import { quantile } from './support/quantile.js'
import type { Worker } from './support/workers.js'

const megabyte = 1_048_576
/** Bytes that the API sends at once. */
const chunk = 65_536
const messages = 10_000

export const campaign: Campaign = {
  title: 'large and lasting streams through the proxy',
  within: { short: 60, long: 300 },
  async run({ long }) {
    const size = (long ? 1_024 : 128) * megabyte
    const { url, worker, cookie, close } = await startBff()
    try {
      const headers = {
        cookie,
        'x-csrf': '1',
        'sec-fetch-site': 'same-origin',
        'sec-fetch-mode': 'cors',
        origin: url,
      }
      // Once before, so that what is measured is not the code that gets loaded.
      await download(`${url}/api/stream?chunks=500`, headers)
      await upload(`${url}/api/upload`, headers, 20 * megabyte)

      const downloading = await growth(worker, async () => {
        const bytes = await download(`${url}/api/stream?chunks=${size / chunk}`, headers)
        if (bytes !== size) throw new Error(`${bytes} bytes came of ${size}`)
      })
      const uploading = await growth(worker, async () => {
        const bytes = await upload(`${url}/api/upload`, headers, size)
        if (bytes !== size) throw new Error(`${bytes} bytes arrived of ${size}`)
      })
      const delays = await events(`${url}/api/events?every=50`, headers, long ? 60 : 5)
      const echoed = await echoes(`${url.replace('http', 'ws')}/api/echo`, headers)
      const { mistakes } = await worker.call('look')
      return [
        noted('streamed each way', size / megabyte, { unit: 'MB' }),
        atMost('memory that a download takes', downloading, 50, { unit: 'MB' }),
        atMost('memory that an upload takes', uploading, 50, { unit: 'MB' }),
        noted('events', delays.length),
        atMost('99th percentile of their delay', quantile(delays, 0.99), 100, { unit: 'ms' }),
        exactly('messages of a WebSocket that came back, in order', echoed, messages),
        exactly('mistakes in the process', mistakes.length, 0, { details: mistakes.slice(0, 10) }),
      ]
    } finally {
      await close()
    }
  },
}

type Headers = Readonly<Record<string, string>>

/** By how many megabytes the process is larger at its largest, seen five times a second. */
async function growth(worker: Worker<BffWorker>, run: () => Promise<void>): Promise<number> {
  const { rss: before } = await worker.call('look')
  let most = before
  const watch = setInterval(() => {
    void worker.call('look').then(({ rss }) => (most = Math.max(most, rss)))
  }, 200)
  await run().finally(() => clearInterval(watch))
  return Math.round((most - before) / megabyte)
}

async function download(url: string, headers: Headers): Promise<number> {
  const sent = request(url, { headers }).end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  let bytes = 0
  for await (const part of response as AsyncIterable<Buffer>) bytes += part.length
  return bytes
}

/** What the API says that it got. */
async function upload(url: string, headers: Headers, size: number): Promise<number> {
  const sent = request(url, { method: 'POST', headers })
  const answered = once(sent, 'response') as Promise<[IncomingMessage]>
  const part = Buffer.alloc(chunk, 1)
  await pipeline(
    Readable.from(
      (function* () {
        for (let left = size; left > 0; left -= chunk) yield part
      })(),
    ),
    sent,
  )
  const [response] = await answered
  const body = (await response.toArray()).join('')
  return (JSON.parse(body) as { bytes: number }).bytes
}

/** Milliseconds that each event was on its way. */
async function events(url: string, headers: Headers, seconds: number): Promise<number[]> {
  const sent = request(url, { headers }).end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  const delays: number[] = []
  const end = Date.now() + seconds * 1_000
  response.setEncoding('utf8')
  for await (const text of response as AsyncIterable<string>) {
    for (const [, time] of text.matchAll(/data: (\d+)/g)) delays.push(Date.now() - Number(time))
    if (Date.now() > end) break
  }
  sent.destroy()
  return delays
}

async function echoes(url: string, headers: Headers): Promise<number> {
  const socket = new WebSocket(url, { headers, origin: headers['origin'] ?? '' })
  await once(socket, 'open')
  let returned = 0
  const done = new Promise<void>((resolve, reject) => {
    socket.on('error', reject)
    socket.on('close', () => resolve())
    socket.on('message', (data) => {
      if ((data as Buffer).toString() === `message ${returned}`) returned += 1
      if (returned === messages) resolve()
    })
  })
  for (let index = 0; index < messages; index += 1) socket.send(`message ${index}`)
  await done
  socket.close()
  return returned
}
