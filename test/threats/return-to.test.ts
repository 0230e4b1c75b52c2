/** Threats to where a user goes after login and logout: every Location is judged as browsers parse it. */
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { oauthLogin, requireLogin } from '../../lib/index.js'
import { startApp, type App } from '../support/app.js'
import { openBrowser, type Browser, type Page } from '../support/browser.js'
import { startFaultyServer, type FaultyServer } from '../support/faulty-server.js'
import { absoluteForm, bare, cookieHeader, location, ownForm, typed } from '../support/requests.js'
import { leaves, nastiest, openRedirects } from './support/open-redirects.js'
import { chain, serve } from '../support/serve.js'
import { registration } from '../support/stage.js'

let server: FaultyServer
let app: App

beforeAll(async () => {
  server = await startFaultyServer()
  app = await startApp({ options: registration(server) })
  server.register(app.callbackUrl, app.url)
  return async () => {
    await app.close()
    await server.close()
  }
})

describe('the list of payloads', () => {
  it('is long, and would lead astray whoever trusts it', () => {
    expect(openRedirects.length).toBeGreaterThan(400)
    const origin = 'https://app.example'
    const usualCheck = (payload: string) => payload.startsWith('/') && !payload.startsWith('//')
    const leaving = openRedirects.filter((payload) => leaves(payload, origin))
    const rebuilt = openRedirects.filter(
      (payload) => !leaves(payload, origin) && leaves(rebuiltPath(payload, origin), origin),
    )
    expect(leaving.length).toBeGreaterThan(200)
    expect(leaving.filter(usualCheck).length).toBeGreaterThan(20)
    expect(rebuilt.length).toBeGreaterThan(40)
  })

  /** The mistake of those who check the origin and then send the path. */
  function rebuiltPath(payload: string, origin: string): string {
    const { pathname, search } = new URL(payload, `${origin}/`)
    return pathname + search
  }
})

describe('T14 open redirect by returnTo', () => {
  it('encoded in the query of the login', async () => {
    const ends = await eachOf(openRedirects, async (payload) =>
      endOfLogin(`/login?${new URLSearchParams({ returnTo: payload }).toString()}`),
    )
    expect(strays(ends)).toEqual([])
  })

  it('as it stands in the query of the login', async () => {
    const legible = openRedirects.filter((payload) => /^[\x21\x24-\x7e]+$/.test(payload))
    expect(legible.length).toBeGreaterThan(200)
    expect(
      strays(await eachOf(legible, async (payload) => endOfLogin(`/login?returnTo=${payload}`))),
    ).toEqual([])
  })

  it('twice, the first harmless or not', async () => {
    const pairs = openRedirects.slice(0, 40).map((payload) => encodeURIComponent(payload))
    const queries = pairs.flatMap((payload) => [`/&returnTo=${payload}`, `${payload}&returnTo=/`])
    expect(strays(await eachOf(queries, async (query) => endOfLogin(`/login?returnTo=${query}`)))).toEqual([])
  })

  it('as the target of a request that a guard sends to the login', async () => {
    const targets = openRedirects.filter((payload) => /^\/(?!log|callback)[\x21-\x7e]*$/.test(payload))
    expect(targets.length).toBeGreaterThan(150)
    const url = await guardedEverywhere()
    const logins = await eachOf(targets, async (target) => location(await absoluteForm(url, target, typed)))
    expect(logins.every((login) => login.startsWith('/login?returnTo='))).toBe(true)
    expect(strays(await eachOf(logins, endOfLogin))).toEqual([])
  })

  it('of its own paths, which would be a circle or a sign-out', async () => {
    const paths = ['/login', '/logout', '/callback', '/login?a=b', '/logout#a', '/./logout', '/a/../callback']
    expect(
      new Set(await eachOf(paths, async (path) => endOfLogin(`/login?returnTo=${encodeURIComponent(path)}`))),
    ).toEqual(new Set(['/']))
  })

  it('and an honest path is kept', async () => {
    const paths = ['/', '/private', '/a/b?c=d&e=%2F%2Fevil.example#f', '/a//b', '/%E2%82%AC', '/@a:b;c,d']
    const ends = await eachOf(paths, async (path) =>
      endOfLogin(`/login?returnTo=${encodeURIComponent(path)}`),
    )
    expect(ends).toEqual(paths)
  })

  it.each(['//evil.example', '/\\evil.example', 'https://evil.example', '/.//evil.example', ''])(
    'is refused as an option, too: "%s"',
    (returnTo) => {
      for (const name of ['returnTo', 'postLogoutReturnTo'])
        expect(() => oauthLogin({ ...valid(app.url), [name]: returnTo })).toThrow(`"${name}"`)
    },
  )
})

