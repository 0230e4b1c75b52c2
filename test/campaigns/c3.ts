/**
 * One refresh token that rotates, and many instances: they share Redis or PostgreSQL, and ten requests at once come to any
 * of them whenever a session's token is due. The server ends the family of a token that it sees twice.
 */
import { loadavg } from 'node:os'
import { openBrowser } from '../support/browser.js'
import { startPostgres } from '../support/postgres.js'
import { startRedis } from '../support/redis.js'
import { cookieHeader, withNewCookies } from '../support/requests.js'
import {
  storages,
  storeNames,
  type InstanceWorker,
  type Seen,
  type Storage,
  type StoreName,
  type Told,
} from './c3/instance-worker.js'
import type { ServerWorker } from './c3/server-worker.js'
import { atMost, exactly, noted, type Campaign, type Figure, type Random } from './support/campaign.js'
import { quantile } from './support/quantile.js'
import { signIn } from './support/sign-in.js'
import { noteStalls, undisturbed, type Stall, type Time } from './support/stalls.js'
import { createVisitor, type Answer, type Visitor } from './support/visitor.js'
import { startWorker, startWorkers, stopWorkers, type Worker } from './support/workers.js'

/** Seconds that access tokens live. */
const life = 2
/** Milliseconds that the server takes at least, as one does that is not on this machine. */
const latency = 50
const requestsAtOnce = 10
/** Requests at the same moment that need no token: what such a machine takes for any answer. */
const pagesAtOnce = 3
/** Milliseconds. While a process stands still for longer, a late answer says nothing about the package. */
const longestStall = 40
/** The share of requests in calm that says something about all: of few, the quick ones are left. */
const fewest = 0.2
const ms = { unit: 'ms' } as const
const clientSecret = 'the secret of this client'

/** For each store; half of it with each storage. */
interface Size {
  readonly instances: number
  readonly sessions: number
  readonly cycles: number
  /** Sessions whose requests are on their way at the same time, of both stores. */
  readonly lanes: number
  /** Instances that are killed, each with a refresh under way for so many sessions of each store and storage. */
  readonly kills: number
  readonly sessionsPerKill: number
}

const sizes: Record<'short' | 'long', Size> = {
  short: { instances: 3, sessions: 40, cycles: 150, lanes: 4, kills: 1, sessionsPerKill: 1 },
  long: { instances: 8, sessions: 200, cycles: 10_000, lanes: 10, kills: 4, sessionsPerKill: 2 },
}

interface Session {
  readonly store: StoreName
  readonly storage: Storage
  readonly subject: string
  cookie: string
  /** Milliseconds of the monotonic clock: when its access token will be over for certain. */
  dueAt: number
}

/** What came of the requests of one store. */
interface Tally {
  /** Bursts of requests for a token that was due. */
  cycles: number
  /** Instances that answered in them. */
  instances: number
  /** Milliseconds that each of these requests took, and those that needed no token. */
  readonly times: Time[]
  readonly pageTimes: Time[]
  /** Answers that were not a token, or one of another user. */
  readonly losses: string[]
  /** Tokens, and whom the page called the user. */
  readonly tokens: Map<string, string>
}

interface Ground {
  readonly server: Worker<ServerWorker>
  /** Those that were not killed. */
  readonly instances: Worker<InstanceWorker>[]
  readonly visitor: Visitor
  /** Of this process. */
  readonly own: { readonly stalls: readonly Stall[] }
  readonly tallies: Readonly<Record<StoreName, Tally>>
  readonly random: Random
}

