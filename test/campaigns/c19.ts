/**
 * kill -9 between two steps of connections: users stand still at every point of connecting, refreshing, disconnecting,
 * removing and of the sweep, one of them kills the process at that very point, another process takes its place, and finds
 * no connection that is half.
 */
import { postgresConnectionStore, type ConnectionRecord, type ConnectionStore } from 'express-oauth-kit'
import { Pool } from 'pg'
import type { Browser } from '../support/browser.js'
import { json } from '../support/faulty-server/answer.js'
import { startPostgres } from '../support/postgres.js'
import { startUserServer, type UserServer } from '../support/user-server.js'
import { exactly, noted, shuffled, type Campaign, type Figure } from './support/campaign.js'
import { connect, list, post, signedInAt } from './support/connecting.js'
import type { ConnectionsWorker, Used } from './support/connections-worker.js'
import { stopCookie, type Stop } from './support/stops.js'
import { startWorker, type Worker } from './support/workers.js'

type Deed = 'connect' | 'connect again' | 'refresh' | 'disconnect' | 'remove' | 'sweep' | 'sweep to revoke'

/** A point, and what is found there by whoever comes next. */
interface Point {
  readonly deed: Deed
  readonly name: string
  readonly leaves: 'nothing' | 'a working one' | 'a disconnected one'
  /** The server has spent the refresh token, and its answer is lost: the one case that costs the user something. */
  readonly loses?: true
}

const provider = 'projects'
const atServer = 'at the server'
const answer = 'before answer'

const points: readonly Point[] = [
  { deed: 'connect', name: 'before add connect:', leaves: 'nothing' },
  { deed: 'connect', name: 'after add connect:', leaves: 'nothing' },
  { deed: 'connect', name: 'before request /token', leaves: 'nothing' },
  { deed: 'connect', name: atServer, leaves: 'nothing' },
  { deed: 'connect', name: 'after request /token', leaves: 'nothing' },
  { deed: 'connect', name: 'before request /userinfo', leaves: 'nothing' },
  { deed: 'connect', name: 'after request /userinfo', leaves: 'nothing' },
  { deed: 'connect', name: 'before insert', leaves: 'nothing' },
  { deed: 'connect', name: 'after insert', leaves: 'a working one' },
  { deed: 'connect', name: answer, leaves: 'a working one' },
  { deed: 'connect again', name: 'after request /token', leaves: 'a working one' },
  { deed: 'connect again', name: 'before update active', leaves: 'a working one' },
  { deed: 'connect again', name: 'after update active', leaves: 'a working one' },
  { deed: 'refresh', name: 'after add lease', leaves: 'a working one' },
  { deed: 'refresh', name: 'before request /token', leaves: 'a working one' },
  { deed: 'refresh', name: atServer, leaves: 'a working one', loses: true },
  { deed: 'refresh', name: 'after request /token', leaves: 'a working one', loses: true },
  { deed: 'refresh', name: 'after set outcome', leaves: 'a working one' },
  { deed: 'refresh', name: 'before update active', leaves: 'a working one' },
  { deed: 'refresh', name: 'after update active', leaves: 'a working one' },
  { deed: 'disconnect', name: 'before update disconnected', leaves: 'a working one' },
  { deed: 'disconnect', name: 'after update disconnected', leaves: 'a disconnected one' },
  { deed: 'disconnect', name: 'after add lease', leaves: 'a disconnected one' },
  { deed: 'disconnect', name: 'before request /revoke', leaves: 'a disconnected one' },
  { deed: 'disconnect', name: 'after request /revoke', leaves: 'a disconnected one' },
  { deed: 'disconnect', name: 'before update revoked', leaves: 'a disconnected one' },
  { deed: 'disconnect', name: 'after update revoked', leaves: 'a disconnected one' },
  { deed: 'disconnect', name: answer, leaves: 'a disconnected one' },
  { deed: 'remove', name: 'before update disconnected', leaves: 'a working one' },
  { deed: 'remove', name: 'after update disconnected', leaves: 'a disconnected one' },
  { deed: 'remove', name: 'before delete', leaves: 'a disconnected one' },
  { deed: 'remove', name: 'after delete', leaves: 'nothing' },
]

