/**
 * What pages of another site, and of a sibling domain, can do with the cookie of a user who is signed in. Chromium finds
 * each name below "localhost" on this machine and takes the last two labels for the site, as it does for "app.example".
 */
import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http'
import express from 'express'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { oauthLogin, oauthProxy, requireLogin, type OAuthEvent } from '../../lib/index.js'
import { canary } from '../support/canaries.js'
import { hasChromium, launchChromium, needChromium } from '../support/chromium.js'
import { startFaultyServer, type FaultyServer } from '../support/faulty-server.js'
import { listening, stopped } from '../support/listening.js'
import { registration } from '../support/stage.js'

needChromium()

/** What the API would tell whoever gets through. */
const secret = 'the plan for next year'

interface Site {
  readonly url: string
  /** Requests that arrived, as "GET /path". */
  readonly arrived: string[]
  /** The headers of the last one. */
  headers(): IncomingHttpHeaders
  stop(): Promise<void>
}

/** Listens on loopback; browsers know the server by this name. */
async function startSite(host: string, listener: (url: string) => RequestListener): Promise<Site> {
  const server = createServer()
  const url = (await listening(server)).replace('127.0.0.1', host)
  const arrived: string[] = []
  let headers: IncomingHttpHeaders = {}
  server.on('request', (request) => {
    arrived.push(`${request.method} ${request.url}`)
    headers = request.headers
  })
  server.on('request', listener(url))
  return { url, arrived, headers: () => headers, stop: () => stopped(server) }
}

/** As careless as an API can be: it lets every page read what it says. */
const carelessApi: RequestListener = (request, response) => {
  response.setHeader('access-control-allow-origin', request.headers.origin ?? '*')
  response.setHeader('access-control-allow-credentials', 'true')
  response.setHeader('access-control-allow-headers', 'x-csrf, content-type')
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ secret }))
}

const emptyPage: RequestListener = (request, response) => {
  if (request.url?.startsWith('/elsewhere?') === true) {
    // Sends what was posted on, as it came.
    response.writeHead(307, { location: decodeURIComponent(request.url.slice('/elsewhere?'.length)) }).end()
  } else {
    response.setHeader('content-type', 'text/html')
    response.end('<!doctype html><title>A page of somebody else</title><body>')
  }
}

function appFor(
  server: FaultyServer,
  api: string,
  onEvent: (event: OAuthEvent) => void,
): (url: string) => RequestListener {
  return (url) => {
    server.register(`${url}/callback`, `${url}/`)
    const app = express()
    app.use(
      oauthLogin({
        ...registration(server),
        baseUrl: url,
        storage: 'cookie',
        secrets: [canary('cookie-secret')],
        user: true,
        logoutByGet: true,
        onEvent,
      }),
    )
    app.use(oauthProxy({ prefix: '/bff', target: `${api}/v1`, token: 'user' }))
    app.get('/', requireLogin(), (_request, response) => {
      response
        .set('content-security-policy', "frame-ancestors 'none'")
        .send('<!doctype html><h1>Signed in</h1>')
    })
    return app
  }
}

/** Scripts run at the attacker's page; `app` is the address of the user's. What they give is what they could read. */
type Attack = (page: Page, app: string, own: string) => Promise<unknown>

const script =
  (body: string): Attack =>
  (page, app, own) =>
    page.evaluate(`(async (app, own) => { ${body} })(${JSON.stringify(app)}, ${JSON.stringify(own)})`)

const read = (init: string, path = '/bff/projects') =>
  script(
    `return fetch(app + '${path}', { credentials: 'include', ${init} }).then((answer) => answer.text(), String)`,
  )

const tag = (name: string, attribute: string, path = '/bff/projects') =>
  script(
    `const element = Object.assign(document.createElement('${name}'), { ${attribute}: app + '${path}' })
     const over = new Promise((resolve) => (element.onload = element.onerror = resolve))
     document.body.append(element)
     await Promise.race([over, new Promise((resolve) => setTimeout(resolve, 500))])
     try { return String(element.contentDocument?.body.textContent) } catch { return 'closed' }`,
  )