export const campaign: Campaign = {
  title: 'one refresh token, many instances, and a server that ends the family of a token it sees twice',
  within: { short: 180, long: 3_600 },
  async run({ long, random }) {
    const size = sizes[long ? 'long' : 'short']
    const stops: (() => Promise<unknown>)[] = []
    try {
      const ground = await prepareGround(size, random, stops)
      const { server, instances, own } = ground
      const sessions = await signedIn(ground, size)
      const start = performance.now()
      await playCycles(ground, sessions, size)
      const seconds = (performance.now() - start) / 1_000
      const refreshes = await server.call('refreshes')
      const seen = await Promise.all(instances.map((instance) => instance.call('seen')))
      const stalls = await Promise.all([
        server.call('stalls'),
        ...instances.map(async (instance) => instance.call('stalls')),
      ])
      const workers = [server, ...instances]
      const afterKills = await playKills(ground, sessions, size)
      const figures: Figure[] = []
      for (const store of storeNames) {
        const ofStore = { store, refreshes: refreshes[store] ?? 0, seen: seen.map((one) => one[store]) }
        figures.push(...(await figuresOf(ground, { ...ofStore, stalls: [...own.stalls, ...stalls.flat()] })))
      }
      const rejections = workers.flatMap((worker) => worker.rejections)
      return [
        ...figures,
        exactly('families revoked', await server.call('revoked'), 0),
        atMost('longest wait after a kill -9 of the holder', Math.round(Math.max(...afterKills)), 5_000, ms),
        noted('leases whose holder was killed', afterKills.length),
        exactly('unhandled rejections', rejections.length, 0, { details: rejections }),
        noted('refreshes a second', Math.round((2 * size.cycles) / seconds)),
        noted('load of the machine', Math.round((loadavg()[0] ?? 0) * 10) / 10),
      ]
    } finally {
      for (const stop of stops.toReversed()) await stop()
    }
  },
}

async function prepareGround(
  { instances: count }: Size,
  random: Random,
  stops: (() => Promise<unknown>)[],
): Promise<Ground> {
  const redis = await startRedis()
  stops.push(() => redis.stop())
  const postgres = await startPostgres()
  stops.push(() => postgres.stop())
  const setup = { clients: storeNames, clientSecret, accessTokenLifetime: life, latency, longestStall }
  const server = await startWorker<ServerWorker>(new URL('c3/server-worker.ts', import.meta.url), setup)
  stops.push(() => server.stop())
  const instances = await startWorkers<InstanceWorker>(
    new URL('c3/instance-worker.ts', import.meta.url),
    Array.from({ length: count }, (_, index) => ({
      issuer: server.ready,
      clientSecret,
      redis: { url: redis.url, client: index % 2 === 0 ? 'node-redis' : 'ioredis' },
      postgres: { connectionString: postgres.connectionString },
      longestStall,
    })),
  )
  stops.push(() => stopWorkers(instances))
  const urls = instances.flatMap(({ ready }) =>
    Object.values(ready).flatMap((byStorage) => Object.values(byStorage)),
  )
  await server.call(
    'serve',
    urls.map((url) => `${url}/callback`),
  )
  const visitor = createVisitor()
  const own = noteStalls(longestStall)
  stops.push(async () => {
    visitor.close()
    own.stop()
  })
  return { server, instances, visitor, own, tallies: { redis: newTally(), postgres: newTally() }, random }
}

function newTally(): Tally {
  return { cycles: 0, instances: 0, times: [], pageTimes: [], losses: [], tokens: new Map() }
}

async function signedIn({ instances, random }: Ground, { sessions: count, lanes }: Size): Promise<Session[]> {
  const wanted = storeNames.flatMap((store) =>
    Array.from({ length: count }, (_, index) => ({
      store,
      storage: storages[index % storages.length] ?? 'cookie',
      subject: `${store}-user-${index}`,
    })),
  )
  const sessions: Session[] = []
  await inLanes(lanes, wanted, async (one) => {
    const browser = openBrowser()
    const url = oneOf(instances, random).ready[one.store][one.storage]
    await browser.visit(`${url}/login?login_hint=${one.subject}&returnTo=/page`)
    await signIn(browser, `${url}/page`)
    const cookies = (await cookieHeader(browser, url)).split('; ')
    const cookie = cookies.filter((pair) => /^(oauth|connect)/.test(pair)).join('; ')
    sessions.push({ ...one, cookie, dueAt: performance.now() + life * 1_000 })
  })
  return sessions
}

