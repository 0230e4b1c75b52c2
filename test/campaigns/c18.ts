/**
 * Many users with three connections each, and three instances that use them at the same time: whenever a token is due, calls
 * come to all instances at once. The servers rotate refresh tokens, and end the family of one that they see twice.
 */
import { loadavg } from 'node:os'
import { postgresConnectionStore, type ConnectionRecord } from 'express-oauth-kit'
import { Pool } from 'pg'
import type { Browser } from '../support/browser.js'
import { startPostgres, type PostgresServer } from '../support/postgres.js'
import { startUserServer, type UserServer } from '../support/user-server.js'
import type { ServerWorker } from './c3/server-worker.js'
import { atMost, exactly, noted, type Campaign, type Figure, type Random } from './support/campaign.js'
import { connect, inLanes, list, post, signedInAt, type Listed } from './support/connecting.js'
import type { ConnectionsWorker, ProviderSetup, Used } from './support/connections-worker.js'
import { quantile } from './support/quantile.js'
import { undisturbed } from './support/stalls.js'
import { startWorker, startWorkers, stopWorkers, type Worker } from './support/workers.js'

const ms = { unit: 'ms' } as const
const clientSecret = 'the secret of this client'
const mostShown = 20
/** Calls at each instance at once, when a token is due. */
const callsAtOnce = 2
/** One in so many bursts comes with requests of the user's own browser. */
const visitsIn = 5

/** By the provider: seconds that its access tokens live. `eu` is oidc-provider, in a process of its own. */
const lives = { eu: 3, us: 3, drive: 5 } as const
const providers = ['eu', 'us', 'drive'] as const
type ProviderName = (typeof providers)[number]

interface Size {
  readonly instances: number
  readonly users: number
  /** Times that each connection is used when its token is due. */
  readonly cycles: number
  /** Connections that are used at the same time. */
  readonly lanes: number
}

const sizes: Record<'short' | 'long', Size> = {
  short: { instances: 3, users: 12, cycles: 1, lanes: 8 },
  long: { instances: 3, users: 50, cycles: 60, lanes: 8 },
}

interface Linked {
  readonly user: string
  readonly provider: ProviderName
  readonly id: string
  readonly account: string
  readonly browser: Browser
  readonly home: string
  /** Milliseconds of the monotonic clock: when its access token will be over for certain. */
  dueAt: number
}

interface Tally {
  readonly cycles: Record<ProviderName, number>
  /** Calls for which a token was due, and those after them. */
  readonly due: Used[]
  readonly good: Used[]
  readonly failures: string[]
  readonly others: string[]
  visits: number
}

interface Ground {
  readonly postgres: PostgresServer
  readonly login: UserServer
  readonly eu: Worker<ServerWorker>
  readonly local: Readonly<Record<'us' | 'drive', UserServer>>
  readonly instances: readonly Worker<ConnectionsWorker>[]
  readonly urls: readonly string[]
  readonly tally: Tally
  readonly random: Random
}