/** One sweep runs at a time: each kill has one of these. */
const sweeps: readonly Point[] = [
  { deed: 'sweep to revoke', name: 'before request /revoke', leaves: 'a disconnected one' },
  { deed: 'sweep', name: 'before request /userinfo', leaves: 'a working one' },
  { deed: 'sweep to revoke', name: 'after request /revoke', leaves: 'a disconnected one' },
  { deed: 'sweep', name: 'after request /userinfo', leaves: 'a working one' },
  { deed: 'sweep to revoke', name: 'before update revoked', leaves: 'a disconnected one' },
  { deed: 'sweep', name: 'before update active', leaves: 'a working one' },
  { deed: 'sweep', name: 'after update active', leaves: 'a working one' },
]

/** The short form has some of them, by the seed. */
const sizes = { short: { kills: 1, points: 20 }, long: { kills: 42, points: points.length } } as const

/** Milliseconds until everybody must stand at their point. */
const patience = 30_000
/** Milliseconds until a sweep must be possible: the lease of one that was killed has to end. */
const sweepPatience = 10_000
const dayInSeconds = 86_400

interface User {
  readonly name: string
  readonly account: string
  readonly point: Point
  readonly browser: Browser
  /** The connection that there was before the kill. */
  id: string | undefined
}

/** What must not be, a line each. */
interface Sightings {
  readonly notMet: string[]
  readonly notKilled: string[]
  readonly half: string[]
  readonly otherwise: string[]
  readonly broken: string[]
  readonly others: string[]
  readonly unrevoked: string[]
  readonly sweepless: string[]
  readonly stuck: string[]
  readonly rejections: string[]
  losses: number
  orphans: number
}

interface Ground {
  readonly url: string
  readonly login: UserServer
  readonly projects: UserServer
  readonly pool: Pool
  readonly store: ConnectionStore
  readonly seen: Sightings
}

export const campaign: Campaign = {
  title: 'kill -9 at every point of connecting, refreshing, disconnecting, removing and of the sweep',
  within: { short: 120, long: 1_800 },
  async run({ long, random }) {
    const postgres = await startPostgres()
    const login = await startUserServer({ life: 3_600 })
    const projects = await startUserServer({ life: 3_600, cookie: 'account', clientId: 'app-at-projects' })
    const pool = new Pool({ connectionString: postgres.connectionString })
    pool.on('error', () => undefined)
    const seen: Sightings = {
      notMet: [],
      notKilled: [],
      half: [],
      otherwise: [],
      broken: [],
      others: [],
      unrevoked: [],
      sweepless: [],
      stuck: [],
      rejections: [],
      losses: 0,
      orphans: 0,
    }
    const started: Worker<ConnectionsWorker>[] = []
    const newWorker = async () => {
      const worker = await startWorker<ConnectionsWorker>(
        new URL('support/connections-worker.ts', import.meta.url),
        {
          login: credentialsAt(login),
          providers: {
            [provider]: { ...credentialsAt(projects), me: `${projects.server.issuer}/userinfo` },
          },
          connectionString: postgres.connectionString,
          isPatient: true,
        },
      )
      started.push(worker)
      return worker
    }
    try {
      let worker = await newWorker()
      const url = await worker.call('open')
      login.server.register(`${url}/callback`, `${url}/`)
      for (const { redirectUri } of await worker.call('redirectUris')) projects.server.register(redirectUri)
      const ground: Ground = { url, login, projects, pool, store: postgresConnectionStore(pool), seen }
      const { kills, points: count } = sizes[long ? 'long' : 'short']
      const chosen = shuffled(points, random).slice(0, count)
      const people = await usersAt(ground, chosen, 'user')
      const sweepers = await usersAt(ground, shuffled(sweeps, random).slice(0, kills), 'sweeper')
      const triggers = shuffled([...people, ...sweepers], random)
      for (let kill = 0; kill < kills; kill += 1) {
        const trigger = triggers[kill % triggers.length]
        // Each of them comes to be the one that kills, too.
        const sweeper = sweepers.find((user) => user === trigger) ?? sweepers[kill % sweepers.length]
        const everybody = sweeper ? [...people, sweeper] : people
        const next = newWorker()
        // The one whose tokens cannot be revoked comes alone: the others' can.
        if (sweeper) await prepare(ground, sweeper)
        await Promise.all(people.map((user) => prepare(ground, user)))
        await killAt(ground, worker, everybody, trigger)
        seen.rejections.push(...worker.rejections)
        worker = await next
        await worker.call('open', Number(new URL(url).port))
        await Promise.all(everybody.map((user) => goOn(ground, worker, user)))
        await sweep(ground, worker, everybody)
        await Promise.all(everybody.map((user) => connectAgain(ground, worker, user)))
      }
      seen.rejections.push(...worker.rejections)
      return figures(ground, kills, people)
    } finally {
      await Promise.all(started.map((worker) => worker.stop()))
      await Promise.all([login.server.close(), projects.server.close(), pool.end()])
      await postgres.stop()
    }
  },
}