/** Whichever session is due next is asked for, until all cycles are played. */
async function playCycles(
  ground: Ground,
  sessions: readonly Session[],
  { cycles, lanes }: Size,
): Promise<void> {
  const queues = storeNames.map((name) => sessions.filter(({ store }) => store === name))
  const turns = Array.from({ length: cycles }, () => queues).flat()
  await inLanes(lanes, turns, async (queue) => {
    const session = queue.shift()
    if (!session) throw new Error('fewer sessions than lanes')
    await new Promise((resolve) => setTimeout(resolve, session.dueAt - performance.now()))
    await burst(ground, session)
    queue.push(session)
  })
}

/** Many tabs that need a token, and a few at the same time that need none. */
async function burst(ground: Ground, session: Session): Promise<void> {
  const { instances, visitor, tallies, random } = ground
  const { store, storage, cookie } = session
  const tally = tallies[store]
  const hit = Array.from({ length: requestsAtOnce }, () => oneOf(instances, random))
  const pages = hit.slice(0, pagesAtOnce).map(async ({ ready }) => {
    const page = await visitor.ask(`${ready[store][storage]}/page`, cookie)
    tally.pageTimes.push(timeOf(page))
    if (page.status !== 200) tally.losses.push(lossOf(session, page))
  })
  await Promise.all([askForTokens(ground, session, hit, tally.times), ...pages])
  tally.cycles += 1
  tally.instances += new Set(hit).size
}

async function askForTokens(
  { visitor, tallies }: Ground,
  session: Session,
  instances: readonly Worker<InstanceWorker>[],
  times: Time[],
): Promise<void> {
  const { store, storage, subject, cookie } = session
  const { losses, tokens } = tallies[store]
  await Promise.all(
    instances.map(async ({ ready }) => {
      const answer = await visitor.ask(`${ready[store][storage]}/token`, cookie)
      times.push(timeOf(answer))
      // As in a browser, the cookie that comes last stays.
      session.cookie = withNewCookies(session.cookie, answer)
      if (answer.status !== 200) losses.push(lossOf(session, answer))
      else {
        const told = JSON.parse(answer.body) as Told
        tokens.set(told.token, subject)
        if (told.subject !== subject) losses.push(`${subject} was told to be ${told.subject}`)
      }
    }),
  )
  session.dueAt = performance.now() + life * 1_000
}

function lossOf({ storage, subject }: Session, { status, body }: Answer): string {
  return `${subject} (${storage}): ${status} ${body.slice(0, 100)}`
}

/**
 * Kills instances that hold leases and have not sent their requests yet. Gives the milliseconds, for each session, from
 * the kill until all requests at other instances were answered.
 */
async function playKills(ground: Ground, sessions: readonly Session[], size: Size): Promise<number[]> {
  const waits: number[] = []
  const kinds = storeNames.flatMap((store) => storages.map((storage) => ({ store, storage })))
  const queues = kinds.map((kind) =>
    sessions.filter(({ store, storage }) => store === kind.store && storage === kind.storage),
  )
  for (let kill = 0; kill < size.kills; kill += 1) {
    const concerned = queues.flatMap((queue) => queue.splice(0, size.sessionsPerKill))
    waits.push(...(await killHolder(ground, concerned)))
    // The family lives: it can be refreshed once more.
    for (const session of concerned) {
      await new Promise((resolve) => setTimeout(resolve, session.dueAt - performance.now()))
      await askForTokens(ground, session, ground.instances.slice(0, 2), [])
    }
  }
  return waits
}

