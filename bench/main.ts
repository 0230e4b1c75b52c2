/**
 * `npm run bench [-- direct guard-hit peers guard-new junk memory sessions proxies connections] [-- --quick]`: what the guard, sessions and
 * the proxy cost beside their peers. Prints Markdown; the exit code is 1 when a control says that the machine is in no state to compare. `--rounds` and `--slice`
 * (milliseconds) replace the usual effort.
 */
import { createServer } from 'node:http'
import { cpus } from 'node:os'
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { startWorker } from '../test/campaigns/support/workers.js'
import { listening, stopped } from '../test/support/listening.js'
import { isTrusted, pin, play, tolerated, type Bout, type Effort, type Score } from './bout.js'
import { measureConnections } from './connections.js'
import { contestants, withoutEdDsa, type Setting } from './contestants.js'
import { costs, requestsOfSlice, type Cost, type Runners, type TurningHeader } from './direct.js'
import type { LoadWorker, Tokens } from './load-worker.js'
import { measureMemory } from './memory.js'
import { exchanges, startProxies } from './proxies.js'
import { peersOfSessions, playSessions, sessionCount, withoutCookie } from './sessions.js'
import { algorithms, newKeys, publicJwks, tokenMaker, type Algorithm } from './tokens.js'

const forgetful = 'oauthBearer, rememberedTokens: 0'
const peers = Object.keys(contestants).filter((name) => /jwt|jose/.test(name))
/** More than any contestant remembers, in turns: each token has been forgotten when it comes again. */
const unknownTokens = 30_000

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    slice: { type: 'string' },
  },
})
const { quick, rounds = quick ? '16' : '44', slice = '60' } = values
const effort: Effort = { rounds: Number(rounds), slice: Number(slice) }

const keys = newKeys()
const jwks = publicJwks(keys)
const keyServer = createServer((_req, res) =>
  res.setHeader('content-type', 'application/json').end(JSON.stringify(jwks)),
)
const issuer = await listening(keyServer)
const load = await startWorker<LoadWorker>(new URL('load-worker.ts', import.meta.url), { issuer, keys })
const isPinned = await pin(load.pid, 1)

const chapters: Readonly<Record<string, () => Promise<void>>> = {
  direct,
  'guard-hit': guardHit,
  peers: besidePeers,
  'guard-new': guardNew,
  junk: refusals,
  memory,
  sessions,
  proxies,
  connections,
}

let isAllTrusted = true
try {
  const unknown = positionals.filter((name) => !(name in chapters))
  if (unknown.length > 0)
    throw new Error(`there is no ${unknown.join(', ')}; there are ${Object.keys(chapters).join(', ')}`)
  print([
    `${cpus()[0]?.model.trim()} × ${cpus().length}, Node ${process.version}, ${versions()}`,
    `${effort.rounds} rounds of slices of ${effort.slice} ms, of which the cheapest quarter counts; ${isPinned ? 'server and load pinned to a core each' : 'NOT pinned: taskset is missing'}.`,
  ])
  for (const name of positionals.length > 0 ? positionals : Object.keys(chapters)) await chapters[name]?.()
} finally {
  await load.stop()
  await stopped(keyServer)
}
process.exitCode = isAllTrusted ? 0 : 1

/** What each middleware takes by itself, without HTTP: a comparison that a busy machine disturbs least. */
async function direct(): Promise<void> {
  // The other peers want more of Express's request than there is here.
  const able = peers.filter((name) => /^(?:fast-jwt|aws-jwt-verify|jose)/.test(name))
  for (const algorithm of algorithms) {
    const maker = tokenMaker(issuer, algorithm, keys)
    const tokens = Array.from({ length: 10_000 }, () => maker.next())
    const seen = ['floor', 'oauthBearer', 'oauthBearer + requireScope', ...able]
    const columns: Cost[][] = []
    for (const count of [1, 100, tokens.length])
      columns.push(await costs(runners(seen, algorithm), bearing(tokens.slice(0, count)), Number(rounds)))
    const unseen = [forgetful, ...able.filter((name) => !/cache of|default cache/.test(name))]
    columns.push(await costs(runners(unseen, algorithm), bearing(tokens), Number(rounds)))
    print([
      '',
      `### By itself: ${algorithm}, µs of processor time per request, the cheapest quarter of ${rounds} slices of ${requestsOfSlice} requests`,
      '',
      row('', '1 token', '100 in turn', '10 000 in turn', 'each token new', 'on the main thread'),
      row('---', '--:', '--:', '--:', '--:', '--:'),
      ...[...new Set([...seen, ...unseen])].map((name) => {
        const all = columns.map((column) => column.find((one) => one.name === name))
        const cells = all.map((cost) => cost?.all.toFixed(cost.all < 10 ? 2 : 1) ?? '–')
        return row(name, ...cells, all.at(-1)?.main.toFixed(1) ?? '–')
      }),
    ])
  }
}

