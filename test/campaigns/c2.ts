/** The store fails: Redis is killed, hangs, refuses and forgets while users read on, and nobody is let in or put out for it. */
import { correctSteps } from '../support/faulty-server/steps.js'
import { startRedis, type RedisServer } from '../support/redis.js'
import { faults, kill, pause, type Scene } from './c2/faults.js'
import { forgetFreshLogin, watchUsers, type User } from './c2/watch.js'
import { atMost, exactly, noted, type Campaign, type Figure } from './support/campaign.js'
import { startRedisFront, type RedisFront } from './support/redis-front.js'
import type { SharedApp, SharedAppWorker } from './support/shared-app-worker.js'
import { watchStalls, type Stalls } from './support/stalls.js'
import { startUserServer, type UserServer } from '../support/user-server.js'
import { startWorkers, stopWorkers, type Worker } from './support/workers.js'

/** Seconds that access tokens live: some are refreshed at every moment. */
const life = 5
const usersPerApp = 6
/** Milliseconds in which a process does not run that make the times of a trial worth nothing. */
const stall = 100

interface Ground extends Scene {
  readonly users: UserServer
  readonly people: readonly User[]
  readonly workers: readonly Worker<SharedAppWorker>[]
  readonly stalls: Stalls
  readonly trials: Trial[]
  readonly tokenWaits: number[]
  /** What processes said that ended. */
  readonly ended: string[]
}

export const campaign: Campaign = {
  title: 'a Redis that is killed, hangs, refuses and forgets, under sessions in cookies and in Redis',
  within: { short: 100, long: 2_400 },
  async run({ long, random }) {
    const redis = await startRedis(() => ['--appendonly', 'yes', '--appendfsync', 'always'])
    const forgetful = await startRedis()
    const front = await startRedisFront(redis.port)
    const users = await startUserServer({ life })
    const stalls = watchStalls()
    const apps = appsOf(users, redis, front, forgetful)
    const workers = await startWorkers<SharedAppWorker>(
      new URL('support/shared-app-worker.ts', import.meta.url),
      apps.map((some) => ({ apps: some })),
    )
    const ended: string[] = []
    for (const worker of workers) void worker.exited.then(() => ended.push(worker.stderr))
    const kinds = ['session, node-redis', 'cookie, ioredis']
    let stop = async () => undefined as void
    try {
      const [direct = [], fronted = [], forgotten = []] = await Promise.all(
        workers.map(async (worker) => worker.call('open')),
      )
      for (const url of [...direct, ...fronted, ...forgotten])
        users.server.register(`${url}/callback`, `${url}/`)
      const people = await signedIn(users, [...direct, ...fronted])
      const watch = watchUsers(people, users)
      const ground: Ground = {
        redis,
        front,
        users,
        people,
        watch,
        random,
        workers,
        stalls,
        trials: [],
        tokenWaits: [],
        ended,
      }
      const [kills, rounds, refreshes, losses] = long ? [450, 4, 30, 20] : [16, 1, 2, 2]
      watch.begin()
      stop = watch.rest
      const withoutMemory = forget(users, forgetful, forgotten, kinds, losses)
      withoutMemory.catch(() => undefined) // it is waited for below
      for (let count = 0; count < kills; count += 1) await suffer(ground, kill)
      for (let round = 0; round < rounds; round += 1) for (const fault of faults) await suffer(ground, fault)
      await watch.rest()
      for (let count = 0; count < refreshes; count += 1) await killInRefresh(ground)
      return [...(await withoutMemory), ...figures(ground, kills + refreshes + losses)]
    } finally {
      await stop()
      stalls.stop()
      await stopWorkers(workers)
      await Promise.all([front.close(), users.server.close(), redis.stop(), forgetful.stop()])
    }
  },
}

/** Per worker: over Redis itself, through the front, and over a Redis that keeps nothing. */
function appsOf(
  { server }: UserServer,
  redis: RedisServer,
  front: RedisFront,
  forgetful: RedisServer,
): SharedApp[][] {
  const { issuer, clientId, clientSecret } = server
  const app = (storage: 'session' | 'cookie', client: SharedApp['client'], url: string): SharedApp => ({
    setup: { issuer, clientId, clientSecret, storage },
    redis: url,
    client,
  })
  return [
    [app('session', 'node-redis', redis.url), app('cookie', 'ioredis', redis.url)],
    [app('session', 'ioredis', front.url), app('cookie', 'node-redis', front.url)],
    [app('session', 'node-redis', forgetful.url), app('cookie', 'ioredis', forgetful.url)],
  ]
}

async function signedIn(users: UserServer, urls: readonly string[]): Promise<User[]> {
  const wanted = urls.flatMap((url, app) =>
    Array.from({ length: usersPerApp }, (_, index) => ({
      name: `user-${new URL(url).port}-${app}-${index}`,
      url,
    })),
  )
  return Promise.all(
    wanted.map(async ({ name, url }) => {
      const browser = await users.openBrowser(name)
      const page = await browser.visit(`${url}/me`)
      if (page.status !== 200) throw new Error(`the login of ${name} ended with ${page.status}`)
      await forgetFreshLogin(browser, url)
      return { name, url, browser }
    }),
  )
}

/** How long things took while one fault lasted and after it, in milliseconds. */
interface Trial {
  readonly name: string
  readonly slowest: number
  readonly recovery: number
  /** The longest stretch in which one of the processes did not run. */
  readonly stalled: number
}

async function suffer(ground: Ground, fault: (typeof faults)[number]): Promise<void> {
  const { watch, trials } = ground
  await longestStall(ground)
  watch.slowest()
  await fault.run(ground)
  if (!fault.tells) watch.returns()
  const recovery = await watch.recovered()
  trials.push({
    name: fault.name,
    slowest: watch.slowest(),
    recovery,
    stalled: await longestStall(ground),
  })
}