function figures({ projects, seen }: Ground, kills: number, people: readonly User[]): Figure[] {
  const none = (what: string, lines: readonly string[]) =>
    exactly(what, lines.length, 0, { details: lines.slice(0, 15) })
  const { complaints } = projects.server
  const again = complaints.filter((complaint) => complaint.includes('refresh_token used again'))
  const others = complaints.filter((complaint) => !/refresh_token (used again|was revoked)/.test(complaint))
  const lost = kills * people.filter(({ point }) => point.loses).length
  return [
    noted('kills', kills),
    noted('users cut off at a point', kills * (people.length + 1)),
    none('users that did not come to their point', seen.notMet),
    none('processes that ended otherwise', seen.notKilled),
    none('connections that were half', seen.half),
    none('found otherwise than the point says', seen.otherwise),
    none('connections that did not work though nothing was lost', seen.broken),
    exactly('connections lost, as the answer was lost', seen.losses, lost),
    exactly('refresh tokens used again, as the answer was lost', again.length, lost),
    none('wrong tokens', seen.others),
    none('sweeps that could not be done', seen.sweepless),
    none('tokens of ended connections that live after the sweep', seen.unrevoked),
    none('users that could not connect again', seen.stuck),
    noted('grants that nobody knew of, as their answer was lost', seen.orphans),
    none('other complaints of the provider', others),
    none('unhandled rejections', seen.rejections),
  ]
}

function credentialsAt({ server: { issuer, clientId, clientSecret } }: UserServer) {
  return { issuer, clientId, clientSecret }
}

async function usersAt(
  { url, login, projects }: Ground,
  all: readonly Point[],
  prefix: string,
): Promise<User[]> {
  return Promise.all(
    all.map(async (point, index) => {
      const name = `${prefix}-${index}`
      const account = `${name}-at-projects`
      const browser = await signedInAt(url, login, name)
      await projects.openBrowser(account, browser)
      return { name, account, point, browser, id: undefined }
    }),
  )
}

/** Each has a connection that works; or none, where one is to be made. */
async function prepare(ground: Ground, user: User): Promise<void> {
  const { url, store, pool, projects } = ground
  const [row] = await store.list(user.name)
  user.id = row?.id
  if (user.point.deed === 'connect') {
    if (row) await post(user.browser, `${url}/connections/${row.id}/remove`)
    user.id = undefined
    return
  }
  if (row?.status !== 'active') {
    const end = await connect(user.browser, url, provider)
    if (end !== `200 ${url}/`) throw new Error(`connecting ${user.account} ended with ${end}`)
    user.id = (await store.list(user.name))[0]?.id
  }
  if (user.point.deed === 'sweep to revoke') {
    projects.misbehave({ answerRevocation: () => json({ error: 'temporarily_unavailable' }, 503) })
    await post(user.browser, `${url}/connections/${user.id}/disconnect`)
    projects.misbehave()
  }
  if (user.point.deed.startsWith('sweep'))
    await pool.query('UPDATE oauth_connections SET checked_at = 0 WHERE id = $1', [user.id])
}

