/**
 * Thousands of access tokens that expire in the same second, and a server that limits how often it may be asked. Whoever is
 * told to come again does so when they were told to.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { bare, location, typed, withNewCookies } from '../support/requests.js'
import type { LimitedServerWorker } from './c12/limited-server-worker.js'
import type { ProbeWorker } from './c12/probe-worker.js'
import type { AppWorker } from './support/app-worker.js'
import { atMost, exactly, noted, type Campaign, type Random } from './support/campaign.js'
import { quantile } from './support/quantile.js'
import { createVisitor, type Visitor } from './support/visitor.js'
import { startWorker } from './support/workers.js'

/** Seconds: those that access tokens live, and some more. */
const life = 3_600 + 60
const limit = { perSecond: 100, latency: 300 }
/** Logins at once. */
const lanes = 20
/** Milliseconds over which the 99th percentile of a page is taken; the median of many of them counts. */
const stretch = 4_000

/**
 * Milliseconds. The wish is twice the time in quiet, which a process that refreshes a hundred tokens a second beside its
 * pages does not reach; the figure guards what it does reach. Without turns in the gate it is three times this.
 */
const noticed = 100

interface Session {
  cookie: string
}

/** What came of a herd. */
interface Herd {
  /** Seconds until the last was served. */
  readonly seconds: number
  /** Milliseconds that each waited, from the first request to the token. */
  readonly waits: readonly number[]
  /** Answers that asked to come again. */
  readonly sentAway: number
  /** Answers that were neither this nor a token. */
  readonly losses: readonly string[]
}

export const campaign: Campaign = {
  title: 'a herd of expired tokens before a server that limits requests',
  within: { short: 180, long: 900 },
  async run({ long, random }) {
    const server = await startWorker<LimitedServerWorker>(
      new URL('c12/limited-server-worker.ts', import.meta.url),
      undefined,
    )
    const app = await startWorker<AppWorker>(new URL('support/app-worker.ts', import.meta.url), {
      apps: [
        {
          endpoints: { authorization: `${server.ready}/authorize`, token: `${server.ready}/token` },
          clientId: 'app',
          clientSecret: 'the secret of this client',
          storage: 'cookie',
          scope: 'read',
        },
      ],
    })
    const probe = await startWorker<ProbeWorker>(new URL('c12/probe-worker.ts', import.meta.url), undefined)
    const visitor = createVisitor()
    const [url = ''] = app.ready
    try {
      const sessions = await signedIn(url, long ? 5_000 : 1_000)
      await probe.call('begin', { url: `${url}/private`, cookie: (await signedIn(url, 1))[0]?.cookie ?? '' })
      const herd = async () => {
        await app.call('leap', life)
        return playHerd(visitor, `${url}/token`, sessions, random)
      }
      // Without a limit: what such a crowd does to any app on this machine, and to its memory for good. Twice, until what is
      // remembered for a while takes the place of what was.
      const first = await herd()
      await probe.call('times')
      const free = await herd()
      const crowded = await probe.call('times')
      visitor.close()
      await sleep(3 * stretch)
      const quiet = await probe.call('times')
      const before = await app.call('measure')
      await app.call('events')

      await server.call('limit', limit)
      await probe.call('times')
      const storm = await herd()
      const stormy = await probe.call('times')
      visitor.close()
      const seen = await server.call('seen')
      await sleep(3 * stretch)
      quiet.push(...(await probe.call('times')))
      const after = await app.call('measure')

      const best = Math.round((sessions.length / limit.perSecond - 1) * 10) / 10
      const most = long ? 60 : 15
      const losses = [first, free, storm].flatMap((one) => one.losses)
      const [stormP99, quietP99] = [medianP99(stormy), medianP99(quiet)]
      return [
        exactly('logouts', losses.length, 0, {
          details: losses.slice(0, 20),
        }),
        exactly('refresh tokens used twice', seen.spent, 0),
        exactly('refreshes', seen.refreshes, sessions.length),
        atMost('requests in flight at the server', seen.mostInFlight, 50),
        atMost(`all ${sessions.length} served within`, storm.seconds, most, { unit: 's' }),
        noted('where the limit alone takes', best, { unit: 's' }),
        atMost('a page that needs no token, p99', stormP99, noticed, {
          unit: 'ms',
          details: perStretch(stormy).map(String),
        }),
        noted('the same in quiet, p99', quietP99, { unit: 'ms' }),
        noted('times as long as in quiet (2 are wished for)', Math.round(stormP99 / quietP99)),
        noted('the same in its worst four seconds, p99', Math.max(...perStretch(stormy)), { unit: 'ms' }),
        noted('the same in a herd without a limit, p99', medianP99(crowded), { unit: 'ms' }),
        noted('answers 503', storm.sentAway),
        noted('answers 429 of the server', seen.limited),
        noted('wait for a token, median', Math.round(quantile(storm.waits, 0.5) / 100) / 10, { unit: 's' }),
        noted('without a limit, all served within', free.seconds, { unit: 's' }),
        atMost('growth of the heap', Math.round((after.heapUsed - before.heapUsed) / 100_000) / 10, 5, {
          unit: 'MB',
        }),
        exactly('unhandled rejections', app.rejections.length, 0, { details: app.rejections }),
      ]
    } finally {
      visitor.close()
      await Promise.all([app.stop(), probe.stop(), server.stop()])
    }
  },
}