function runners(names: readonly string[], algorithm: Algorithm): Runners {
  return Object.fromEntries(names.map((name) => [name, contestants[name]?.(setting(algorithm)) ?? []]))
}

function bearing(tokens: readonly string[]): TurningHeader {
  return { name: 'authorization', texts: tokens.map((token) => `Bearer ${token}`) }
}

/** A token seen before, by those who remember and by the least that anybody can do. */
async function guardHit(): Promise<void> {
  const names = ['passes on', 'floor', 'oauthBearer', 'oauthBearer + requireScope']
  for (const algorithm of algorithms)
    for (const count of [1, 100, 10_000]) await chapter('Seen before', algorithm, count, [names])
}

async function besidePeers(): Promise<void> {
  for (const count of [1, 100, 10_000])
    await chapter('Beside its peers', 'RS256', count, [
      ['floor', 'oauthBearer'],
      ...peers.map((name) => [name]),
    ])
}

async function guardNew(): Promise<void> {
  for (const algorithm of algorithms) {
    const able = peers.filter((name) => algorithm !== 'EdDSA' || !withoutEdDsa.includes(name))
    await chapter('Each token new', algorithm, unknownTokens, [[forgetful], ...able.map((name) => [name])])
  }
}

async function chapter(
  title: string,
  algorithm: Algorithm,
  count: number,
  bouts: readonly (readonly string[])[],
): Promise<void> {
  const tokens: Tokens = { kind: algorithm, count }
  await load.call('prepare', tokens)
  const scores: Score[] = []
  for (const names of bouts) {
    const played = await bout({ names, tokens }, setting(algorithm))
    if (!played) return
    scores.push(...played)
  }
  const isFloored = scores.some(({ name }) => name === 'floor')
  print([
    '',
    `### ${title}: ${algorithm}, ${count === unknownTokens ? 'no token twice' : `${count} in turn`}`,
    '',
    row(
      '',
      'of bare Express',
      ...(isFloored ? ['of the floor'] : []),
      'µs added',
      'on the main thread',
      'requests',
    ),
    row('---', '--:', ...(isFloored ? ['--:'] : []), '--:', '--:', '--:'),
    ...scores.map(({ name, share, shares, added, addedToMainThread, rate }) =>
      row(
        name,
        share.toFixed(3),
        ...(isFloored ? [shares['floor']?.toFixed(3) ?? ''] : []),
        added.toFixed(1),
        addedToMainThread.toFixed(1),
        rate.toFixed(2),
      ),
    ),
  ])
}

/** The flood is of tokens that are quick to make. */
async function memory(): Promise<void> {
  print(await measureMemory({ setting: setting('RS256'), load, flood: 0 }))
  print(await measureMemory({ setting: setting('ES256'), load, flood: quick ? 100_000 : 1_000_000 }))
}

async function refusals(): Promise<void> {
  const kinds = ['random kid', '8 KB of noise', 'deep JSON', 'alg none', 'wrong issuer', 'DPoP proof']
  const rows: string[] = []
  for (const kind of kinds) {
    const tokens: Tokens = { kind: `junk: ${kind}`, count: 2_000 }
    const played = await bout({ names: ['oauthBearer'], tokens, status: 401 }, setting('RS256'))
    const score = played?.find(({ name }) => name === 'oauthBearer')
    if (score) rows.push(row(kind, score.added.toFixed(1), score.total.toFixed(1)))
  }
  print([
    '',
    '### Refusing junk, µs of processor time each',
    '',
    row('', 'on top of Express', 'with Express'),
    row('---', '--:', '--:'),
    ...rows,
  ])
}