/** Everybody comes to their point and stands there; the last one kills the process. */
async function killAt(
  { url, projects, seen }: Ground,
  worker: Worker<ConnectionsWorker>,
  everybody: readonly User[],
  trigger: User | undefined,
): Promise<void> {
  const waiting = new Set<string>()
  projects.withhold(
    everybody.filter(({ point }) => point.name === atServer).map(({ account }) => account),
    (account) => {
      waiting.add(account)
      // Nobody but this process knows that the server has it by now.
      if (account === trigger?.account) void worker.kill()
    },
  )
  const others = everybody.filter((user) => user !== trigger)
  const deeds = others.map((user) => act(url, worker, user, false))
  const deadline = performance.now() + patience
  const missing = async () => {
    const standing = new Set([...waiting, ...(await worker.call('standing'))])
    return others.filter(({ name, account }) => !standing.has(name) && !standing.has(account))
  }
  while ((await missing()).length > 0 && performance.now() < deadline) await pause(20)
  for (const user of await missing()) seen.notMet.push(nameOf(user))
  if (trigger) deeds.push(act(url, worker, trigger, true))
  const late = setTimeout(() => void worker.kill(), patience)
  const { signal } = await worker.exited
  clearTimeout(late)
  if (signal !== 'SIGKILL') seen.notKilled.push(String(signal))
  await Promise.all(deeds)
  projects.withhold([], () => undefined)
}

async function act(url: string, worker: Worker<ConnectionsWorker>, user: User, dies: boolean): Promise<void> {
  const { name, id = '', browser, point } = user
  const path = point.deed === 'connect' ? `${provider}/callback` : `${id}/${point.deed}`
  const stop: Stop = {
    user: name,
    point: point.name === answer ? `${answer} /connections/${path}` : point.name,
    dies,
  }
  const cookie = stopCookie(stop)
  try {
    if (point.deed === 'refresh') await worker.call('use', [{ owner: name, id, forceRefresh: true, stop }])
    else if (point.deed.startsWith('sweep'))
      await worker.call('check', { olderThan: dayInSeconds, perSecond: 1_000, stop })
    else {
      await browser.jar.setCookie(`${cookie.name}=${cookie.value}; path=/`, url)
      if (point.deed.startsWith('connect')) await connect(browser, url, provider)
      else await post(browser, `${url}/connections/${path}`)
    }
  } catch {
    // The connection broke, as it was to.
  }
  await browser.jar.store.removeCookie(new URL(url).hostname, '/', cookie.name)
}

/** Another process looks at what is there, and uses it. */
async function goOn(ground: Ground, worker: Worker<ConnectionsWorker>, user: User): Promise<void> {
  const { store, seen } = ground
  const { name: owner, point } = user
  const name = nameOf(user)
  const rows = await store.list(owner)
  lookForHalf(seen, rows, name)
  const [row] = rows
  const found = row?.status ?? 'nothing'
  const isAsSaid: Readonly<Record<Point['leaves'], boolean>> = {
    nothing: found === 'nothing',
    'a working one': found === 'active',
    'a disconnected one': found === 'disconnected',
  }
  if (!isAsSaid[point.leaves]) seen.otherwise.push(`${name}: ${found}`)
  if (user.id !== undefined && row && row.id !== user.id) seen.otherwise.push(`${name}: another id`)
  if (!row) return
  const used = await useOf(worker, user, row.id)
  if (found === 'disconnected') {
    if (used.failure !== 'needs_reconnect disconnected') seen.broken.push(`${name}: ${told(used)}`)
  } else if (point.loses) {
    const [after] = await store.list(owner)
    const isLost = after?.status === 'needs_reconnect' && after.reason === 'refresh_refused'
    if (isLost && used.failure === 'needs_reconnect refresh_refused') seen.losses += 1
    else seen.otherwise.push(`${name}: ${told(used)}, ${after?.status} ${after?.reason ?? ''}`)
  } else judge(seen, user, used)
}

