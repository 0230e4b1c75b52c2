/**
 * Clients that go away: at any byte of their request, while they wait, and at any byte of the answer, on all that the
 * package answers and passes on. Nothing of them may stay, and nobody else may notice.
 */
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { startBff } from './c11/bff.js'
import { atMost, exactly, noted, type Campaign, type Random } from './support/campaign.js'

/** At the same time. */
const atOnce = 100

export const campaign: Campaign = {
  title: 'clients that go away in the middle',
  within: { short: 60, long: 600 },
  async run({ long, random }) {
    const { url, worker, api, browser, cookie, close } = await startBff()
    try {
      const aborts = long ? 10_000 : 1_000
      let left = aborts
      await Promise.all(
        Array.from({ length: atOnce }, async () => {
          while (left > 0) {
            left -= 1
            await abort(url, requestOf(cookie, random), random)
          }
        }),
      )
      let sockets = Infinity
      const seconds = await secondsUntil(async () => {
        sockets = (await worker.call('look')).sockets
        // One may be the connection of a key or metadata request that is kept for the next.
        return api.active === 0 && api.sockets === 0 && sockets <= 2
      })
      const { doubleNexts, mistakes } = await worker.call('look')
      const after = await browser.fetch(`${url}/api/stream?chunks=3`, { headers: { 'x-csrf': '1' } })
      return [
        noted('requests that were given up', aborts),
        noted('of them seen by the API', api.requests),
        atMost('until no connection to the API is left', seconds, 5, { unit: 's' }),
        exactly('requests that the API still answers', api.active, 0),
        atMost('connections of the process', sockets, 2),
        exactly('next called twice', doubleNexts, 0),
        exactly('mistakes in the process', mistakes.length, 0, { details: mistakes.slice(0, 10) }),
        exactly('rejections that nobody handled', worker.rejections.length, 0, {
          details: worker.rejections,
        }),
        exactly('status of a request afterwards', after.status, 200),
      ]
    } finally {
      await close()
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