export const campaign: Campaign = {
  title: 'many users, three connections each, three instances, and servers that rotate refresh tokens',
  within: { short: 120, long: 3_600 },
  async run({ long, random }) {
    const size = sizes[long ? 'long' : 'short']
    const stops: (() => Promise<unknown>)[] = []
    try {
      const ground = await prepareGround(size, random, stops)
      const start = performance.now()
      const linked = await linkedAccounts(ground, size)
      const connectingTook = performance.now() - start
      await playCycles(ground, linked, size)
      return [
        noted('accounts connected', linked.length),
        noted(
          'connecting one account, with its share of the login',
          Math.round(connectingTook / linked.length),
          ms,
        ),
        ...(await figuresOf(ground, linked)),
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
  const postgres = await startPostgres()
  stops.push(() => postgres.stop())
  const login = await startUserServer({ life: 3_600 })
  const us = await startUserServer({ life: lives.us, cookie: 'account-us', clientId: 'app-at-us' })
  const drive = await startUserServer({
    life: lives.drive,
    cookie: 'account-drive',
    clientId: 'app-at-drive',
  })
  const servers = [login, us, drive]
  stops.push(() => Promise.all(servers.map(({ server }) => server.close())))
  const eu = await startWorker<ServerWorker>(new URL('c3/server-worker.ts', import.meta.url), {
    clients: ['app-at-eu'],
    clientSecret,
    accessTokenLifetime: lives.eu,
    latency: 20,
    longestStall: 40,
  })
  stops.push(() => eu.stop())
  const setup = {
    login: credentialsAt(login),
    connectionString: postgres.connectionString,
    providers: {
      eu: { issuer: eu.ready, clientId: 'app-at-eu', clientSecret, me: `${eu.ready}/me` },
      us: providerAt(us),
      drive: providerAt(drive),
    },
  }
  const instances = await startWorkers<ConnectionsWorker>(
    new URL('support/connections-worker.ts', import.meta.url),
    Array.from({ length: count }, () => setup),
  )
  stops.push(() => stopWorkers(instances))
  const urls = await Promise.all(instances.map((instance) => instance.call('open')))
  for (const url of urls) login.server.register(`${url}/callback`, `${url}/`)
  const uris = (await Promise.all(instances.map((instance) => instance.call('redirectUris')))).flat()
  const at = (name: ProviderName) =>
    uris.filter(({ provider }) => provider === name).map(({ redirectUri }) => redirectUri)
  for (const uri of at('us')) us.server.register(uri)
  for (const uri of at('drive')) drive.server.register(uri)
  await eu.call('serve', at('eu'))
  const tally = { cycles: { eu: 0, us: 0, drive: 0 }, due: [], good: [], failures: [], others: [], visits: 0 }
  return { postgres, login, eu, local: { us, drive }, instances, urls, tally, random }
}

function credentialsAt({ server: { issuer, clientId, clientSecret: secret } }: UserServer) {
  return { issuer, clientId, clientSecret: secret }
}

function providerAt(server: UserServer): ProviderSetup {
  return { ...credentialsAt(server), me: `${server.server.issuer}/userinfo` }
}

async function linkedAccounts(ground: Ground, { users, lanes }: Size): Promise<Linked[]> {
  const { login, local, urls, random } = ground
  const linked: Linked[] = []
  const names = Array.from({ length: users }, (_, index) => `user-${index}`)
  await inLanes(lanes, names, async (user) => {
    const home = oneOf(urls, random)
    const browser = await signedInAt(home, login, user)
    for (const [name, server] of Object.entries(local))
      await server.openBrowser(`${user}-at-${name}`, browser)
    for (const provider of providers) {
      const account = `${user}-at-${provider}`
      const end = await connect(browser, home, provider, provider === 'eu' ? account : undefined)
      if (end !== `200 ${home}/`) throw new Error(`connecting ${account} ended with ${end}`)
    }
    for (const { id, provider, account_id: account } of await list(browser, home)) {
      const name = provider as ProviderName
      const dueAt = performance.now() + lives[name] * 1_000
      linked.push({ user, provider: name, id, account, browser, home, dueAt })
      if (account !== `${user}-at-${name}`) ground.tally.others.push(`${user} was given ${account}`)
    }
  })
  return linked
}

/** One connection after the other is used when its token is due, until all cycles are played. */
async function playCycles(ground: Ground, linked: readonly Linked[], { cycles, lanes }: Size): Promise<void> {
  const queue = linked.toSorted((a, b) => a.dueAt - b.dueAt)
  const turns = Array.from({ length: cycles * linked.length }, (_, turn) => turn)
  await inLanes(lanes, turns, async () => {
    const one = queue.shift()
    if (!one) throw new Error('fewer connections than lanes')
    await pause(one.dueAt - performance.now())
    await burst(ground, one)
    queue.push(one)
  })
}

/** All instances need the token that is due; then each is asked once more. */
async function burst(ground: Ground, one: Linked): Promise<void> {
  const { instances, tally, random } = ground
  const { user: owner, id, provider } = one
  const use = async (times: number) =>
    Promise.all(
      instances.map((instance) =>
        instance.call(
          'use',
          Array.from({ length: times }, () => ({ owner, id })),
        ),
      ),
    )
  const [due] = await Promise.all([
    use(callsAtOnce),
    random() < 1 / visitsIn ? visit(ground, one) : undefined,
  ])
  const renewedBy = performance.now()
  one.dueAt = renewedBy + lives[provider] * 1_000
  tally.cycles[provider] += 1
  note(ground, one, due.flat(), tally.due)
  // A token that was had long ago may be due by now.
  if (Math.max(...due.flat().map(({ took }) => took)) > 500) return
  note(ground, one, (await use(1)).flat(), tally.good)
}

function note({ tally }: Ground, { id, account, user }: Linked, all: readonly Used[], times: Used[]): void {
  for (const used of all) {
    times.push(used)
    if (used.failure !== undefined) tally.failures.push(`${account} (${id}): ${used.failure}`)
    else if (used.account !== account || used.connected !== account)
      tally.others.push(`${user}, ${account}: ${used.account} by the connection to ${used.connected}`)
  }
}

/** The user looks at the list and has a connection tested, at the moment when its token is due. */
async function visit(ground: Ground, { browser, home, user, id, account }: Linked): Promise<void> {
  const { tally } = ground
  tally.visits += 1
  const [listed, tested] = await Promise.all([
    list(browser, home),
    post(browser, `${home}/connections/${id}/test`),
  ])
  const ids = listed.map((each) => each.account_id).toSorted((a, b) => a.localeCompare(b))
  const own = providers.map((name) => `${user}-at-${name}`).toSorted((a, b) => a.localeCompare(b))
  if (ids.join() !== own.join()) tally.others.push(`${user} was shown ${ids.join(', ')}`)
  const view = tested.status === 200 ? (JSON.parse(tested.body) as Listed) : undefined
  if (view?.status !== 'active') tally.failures.push(`${account}, by HTTP: ${tested.status} ${tested.body}`)
  else if (view.account_id !== account) tally.others.push(`${account} was tested as ${view.account_id}`)
}

async function figuresOf(ground: Ground, linked: readonly Linked[]): Promise<Figure[]> {
  const { eu, local, instances, tally } = ground
  const rows = await rowsOf(ground, linked)
  const lost = rows.filter(({ status, tokens }) => status !== 'active' || tokens === undefined)
  const refreshes = {
    eu: (await eu.call('refreshes'))['app-at-eu'] ?? 0,
    us: refreshesAt(local.us, linked, 'us'),
    drive: refreshesAt(local.drive, linked, 'drive'),
  }
  const again = Object.values(local).flatMap(({ server }) => server.complaints)
  const rejections = [eu, ...instances].flatMap((worker) => worker.rejections)
  const stalls = (await Promise.all(instances.map((instance) => instance.call('stalls')))).flat()
  const none = (what: string, lines: readonly string[]) =>
    exactly(what, lines.length, 0, { details: lines.slice(0, mostShown) })
  const times = (what: string, used: readonly Used[]) => {
    const all = used.map(({ took }) => took)
    const calm = undisturbed(used, stalls)
    return [
      noted(`${what}, p50`, tenths(quantile(all, 0.5)), ms),
      noted(`${what}, p99`, tenths(quantile(all, 0.99)), ms),
      noted(`${what}, p99 while no process stood still`, tenths(quantile(calm, 0.99)), ms),
    ]
  }
  return [
    noted('calls', tally.due.length + tally.good.length),
    noted('visits by HTTP (list and test)', tally.visits),
    none(
      'connections lost',
      lost.map(({ accountId, status, reason }) => `${accountId}: ${status} ${reason ?? ''}`),
    ),
    exactly('rows', rows.length, linked.length),
    none('wrong tokens', tally.others),
    none('calls that failed', tally.failures),
    ...providers.map((name) =>
      atMost(
        `${name}: refreshes in ${tally.cycles[name]} cycles`,
        refreshes[name],
        Math.ceil(tally.cycles[name] * 1.02),
      ),
    ),
    exactly('eu: families revoked', await eu.call('revoked'), 0),
    none('us, drive: complaints', again),
    none('unhandled rejections', rejections),
    ...times('a call with a good token', tally.good),
    ...times('a call with a token that was due', tally.due),
    noted('load of the machine', tenths(loadavg()[0] ?? 0)),
  ]
}

function refreshesAt(server: UserServer, linked: readonly Linked[], name: ProviderName): number {
  return linked
    .filter(({ provider }) => provider === name)
    .reduce((sum, { account }) => sum + server.refreshes(account), 0)
}

/** As they are in the table, whatever anybody says of them. */
async function rowsOf({ postgres }: Ground, linked: readonly Linked[]): Promise<ConnectionRecord[]> {
  const pool = new Pool({ connectionString: postgres.connectionString })
  pool.on('error', () => undefined)
  try {
    const store = postgresConnectionStore(pool)
    const owners = [...new Set(linked.map(({ user }) => user))]
    return (await Promise.all(owners.map((owner) => store.list(owner)))).flat()
  } finally {
    await pool.end()
  }
}

function oneOf<T>(things: readonly T[], random: Random): T {
  const thing = things[Math.floor(random() * things.length)]
  if (thing === undefined) throw new Error('there is none')
  return thing
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10
}

async function pause(milliseconds: number): Promise<void> {
  if (milliseconds > 0) await new Promise((resolve) => setTimeout(resolve, milliseconds))
}