describe('T50 open redirect after logout', () => {
  it('of a user who is signed out already', async () => {
    const ends = await eachOf(openRedirects, async (returnTo) => location(await logout({ returnTo })))
    expect(strays(ends)).toEqual([])
  })

  it('by way of the authorization server, for the 60 nastiest', async () => {
    const ends = await eachOf(nastiest(60, app.url), async (returnTo) => {
      const page = await logout({ returnTo }, await user())
      const url = String(page.headers['refresh']).replace(/^0; url=/, '')
      expect(url).toMatch(new RegExp(`^${server.issuer}/end-session\\?`))
      return new URL(url).searchParams.getAll('post_logout_redirect_uri').join(' ')
    })
    expect(strays(ends)).toEqual([])
  })

  it('asked for by a script', async () => {
    const ends = await eachOf(openRedirects, async (returnTo) => {
      const page = await logout({ returnTo }, '', { 'sec-fetch-mode': 'cors' })
      return (JSON.parse(page.body) as { location: string }).location
    })
    expect(strays(ends)).toEqual([])
  })

  it('by GET, where that is allowed', async () => {
    const byGet = await startApp({ options: { ...registration(server), logoutByGet: true } })
    onTestFinished(() => byGet.close())
    const ends = await eachOf(openRedirects, async (returnTo) => {
      const url = `${byGet.url}/logout?${new URLSearchParams({ returnTo }).toString()}`
      return location(await bare(url, typed))
    })
    expect(strays(ends)).toEqual([])
  })
})

/** The ends that a browser would read as another site, or that hold what a header must not. */
function strays(ends: readonly string[]): string[] {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return ends.filter((end) => leaves(end, app.url) || /[\x00-\x20\x7f\\]/.test(end))
}

/** From a login path to the answer of the callback. */
async function endOfLogin(path: string): Promise<string> {
  const browser: Browser = openBrowser()
  const login = await browser.visit(app.url + path, { follow: false })
  const answer = await browser.visit(location(login), { follow: false })
  return location(await browser.visit(location(answer), { follow: false }))
}

/** The cookies of somebody who has signed in. */
async function user(): Promise<string> {
  const browser = openBrowser()
  await browser.visit(`${app.url}/private`)
  return cookieHeader(browser, app.url)
}

async function logout(
  fields: Readonly<Record<string, string>>,
  cookie = '',
  headers: Readonly<Record<string, string>> = {},
): Promise<Page> {
  const body = new URLSearchParams(fields).toString()
  return bare(
    `${app.url}/logout`,
    { ...ownForm, ...headers, ...(cookie !== '' && { cookie }) },
    { method: 'POST', body },
  )
}

async function guardedEverywhere(): Promise<string> {
  return serve((url) => chain(oauthLogin(valid(url)), requireLogin()))
}

function valid(baseUrl: string): Parameters<typeof oauthLogin>[0] {
  return {
    ...registration(server),
    baseUrl,
    storage: 'cookie',
    secrets: ['Zp3vKq8sXw1yB5nM7tRc2dFg4hJk6lQa'],
  }
}

/** Twenty at a time. */
async function eachOf<T>(values: readonly string[], run: (value: string) => Promise<T>): Promise<T[]> {
  const results: T[] = []
  for (let start = 0; start < values.length; start += 20) {
    results.push(...(await Promise.all(values.slice(start, start + 20).map(run))))
  }
  return results
}
