/**
 * kill -9 between two steps: users stand still at every point of a login, a refresh and a logout, one of them kills the
 * process at that very point, another process takes its place, and the same browsers go on.
 */
import { createClient } from 'redis'
import type { Browser, Page } from '../support/browser.js'
import { bare, cookieHeader, typed } from '../support/requests.js'
import { startRedis, type RedisServer } from '../support/redis.js'
import { atMost, exactly, noted, shuffled, type Campaign, type Random } from './support/campaign.js'
import type { SharedAppWorker } from './support/shared-app-worker.js'
import { stopCookie } from './support/stops.js'
import { startUserServer, type UserServer } from '../support/user-server.js'
import { startWorker, type Worker } from './support/workers.js'

type Deed = 'login' | 'refresh' | 'logout'
type Storage = 'cookie' | 'session'

/** A point, and what it means for whoever stands there. */
interface Point {
  readonly deed: Deed
  readonly name: string
  /** Nothing is done there with the other storage. */
  readonly only?: Storage
  /** The server has spent the refresh token, and its answer is lost. */
  readonly loses?: true
  /** The mark of the end is set. */
  readonly isMarked?: true
}

const atServer = 'at the server'

const points: readonly Point[] = [
  { deed: 'login', name: 'before add login' },
  { deed: 'login', name: 'after add login' },
  { deed: 'login', name: 'before request /token' },
  { deed: 'login', name: atServer },
  { deed: 'login', name: 'after request /token' },
  { deed: 'login', name: 'before set oauth-tokens', only: 'session' },
  { deed: 'login', name: 'after set oauth-tokens', only: 'session' },
  { deed: 'login', name: 'after set session', only: 'session' },
  { deed: 'login', name: 'before answer /callback' },
  { deed: 'refresh', name: 'after add lease' },
  { deed: 'refresh', name: 'before request /token' },
  { deed: 'refresh', name: atServer, loses: true },
  { deed: 'refresh', name: 'after request /token', loses: true },
  { deed: 'refresh', name: 'after set outcome' },
  { deed: 'refresh', name: 'after replace oauth-tokens', only: 'session' },
  { deed: 'refresh', name: 'before answer /token' },
  { deed: 'logout', name: 'before delete oauth-tokens', only: 'session' },
  { deed: 'logout', name: 'after delete oauth-tokens', only: 'session' },
  { deed: 'logout', name: 'before set ended:session' },
  { deed: 'logout', name: 'after set ended:session', isMarked: true },
  { deed: 'logout', name: 'before request /revoke', isMarked: true },
  { deed: 'logout', name: 'after request /revoke', isMarked: true },
  { deed: 'logout', name: 'before answer /logout', isMarked: true },
]
const storages = ['cookie', 'session'] as const
/** Seconds that a lease lives without its holder, and some for the clocks. */
const leaseLife = 4.3
/** Milliseconds until everybody must stand at their point. */
const patience = 8_000

interface User {
  readonly name: string
  readonly point: Point
  readonly url: string
  browser: Browser
  /** The cookies from before the kill. */
  oldCookie: string
  loginsBefore: number
}

interface Ground {
  readonly users: UserServer
  readonly redis: RedisServer
  readonly random: Random
  readonly seen: Sightings
}

/** What must not be, a line each. */
interface Sightings {
  readonly stuck: string[]
  readonly half: string[]
  readonly alive: string[]
  readonly others: string[]
  readonly needless: string[]
  readonly notMet: string[]
  readonly notKilled: string[]
  readonly endless: string[]
  readonly leases: string[]
  readonly rejections: string[]
  readonly logins: number[]
}

export const campaign: Campaign = {
  title: 'kill -9 at every point of a login, a refresh and a logout',
  within: { short: 90, long: 1_200 },
  async run({ long, random }) {
    const redis = await startRedis(() => ['--appendonly', 'yes'])
    const users = await startUserServer({ life: 3_600 })
    const seen: Sightings = {
      stuck: [],
      half: [],
      alive: [],
      others: [],
      needless: [],
      notMet: [],
      notKilled: [],
      endless: [],
      leases: [],
      rejections: [],
      logins: [],
    }
    const ground = { users, redis, random, seen }
    const started: Worker<SharedAppWorker>[] = []
    const newWorker = async () => {
      const worker = await startWorker<SharedAppWorker>(
        new URL('support/shared-app-worker.ts', import.meta.url),
        { apps: appsOf(users, redis) },
      )
      started.push(worker)
      return worker
    }
    try {
      let worker = await newWorker()
      const urls = await worker.call('open')
      for (const url of urls) users.server.register(`${url}/callback`, `${url}/`)
      const ports = urls.map((url) => Number(new URL(url).port))
      const everybody = await people(users, urls)
      const triggers = shuffled(everybody, random)
      const kills = long ? 50 : 5
      for (let kill = 0; kill < kills; kill += 1) {
        const next = newWorker()
        const trigger = triggers[kill % triggers.length]
        await killAt(ground, worker, everybody, trigger)
        const leases = await leaseHolders(redis)
        const killedAt = performance.now()
        seen.rejections.push(...worker.rejections)
        worker = await next
        await worker.call('open', ports)
        await Promise.all(everybody.map(async (user) => goOn(ground, user)))
        await new Promise((resolve) =>
          setTimeout(resolve, leaseLife * 1_000 - (performance.now() - killedAt)),
        )
        const left = await leaseHolders(redis)
        seen.leases.push(...[...leases].filter((holder) => left.has(holder)))
        seen.endless.push(...(await keysWithoutEnd(redis)))
      }
      seen.rejections.push(...worker.rejections)
      return figures(ground, kills, everybody)
    } finally {
      await Promise.all(started.map((worker) => worker.stop()))
      await Promise.all([users.server.close(), redis.stop()])
    }
  },
}