/** By the callback alone: the server takes any code. */
async function signedIn(url: string, count: number): Promise<Session[]> {
  const sessions: Session[] = []
  const login = async () => {
    const start = await bare(`${url}/login`, typed)
    const cookie = withNewCookies('', start)
    const state = new URL(location(start)).searchParams.get('state')
    const end = await bare(`${url}/callback?code=any&state=${state}`, { ...typed, cookie })
    if (end.status !== 303) throw new Error(`the login ended with ${end.status} ${end.body}`)
    sessions.push({ cookie: onlySession(withNewCookies(cookie, end)) })
  }
  await Promise.all(
    Array.from({ length: lanes }, async (_, lane) => {
      for (let number = lane; number < count; number += lanes) await login()
    }),
  )
  return sessions
}

function onlySession(cookie: string): string {
  return cookie
    .split('; ')
    .filter((pair) => /^oauth(\.tokens)?(\.\d+)?=./.test(pair))
    .join('; ')
}

/** All of them ask within one second. */
async function playHerd(
  visitor: Visitor,
  url: string,
  sessions: readonly Session[],
  random: Random,
): Promise<Herd> {
  const start = performance.now()
  const waits: number[] = []
  const losses: string[] = []
  let sentAway = 0
  await Promise.all(
    sessions.map(async (session) => {
      await sleep(random() * 1_000)
      const begin = performance.now()
      for (;;) {
        const answer = await visitor.ask(url, session.cookie)
        if (answer.status !== 503) {
          if (answer.status !== 200) losses.push(`${answer.status} ${answer.body.slice(0, 100)}`)
          session.cookie = withNewCookies(session.cookie, answer)
          waits.push(performance.now() - begin)
          return
        }
        sentAway += 1
        await sleep(Number(answer.headers['retry-after']) * 1_000)
      }
    }),
  )
  return { seconds: Math.round((performance.now() - start) / 100) / 10, waits, sentAway, losses }
}

interface Visit {
  readonly took: number
  readonly at: number
}

function medianP99(visits: readonly Visit[]): number {
  return quantile(perStretch(visits), 0.5)
}

/** The 99th percentile of each stretch of time, in milliseconds. */
function perStretch(visits: readonly Visit[]): number[] {
  const first = Math.min(...visits.map(({ at }) => at))
  const stretches: number[][] = []
  for (const { took, at } of visits) (stretches[Math.floor((at - first) / stretch)] ??= []).push(took)
  // Holes are stretches without a visit.
  return stretches.flatMap((times) => Math.round(quantile(times, 0.99)))
}
