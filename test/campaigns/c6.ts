/**
 * Hours without an issuer's keys: six of virtual time in which the key server is away, slow, answers garbage and then
 * publishes nothing, a rotation meanwhile, its return; and then more than a day without it.
 */
import { empty, hang, html, json, reset, type Answer } from '../support/faulty-server/answer.js'
import { newSigningKey, type SigningKey } from '../support/faulty-server/signing-key.js'
import { bare } from '../support/requests.js'
import { atMost, exactly, noted, type Campaign } from './support/campaign.js'
import { jump, travelHome } from './support/clock.js'
import { startApi, startKeyServer, type KeyServer } from './support/key-server.js'
import { quantile } from './support/quantile.js'

const minute = 60
const hour = 60 * minute
const day = 24 * hour

interface Ground {
  readonly server: KeyServer
  readonly api: string
  /** Milliseconds that requests with a known key took. */
  readonly times: number[]
  readonly seen: Record<'refused' | 'wrong' | 'fetchedTooOften', string[]>
}

const faults: readonly (readonly [string, () => Answer])[] = [
  ['away', reset],
  ['slow', hang],
  ['an error', () => json({}, 500)],
  ['garbage', () => html('<title>Maintenance</title>')],
  ['nothing', () => empty(200)],
  ['an empty set', () => json({ keys: [] })],
]

export const campaign: Campaign = {
  title: 'hours without the keys of the issuer',
  within: { short: 60, long: 600 },
  async run({ long, random }) {
    const server = await startKeyServer()
    const api = await startApi(server)
    const ground: Ground = {
      server,
      api: api.url,
      times: [],
      seen: { refused: [], wrong: [], fetchedTooOften: [] },
    }
    const { seen, times } = ground
    const [known] = server.keys
    const dead = await newSigningKey()
    const none = (what: string, lines: readonly string[]) =>
      exactly(what, lines.length, 0, { details: lines.slice(0, 10) })
    try {
      jump(0)
      if (!known || (await status(ground, server.token())) !== 200) throw new Error('the API is not ready')
      for (let request = 0; request < 50; request += 1) await known200(ground, known, 'in good times')
      const usual = quantile(times.splice(0), 0.99)
      for (const [name, fault] of faults) {
        server.fault = fault()
        const before = server.fetches
        // A token of a key that is gone is in steady use all the while; what asks for new keys is not the clock alone.
        for (let second = 0; second < hour; second += long ? 10 : 2 * minute) {
          jump(long ? 10 : 2 * minute)
          await known200(ground, known, `${name}, after ${second} s`)
          if (random() < 0.5) await known200(ground, known, `${name}, after ${second} s`)
          const unknown = await status(ground, server.token(dead))
          if (unknown !== 503) seen.wrong.push(`${name}: ${unknown} for an unknown key`)
        }
        const fetched = server.fetches - before
        if (fetched > hour / 30 + 3) seen.fetchedTooOften.push(`${name}: ${fetched} in an hour`)
      }

      const rotated = await newSigningKey()
      server.keys = [rotated]
      const during = await status(ground, server.token(rotated))
      if (during !== 503) seen.wrong.push(`${during} for a new key during the outage`)
      await known200(ground, known, 'after the rotation')
      server.fault = undefined
      const untilNew = await secondsUntil(200, () => status(ground, server.token(rotated)))
      const withdrawn = await status(ground, server.token(known))

      server.fault = reset()
      const start = Date.now() / 1_000
      const step = long ? 5 * minute : 30 * minute
      // Kept for its ten minutes, and for a day after that.
      while (Date.now() / 1_000 - start < day + 10 * minute - step) {
        jump(step)
        await known200(ground, rotated, 'the day without keys')
      }
      jump(step)
      const afterDay = await status(ground, server.token())
      server.fault = undefined
      const untilBack = await secondsUntil(200, () => status(ground, server.token()))

      return [
        noted('requests with a known key', times.length),
        none('of them refused', seen.refused),
        noted('99th percentile in good times', Math.round(usual), { unit: 'ms' }),
        // A busy machine is slow in good times, too.
        atMost('what their 99th percentile is more', Math.round(quantile(times, 0.99) - usual), 50, {
          unit: 'ms',
        }),
        atMost('the slowest of them', Math.round(quantile(times, 1)), 500, { unit: 'ms' }),
        none('wrong answers for unknown keys', seen.wrong),
        none('outages with more than one fetch per 30 s', seen.fetchedTooOften),
        atMost('until a new key is taken after the return', untilNew, 2, { unit: 's' }),
        exactly('status of a key withdrawn meanwhile', withdrawn, 401),
        exactly('status after more than a day', afterDay, 503),
        atMost('until keys are back after that', untilBack, 60, { unit: 's' }),
      ]
    } finally {
      travelHome()
      await Promise.all([api.close(), server.close()])
    }
  },
}

async function status({ api }: Ground, token: string): Promise<number> {
  return (await bare(api, { authorization: `Bearer ${token}` })).status
}

async function known200(ground: Ground, key: SigningKey, when: string): Promise<void> {
  const token = ground.server.token(key)
  const start = performance.now()
  const answer = await status(ground, token)
  ground.times.push(performance.now() - start)
  if (answer !== 200) ground.seen.refused.push(`${when}: ${answer}`)
}

/** Of virtual time, asking each second. */
async function secondsUntil(wanted: number, ask: () => Promise<number>): Promise<number> {
  for (let seconds = 0; seconds < 300; seconds += 1) {
    if ((await ask()) === wanted) return seconds
    jump(1)
  }
  return Infinity
}