/** A late answer says nothing while the machine stood still. With no other trials, that time is taken off. */
function calm(trials: readonly Trial[]): Trial[] {
  const still = trials.filter(({ stalled }) => stalled < stall)
  if (still.length > 0) return still
  return trials.map((trial) => ({
    ...trial,
    slowest: Math.max(0, trial.slowest - trial.stalled),
    recovery: Math.max(0, trial.recovery - trial.stalled),
  }))
}

async function longestStall({ workers, stalls }: Ground): Promise<number> {
  const told = await Promise.all(workers.map(async (worker) => worker.call('stalled')))
  return Math.max(0, stalls.longest(), ...told)
}

/** Redis goes while the server holds everybody's new tokens. Nobody may lose them: the processes live. */
async function killInRefresh({ redis, users, people, watch, tokenWaits }: Ground): Promise<void> {
  let release = () => undefined as void
  const held = new Promise<void>((resolve) => (release = resolve))
  let asked = 0
  users.misbehave({
    async answerToken(op, response) {
      asked += 1
      await held
      return correctSteps.answerToken(op, response)
    },
  })
  const token = async ({ browser, url }: User) => browser.visit(`${url}/token?force=1`, { follow: false })
  const loginsBefore = people.map(({ name }) => users.logins(name))
  const under = Promise.allSettled(people.map(async (user) => token(user)))
  const deadline = performance.now() + 4_000
  while (asked < people.length && performance.now() < deadline) await pause(10)
  if (asked < people.length) watch.wrong.otherwise.push(`${asked} of ${people.length} came to be refreshed`)
  await redis.kill()
  release()
  await under
  users.misbehave()
  await redis.restart()
  const start = performance.now()
  await Promise.all(
    people.map(async (user, index) => {
      let page = await token(user)
      // The client may need a moment to be back, and the lease of the refresh that was cut off has to end.
      while (page.status === 503 && performance.now() - start < 6_000) {
        await pause(50)
        page = await token(user)
      }
      tokenWaits.push(Math.round(performance.now() - start))
      const owner = users.ownerOf(page.body)
      if (owner !== user.name || users.logins(user.name) !== loginsBefore[index])
        watch.wrong.signedOut.push(`${user.name}: refreshed while Redis went: ${page.status}`)
    }),
  )
}

/** Without persistence, sessions in Redis are gone with it, and each costs its user one login; cookies live on. */
async function forget(
  users: UserServer,
  redis: RedisServer,
  urls: readonly string[],
  kinds: readonly string[],
  kills: number,
): Promise<Figure[]> {
  const people = await signedIn(users, urls)
  const logins = new Map(urls.map((url): [string, number[]] => [url, []]))
  const wrong: string[] = []
  for (let count = 0; count < kills; count += 1) {
    await redis.kill()
    await redis.restart()
    await pause(500)
    await Promise.all(
      people.map(async ({ name, url, browser }) => {
        const before = users.logins(name)
        const page = await browser.visit(`${url}/me`)
        if (page.status !== 200 || page.body !== name) wrong.push(`${name}: ${page.status} ${page.body}`)
        await forgetFreshLogin(browser, url)
        logins.get(url)?.push(users.logins(name) - before)
      }),
    )
  }
  const wanted = [1, 0]
  return [
    exactly('forgotten: users that are not in again', wrong.length, 0, { details: wrong }),
    ...urls.map((url, app) => {
      const taken = logins.get(url) ?? []
      const others = taken.filter((count) => count !== wanted[app])
      return exactly(`forgotten (${kinds[app]}): other than ${wanted[app]} logins`, others.length, 0)
    }),
  ]
}

function figures(
  { users, people, watch, workers, front, trials, tokenWaits, ended }: Ground,
  kills: number,
): Figure[] {
  const { wrong, counts } = watch
  const { complaints } = users.server
  const again = complaints.filter((complaint) => complaint.includes('used again'))
  const rejections = workers.flatMap((worker) => worker.rejections)
  const none = (what: string, lines: readonly string[]) =>
    exactly(what, lines.length, 0, { details: lines.slice(0, 10) })
  return [
    noted('users', people.length),
    noted('trials that were calm', trials.filter(({ stalled }) => stalled < stall).length),
    noted('kills of Redis', kills),
    noted('connections cut by the front', front.cuts),
    noted('answers while the store was away', counts.away),
    noted('answers 503', counts.unavailable),
    noted('answers that express-session broke off', counts.broken),
    none('let in while the store was away', wrong.letIn),
    none('put out with a living session', wrong.signedOut),
    noted('answers that named somebody', counts.identities),
    none('of these, somebody else', wrong.others),
    none('other answers', wrong.otherwise),
    ...times(trials),
    atMost('refreshed while Redis went: longest wait for the token', Math.max(...tokenWaits), 6_000, {
      unit: 'ms',
    }),
    none('refresh tokens used twice', again),
    none('processes that ended', ended),
    none('unhandled rejections', rejections),
  ]
}

function times(trials: readonly Trial[]): Figure[] {
  const names = [...new Set(trials.map(({ name }) => name))]
  return names.flatMap((name) => {
    const counted = calm(trials.filter((trial) => trial.name === name))
    const most = (what: 'slowest' | 'recovery') =>
      Math.round(Math.max(...counted.map((trial) => trial[what])))
    return [
      atMost(`${name}: slowest 503`, most('slowest'), 2_500, { unit: 'ms' }),
      atMost(`${name}: all let in again`, most('recovery'), 1_000, { unit: 'ms' }),
    ]
  })
}
