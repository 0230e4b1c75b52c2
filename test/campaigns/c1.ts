/** The table of faults: whatever the endpoints of a server do, the answer is the documented one, in time, and nothing stays. */
import { openBrowser, type Page } from '../support/browser.js'
import { startFaultyServer, type Fault as ServerFault, type FaultyServer } from '../support/faulty-server.js'
import { metadata } from '../support/faulty-server/discovery.js'
import { faults, type Fault, type Kind } from './c1/faults.js'
import { operations, type OperationName, type Outcome } from './c1/operations.js'
import type { AppWorker, Holdings } from './support/app-worker.js'
import { atMost, exactly, noted, shuffled, type Campaign, type CampaignOptions } from './support/campaign.js'
import { startFront, type Front } from './support/front.js'
import { watchStalls, type Stalls } from './support/stalls.js'
import { startWorker, type Worker } from './support/workers.js'

/** Seconds that the application gives an exchange. */
const timeout = 0.3
/** Milliseconds in which a process does not run that make a case worth nothing. It is played again, a few times at most. */
const stall = 60
const mostTries = 4

interface Case {
  readonly fault: Fault
  readonly operation: OperationName
  readonly storage: Storage
}

const storages = ['cookie', 'session'] as const
type Storage = (typeof storages)[number]

interface Verdict {
  /** What is wrong, one line; nothing when the outcome is the documented one. */
  readonly wrong?: string
  /** How often it was played until the machine let it. */
  readonly tries: number
  /** Milliseconds from the deadline to the answer; negative when it came before. */
  readonly late: number
}

interface Ground {
  readonly server: FaultyServer
  readonly front: Front
  readonly app: Worker<AppWorker>
  readonly stalls: Stalls
  urlOf(storage: Storage, usesUserinfo: boolean): string
}

export const campaign: Campaign = {
  title: 'token, revocation, introspection and userinfo endpoints that break in every way',
  within: { short: 60, long: 600 },
  async run({ long, random }) {
    const ground = await prepareGround()
    const { server, front, app, stalls } = ground
    try {
      const rounds = long ? 10 : 1
      const before = await app.call('measure')
      // Everything is loaded, compiled and pooled by then; what grows from there on is ours.
      for (let round = 0; round < (long ? 3 : 1); round += 1) await playAll(ground, random)
      const warm = await app.call('measure')
      const verdicts: Verdict[] = []
      for (let round = 0; round < rounds; round += 1) verdicts.push(...(await playAll(ground, random)))
      const after = await app.call('measure')
      const open = await openConnections(front)
      await front.behave('passes')
      const rest = await app.call('measure')
      const wrong = verdicts.flatMap((verdict) => verdict.wrong ?? [])
      const again = server.complaints.filter((complaint) => complaint.includes('code used again'))
      return [
        exactly('cases right', verdicts.length - wrong.length, verdicts.length, { details: wrong }),
        atMost('latest answer after its deadline', latest(verdicts), 200, { unit: 'ms' }),
        noted(
          'cases played again, as the machine stood still',
          verdicts.filter(({ tries }) => tries > 1).length,
        ),
        exactly('requests at the other origin', server.elsewhere.length, 0, { details: server.elsewhere }),
        exactly('second uses of a code', again.length, 0),
        exactly('unhandled rejections', app.rejections.length, 0, { details: app.rejections }),
        exactly('connections left', open, 0),
        exactly('handles left', handlesBeyond(before, rest), 0, {
          details: [JSON.stringify(before.resources), JSON.stringify(rest.resources)],
        }),
        atMost('growth of the heap', megabytes(after.heapUsed - warm.heapUsed), 5, { unit: 'MB' }),
        atMost('growth of RSS', megabytes(after.rss - warm.rss), 5, { unit: 'MB' }),
      ]
    } finally {
      stalls.stop()
      await Promise.all([app.stop(), front.close(), server.close()])
    }
  },
}

async function prepareGround(): Promise<Ground> {
  const server = await startFaultyServer()
  const front = await startFront(new URL(server.issuer))
  const { issuer, clientId, clientSecret } = server
  const kinds = storages.flatMap((storage) => [false, true].map((userinfo) => ({ storage, userinfo })))
  const app = await startWorker<AppWorker>(new URL('support/app-worker.ts', import.meta.url), {
    apps: kinds.map(({ storage, userinfo }) => ({
      issuer,
      clientId,
      clientSecret,
      timeout,
      storage,
      userinfo,
      scope: 'openid profile',
    })),
  })
  for (const url of app.ready) server.register(`${url}/callback`, `${url}/`)
  const urlOf: Ground['urlOf'] = (storage, usesUserinfo) =>
    app.ready[
      kinds.findIndex(({ storage: kind, userinfo }) => kind === storage && userinfo === usesUserinfo)
    ] ?? ''
  return { server, front, app, stalls: watchStalls(), urlOf }
}

async function playAll(ground: Ground, random: CampaignOptions['random']): Promise<Verdict[]> {
  const verdicts: Verdict[] = []
  for (const one of shuffled(allCases(random), random)) verdicts.push(await play(ground, one))
  return verdicts
}