/** A page with a session. Claims of 5 KB do not fit into our cookies. */
async function sessions(): Promise<void> {
  for (const size of [1_000, 4_000]) {
    const rows: string[] = []
    for (const name of peersOfSessions) {
      const { cookie, scores } = await playSessions(name, size, load, effort)
      if (!trusted(`sessions of ${name}`, scores)) continue
      const floor = scores.find((score) => score.name === withoutCookie)
      for (const { name: page, share, total, added } of scores.filter((score) => score !== floor).slice(1)) {
        const ofNothing = (floor?.total ?? Number.NaN) / total
        rows.push(row(name, page, String(cookie), share.toFixed(3), ofNothing.toFixed(3), added.toFixed(1)))
      }
    }
    print([
      '',
      `### Sessions: ${sessionCount} in turn, claims of ${size} bytes`,
      '',
      row(
        '',
        'the page',
        'characters of cookies',
        'of bare Express',
        'of bare Express without cookies',
        'µs added',
      ),
      row('---', '---', '--:', '--:', '--:', '--:'),
      ...rows,
    ])
  }
}

/** What passes a proxy, and how much later it arrives. */
async function proxies(): Promise<void> {
  const running = await startProxies(load)
  try {
    for (const exchange of Object.keys(exchanges)) {
      const scores = await running.scores(exchange, {
        ...effort,
        warmUp: exchange.endsWith('MB') ? 200 : 4_000,
      })
      if (!trusted(`proxies, ${exchange}`, scores)) continue
      print([
        '',
        `### Proxies: ${exchange}`,
        '',
        row('', 'of httpxy', 'µs of processor time', 'requests'),
        row('---', '--:', '--:', '--:'),
        ...scores.map(({ name, share, total, rate }) =>
          row(name, share.toFixed(3), total.toFixed(1), rate.toFixed(2)),
        ),
      ])
    }
    const latencies = await running.latencies(effort.rounds)
    print(['', '### One request at a time, p99 in ms', ''])
    print([row('', 'p99'), row('---', '--:')])
    print(Object.entries(latencies).map(([name, p99]) => row(name, p99.toFixed(2))))
  } finally {
    await running.stop()
  }
}

/** Of an app's own database: no peer does the same. */
async function connections(): Promise<void> {
  print(['', '### A store with 10 000 connections, 10 to an owner: one call, in ms', ''])
  print([row('', '', 'median', 'p99'), row('---', '---', '--:', '--:')])
  const costs = await measureConnections(quick ? 500 : 3000)
  print(costs.map(({ store, call, median, p99 }) => row(store, call, median.toFixed(2), p99.toFixed(2))))
}

/** Nothing when the control shows that this machine is in no state to compare. */
async function bout(one: Bout, inSetting: Setting): Promise<Score[] | undefined> {
  const scores = await play(one, inSetting, load, effort)
  return trusted(`${one.tokens.kind}, ${one.tokens.count} in turn`, scores) ? scores : undefined
}

function trusted(what: string, scores: readonly Score[]): boolean {
  if (isTrusted(scores)) return true
  isAllTrusted = false
  const share = scores[0]?.share ?? 0
  print([
    '',
    `${what}: no figures. The control took ${share.toFixed(2)} of itself; only ${tolerated} off is trusted.`,
  ])
  return false
}

function setting(algorithm: Algorithm): Setting {
  return { issuer, jwksUri: `${issuer}/keys`, jwks, algorithm }
}

function versions(): string {
  const { packages } = JSON.parse(readFileSync(new URL('package-lock.json', import.meta.url), 'utf8')) as {
    packages: Record<string, { version?: string; dependencies?: Record<string, string> }>
  }
  return Object.keys(packages['']?.dependencies ?? {})
    .map((name) => `${name} ${packages[`node_modules/${name}`]?.version}`)
    .join(', ')
}

function row(...cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}

function print(lines: readonly string[]): void {
  console.log(lines.join('\n'))
}