function figures({ users, seen }: Ground, kills: number, everybody: readonly User[]) {
  const { complaints } = users.server
  const none = (what: string, lines: readonly string[]) =>
    exactly(what, lines.length, 0, { details: lines.slice(0, 10) })
  const lost = kills * everybody.filter(({ point }) => point.loses).length
  const again = complaints.filter((complaint) => complaint.includes('refresh_token used again'))
  const codes = complaints.filter((complaint) => complaint.includes('code used again'))
  return [
    noted('kills', kills),
    noted('users cut off at a point', kills * everybody.length),
    none('users that did not come to their point', seen.notMet),
    none('processes that ended otherwise', seen.notKilled),
    atMost('most logins that a kill cost somebody', Math.max(...seen.logins), 1),
    none('logins where nothing was lost', seen.needless),
    none('users that could not sign in again', seen.stuck),
    none('sessions that were half', seen.half),
    none('sessions alive after their logout', seen.alive),
    none('sessions or tokens of somebody else', seen.others),
    none('codes used twice', codes),
    atMost('refresh tokens used again, as the answer was lost', again.length, lost),
    none('leases left after their time', seen.leases),
    none('keys without an end', seen.endless),
    none('unhandled rejections', seen.rejections),
  ]
}

function appsOf({ server }: UserServer, redis: RedisServer): SharedAppWorker['args']['apps'] {
  const { issuer, clientId, clientSecret } = server
  return storages.map((storage) => ({
    setup: { issuer, clientId, clientSecret, storage },
    redis: redis.url,
    client: storage === 'cookie' ? 'ioredis' : 'node-redis',
  }))
}

/** One user for each point and storage. */
async function people(users: UserServer, urls: readonly string[]): Promise<User[]> {
  const all = storages.flatMap((storage, app) =>
    points
      .filter(({ only }) => only === undefined || only === storage)
      .map((point, index) => ({ name: `${storage}-${index}`, point, url: urls[app] ?? '' })),
  )
  return Promise.all(
    all.map(async (one) => ({
      ...one,
      browser: await users.openBrowser(one.name),
      oldCookie: '',
      loginsBefore: 0,
    })),
  )
}

/** Everybody comes to their point and stands there; the last one kills the process. */
async function killAt(
  { users, seen }: Ground,
  worker: Worker<SharedAppWorker>,
  everybody: readonly User[],
  trigger: User | undefined,
): Promise<void> {
  const waiting = new Set<string>()
  const isAtServer = ({ point }: User) => point.name === atServer
  await Promise.all(everybody.map(async (user) => prepare(users, user)))
  users.withhold(
    everybody.filter(isAtServer).map(({ name }) => name),
    (name) => {
      waiting.add(name)
      // Nobody but this process knows that the server has it by now.
      if (name === trigger?.name) void worker.kill()
    },
  )
  const others = everybody.filter((user) => user !== trigger)
  const deeds = others.map(async (user) => act(user, false))
  const deadline = performance.now() + patience
  const missing = async () => {
    const standing = new Set([...waiting, ...(await worker.call('standing'))])
    return others.filter(({ name }) => !standing.has(name))
  }
  while ((await missing()).length > 0 && performance.now() < deadline) await pause(20)
  for (const { name, point } of await missing()) seen.notMet.push(`${name}: ${point.deed}, ${point.name}`)
  if (trigger) deeds.push(act(trigger, true))
  const late = setTimeout(() => void worker.kill(), patience)
  const { signal } = await worker.exited
  clearTimeout(late)
  if (signal !== 'SIGKILL') seen.notKilled.push(String(signal))
  await Promise.all(deeds)
  users.withhold([], () => undefined)
}

async function prepare(users: UserServer, user: User): Promise<void> {
  if (user.point.deed === 'login') user.browser = await users.openBrowser(user.name)
  else await settle(user)
  user.oldCookie = await cookieHeader(user.browser, user.url)
}

/** Signs in where needed, and has been signed in for a while. */
async function settle({ browser, url }: User): Promise<Page> {
  const page = await browser.visit(`${url}/me`)
  await browser.jar.store.removeCookie(new URL(url).hostname, '/', 'oauth.fresh')
  return page
}

