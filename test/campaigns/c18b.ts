/**
 * Connections while something fails: PostgreSQL is killed and hangs, a provider is out of order, hangs and asks for patience.
 * Two instances go on calling all the while, no connection is condemned, and the other provider's are as quick as ever.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { postgresConnectionStore } from 'express-oauth-kit'
import { Pool } from 'pg'
import { hang, json, type Answer } from '../support/faulty-server/answer.js'
import type { Provider } from '../support/faulty-server/provider.js'
import { correctSteps } from '../support/faulty-server/steps.js'
import { startPostgres, type PostgresServer } from '../support/postgres.js'
import { startUserServer, type UserServer } from '../support/user-server.js'
import { atMost, exactly, noted, type Campaign, type Figure, type Random } from './support/campaign.js'
import { connect, inLanes, list, signedInAt } from './support/connecting.js'
import type { ConnectionsWorker, Used } from './support/connections-worker.js'
import { quantile } from './support/quantile.js'
import { startWorkers, stopWorkers, type Worker } from './support/workers.js'

const ms = { unit: 'ms' } as const
/** Seconds that access tokens live: some are refreshed at every moment. */
const life = 3
/** Milliseconds that a provider is out of order: for half of it, all tokens are good. */
const outage = 2_500
const withGoodTokens = 1_400
/** Milliseconds from the return of PostgreSQL to the next time that it goes: whoever waits is answered by then. */
const calm = 3_000
/** Milliseconds between two calls for a connection. */
const rhythm = 120
/** Milliseconds: what the option `storeTimeout` says by default, and what a busy machine takes beyond. */
const storeTimeout = 2_000
const allowance = 500

interface Size {
  readonly users: number
  readonly kills: number
  readonly hangs: number
  readonly killsInRefresh: number
  /** Times that a provider is out of order, in each of these ways. */
  readonly outages: number
  readonly faults: readonly Fault[]
}

const nothing: Size = { users: 6, kills: 0, hangs: 0, killsInRefresh: 0, outages: 1, faults: [] }
/** The short form has one of them, by the seed. */
const short: readonly Size[] = [
  { ...nothing, kills: 1, killsInRefresh: 1 },
  { ...nothing, hangs: 1 },
  { ...nothing, faults: ['answers 503'] },
  { ...nothing, faults: ['answers 429'] },
  { ...nothing, faults: ['hangs'] },
]
const long: Size = {
  users: 20,
  kills: 60,
  hangs: 8,
  killsInRefresh: 20,
  outages: 10,
  faults: ['answers 503', 'answers 429', 'hangs'],
}

const names = ['steady', 'failing'] as const
type Name = (typeof names)[number]

interface Linked {
  readonly owner: string
  readonly id: string
  readonly provider: Name
  readonly account: string
}

interface Call extends Used {
  readonly provider: Name
  readonly account_id: string
}

interface Ground {
  readonly postgres: PostgresServer
  readonly servers: Readonly<Record<Name, UserServer>>
  readonly instances: readonly Worker<ConnectionsWorker>[]
  readonly linked: readonly Linked[]
  readonly random: Random
  readonly condemned: string[]
}

export const campaign: Campaign = {
  title: 'connections while PostgreSQL is killed and hangs, and while a provider is out of order',
  within: { short: 180, long: 3_600 },
  async run({ long: isLong, random }) {
    const size = (isLong ? undefined : short[Math.floor(random() * short.length)]) ?? long
    const stops: (() => Promise<unknown>)[] = []
    try {
      const ground = await prepareGround(size, random, stops)
      const figures = [
        ...(await storeFails(ground, size)),
        ...(await killedInRefresh(ground, size)),
        ...(await providerFails(ground, size)),
      ]
      const rejections = ground.instances.flatMap((worker) => worker.rejections)
      const complaints = names.flatMap((name) => ground.servers[name].server.complaints)
      return [
        noted('connections', ground.linked.length),
        ...figures,
        none('connections condemned', ground.condemned),
        none('complaints of the providers', complaints),
        none('unhandled rejections', rejections),
      ]
    } finally {
      for (const stop of stops.toReversed()) await stop()
    }
  },
}