/** Every fault at every operation where it can occur, each with one of the storages. */
function allCases(random: CampaignOptions['random']): Case[] {
  const names = Object.keys(operations) as OperationName[]
  return names.flatMap((operation) =>
    faults
      .filter((fault) => occursAt(fault, operation))
      .map((fault) => ({ fault, operation, storage: random() < 0.5 ? 'cookie' : 'session' })),
  )
}

function occursAt(fault: Fault, operation: OperationName): boolean {
  if (operation === 'refresh of a spent token') return fault.kind === 'lost' && 'answer' in fault.does
  return fault.only === undefined || fault.only.includes(operation)
}

function outcomeOf({ fault, operation }: Case, kindOfFault: Kind): { outcome: Outcome; deadlines: number } {
  const { kind = kindOfFault, outcome } = fault.but?.[operation] ?? {}
  const { outcomes, deadlines = {} } = operations[operation]
  const usual = outcomes[kind]
  if (!usual) throw new Error(`${operation} says nothing about ${kind}`)
  const retryAfter = usual.status === 503 ? (fault.retryAfter ?? usual.retryAfter) : undefined
  return { outcome: { ...usual, retryAfter, ...outcome }, deadlines: deadlines[kind] ?? 1 }
}

/** Judges a case that was played without a stall; when there is none such, the last one counts. */
async function play(ground: Ground, one: Case): Promise<Verdict> {
  const { app, stalls } = ground
  for (let tries = 1; ; tries += 1) {
    stalls.longest()
    await app.call('stalled')
    const verdict = await judged(ground, one)
    const longest = Math.max(stalls.longest(), await app.call('stalled'))
    if (longest < stall || tries === mostTries) return { ...verdict, tries }
  }
}

async function judged(ground: Ground, one: Case): Promise<Omit<Verdict, 'tries'>> {
  const { outcome: documented, deadlines } = outcomeOf(one, one.fault.kind)
  const name = `${one.operation} (${one.storage}), ${one.fault.name}`
  try {
    const { outcome, elapsed } = await observe(ground, one)
    const late = elapsed - deadlines * timeout * 1_000
    const differences = differencesBetween(documented, outcome)
    if (differences.length === 0) return { late }
    return { wrong: `${name}: ${differences.join(', ')}`, late }
  } catch (error) {
    return { wrong: `${name}: ${String(error)}`, late: 0 }
  }
}

function differencesBetween(wanted: Outcome, seen: Outcome): string[] {
  return (Object.keys({ ...wanted, ...seen }) as (keyof Outcome)[])
    .filter((key) => key !== 'scope' || wanted.scope !== undefined)
    .filter((key) => wanted[key] !== seen[key])
    .map((key) => `${key} ${seen[key] ?? 'missing'} in place of ${wanted[key] ?? 'none'}`)
}

async function observe(ground: Ground, one: Case): Promise<{ outcome: Outcome; elapsed: number }> {
  const { server, front, app, urlOf } = ground
  const operation = operations[one.operation]
  const url = urlOf(one.storage, operation.usesUserinfo === true)
  await recover(ground)
  const attempt = await operation.prepare({ url, server, browser: openBrowser() })
  await app.call('events')
  await misbehave(ground, one)
  const seen = () => server.counts[operation.endpoint] + front.resets
  const before = seen()
  const start = performance.now()
  const page: Page = await attempt.run()
  const elapsed = performance.now() - start
  const requests = seen() - before
  const events = await app.call('events')
  // Nothing goes on behind the answer, and nothing is asked twice.
  const result = await attempt.result(page, events)
  if (one.fault.lasts) await app.call('restart')
  const retryAfter = page.headers['retry-after']
  return { outcome: { ...result, status: page.status, retryAfter, requests }, elapsed }
}

async function recover({ server, front, app }: Ground): Promise<void> {
  server.misbehave(behind(front))
  await front.behave('passes')
  await app.call('resolve', true)
}

async function misbehave({ server, front, app }: Ground, { fault, operation }: Case): Promise<void> {
  if ('answer' in fault.does) {
    server.misbehave({ ...behind(front), ...operations[operation].steps(fault.does.answer) })
    return
  }
  if ('unresolved' in fault.does) {
    await app.call('resolve', false)
    await front.behave('passes') // connections that stand need no name
    return
  }
  await front.behave(fault.does.front)
}

/** The four endpoints are reached through the front, by a name of their own. */
function behind(front: Front): ServerFault {
  const origin = `http://op.localhost:${front.port}`
  return {
    metadata: (op) => ({
      ...metadata(op),
      token_endpoint: `${origin}/token`,
      revocation_endpoint: `${origin}/revoke`,
      introspection_endpoint: `${origin}/introspect`,
      userinfo_endpoint: `${origin}/userinfo`,
    }),
  }
}

function latest(verdicts: readonly Verdict[]): number {
  return Math.round(Math.max(...verdicts.map(({ late }) => late)))
}

/** Idle connections are kept for a few seconds, and closed by the application itself. */
async function openConnections(front: Front): Promise<number> {
  const deadline = performance.now() + 6_000
  while (front.open > 0 && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 100))
  return front.open
}

function handlesBeyond(before: Holdings, after: Holdings): number {
  return Object.entries(after.resources)
    .map(([kind, count]) => Math.max(0, count - (before.resources[kind] ?? 0)))
    .reduce((sum, count) => sum + count, 0)
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 100_000) / 10
}
