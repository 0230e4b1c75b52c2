/** Users of an application that have connected accounts, as campaigns need them. */
import type { Browser } from '../../support/browser.js'
import type { UserServer } from '../../support/user-server.js'

export interface Listed {
  readonly id: string
  readonly provider: string
  readonly status: string
  readonly reason?: string
  readonly label: string
  readonly account_id: string
}

/** A browser whose user is signed in at the application. */
export async function signedInAt(url: string, login: UserServer, user: string): Promise<Browser> {
  const browser = await login.openBrowser(user)
  const page = await browser.visit(`${url}/`)
  if (page.status !== 200 || page.url !== `${url}/`) throw new Error(`the login ended with ${page.status}`)
  return browser
}

/**
 * Presses "connect", goes to the provider and comes back. `account` is who they are there, where a server wants it in the
 * request. Gives the address and the status of the page that it ends at.
 */
export async function connect(
  browser: Browser,
  url: string,
  provider: string,
  account?: string,
): Promise<string> {
  const started = await post(browser, `${url}/connections/${provider}/connect`)
  if (started.status !== 200) return `${started.status} ${started.body}`
  const target = new URL((JSON.parse(started.body) as { location: string }).location)
  if (account !== undefined) target.searchParams.set('login_hint', account)
  const page = await browser.click(target.href)
  return `${page.status} ${page.url}`
}

/** As a script of the site does. */
export async function post(browser: Browser, url: string): Promise<{ status: number; body: string }> {
  return browser.fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-csrf': '1' },
    body: '{}',
  })
}

/** The list, as a script of the site gets it. Throws for any other answer. */
export async function list(browser: Browser, url: string): Promise<readonly Listed[]> {
  const { status, body } = await browser.fetch(`${url}/connections`, { headers: { 'x-csrf': '1' } })
  if (status !== 200) throw new Error(`the list was answered with ${status}: ${body.slice(0, 200)}`)
  return (JSON.parse(body) as { connections: Listed[] }).connections
}

/** Does the work for each, so many at a time. */
export async function inLanes<T>(
  lanes: number,
  things: readonly T[],
  work: (thing: T) => Promise<void>,
): Promise<void> {
  const rest = things.values()
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      for (const thing of rest) await work(thing)
    }),
  )
}