const form =
  (attributes: string, path = '/bff/projects'): Attack =>
  async (page, app) => {
    await page.setContent(
      `<form action="${app}${path}" ${attributes}><input name='{"name":"' value='mine"}'><button>Win</button></form><iframe name="frame"></iframe>`,
    )
    const answer = page.waitForResponse((response) => response.url().startsWith(app))
    await page.getByRole('button').click()
    return (await answer).text().catch(() => '')
  }

const attacks: readonly (readonly [what: string, attack: Attack])[] = [
  ['a form that posts', form('method="post"')],
  ['a form that posts what looks like JSON', form('method="post" enctype="text/plain"')],
  ['a form that posts files', form('method="post" enctype="multipart/form-data"')],
  ['a form that gets', form('method="get"')],
  ['a form into a frame', form('method="post" target="frame"')],
  [
    'a form to itself, which sends it on',
    async (page, app, own) => {
      await page.setContent(
        `<form method="post" action="${own}/elsewhere?${encodeURIComponent(`${app}/bff/projects`)}"><button>Win</button></form>`,
      )
      const answer = page.waitForResponse((response) => response.url().startsWith(app))
      await page.getByRole('button').click()
      return (await answer).text()
    },
  ],
  [
    'a link',
    async (page, app) => {
      await page.setContent(`<a href="${app}/bff/projects">Win</a>`)
      await page.getByRole('link').click()
      await page.waitForURL(`${app}/**`)
      return page.content()
    },
  ],
  [
    'a window',
    script(
      `const other = open(app + '/bff/projects')
       await new Promise((resolve) => setTimeout(resolve, 300))
       try { return other.document.body.textContent } catch { return 'closed' } finally { other.close() }`,
    ),
  ],
  ['an image', tag('img', 'src')],
  ['a script', tag('script', 'src')],
  ['a frame', tag('iframe', 'src')],
  ['an object', tag('object', 'data')],
  ['an embed', tag('embed', 'src')],
  ['a video', tag('video', 'src')],
  ['fetch', read('')],
  ['fetch without CORS', read("mode: 'no-cors'")],
  ['fetch with the header', read("headers: { 'x-csrf': '1' }")],
  ['fetch with the header and without CORS', read("mode: 'no-cors', headers: { 'x-csrf': '1' }")],
  ['fetch that posts', read("method: 'POST', body: '{}'")],
  ['fetch that posts without CORS', read("method: 'POST', mode: 'no-cors', body: '{}'")],
  [
    'fetch that posts JSON with the header',
    read("method: 'POST', headers: { 'x-csrf': '1', 'content-type': 'application/json' }, body: '{}'"),
  ],
  ['fetch that deletes', read("method: 'DELETE', headers: { 'x-csrf': '1' }")],
  [
    'fetch of itself, which sends it on',
    script(
      `return fetch(own + '/elsewhere?' + encodeURIComponent(app + '/bff/projects'), {
         method: 'POST', credentials: 'include', body: '{}',
       }).then((answer) => answer.text(), String)`,
    ),
  ],
  [
    'a beacon',
    script(
      `navigator.sendBeacon(app + '/bff/projects', '{}')
       await new Promise((resolve) => setTimeout(resolve, 200))`,
    ),
  ],
  [
    'an event source',
    script(
      `const source = new EventSource(app + '/bff/projects', { withCredentials: true })
       return new Promise((resolve) => {
         source.onmessage = ({ data }) => resolve(data)
         source.onerror = () => { source.close(); resolve('closed') }
       })`,
    ),
  ],
  ['fetch of who is signed in', read("headers: { 'x-csrf': '1' }", '/user')],
  ['a script of who is signed in', tag('script', 'src', '/user')],
  ['a frame of who is signed in', tag('iframe', 'src', '/user')],
  ['a frame of the page itself', tag('iframe', 'src', '/')],
  ['a frame of the login', tag('iframe', 'src', '/login?returnTo=/bff/projects')],
]

const logouts: readonly (readonly [what: string, attack: Attack])[] = [
  ['a form', form('method="post"', '/logout')],
  ['a form that gets', form('method="get"', '/logout')],
  ['a form into a frame', form('method="post" target="frame"', '/logout')],
  ['an image', tag('img', 'src', '/logout')],
  ['a frame', tag('iframe', 'src', '/logout')],
  ['fetch', read("method: 'POST', mode: 'no-cors'", '/logout')],
  ['fetch with the header', read("method: 'POST', headers: { 'x-csrf': '1' }", '/logout')],
]

