/**
 * Late tabs without a store: sessions in cookies, one process, a server that rotates refresh tokens and ends the family
 * of one that it sees twice.
 */
import { openBrowser, type Page } from '../support/browser.js'
import { startFaultyServer } from '../support/faulty-server.js'
import { bare, cookieHeader, location, typed, withNewCookies } from '../support/requests.js'
import type { AppWorker } from './support/app-worker.js'
import { exactly, type Campaign, type Figure, type Random } from './support/campaign.js'
import { travel, travelHome } from './support/clock.js'
import { signIn } from './support/sign-in.js'
import { startWorker } from './support/workers.js'

/** Seconds that access tokens of the server live. */
const life = 3_600
/** Seconds for which the README promises late tabs the new token. */
const grace = 30
const lateTabs = 5
const sessionCount = 200
/** Sessions at once. */
const batch = 20

/** One user: the cookie that all tabs have, and what came of each refresh. */
interface Tabs {
  cookie: string
  /** The cookie and the token before the last refresh. */
  oldCookie: string
  readonly tokens: string[]
}

export const campaign: Campaign = {
  title: 'late tabs that hold the cookie from before a refresh, without a store',
  within: { short: 60, long: 600 },
  async run({ long, random }) {
    const server = await startFaultyServer()
    const { issuer, clientId, clientSecret } = server
    const app = await startWorker<AppWorker>(new URL('support/app-worker.ts', import.meta.url), {
      apps: [{ issuer, clientId, clientSecret, storage: 'cookie' }],
    })
    const [url = ''] = app.ready
    server.register(`${url}/callback`, `${url}/`)
    /** The server's clock goes with the application's. */
    const goAhead = async (seconds: number) => {
      travel(seconds)
      await app.call('travel', seconds)
    }
    const tab = (cookie: string, path = '/token') => bare(`${url}${path}`, { ...typed, cookie })
    const reuses = () => server.complaints.filter((complaint) => complaint.includes('used again')).length
    try {
      await goAhead(0) // from here on no time goes by but what is said
      const sessions = await inBatches(Array.from({ length: sessionCount }), async () => signedIn(url))
      const wrong: string[] = []
      const cycles = long ? 20 : 2
      const refreshesBefore = server.counts.token
      for (let cycle = 0; cycle < cycles; cycle += 1) {
        await goAhead(life + 1)
        for (const session of sessions) session.oldCookie = session.cookie
        // Two tabs at the same moment, and the others at moments up to the end of the grace time.
        await inBatches(sessions, async (session) => {
          const pages = await Promise.all([tab(session.oldCookie), tab(session.oldCookie)])
          wrong.push(...unlike(session, pages))
        })
        for (const pause of pauses(random)) {
          await goAhead(pause)
          await inBatches(sessions, async (session) => {
            wrong.push(...unlike(session, [await tab(session.oldCookie)]))
          })
        }
      }
      const refreshes = server.counts.token - refreshesBefore
      const inGrace = [
        exactly('tabs without the new token', wrong.length, 0, { details: wrong.slice(0, 10) }),
        exactly('refreshes', refreshes, sessionCount * cycles),
        exactly('families revoked within the grace time', reuses(), 0),
        exactly(
          'events of trouble',
          (await app.call('events')).filter(({ type }) => /failed/.test(type)).length,
          0,
        ),
      ]
      await goAhead(grace + 1)
      const afterGrace = await tooLate(sessions, tab, url)
      const complaints = server.complaints.filter((complaint) => !complaint.includes('used again'))
      return [
        ...inGrace,
        ...afterGrace,
        exactly('other complaints of the server', complaints.length, 0, { details: complaints.slice(0, 10) }),
        exactly('unhandled rejections', app.rejections.length, 0, { details: app.rejections }),
      ]
    } finally {
      travelHome()
      await Promise.all([app.stop(), server.close()])
    }
  },
}

/**
 * After the grace time the old cookie is worth nothing: its user is sent to the login, once, and is in. The token in it
 * is from before the refresh, so the server sees it twice and ends the family, as RFC 9700 §4.14.2 wants it.
 */
async function tooLate(
  sessions: readonly Tabs[],
  tab: (cookie: string, path?: string) => Promise<Page>,
  url: string,
): Promise<Figure[]> {
  const answers: Page[] = []
  const visits: Page[] = []
  const logins: { page: Page; redirects: number }[] = []
  await inBatches(sessions, async ({ oldCookie }) => {
    answers.push(await tab(oldCookie))
    // The session is over for this cookie, and a page visit goes to the login.
    visits.push(await tab(oldCookie, '/private'))
    const browser = openBrowser()
    const page = await browser.visit(`${url}/private`)
    logins.push({
      page,
      redirects: browser.responses.filter(({ status }) => status < 400 && status > 300).length,
    })
  })
  const refused = answers.filter(({ status, body }) => status === 401 && body === 'login_required')
  const sentToLogin = visits.filter((page) => page.status === 302 && location(page).startsWith('/login?'))
  // The guard, the login, the authorization endpoint and the callback.
  const signedInAgain = logins.filter(({ page, redirects }) => page.status === 200 && redirects === 4)
  return [
    exactly('too late: told that a login is needed', refused.length, sessionCount),
    exactly('too late: pages that go to the login', sentToLogin.length, sessionCount),
    exactly('too late: signed in by one login', signedInAgain.length, sessionCount),
  ]
}

async function signedIn(url: string): Promise<Tabs> {
  const browser = openBrowser()
  const { body } = await signIn(browser, `${url}/token`)
  const cookie = await cookieHeader(browser, url)
  return { cookie, oldCookie: cookie, tokens: [body] }
}

/** What is wrong with answers to tabs that hold the old cookie, a line each. Their cookies go to the next cycle. */
function unlike(session: Tabs, pages: readonly Page[]): string[] {
  return pages.flatMap((page) => {
    const isFirst = session.cookie === session.oldCookie
    if (isFirst && page.status === 200 && !session.tokens.includes(page.body)) session.tokens.push(page.body)
    // Whichever tab comes last has the last word about the cookie.
    if (page.setCookies.length > 0) session.cookie = withNewCookies(session.oldCookie, page)
    if (page.status !== 200) return [`${page.status} ${page.body.slice(0, 100)}`]
    if (page.body !== session.tokens.at(-1)) return ['a token that is not the newest']
    return session.cookie === session.oldCookie ? ['no cookie came with the new token'] : []
  })
}

/** Seconds between the late tabs after the first two; all of them together are just within the grace time. */
function pauses(random: Random): number[] {
  const moments = Array.from({ length: lateTabs - 2 }, () => Math.floor(random() * (grace - 1)))
  const ordered = [...moments, grace - 1].toSorted((a, b) => a - b)
  return ordered.map((moment, index) => moment - (ordered[index - 1] ?? 0))
}

async function inBatches<T, R>(things: readonly T[], work: (thing: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (let start = 0; start < things.length; start += batch) {
    results.push(...(await Promise.all(things.slice(start, start + batch).map(async (one) => work(one)))))
  }
  return results
}