async function prepareGround(
  { users }: Size,
  random: Random,
  stops: (() => Promise<unknown>)[],
): Promise<Ground> {
  const postgres = await startPostgres()
  stops.push(() => postgres.stop())
  const login = await startUserServer({ life: 3_600 })
  const steady = await startUserServer({ life, cookie: 'account', clientId: 'app-at-steady' })
  const failing = await startUserServer({ life, cookie: 'account', clientId: 'app-at-failing' })
  stops.push(() => Promise.all([login, steady, failing].map(({ server }) => server.close())))
  const servers = { steady, failing }
  const setup = {
    login: credentialsAt(login),
    connectionString: postgres.connectionString,
    providers: Object.fromEntries(
      names.map((name) => {
        const credentials = credentialsAt(servers[name])
        return [name, { ...credentials, me: `${credentials.issuer}/userinfo` }]
      }),
    ),
  }
  const instances = await startWorkers<ConnectionsWorker>(
    new URL('support/connections-worker.ts', import.meta.url),
    [setup, setup],
  )
  stops.push(() => stopWorkers(instances))
  const urls = await Promise.all(instances.map((instance) => instance.call('open')))
  for (const url of urls) login.server.register(`${url}/callback`, `${url}/`)
  for (const { provider, redirectUri } of (
    await Promise.all(instances.map((instance) => instance.call('redirectUris')))
  ).flat())
    servers[provider as Name].server.register(redirectUri)
  const linked: Linked[] = []
  const owners = Array.from({ length: users }, (_, index) => `user-${index}`)
  await inLanes(4, owners, async (owner) => {
    const url = urls[linked.length % urls.length] ?? ''
    const browser = await signedInAt(url, login, owner)
    for (const server of [steady, failing]) await server.openBrowser(`${owner}-there`, browser)
    for (const name of names) {
      const end = await connect(browser, url, name)
      if (end !== `200 ${url}/`) throw new Error(`connecting ended with ${end}`)
    }
    for (const { id, provider, account_id: account } of await list(browser, url))
      linked.push({ owner, id, provider: provider as Name, account })
  })
  return { postgres, servers, instances, linked, random, condemned: [] }
}

function credentialsAt({ server: { issuer, clientId, clientSecret } }: UserServer) {
  return { issuer, clientId, clientSecret }
}

/** Uses all connections again and again, at any instance, until it is stopped; gives what came of it. */
function calling({ instances, linked, random }: Ground): { readonly calls: Call[]; stop(): Promise<void> } {
  const calls: Call[] = []
  const over = new AbortController()
  const loops = linked.map(async ({ owner, id, provider, account }) => {
    await sleep(random() * rhythm)
    while (!over.signal.aborted) {
      const instance = instances[Math.floor(random() * instances.length)]
      const [used] = (await instance?.call('use', [{ owner, id }])) ?? []
      if (used) calls.push({ ...used, provider, account_id: account })
      await sleep(rhythm)
    }
  })
  const stop = async () => {
    over.abort()
    await Promise.all(loops)
  }
  return { calls, stop }
}

async function storeFails(ground: Ground, { kills, hangs }: Size): Promise<Figure[]> {
  if (kills + hangs === 0) return []
  const { postgres, instances, random } = ground
  const { calls, stop } = calling(ground)
  const outages: { readonly went: number; readonly back: number }[] = []
  await sleep(500)
  for (let kill = 0; kill < kills; kill += 1) {
    const went = Date.now()
    await postgres.kill()
    await sleep(100 + random() * 300)
    await postgres.restart()
    outages.push({ went, back: Date.now() })
    await sleep(calm)
  }
  for (let time = 0; time < hangs; time += 1) {
    const went = Date.now()
    postgres.pause()
    await sleep(3_500)
    postgres.resume()
    outages.push({ went, back: Date.now() })
    await sleep(calm)
  }
  await stop()
  const stalled = Math.max(...(await Promise.all(instances.map((instance) => instance.call('stalled')))))
  const failed = calls.filter(({ failure }) => failure !== undefined)
  /** How long after the return the last call failed, of those that this is about. */
  const recovery = (isMeant: (call: Call, back: number) => boolean) =>
    Math.max(
      ...outages.map(({ back }, index) => {
        const next = outages[index + 1]?.went ?? Infinity
        const late = failed.filter((call) => call.at >= back && call.at < next && isMeant(call, back))
        return Math.max(0, ...late.map(({ at }) => at - back))
      }),
    )
  await noteCondemned(ground)
  return [
    noted('calls while PostgreSQL was killed and hung', calls.length),
    noted('of these, store_unavailable', failed.length),
    none('other failures', othersThan(failed, /^store_unavailable/)),
    none('wrong tokens', wrong(calls)),
    noted('longest stretch without running', Math.round(stalled), ms),
    atMost(
      'slowest store_unavailable',
      Math.round(Math.max(0, ...failed.map(({ took }) => took)) - stalled),
      // A refresh that is under way has two things to keep, and tries both.
      2 * storeTimeout + allowance,
      ms,
    ),
    atMost(
      'the same, of nine in ten',
      Math.round(
        quantile(
          failed.map(({ took }) => took),
          0.9,
        ) - stalled,
      ),
      storeTimeout + allowance,
      ms,
    ),
    atMost(
      'last failure after the return, of calls from then on',
      Math.round(recovery(({ at, took }, back) => at - took >= back)),
      1_000,
      ms,
    ),
    atMost('last failure after the return, of all calls', Math.round(recovery(() => true)), 1_000, ms),
  ]
}

