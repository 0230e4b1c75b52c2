/**
 * Clients that go away: at any byte of their request, while they wait, and at any byte of the answer, on all that the
 * package answers and passes on. Nothing of them may stay, and nobody else may notice.
 */
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { cookieHeader } from '../support/requests.js'
import { openBrowser } from '../support/browser.js'
import { startFaultyServer } from '../support/faulty-server.js'
import { startStreamingApi } from './c11/api.js'
import type { BffWorker } from './c11/bff-worker.js'
import { atMost, exactly, noted, type Campaign, type Random } from './support/campaign.js'
import { signIn } from './support/sign-in.js'
import { startWorker } from './support/workers.js'

/** At the same time. */
const atOnce = 100

export const campaign: Campaign = {
  title: 'clients that go away in the middle',
  within: { short: 60, long: 600 },
  async run({ long, random }) {
    const api = await startStreamingApi()
    const server = await startFaultyServer()
    const { issuer, clientId, clientSecret } = server
    const entry = new URL('c11/bff-worker.ts', import.meta.url)
    const bff = await startWorker<BffWorker>(entry, { issuer, clientId, clientSecret, target: api.url })
    try {
      server.register(`${bff.ready}/callback`, `${bff.ready}/`)
      const browser = openBrowser()
      await signIn(browser, `${bff.ready}/me`)
      const cookie = await cookieHeader(browser, bff.ready)
      const aborts = long ? 10_000 : 1_000
      let left = aborts
      await Promise.all(
        Array.from({ length: atOnce }, async () => {
          while (left > 0) {
            left -= 1
            await abort(bff.ready, requestOf(cookie, random), random)
          }
        }),
      )
      let sockets = Infinity
      const seconds = await secondsUntil(async () => {
        sockets = (await bff.call('look')).sockets
        // One may be the connection of a key or metadata request that is kept for the next.
        return api.active === 0 && api.sockets === 0 && sockets <= 2
      })
      const { doubleNexts, mistakes } = await bff.call('look')
      const after = await browser.fetch(`${bff.ready}/api/stream?chunks=3`, { headers: { 'x-csrf': '1' } })
      return [
        noted('requests that were given up', aborts),
        noted('of them seen by the API', api.requests),
        atMost('until no connection to the API is left', seconds, 5, { unit: 's' }),
        exactly('requests that the API still answers', api.active, 0),
        atMost('connections of the process', sockets, 2),
        exactly('next called twice', doubleNexts, 0),
        exactly('mistakes in the process', mistakes.length, 0, { details: mistakes.slice(0, 10) }),
        exactly('rejections that nobody handled', bff.rejections.length, 0, { details: bff.rejections }),
        exactly('status of a request afterwards', after.status, 200),
      ]
    } finally {
      await bff.stop()
      await Promise.all([server.close(), api.close()])
    }
  },
}

const paths = [
  'GET /api/stream?chunks=40',
  'GET /api/events',
  'GET /api/hang',
  'POST /api/upload',
  'POST /api/hang',
  'GET /fetched',
  'GET /me',
  'GET /login',
  'GET /callback?state=unknown&code=1',
  'UPGRADE /api/echo',
]

/** The bytes of a whole request, with a body where it has one. */
function requestOf(cookie: string, random: Random): string {
  const [method = '', path = ''] = (paths[Math.floor(random() * paths.length)] ?? '').split(' ')
  const isUpgrade = method === 'UPGRADE'
  const body = method === 'POST' ? 'x'.repeat(Math.floor(random() * 200_000)) : ''
  return [
    `${isUpgrade ? 'GET' : method} ${path} HTTP/1.1`,
    'Host: localhost',
    `Cookie: ${cookie}`,
    'X-CSRF: 1',
    'Sec-Fetch-Site: same-origin',
    'Sec-Fetch-Mode: cors',
    ...(method === 'POST' ? [`Content-Length: ${body.length}`, 'Content-Type: text/plain'] : []),
    ...(isUpgrade
      ? [
          'Connection: Upgrade',
          'Upgrade: websocket',
          'Sec-WebSocket-Version: 13',
          'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
        ]
      : []),
    '',
    body,
  ].join('\r\n')
}

/** Sends a part of it, or all and waits for a part of the answer or for a while, and is gone; with or without a reset. */
async function abort(url: string, request: string, random: Random): Promise<void> {
  const { port } = new URL(url)
  const socket = connect(Number(port), 'localhost')
  const gone = new Promise<void>((resolve) => socket.on('close', () => resolve()))
  socket.on('error', () => undefined)
  const end = () => (random() < 0.5 ? socket.destroy() : socket.resetAndDestroy())
  const isWhole = random() < 0.7
  const patience = setTimeout(end, Math.floor(random() * 150))
  socket.on('connect', () => {
    const text = isWhole
      ? request.replace('Host: localhost', `Host: localhost:${port}\r\nOrigin: ${url}`)
      : request
    socket.write(isWhole ? text : text.slice(0, Math.floor(random() * text.length)))
    let wanted = isWhole && random() < 0.5 ? Math.floor(random() * 300_000) : Infinity
    socket.on('data', (data) => {
      wanted -= data.length
      if (wanted <= 0) end()
    })
  })
  await gone
  clearTimeout(patience)
}

async function secondsUntil(isSo: () => Promise<boolean>): Promise<number> {
  const start = performance.now()
  while (performance.now() - start < 20_000) {
    if (await isSo()) return Math.round((performance.now() - start) / 100) / 10
    await sleep(100)
  }
  return Infinity
}
