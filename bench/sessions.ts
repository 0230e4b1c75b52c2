/**
 * What a session costs a page that reads it, and one that does not, beside peers. Each bout compares with bare Express that
 * gets the same cookies: a long header takes its time whoever reads it.
 */
import { startWorker, type Worker } from '../test/campaigns/support/workers.js'
import { openBrowser } from '../test/support/browser.js'
import { startFaultyServer } from '../test/support/faulty-server.js'
import { correctSteps } from '../test/support/faulty-server/steps.js'
import { cookieHeader } from '../test/support/requests.js'
import { race, type Contender, type Effort, type Score } from './bout.js'
import type { LoadWorker } from './load-worker.js'
import { bareExpress, passesOn, sessionContestants, type SessionContestant } from './session-contestants.js'
import type { SessionWorker } from './session-worker.js'

export interface SessionBout {
  readonly name: string
  /** Characters of a Cookie header. */
  readonly cookie: number
  readonly scores: readonly Score[]
}

/** Sessions that take turns. */
export const sessionCount = 200

export const peersOfSessions = Object.keys(sessionContestants).filter(
  (name) => name !== bareExpress && name !== passesOn,
)

export const withoutCookie = 'the same without a cookie'

/** `size` is that of the claims, in characters. */
export async function playSessions(
  name: string,
  size: number,
  load: Worker<LoadWorker>,
  effort: Effort,
): Promise<SessionBout> {
  const profile = 'a claim '.repeat(size / 8)
  const op = await startFaultyServer({
    // Without characters that some clients encode and others do not.
    clientId: 'client',
    clientSecret: 'secretOfTheClient',
    fault: { idTokenClaims: (...args) => ({ ...correctSteps.idTokenClaims(...args), profile }) },
  })
  const entry = new URL('session-worker.ts', import.meta.url)
  const { issuer, clientId, clientSecret } = op
  const server = await startWorker<SessionWorker>(entry, {
    names: [bareExpress, passesOn, name],
    profile,
    ...{ issuer, clientId, clientSecret },
  })
  try {
    const [bare = '', passing = '', url = ''] = server.ready
    const contestant = sessionContestants[name]
    if (!contestant) throw new Error(`there is no contestant ${name}`)
    op.register(`${url}/callback`)
    const cookies: string[] = []
    while (cookies.length < sessionCount) cookies.push(await cookieOf(contestant, url))
    await load.call('keep', { kind: name, texts: cookies })
    await load.call('keep', { kind: 'none', texts: ['text/plain'] })

    const withCookie = (label: string, page: string): Contender => ({
      name: label,
      url: page,
      tokens: { kind: name, count: sessionCount },
      shape: { before: 'Cookie: ' },
      status: 200,
    })
    const contenders = [
      withCookie(bareExpress, `${bare}/ignored`),
      withCookie(`${bareExpress} again`, `${bare}/ignored`),
      {
        ...withCookie(withoutCookie, `${bare}/ignored`),
        tokens: { kind: 'none', count: 1 },
        shape: { before: 'X-Kind: ' },
      },
      withCookie(passesOn, `${passing}/ignored`),
      withCookie('does not read', `${url}/ignored`),
      ...Object.entries(contestant.reads).map(([label, path]) => withCookie(label, url + path)),
    ]
    const scores = await race(contenders, server, load, effort)
    return { name, cookie: Math.max(...cookies.map(({ length }) => length)), scores }
  } finally {
    await server.stop()
    await op.close()
  }
}

/** The Cookie header of a user who has just begun a session, as it is a while later. */
export async function cookieOf({ begins }: SessionContestant, url: string): Promise<string> {
  const browser = openBrowser()
  if (begins === 'login') await browser.visit(`${url}/login`)
  else if (begins === 'page') await browser.visit(`${url}/begin`)
  else {
    const { csrfToken } = JSON.parse((await browser.visit(`${url}/auth/csrf`)).body) as { csrfToken: string }
    const body = new URLSearchParams({ csrfToken }).toString()
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    await browser.fetch(`${url}/auth/callback/credentials`, { method: 'POST', body, headers })
  }
  await browser.jar.store.removeCookie('localhost', '/', 'oauth.fresh')
  return cookieHeader(browser, url)
}
