/**
 * Clocks that jump: an hour ahead and back, ten seconds back each second, over the ends of 32-bit times, a second twice,
 * and one that stands still. Sessions, tokens, logins in flight, endings and the bearer guard are looked at each time.
 */
import { SignJWT } from 'jose'
import type { Browser, Page } from '../support/browser.js'
import { json } from '../support/faulty-server/answer.js'
import { rotateKeys, signingKey } from '../support/faulty-server/provider.js'
import { grants } from '../support/faulty-server/token.js'
import { bare, cookieHeader, location, typed } from '../support/requests.js'
import { atMost, exactly, noted, type Campaign } from './support/campaign.js'
import type { ClockWorker } from './support/clock-worker.js'
import { jump, travelHome } from './support/clock.js'
import { startUserServer, type UserServer } from '../support/user-server.js'
import { startWorker, type Worker } from './support/workers.js'

const hour = 3_600
const day = 24 * hour
/** Seconds that a token may be late at the guard. */
const tolerance = 30
const audience = 'https://api.example.com'
/** Milliseconds until a request counts as one that hangs. */
const patience = 5_000
/** Seconds from the beginning of a scene to the ends of its API tokens. */
const ends = [-hour, -31, -29, -1, 0, 1, 31, 61, hour, 2 * hour, 5 * day]

interface User {
  readonly name: string
  readonly url: string
  readonly browser: Browser
}

interface Scene {
  readonly name: string
  /** How far the clock is put at each step, in seconds. */
  readonly steps: readonly number[]
  /** Whose clock it is: of the application alone, or of the server and the browser, too. */
  readonly whose: 'all' | 'application'
  /** Seconds since 1970 at which it begins. Default: where the clock stands. */
  readonly at?: number
  /** Refreshes of one session in the whole scene: once for each hour that goes by at most. */
  readonly mostRefreshes: number
}

const there = (steps: number, size: number) => Array.from({ length: steps }, () => size)

const scenes: readonly Scene[] = [
  { name: 'an hour ahead, each time', steps: there(4, hour), whose: 'all', mostRefreshes: 4 },
  { name: 'an hour back, each time', steps: there(4, -hour), whose: 'all', mostRefreshes: 0 },
  {
    name: 'the application an hour ahead and back',
    steps: [hour, -hour, hour, -hour, hour, -hour],
    whose: 'application',
    mostRefreshes: 1,
  },
  {
    name: 'the application an hour back and ahead',
    steps: [-hour, hour, -hour, hour],
    whose: 'application',
    mostRefreshes: 0,
  },
  { name: 'ten seconds back each second', steps: there(20, -10), whose: 'application', mostRefreshes: 0 },
  {
    name: 'the year 2038',
    steps: [3, 3, 3, hour, -hour, 2 * hour],
    whose: 'all',
    at: 2 ** 31 - 5,
    mostRefreshes: 2,
  },
  {
    name: 'the year 2106',
    steps: [3, 3, 3, hour, -hour, 2 * hour],
    whose: 'all',
    at: 2 ** 32 - 5,
    mostRefreshes: 2,
  },
  { name: 'a second twice', steps: [1, -1, 1, -1, 1, 1], whose: 'all', mostRefreshes: 0 },
  { name: 'a clock that stands still', steps: there(6, 0), whose: 'all', mostRefreshes: 0 },
]

interface Ground {
  readonly users: UserServer
  readonly app: Worker<ClockWorker>
  readonly urls: readonly string[]
  readonly api: string
  readonly seen: Sightings
  /** Seconds that the application's clock is ahead of the server's. */
  ahead: number
  checks: number
  mostInStep: number
}

interface Sightings {
  readonly putOut: string[]
  readonly late: string[]
  readonly refused: string[]
  readonly revived: string[]
  readonly hanging: string[]
  readonly storms: string[]
  readonly fetches: string[]
  readonly logins: string[]
  readonly held: string[]
}