function lookForHalf(seen: Sightings, rows: readonly ConnectionRecord[], name: string): void {
  if (rows.length > 1) seen.half.push(`${name}: ${rows.length} rows`)
  for (const { status, tokens, reason } of rows) {
    if (status === 'active' && tokens === undefined) seen.half.push(`${name}: active without tokens`)
    if ((status === 'needs_reconnect') !== (reason !== undefined))
      seen.half.push(`${name}: ${status} with the reason ${reason}`)
  }
}

function judge(seen: Sightings, user: User, used: Used): void {
  if (used.failure !== undefined) seen.broken.push(`${nameOf(user)}: ${used.failure}`)
  else if (used.account !== user.account) seen.others.push(`${nameOf(user)}: ${told(used)}`)
}

/** Renews the token and calls the API with the new one. */
async function useOf(worker: Worker<ConnectionsWorker>, { name: owner }: User, id: string): Promise<Used> {
  const [used] = await worker.call('use', [{ owner, id, forceRefresh: true }])
  return used ?? { failure: 'not used', took: 0, at: 0 }
}

/** All that is pending is done by one sweep, when the lease of the sweep that was killed is over. */
async function sweep(
  { store, projects, seen }: Ground,
  worker: Worker<ConnectionsWorker>,
  everybody: readonly User[],
): Promise<void> {
  const deadline = performance.now() + sweepPatience
  // What was tried a moment ago is left out, and this is about all.
  await pause(2_000)
  for (;;) {
    const { isComplete, unavailable } = await worker.call('check', { olderThan: 1, perSecond: 1_000 })
    if (isComplete) {
      if (unavailable > 0) seen.sweepless.push(`${unavailable} were not to be tried`)
      break
    }
    if (performance.now() > deadline) {
      seen.sweepless.push('the lease did not end')
      break
    }
    await pause(200)
  }
  for (const user of everybody) {
    const [row] = await store.list(user.name)
    const alive = [...projects.provider().accessTokens].filter(
      ([token, { isRevoked }]) => !isRevoked && projects.ownerOf(token) === user.account,
    )
    if (row?.status === 'disconnected' && row.tokens !== undefined)
      seen.unrevoked.push(`${nameOf(user)}: in the table`)
    if (row?.status === 'active') continue
    if (user.point.deed === 'connect') seen.orphans += alive.length > 0 ? 1 : 0
    else if (alive.length > 0) seen.unrevoked.push(`${nameOf(user)}: ${alive.length} at the server`)
  }
}

/** Whatever happened, the same user has one connection that works after pressing "connect". */
async function connectAgain(ground: Ground, worker: Worker<ConnectionsWorker>, user: User): Promise<void> {
  const { url, seen, store } = ground
  try {
    const callback = user.browser.responses.findLast(({ headers }) =>
      headers.location?.includes('/callback?'),
    )
    // Whoever sees a page that did not come may load it again; the answer does not matter.
    if (user.point.deed.startsWith('connect') && callback) {
      await user.browser.visit(callback.headers.location ?? '')
      lookForHalf(seen, await store.list(user.name), nameOf(user))
    }
    await user.browser.visit(`${url}/`)
    const [before] = await store.list(user.name)
    const end = await connect(user.browser, url, provider)
    const listed = await list(user.browser, url)
    const [one] = listed
    const isGood = end === `200 ${url}/` && listed.length === 1 && one?.status === 'active'
    const isSame = before === undefined || before.id === one?.id
    if (!isGood || !isSame || !one) seen.stuck.push(`${nameOf(user)}: ${end}, ${JSON.stringify(listed)}`)
    else judge(seen, user, await useOf(worker, user, one.id))
  } catch (error) {
    seen.stuck.push(`${nameOf(user)}: ${String(error)}`)
  }
}

function nameOf({ name, point }: User): string {
  return `${name}: ${point.deed}, ${point.name}`
}

function told({ failure, account }: Used): string {
  return failure ?? `the account ${account}`
}

async function pause(milliseconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds))
}
