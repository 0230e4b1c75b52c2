/** Users who go on reading while their store fails, and what they were told. */
import type { Browser, Page } from '../../support/browser.js'
import type { UserServer } from '../../support/user-server.js'

export interface User {
  readonly name: string
  readonly url: string
  readonly browser: Browser
}

export interface Watch {
  /** What must not have been, a line each. */
  readonly wrong: Wrong
  readonly counts: Counts
  /** Milliseconds of the slowest answer of a guarded page that was a 503, since this was last asked. */
  slowest(): number
  /** Nobody can be answered by the store from now on, until `returns`. */
  leaves(): void
  returns(): void
  /** Waits until everybody was let in again; gives the milliseconds since `returns`, or since the call. */
  recovered(): Promise<number>
  /** Lets all users read on, again and again. */
  begin(): void
  /** Waits for their last answers. */
  rest(): Promise<void>
}

export interface Wrong {
  readonly letIn: string[]
  readonly signedOut: string[]
  readonly others: string[]
  readonly otherwise: string[]
}

export interface Counts {
  /** Answers that named somebody, or gave a token. */
  identities: number
  /** Answers while the store was away for certain. */
  away: number
  unavailable: number
  /** Answers that broke off: express-session failed behind them. */
  broken: number
}

/** Milliseconds between two looks. */
const pauses = { '/me': 40, '/token': 200 }
/** Milliseconds until everybody must be let in again. */
const patience = 8_000

export function watchUsers(users: readonly User[], server: UserServer, isSignedOutRight = false): Watch {
  const wrong: Wrong = { letIn: [], signedOut: [], others: [], otherwise: [] }
  const counts: Counts = { identities: 0, away: 0, unavailable: 0, broken: 0 }
  /** Whoever was let in since the store is back. */
  const back = new Set<string>()
  let slowest = 0
  let absence = 0
  let isAway = false
  let since = performance.now()
  let reading: { goesOn: boolean } = { goesOn: false }
  let loops: Promise<void>[] = []

  async function readOn(user: User, path: '/me' | '/token'): Promise<void> {
    const current = reading
    while (current.goesOn) {
      await look(user, path)
      await new Promise((resolve) => setTimeout(resolve, pauses[path]))
    }
  }

  async function look(user: User, path: '/me' | '/token'): Promise<void> {
    const start = performance.now()
    const before = isAway ? absence : undefined
    let page: Page
    try {
      page = await user.browser.visit(user.url + path, { follow: false })
    } catch {
      counts.broken += 1
      return
    }
    const name = `${user.name} ${path}`
    const wasAway = before !== undefined && isAway && before === absence
    if (wasAway) counts.away += 1
    if (page.status === 200) {
      counts.identities += 1
      const owner = path === '/me' ? page.body : server.ownerOf(page.body)
      if (owner !== user.name) wrong.others.push(`${name}: ${owner}`)
      if (wasAway) wrong.letIn.push(name)
      if (path === '/me' && start >= since && !isAway) back.add(user.name)
    } else if (page.status === 503) {
      counts.unavailable += 1
      if (path === '/me') slowest = Math.max(slowest, performance.now() - start)
    } else if (page.status === 302 || page.status === 401) {
      if (!isSignedOutRight || wasAway) wrong.signedOut.push(`${name}: ${page.status} ${page.body}`)
      await signInAgain(user)
    } else wrong.otherwise.push(`${name}: ${page.status} ${page.body.slice(0, 80)}`)
  }

  return {
    wrong,
    counts,
    slowest: () => {
      const told = slowest
      slowest = 0
      return told
    },
    leaves: () => {
      absence += 1
      isAway = true
    },
    returns: () => {
      isAway = false
      since = performance.now()
      back.clear()
    },
    async recovered() {
      const missing = () => users.filter(({ name }) => !back.has(name))
      while (missing().length > 0 && performance.now() - since < patience)
        await new Promise((resolve) => setTimeout(resolve, 5))
      for (const { name } of missing()) wrong.otherwise.push(`${name}: not let in again`)
      return performance.now() - since
    },
    begin: () => {
      reading = { goesOn: true }
      // Two tabs each: one may have to wait until nobody else refreshes.
      loops = users.flatMap((user) => [readOn(user, '/me'), readOn(user, '/token')])
    },
    rest: async () => {
      reading.goesOn = false
      await Promise.all(loops)
    },
  }
}

async function signInAgain({ browser, url }: User): Promise<void> {
  try {
    await browser.visit(`${url}/me`)
  } catch {
    // The next look will tell.
  }
  await forgetFreshLogin(browser, url)
}

/** In the first seconds after a login, a session that is lost is told of on a page (`session_not_kept`). */
export async function forgetFreshLogin({ jar }: Browser, url: string): Promise<void> {
  await jar.store.removeCookie(new URL(url).hostname, '/', 'oauth.fresh')
}