export const campaign: Campaign = {
  title: 'clocks that jump ahead and back',
  within: { short: 40, long: 300 },
  async run({ long }) {
    let renewsIdToken = true
    const users = await startUserServer({ life: hour, renewsIdToken: () => renewsIdToken })
    const { issuer, clientId, clientSecret } = users.server
    const app = await startWorker<ClockWorker>(new URL('support/clock-worker.ts', import.meta.url), {
      apps: (['cookie', 'session'] as const).map((storage) => ({ issuer, clientId, clientSecret, storage })),
      audience,
    })
    const urls = app.ready.slice(0, -1)
    for (const url of urls) users.server.register(`${url}/callback`, `${url}/`)
    const seen: Sightings = {
      putOut: [],
      late: [],
      refused: [],
      revived: [],
      hanging: [],
      storms: [],
      fetches: [],
      logins: [],
      held: [],
    }
    const ground: Ground = {
      users,
      app,
      urls,
      api: app.ready.at(-1) ?? '',
      seen,
      ahead: 0,
      checks: 0,
      mostInStep: 0,
    }
    try {
      await go(ground, 0)
      for (let round = 0; round < (long ? 10 : 1); round += 1)
        for (const scene of scenes) {
          // An ID token of a server whose clock is an hour behind is no good, so such a server must send none.
          renewsIdToken = scene.whose === 'all'
          await play(ground, { ...scene, name: `${scene.name} ${round}` })
        }
      await reviveNobody(ground)
      await holdNobodyBack(ground)
      const delays = await app.call('wrongDelays')
      const none = (what: string, lines: readonly string[]) =>
        exactly(what, lines.length, 0, { details: lines.slice(0, 10) })
      return [
        noted('looks at sessions, tokens and the API', ground.checks),
        none('timers with a delay that cannot be', delays),
        atMost('refreshes of a session at one step', ground.mostInStep, 1),
        none('sessions refreshed more than once an hour', seen.storms),
        none('users put out', seen.putOut),
        none('logins in flight that failed', seen.logins),
        none('API tokens taken after their end', seen.late),
        none('API tokens refused before it', seen.refused),
        none('steps with more than one fetch for a key set', seen.fetches),
        none('sessions revived by going back', seen.revived),
        none('users held back by a failure of long ago', seen.held),
        none('requests that hung', seen.hanging),
        none('complaints of the server', users.server.complaints),
        none('unhandled rejections', app.rejections),
      ]
    } finally {
      travelHome()
      await Promise.all([app.stop(), users.server.close()])
    }
  },
}

/** Puts the clocks ahead, or back. */
async function go(ground: Ground, seconds: number, whose: Scene['whose'] = 'all'): Promise<void> {
  if (whose === 'all') jump(seconds)
  else ground.ahead += seconds
  await ground.app.call('jump', seconds)
}

const now = () => Math.floor(Date.now() / 1_000)

async function play(ground: Ground, { name, steps, whose, at, mostRefreshes }: Scene): Promise<void> {
  const { users, seen } = ground
  // Between two scenes some time goes by, in which the guard may fetch keys again.
  await go(ground, at === undefined ? 120 : at - now())
  const people = await signedIn(ground, name)
  const tokens = await apiTokens(users)
  await look(ground, name, people, tokens)
  for (const [index, step] of steps.entries()) {
    const pending = whose === 'all' ? await loginsInFlight(ground, `${name} ${index}`) : []
    await go(ground, step, whose)
    await look(ground, `${name}, step ${index + 1}`, people, tokens)
    // A login that takes an hour is too old.
    if (Math.abs(step) < 600) await finish(ground, pending)
  }
  for (const user of people) {
    const refreshes = users.refreshes(user.name)
    if (refreshes > mostRefreshes) seen.storms.push(`${user.name}: ${refreshes}`)
  }
  if (whose === 'application') await go(ground, -ground.ahead, whose)
}

async function signedIn({ users, urls }: Ground, scene: string): Promise<User[]> {
  return Promise.all(
    urls.map(async (url, app) => {
      const name = `${scene}-${app}`.replaceAll(/\W+/g, '-')
      const browser = await users.openBrowser(name)
      const page = await browser.visit(`${url}/me`)
      if (page.body !== name) throw new Error(`the login of ${name} ended with ${page.status}`)
      return { name, url, browser }
    }),
  )
}

/** Everything is asked at once, and then once more. */
async function look(
  ground: Ground,
  name: string,
  people: readonly User[],
  tokens: ReadonlyMap<number, string>,
): Promise<void> {
  const { users, seen } = ground
  const before = people.map((user) => users.refreshes(user.name))
  const fetches = users.server.counts.jwks
  for (let times = 0; times < 2; times += 1) {
    await Promise.all([
      ...people.flatMap((user) =>
        ['/me', '/token', '/token'].map(async (path) => lookAt(ground, name, user, path)),
      ),
      ...[...tokens].map(async ([end, token]) => lookAtApi(ground, name, end, token)),
    ])
  }
  const refreshed = people.map((user, place) => users.refreshes(user.name) - (before[place] ?? 0))
  ground.mostInStep = Math.max(ground.mostInStep, ...refreshed)
  const fetched = users.server.counts.jwks - fetches
  // Two applications and the guard have a key set each.
  if (fetched > 3) seen.fetches.push(`${name}: ${fetched}`)
}

async function lookAt(ground: Ground, name: string, user: User, path: string): Promise<void> {
  const { seen, users } = ground
  const page = await inTime(
    ground,
    `${name}: ${path}`,
    user.browser.visit(user.url + path, { follow: false }),
  )
  const owner = page?.status !== 200 ? undefined : path === '/me' ? page.body : users.ownerOf(page.body)
  if (page && owner !== user.name)
    seen.putOut.push(`${name}, ${user.name}: ${path} ${page.status} ${page.body.slice(0, 80)}`)
}