/** PostgreSQL goes while the provider holds everybody's new tokens. The instance that asked for them lives, and knows them. */
async function killedInRefresh(ground: Ground, { killsInRefresh }: Size): Promise<Figure[]> {
  if (killsInRefresh === 0) return []
  const { postgres, servers, instances, linked } = ground
  const [instance, other] = instances
  if (!instance || !other) throw new Error('two are needed')
  const failures: string[] = []
  for (let kill = 0; kill < killsInRefresh; kill += 1) {
    let release = () => undefined as void
    const held = new Promise<void>((resolve) => (release = resolve))
    let asked = 0
    const answerToken = async (op: Provider, response: Record<string, unknown>) => {
      asked += 1
      await held
      return correctSteps.answerToken(op, response)
    }
    for (const name of names) servers[name].misbehave({ answerToken })
    const uses = linked.map(({ owner, id }) => ({ owner, id, forceRefresh: true }))
    const under = instance.call('use', uses)
    for (let waited = 0; asked < linked.length && waited < 4_000; waited += 10) await sleep(10)
    if (asked === 0) failures.push('nobody came to be refreshed')
    await postgres.kill()
    release()
    await under
    for (const name of names) servers[name].misbehave()
    await postgres.restart()
    // Both need new tokens at once, and one of them knows of those that nobody could keep.
    const used = await Promise.all([untilUsed(instance, uses), untilUsed(other, uses)])
    failures.push(...used.flat().flatMap(({ failure }) => failure ?? []))
    await noteCondemned(ground)
  }
  return [none('refreshed while PostgreSQL went: lost', failures)]
}

async function untilUsed(
  instance: Worker<ConnectionsWorker>,
  uses: readonly { owner: string; id: string }[],
): Promise<Used[]> {
  for (let attempt = 1; ; attempt += 1) {
    const used = await instance.call('use', uses)
    const isAway = used.some(({ failure }) => failure?.startsWith('store_unavailable'))
    if (!isAway || attempt === 50) return used
    await sleep(100)
  }
}

const faults = {
  'answers 503': () => json({ error: 'temporarily_unavailable' }, 503),
  'answers 429': () => json({ error: 'slow_down' }, 429, { 'retry-after': '2' }),
  hangs: () => hang(),
} satisfies Record<string, () => Answer>
type Fault = keyof typeof faults

