/**
 * A flood of junk before a guard, beside users with good tokens: it costs little, the users do not notice, and neither does
 * the authorization server.
 */
import { generateKeyPairSync, sign } from 'node:crypto'
import { createServer } from 'node:http'
import { listening, stopped } from '../support/listening.js'
import type { ApiWorker } from './c8/api-worker.js'
import { junkMakers, type Target } from './c8/junk.js'
import type { TrafficWorker } from './c8/traffic-worker.js'
import { atMost, exactly, noted, type Campaign, type Figure } from './support/campaign.js'
import { startWorker, startWorkers, stopWorkers, type Worker } from './support/workers.js'

const audience = 'https://api.example.com'
const good = { kind: 'good', rate: 200, sockets: 8 }
const users = 50

/**
 * Microseconds of processor time on top of an open route. The short form shares its machine with whatever else runs
 * there, and processors that change hands all the time do each thing more slowly.
 */
const junkCost = { short: 200, long: 60 }

export const campaign: Campaign = {
  title: 'a flood of junk before a guard',
  within: { short: 120, long: 400 },
  async run({ long, random }) {
    const server = await startKeyServer()
    const seeds = [random(), random()].map((one) => Math.floor(one * 2 ** 31))
    const target: Target = { issuer: server.url, audience, kid: server.kid }
    const api = await startWorker<ApiWorker>(new URL('c8/api-worker.ts', import.meta.url), {
      issuer: server.url,
      audience,
      jwksUri: `${server.url}/keys`,
    })
    const senders = await startWorkers<TrafficWorker>(
      new URL('c8/traffic-worker.ts', import.meta.url),
      seeds.map((seed) => ({ target, seed, goodTokens: server.tokens(users) })),
    )
    const [flooder, user] = senders
    const begin = performance.now()
    const fetchedBefore = server.fetches()
    try {
      if (!flooder || !user) throw new Error('a worker is missing')
      const url = `${api.ready}/projects`
      // Until all code is compiled, and what is kept for good is there.
      await flooder.call('send', { url, kind: 'junk', requests: long ? 60_000 : 6_000, sockets: 16 })
      await user.call('send', { url, ...good, seconds: 1 })
      const idle = await user.call('send', { url, ...good, seconds: long ? 10 : 2 })

      const before = await api.call('measure')
      const seconds = long ? 60 : 3
      const rate = long ? 10_000 : 2_000
      const [junk, beside] = await Promise.all([
        flooder.call('send', { url, kind: 'junk', rate, seconds, sockets: 32 }),
        user.call('send', { url, ...good, seconds }),
      ])
      const after = await api.call('measure')

      const costs = await costsOfJunk(api, flooder, target, long ? 10_000 : 800)
      const fetched = server.fetches() - fetchedBefore
      const refills = Math.floor((performance.now() - begin) / 30_000)

      const times = beside.p99 / idle.p99
      const p99 = 'good answers in the flood, p99 by that in quiet'
      return [
        exactly('good requests that were not let in', beside.count - (beside.statuses['200'] ?? 0), 0),
        exactly('junk that was not refused by a 401', junk.count - (junk.statuses['401'] ?? 0), 0, {
          details: Object.entries(junk.statuses).map(([status, count]) => `${count} × ${status}`),
        }),
        noted('junk that was sent, per second', junk.perSecond),
        noted('junk that was wanted, per second', rate),
        // Three at once, and one more each 30 seconds.
        atMost('fetches of the key set', fetched, 3 + refills),
        long ? atMost(p99, rounded(times), 2) : noted(p99, rounded(times)),
        noted('the same in quiet', rounded(idle.p99), { unit: 'ms' }),
        noted('the same in the flood', rounded(beside.p99), { unit: 'ms' }),
        atMost('growth of the heap', megabytes(after.heapUsed - before.heapUsed), 5, { unit: 'MB' }),
        atMost('growth of the process', megabytes(after.rss - before.rss), 40, { unit: 'MB' }),
        ...costs.map(({ kind, cost }) =>
          atMost(`processor time to refuse: ${kind}`, cost, junkCost[long ? 'long' : 'short'], {
            unit: 'µs',
          }),
        ),
        exactly('unhandled rejections', api.rejections.length, 0, { details: api.rejections }),
      ] satisfies Figure[]
    } finally {
      await stopWorkers([api, ...senders])
      await server.stop()
    }
  },
}

const turns = 5

/**
 * What each kind costs at the guard, less what the same bytes cost at a route that nobody guards; of several turns the
 * best, because whatever else the machine does makes it more.
 */
async function costsOfJunk(
  api: Worker<ApiWorker>,
  flooder: Worker<TrafficWorker>,
  target: Target,
  requests: number,
): Promise<{ kind: string; cost: number }[]> {
  const spent = async (path: string, kind: string) => {
    const before = await api.call('processor')
    await flooder.call('send', { url: `${api.ready}${path}`, kind, requests: requests / turns, sockets: 16 })
    return ((await api.call('processor')) - before) / (requests / turns)
  }
  // The collection of garbage before this took compiled code along.
  await flooder.call('send', { url: `${api.ready}/open`, kind: 'junk', requests, sockets: 16 })
  await flooder.call('send', { url: `${api.ready}/projects`, kind: 'junk', requests, sockets: 16 })
  const costs: { kind: string; cost: number }[] = []
  for (const kind of Object.keys(junkMakers(target, Math.random))) {
    const open: number[] = []
    const guarded: number[] = []
    for (let turn = 0; turn < turns; turn += 1) {
      open.push(await spent('/open', kind))
      guarded.push(await spent('/projects', kind))
    }
    costs.push({ kind, cost: Math.round(Math.min(...guarded) - Math.min(...open)) })
  }
  return costs
}

/** An authorization server as a guard knows it: its keys, and how often somebody asks for them. */
async function startKeyServer() {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 })
  const kid = 'the-key'
  let fetches = 0
  const server = createServer((_req, res) => {
    fetches += 1
    const keys = [{ ...publicKey.export({ format: 'jwk' }), kid, alg: 'RS256', use: 'sig' }]
    res.setHeader('content-type', 'application/json').end(JSON.stringify({ keys }))
  })
  const url = await listening(server)
  const segment = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const now = Math.floor(Date.now() / 1_000)
  return {
    url,
    kid,
    fetches: () => fetches,
    stop: async () => stopped(server),
    tokens: (count: number) =>
      Array.from({ length: count }, (_, index) => {
        const claims = { iss: url, aud: audience, sub: `user-${index}`, scope: 'read', exp: now + 3_600 }
        const input = `${segment({ alg: 'RS256', typ: 'at+jwt', kid })}.${segment(claims)}`
        return `${input}.${sign('sha256', Buffer.from(input), privateKey).toString('base64url')}`
      }),
  }
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 100_000) / 10
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10
}