async function act(user: User, dies: boolean): Promise<void> {
  const { browser, url, point, name } = user
  const stop = stopCookie({ user: name, point: point.name, dies })
  await browser.jar.setCookie(`${stop.name}=${stop.value}; path=/`, url)
  try {
    if (point.deed === 'login') await browser.visit(`${url}/me`)
    if (point.deed === 'refresh') await browser.visit(`${url}/token?force=1`)
    if (point.deed === 'logout') await logOut(user)
  } catch {
    // The connection broke, as it was to.
  }
  await browser.jar.store.removeCookie(new URL(url).hostname, '/', stop.name)
}

async function logOut({ browser, url }: User): Promise<Page> {
  await browser.visit(`${url}/open`)
  return browser.fetch('/logout', { method: 'POST' })
}

/** The same browser comes back, and is held to what the point means. */
async function goOn(ground: Ground, user: User): Promise<void> {
  const { users, seen } = ground
  const name = `${user.name}: ${user.point.deed}, ${user.point.name}`
  user.loginsBefore = users.logins(user.name)
  try {
    if (user.point.deed === 'login') await goOnWithLogin(ground, user)
    if (user.point.deed === 'logout') await goOnWithLogout(ground, user, name)
    if (user.point.deed === 'refresh') await goOnWithRefresh(ground, user, name)
    else await lookForHalf(ground, user, name)
    const me = await settle(user)
    const token = await user.browser.visit(`${user.url}/token`)
    if (me.status !== 200 || token.status !== 200) seen.stuck.push(`${name}: ${me.status}, ${token.status}`)
    const owners = [me.body, users.ownerOf(token.body)]
    if (owners.some((owner) => owner !== user.name)) seen.others.push(`${name}: ${owners.join(', ')}`)
  } catch (error) {
    seen.stuck.push(`${name}: ${String(error)}`)
  }
  const logins = users.logins(user.name) - user.loginsBefore
  seen.logins.push(logins)
  const isNeedless = user.point.deed === 'refresh' && !user.point.loses && logins > 0
  if (isNeedless) seen.needless.push(name)
}

/** Loads the page again that did not come, or begins anew. */
async function goOnWithLogin({ random }: Ground, { browser, url }: User): Promise<void> {
  const failed = browser.responses.at(-1)?.headers.location
  if (failed?.includes('/callback?') && random() < 0.5) await browser.visit(failed)
  else await browser.visit(`${url}/me`)
}

/** Whoever has a token that was spent is asked to sign in, once. */
async function goOnWithRefresh({ seen }: Ground, { browser, url }: User, name: string): Promise<void> {
  const page = await browser.visit(`${url}/token?force=1`)
  if (page.status === 200) return
  if (page.status !== 401) seen.stuck.push(`${name}: the refresh was answered with ${page.status}`)
  const next = await browser.visit(`${url}/me`, { follow: false })
  if (next.status === 200) seen.half.push(`${name}: no token, and let in all the same`)
}

async function goOnWithLogout({ seen }: Ground, user: User, name: string): Promise<void> {
  const isAlive = async () => {
    const page = await bare(`${user.url}/me`, { ...typed, cookie: user.oldCookie })
    return page.status === 200
  }
  if (user.point.isMarked && (await isAlive())) seen.alive.push(`${name}: after the mark`)
  const page = await logOut(user)
  if (page.status !== 200) seen.stuck.push(`${name}: another logout was answered with ${page.status}`)
  if (await isAlive()) seen.alive.push(name)
}

/** A guard that lets somebody in for whom there is no token, and offers no login. */
async function lookForHalf({ seen }: Ground, { browser, url }: User, name: string): Promise<void> {
  const visit = async (path: string) => browser.visit(url + path, { follow: false })
  const first = await visit('/me')
  if (first.status !== 200) return
  const token = await visit('/token')
  if (token.status === 200) return
  const second = await visit('/me')
  if (second.status === 200) seen.half.push(`${name}: 200, then ${token.status}, then 200`)
}

async function asked<T>(redis: RedisServer, work: (client: Client) => Promise<T>): Promise<T> {
  const client = newClient(redis)
  await client.connect()
  try {
    return await work(client)
  } finally {
    client.destroy()
  }
}

type Client = ReturnType<typeof newClient>

function newClient(redis: RedisServer) {
  return createClient({ url: redis.url })
}

async function leaseHolders(redis: RedisServer): Promise<Set<string>> {
  return asked(redis, async (client) => {
    const keys = await client.keys('*:lease:*')
    const holders = await Promise.all(keys.map(async (key) => client.get(key)))
    return new Set(holders.filter((holder) => holder !== null))
  })
}

async function keysWithoutEnd(redis: RedisServer): Promise<string[]> {
  return asked(redis, async (client) => {
    const keys = await client.keys('*')
    const ends = await Promise.all(keys.map(async (key) => client.pTTL(key)))
    return keys.filter((_key, index) => ends[index] === -1)
  })
}

async function pause(milliseconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds))
}