async function providerFails(ground: Ground, { outages, faults: chosen }: Size): Promise<Figure[]> {
  const { servers, instances, linked } = ground
  const [instance] = instances
  const figures: Figure[] = []
  for (const what of chosen) {
    const before: Call[] = []
    const during: Call[] = []
    const early: Call[] = []
    const slow: string[] = []
    let unavailable = 0
    for (let time = 0; time < outages; time += 1) {
      const quiet = calling(ground)
      await sleep(outage / 2)
      await quiet.stop()
      before.push(...quiet.calls)
      // From here on all tokens are good for a while.
      const failing = linked.filter(({ provider }) => provider === 'failing')
      await instance?.call(
        'use',
        failing.map(({ owner, id }) => ({ owner, id, forceRefresh: true })),
      )
      const began = Date.now()
      servers.failing.misbehave({ proofRefusal: faults[what] })
      const storm = calling(ground)
      await sleep(outage)
      // One after the other, each waits for a server that hangs until the deadline.
      const swept =
        what === 'hangs' ? undefined : await instance?.call('check', { olderThan: 1, perSecond: 1_000 })
      unavailable += swept?.unavailable ?? 0
      servers.failing.misbehave()
      await storm.stop()
      during.push(...storm.calls)
      early.push(
        ...storm.calls.filter(({ at, provider }) => provider === 'failing' && at < began + withGoodTokens),
      )
      await noteCondemned(ground)
      slow.push(...(await failuresWhenBack(ground)))
    }
    const of = (name: Name, calls: readonly Call[]) => calls.filter(({ provider }) => provider === name)
    const failures = (calls: readonly Call[]) => calls.filter(({ failure }) => failure !== undefined)
    const median = (calls: readonly Call[]) =>
      quantile(
        calls.map(({ took }) => took),
        0.5,
      )
    const p99 = (calls: readonly Call[]) =>
      Math.round(
        quantile(
          calls.map(({ took }) => took),
          0.99,
        ),
      )
    const failed = failures(of('failing', during))
    figures.push(
      noted(`${what}: calls during that`, during.length),
      noted(`${what}: of these, server_unavailable`, failed.length),
      noted(`${what}: connections that the sweep left as they are`, unavailable),
      none(`${what}: calls that failed otherwise`, othersThan(failed, /^(server_unavailable|status 401)/)),
      none(`${what}: calls with a good token that failed`, othersThan(failures(early), /^$/)),
      none(
        `${what}: calls to the other provider that failed`,
        othersThan(failures(of('steady', during)), /^$/),
      ),
      none(`${what}: wrong tokens`, wrong(during)),
      none(`${what}: calls that fail when it is back`, slow),
      noted(`${what}: a call to the other provider, p50`, Math.round(median(of('steady', during))), ms),
      noted(`${what}: the same before`, Math.round(median(of('steady', before))), ms),
      // Who asks for patience is to be waited for two seconds, which must not hold up the other.
      atMost(
        `${what}: a call to the other provider, p99`,
        p99(of('steady', during)),
        p99(of('steady', before)) + 1_000,
        ms,
      ),
      noted(`${what}: the same before, p99`, p99(of('steady', before)), ms),
    )
  }
  return figures
}

/** A provider that failed is left alone for five seconds. */
async function failuresWhenBack({ instances, linked }: Ground): Promise<string[]> {
  const uses = linked.map(({ owner, id }) => ({ owner, id }))
  const deadline = performance.now() + 10_000
  for (;;) {
    const used = (await Promise.all(instances.map((instance) => instance.call('use', uses)))).flat()
    const failures = used.flatMap(({ failure }) => failure ?? [])
    if (failures.length === 0 || performance.now() > deadline) return failures
    await sleep(200)
  }
}

async function noteCondemned({ postgres, linked, condemned }: Ground): Promise<void> {
  const pool = new Pool({ connectionString: postgres.connectionString })
  pool.on('error', () => undefined)
  try {
    const store = postgresConnectionStore(pool)
    for (const { id, account, provider } of linked) {
      const row = await store.get(id)
      if (row?.status !== 'active') condemned.push(`${account} at ${provider}: ${row?.status} ${row?.reason}`)
    }
  } finally {
    await pool.end()
  }
}

function othersThan(failed: readonly Call[], expected: RegExp): string[] {
  return failed.flatMap(({ failure = '', provider, took }) =>
    expected.test(failure) ? [] : [`${provider}: ${failure} after ${Math.round(took)} ms`],
  )
}

function wrong(calls: readonly Call[]): string[] {
  return calls.flatMap(({ account, connected, account_id, failure }) =>
    failure === undefined && (account !== account_id || connected !== account_id)
      ? [`${account_id}: ${account}`]
      : [],
  )
}

function none(what: string, lines: readonly string[]): Figure {
  return exactly(what, lines.length, 0, { details: lines.slice(0, 15) })
}