/** Judged by the application's clock, which is what the guard has. */
async function lookAtApi(ground: Ground, name: string, end: number, token: string): Promise<void> {
  const { seen, api, ahead } = ground
  const page = await inTime(ground, `${name}: the API`, bare(api, { authorization: `Bearer ${token}` }))
  if (!page) return
  const present = now() + ahead
  const line = `${name}: ${page.status} for a token that ends in ${end - present} s ${page.body}`
  if (page.status === 200 && present >= end + tolerance) seen.late.push(line)
  if (page.status !== 200 && present < end + tolerance) seen.refused.push(line)
}

async function inTime(ground: Ground, name: string, answer: Promise<Page>): Promise<Page | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), patience)
  })
  const page = await Promise.race([answer, late])
  clearTimeout(timer)
  ground.checks += 1
  if (!page) ground.seen.hanging.push(name)
  return page
}

/** Signed by a new key, which the guard has to find whatever the time is; by their ends. */
async function apiTokens(users: UserServer): Promise<Map<number, string>> {
  const op = users.provider()
  await rotateKeys(op)
  const { kid, alg, privateKey } = signingKey(op)
  const begin = now()
  const tokens = await Promise.all(
    ends.map(async (end): Promise<[number, string]> => {
      const claims = {
        iss: op.issuer,
        aud: audience,
        sub: 'somebody',
        client_id: 'client-1',
        exp: begin + end,
      }
      return [
        begin + end,
        await new SignJWT(claims).setProtectedHeader({ alg, kid, typ: 'at+jwt' }).sign(privateKey),
      ]
    }),
  )
  return new Map(tokens)
}

interface PendingLogin extends User {
  readonly callback: string
}

async function loginsInFlight({ users, urls }: Ground, scene: string): Promise<PendingLogin[]> {
  return Promise.all(
    urls.map(async (url, app) => {
      const name = `${scene}-pending-${app}`.replaceAll(/\W+/g, '-')
      const browser = await users.openBrowser(name)
      const login = await browser.visit(`${url}/login?returnTo=/me`, { follow: false })
      const callback = location(await browser.visit(location(login), { follow: false }))
      return { name, url, browser, callback }
    }),
  )
}

async function finish(ground: Ground, pending: readonly PendingLogin[]): Promise<void> {
  for (const { name, browser, callback } of pending) {
    const page = await inTime(ground, name, browser.visit(callback))
    const logins = ground.users.logins(name)
    if (page?.body !== name || logins !== 1)
      ground.seen.logins.push(`${name}: ${page?.status}, ${logins} logins`)
  }
}

/** A session that is over by its time, or was ended, stays so when the clock goes back. */
async function reviveNobody(ground: Ground): Promise<void> {
  const { seen } = ground
  const isIn = async ({ url }: User, cookie: string) =>
    (await bare(`${url}/me`, { ...typed, cookie })).status === 200
  for (const [name, seconds] of [
    ['idle', day + 1],
    ['old', 7 * day + 1],
    ['ended', 8 * day],
  ] as const) {
    const people = await signedIn(ground, `revive-${name}`)
    for (const user of people) {
      const cookie = await cookieHeader(user.browser, user.url)
      if (name === 'ended') {
        await user.browser.visit(`${user.url}/open`)
        await user.browser.fetch('/logout', { method: 'POST' })
      }
      const clock = [seconds, -seconds, -hour, hour]
      for (const step of clock) {
        await go(ground, step)
        if (await isIn(user, cookie)) seen.revived.push(`${user.name}: ${name}, after ${step} s`)
      }
    }
  }
}

/** A server that failed is left alone for a few seconds, however the clock goes meanwhile. */
async function holdNobodyBack(ground: Ground): Promise<void> {
  const { users, seen } = ground
  const people = await signedIn(ground, 'held-back')
  const spendsNothing = { complaints: () => [], authorization: grants['refresh_token']!.authorization }
  users.misbehave({
    grants: { ...grants, refresh_token: spendsNothing },
    answerToken: () => json({ error: 'temporarily_unavailable' }, 503, { 'retry-after': '1' }),
  })
  await go(ground, hour)
  for (const { browser, url } of people) await browser.visit(`${url}/token`)
  users.misbehave()
  await go(ground, -1_800)
  await new Promise((resolve) => setTimeout(resolve, 1_200))
  for (const user of people) {
    const page = await user.browser.visit(`${user.url}/token?force=1`)
    if (users.ownerOf(page.body) !== user.name) seen.held.push(`${user.name}: ${page.status}`)
  }
}