describe.skipIf(!hasChromium)('a user of app.localhost, signed in,', () => {
  let server: FaultyServer
  let api: Site
  let app: Site
  let browser: Browser
  let context: BrowserContext
  const events: OAuthEvent[] = []

  beforeAll(async () => {
    server = await startFaultyServer()
    api = await startSite('127.0.0.1', () => carelessApi)
    app = await startSite(
      'app.localhost',
      appFor(server, api.url, (event) => events.push(event)),
    )
    browser = await launchChromium()
    context = await browser.newContext()
    const page = await context.newPage()
    await page.goto(`${app.url}/`)
    await page.getByText('Signed in').waitFor()
    await page.close()
  })
  afterAll(async () => {
    await browser?.close()
    await Promise.all([app?.stop(), api?.stop(), server?.close()])
  })
  beforeEach(() => {
    for (const site of [app, api]) site.arrived.length = 0
  })

  async function own<T>(body: string): Promise<T> {
    const page = await context.newPage()
    await page.goto(`${app.url}/`)
    try {
      return (await page.evaluate(`(async () => { ${body} })()`)) as T
    } finally {
      await page.close()
    }
  }

  test('may do by a page of the app what others may not', async () => {
    const calls = ['GET', 'POST'].map(
      (method) => `fetch('/bff/projects', { method: '${method}', headers: { 'x-csrf': '1' } })`,
    )
    const answers = await own<string[]>(
      `return Promise.all([${calls.join()}].map(async (call) => (await call).text()))`,
    )
    expect(answers).toEqual([JSON.stringify({ secret }), JSON.stringify({ secret })])
    expect(api.arrived.toSorted()).toEqual(['GET /v1/projects', 'POST /v1/projects'])
  })

  test('T108 but not without the header', async () => {
    const statuses = await own<number[]>(
      `const calls = ['GET', 'POST'].map((method) => fetch('/bff/projects', { method }))
       return (await Promise.all(calls)).map(({ status }) => status)`,
    )
    expect([statuses, api.arrived]).toEqual([[403, 403], []])
  })

  describe.each([
    ['of another site', 'evil.localhost', 'cross-site'],
    ['of a sibling domain', 'blog.app.localhost', 'same-site'],
  ])('attacked by a page %s', (_whose, host, relation) => {
    let attacker: Site
    let page: Page

    beforeAll(async () => {
      attacker = await startSite(host, () => emptyPage)
      page = await context.newPage()
    })
    afterAll(async () => {
      await page?.close()
      await attacker?.stop()
    })
    beforeEach(() => page.goto(attacker.url))

    test('which the browser knows for what it is', async () => {
      await read("mode: 'no-cors'")(page, app.url, attacker.url)
      const headers = app.headers()
      expect(headers['sec-fetch-site']).toBe(relation)
      // The cookie of a site goes with the requests of its siblings: it is not what keeps them out.
      expect('cookie' in headers).toBe(relation === 'same-site')
    })

    test.each(attacks)('T108 %s reaches no API and reads nothing', async (_what, attack) => {
      const readable = await attack(page, app.url, attacker.url)
      expect(app.arrived.length, 'requests of the attack').toBeGreaterThan(0)
      expect(api.arrived).toEqual([])
      expect(server.counts.authorize, 'logins').toBe(1)
      expect(String(readable)).not.toContain(secret)
      expect(String(readable)).not.toContain('session_expires_in')
      expect(String(readable)).not.toContain('Signed in')
    })

    test.each(logouts)('T49 %s signs nobody out', async (_what, attack) => {
      await attack(page, app.url, attacker.url)
      expect(app.arrived.length, 'requests of the attack').toBeGreaterThan(0)
      expect(events.filter(({ type }) => type === 'logout')).toEqual([])
    })

    test('and is signed in still', async () => {
      expect(await own('return document.body.textContent')).toBe('Signed in')
    })
  })
})