async function killHolder({ ...ground }: Ground, concerned: readonly Session[]): Promise<number[]> {
  const { instances, visitor, tallies } = ground
  const victim = instances.pop()
  if (!victim) throw new Error('no instance is left')
  const due = Math.max(...concerned.map(({ dueAt }) => dueAt))
  await new Promise((resolve) => setTimeout(resolve, due - performance.now()))
  await victim.call('stopBeforeGrants')
  const atVictim = concerned.map(async (session) => {
    const { store, storage, cookie } = session
    const answer = await visitor.ask(`${victim.ready[store][storage]}/token`, cookie).catch(() => undefined)
    if (answer) tallies[store].losses.push(lossOf(session, answer))
  })
  const giveUpAt = performance.now() + 5_000
  while ((await victim.call('stopped')) < concerned.length && performance.now() < giveUpAt)
    await new Promise((resolve) => setTimeout(resolve, 10))
  const others = Array.from({ length: requestsAtOnce }, () => oneOf(instances, ground.random))
  let killedAt = 0
  const answered = concerned.map(async (session) => {
    await askForTokens(ground, session, others, [])
    return performance.now() - killedAt
  })
  // They have found the lease taken by then.
  await new Promise((resolve) => setTimeout(resolve, 300))
  killedAt = performance.now()
  await victim.kill()
  await Promise.all(atVictim)
  return Promise.all(answered)
}

interface Observed {
  readonly store: StoreName
  readonly refreshes: number
  /** By each instance. */
  readonly seen: readonly Seen[]
  /** Of all processes. */
  readonly stalls: readonly Stall[]
}

async function figuresOf(
  { server, tallies }: Ground,
  { store, refreshes, seen, stalls }: Observed,
): Promise<Figure[]> {
  const { cycles, instances, losses, tokens, ...tally } = tallies[store]
  const entries = [...tokens]
  const issued = await server.call(
    'issued',
    entries.map(([token]) => token),
  )
  const wrong = entries.filter(([, subject], index) => issued[index]?.subject !== subject)
  const waits = seen.reduce((sum, one) => sum + one.waits, 0)
  const latencies = seen.flatMap((one) => one.latencies)
  const calm = undisturbed(tally.times, stalls)
  const [p99, server99, page99] = [
    p99Of(calm),
    p99Of(undisturbed(latencies, stalls)),
    p99Of(undisturbed(tally.pageTimes, stalls)),
  ]
  const all = p99Of(tally.times.map(({ took }) => took))
  return [
    exactly(`${store}: answers that were no token of the user`, losses.length, 0, {
      details: losses.slice(0, 20),
    }),
    exactly(`${store}: tokens of another user`, wrong.length, 0),
    atMost(`${store}: refreshes in ${cycles} cycles`, refreshes, Math.floor(cycles * 1.02)),
    calm.length < fewest * tally.times.length
      ? noted(`${store}: wait for a new token, p99, of too few`, p99 - page99, ms)
      : atMost(`${store}: wait for a new token, p99`, p99 - page99, server99 + 150, ms),
    noted(`${store}: the server's part, p99`, server99, ms),
    noted(`${store}: any page, p99`, page99, ms),
    noted(`${store}: all requests for a new token, p99`, all, ms),
    noted(
      `${store}: requests while no process stood still`,
      Math.round((100 * calm.length) / tally.times.length),
      {
        unit: '%',
      },
    ),
    noted(`${store}: leases waited for`, waits),
    noted(`${store}: outcomes taken from another instance`, instances - refreshes),
  ]
}

function timeOf({ took }: Answer): Time {
  return { took, at: Date.now() }
}

function p99Of(times: readonly number[]): number {
  return Math.round(quantile(times, 0.99))
}

async function inLanes<T>(
  lanes: number,
  things: readonly T[],
  work: (thing: T) => Promise<void>,
): Promise<void> {
  const rest = things.values()
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      for (const thing of rest) await work(thing)
    }),
  )
}

function oneOf<T>(things: readonly T[], random: Random): T {
  const thing = things[Math.floor(random() * things.length)]
  if (thing === undefined) throw new Error('there is none')
  return thing
}
