/**
 * What pages of another site, and of a sibling domain, can do with the cookie of a user who is signed in. Chromium finds
 * each name below "localhost" on this machine and takes the last two labels for the site, as it does for "app.example".
 */
import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http'
import type { Duplex } from 'node:stream'
import express from 'express'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { oauthLogin, oauthProxy, requireLogin, upgradeListener, type OAuthEvent } from '../../lib/index.js'
import type { UpgradeListener } from '../support/app.js'
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
  /** Requests that arrived, as "GET /path"; handshakes of WebSockets are among them. */
  readonly arrived: string[]
  /** The headers of the last one. */
  headers(): IncomingHttpHeaders
  stop(): Promise<void>
}

interface Listeners {
  readonly requests: RequestListener
  readonly upgrades?: UpgradeListener
}

/** Listens on loopback; browsers know the server by this name. */
async function startSite(host: string, listeners: (url: string) => Listeners): Promise<Site> {
  const server = createServer()
  const url = (await listening(server)).replace('127.0.0.1', host)
  const arrived: string[] = []
  const upgraded = new Set<Duplex>()
  let headers: IncomingHttpHeaders = {}
  const { requests, upgrades } = listeners(url)
  for (const event of ['request', 'upgrade'])
    server.on(event, (request: Parameters<RequestListener>[0]) => {
      arrived.push(`${request.method} ${request.url}`)
      headers = request.headers
    })
  server.on('request', requests)
  if (upgrades)
    server.on('upgrade', (request, socket, head) => {
      upgraded.add(socket)
      upgrades(request, socket, head)
    })
  return {
    url,
    arrived,
    headers: () => headers,
    async stop() {
      for (const socket of upgraded) socket.destroy()
      await stopped(server)
    },
  }
}

/** As careless as an API can be: it lets every page read what it says. */
const carelessApi: RequestListener = (request, response) => {
  response.setHeader('access-control-allow-origin', request.headers.origin ?? '*')
  response.setHeader('access-control-allow-credentials', 'true')
  response.setHeader('access-control-allow-headers', 'x-csrf, content-type')
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ secret }))
}

/** It tells whoever opens a WebSocket, too. */
function tellingSockets(): UpgradeListener {
  const sockets = new WebSocketServer({ noServer: true })
  return (request, socket, head) =>
    sockets.handleUpgrade(request, socket, head, (opened) => opened.send(secret))
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
): (url: string) => Listeners {
  return (url) => {
    server.register(`${url}/callback`, `${url}/`)
    const app = express()
    const login = oauthLogin({
      ...registration(server),
      baseUrl: url,
      storage: 'cookie',
      secrets: [canary('cookie-secret')],
      user: true,
      logoutByGet: true,
      onEvent,
    })
    const proxy = oauthProxy({ prefix: '/bff', target: `${api}/v1`, token: 'user', webSockets: { login } })
    app.use(login, proxy)
    app.get('/', requireLogin(), (_request, response) => {
      response
        .set('content-security-policy', "frame-ancestors 'none'")
        .send('<!doctype html><h1>Signed in</h1>')
    })
    return { requests: app, upgrades: upgradeListener(proxy.upgrade) }
  }
}

/** Where an attack aims, at the user's app; the query tells it from the others that run at the same time. */
interface Aim {
  readonly app: string
  readonly target: string
  /** The attacker's own site. */
  readonly own: string
}

/** Runs at the attacker's page. What it gives is what it could read. */
type Attack = (page: Page, aim: Aim) => Promise<unknown>

interface NamedAttack {
  readonly what: string
  readonly path: string
  readonly attack: Attack
}

const script =
  (body: string): Attack =>
  (page, { target, own }) =>
    page.evaluate(`(async (target, own) => { ${body} })(${JSON.stringify(target)}, ${JSON.stringify(own)})`)

/** What a page of the app could do as well: the first message, or that there was none. */
const openSocket = `return new Promise((resolve) => {
  const socket = new WebSocket(target.replace(/^http/, 'ws'))
  socket.onmessage = ({ data }) => { socket.close(); resolve(data) }
  socket.onerror = () => resolve('closed')
})`

const read = (init: string) =>
  script(`return fetch(target, { credentials: 'include', ${init} }).then((answer) => answer.text(), String)`)

const tag = (name: string, attribute: string) =>
  script(
    `const element = Object.assign(document.createElement('${name}'), { ${attribute}: target })
     const over = new Promise((resolve) => (element.onload = element.onerror = resolve))
     document.body.append(element)
     await Promise.race([over, new Promise((resolve) => setTimeout(resolve, 500))])
     try { return String(element.contentDocument?.body.textContent) } catch { return 'closed' }`,
  )

const form =
  (attributes: string): Attack =>
  async (page, { app, target }) => {
    await page.setContent(
      `<form action="${target}" ${attributes}><input name='{"name":"' value='mine"}'><button>Win</button></form><iframe name="frame"></iframe>`,
    )
    const answer = page.waitForResponse((response) => response.url().startsWith(app))
    await page.getByRole('button').click()
    return (await answer).text().catch(() => '')
  }

const at = (path: string, attacks: Readonly<Record<string, Attack>>): NamedAttack[] =>
  Object.entries(attacks).map(([what, attack]) => ({ what, path, attack }))

/** They go elsewhere, or open what goes there: one after the other. */
const visits: readonly NamedAttack[] = at('/bff/projects', {
  'a form that posts': form('method="post"'),
  'a form that posts what looks like JSON': form('method="post" enctype="text/plain"'),
  'a form that posts files': form('method="post" enctype="multipart/form-data"'),
  'a form that gets': form('method="get"'),
  'a form into a frame': form('method="post" target="frame"'),
  async 'a form to itself, which sends it on'(page, { app, target, own }) {
    await page.setContent(
      `<form method="post" action="${own}/elsewhere?${encodeURIComponent(target)}"><button>Win</button></form>`,
    )
    const answer = page.waitForResponse((response) => response.url().startsWith(app))
    await page.getByRole('button').click()
    return (await answer).text()
  },
  async 'a link'(page, { app, target }) {
    await page.setContent(`<a href="${target}">Win</a>`)
    await page.getByRole('link').click()
    await page.waitForURL(`${app}/**`)
    return page.content()
  },
  'a window': script(
    `const other = open(target)
     await new Promise((resolve) => setTimeout(resolve, 300))
     try { return other.document.body.textContent } catch { return 'closed' } finally { other.close() }`,
  ),
})

/** They leave the page as it is: all at once. */
const calls: readonly NamedAttack[] = [
  ...at('/bff/projects', {
    'an image': tag('img', 'src'),
    'a script': tag('script', 'src'),
    'a frame': tag('iframe', 'src'),
    'an object': tag('object', 'data'),
    'an embed': tag('embed', 'src'),
    'a video': tag('video', 'src'),
    fetch: read(''),
    'fetch without CORS': read("mode: 'no-cors'"),
    'fetch with the header': read("headers: { 'x-csrf': '1' }"),
    'fetch with the header and without CORS': read("mode: 'no-cors', headers: { 'x-csrf': '1' }"),
    'fetch that posts': read("method: 'POST', body: '{}'"),
    'fetch that posts without CORS': read("method: 'POST', mode: 'no-cors', body: '{}'"),
    'fetch that posts JSON with the header': read(
      "method: 'POST', headers: { 'x-csrf': '1', 'content-type': 'application/json' }, body: '{}'",
    ),
    'fetch that deletes': read("method: 'DELETE', headers: { 'x-csrf': '1' }"),
    'fetch of itself, which sends it on': script(
      `return fetch(own + '/elsewhere?' + encodeURIComponent(target), {
         method: 'POST', credentials: 'include', body: '{}',
       }).then((answer) => answer.text(), String)`,
    ),
    'a beacon': script(`navigator.sendBeacon(target, '{}')`),
    'an event source': script(
      `const source = new EventSource(target, { withCredentials: true })
       return new Promise((resolve) => {
         source.onmessage = ({ data }) => resolve(data)
         source.onerror = () => { source.close(); resolve('closed') }
       })`,
    ),
    'a WebSocket': script(openSocket),
  }),
  ...at('/user', {
    'fetch of who is signed in': read("headers: { 'x-csrf': '1' }"),
    'a script of who is signed in': tag('script', 'src'),
    'a frame of who is signed in': tag('iframe', 'src'),
  }),
  ...at('/', { 'a frame of the page itself': tag('iframe', 'src') }),
  ...at('/login?returnTo=/bff/projects', { 'a frame of the login': tag('iframe', 'src') }),
]

const logoutVisits = at('/logout', {
  'a form': form('method="post"'),
  'a form that gets': form('method="get"'),
  'a form into a frame': form('method="post" target="frame"'),
})

const logoutCalls = at('/logout', {
  'an image': tag('img', 'src'),
  'a frame': tag('iframe', 'src'),
  fetch: read("method: 'POST', mode: 'no-cors'"),
  'fetch with the header': read("method: 'POST', headers: { 'x-csrf': '1' }"),
})

describe.skipIf(!hasChromium)('a user of app.localhost, signed in,', () => {
  let server: FaultyServer
  let api: Site
  let app: Site
  let browser: Browser
  let context: BrowserContext
  const events: OAuthEvent[] = []

  beforeAll(async () => {
    server = await startFaultyServer()
    api = await startSite('127.0.0.1', () => ({ requests: carelessApi, upgrades: tellingSockets() }))
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
    const requests = ['GET', 'POST'].map(
      (method) => `fetch('/bff/projects', { method: '${method}', headers: { 'x-csrf': '1' } })`,
    )
    const answers = await own<string[]>(
      `return Promise.all([${requests.join()}].map(async (call) => (await call).text()))`,
    )
    expect(answers).toEqual([JSON.stringify({ secret }), JSON.stringify({ secret })])
    expect(api.arrived.toSorted()).toEqual(['GET /v1/projects', 'POST /v1/projects'])
    const heard = await own(`const target = location.origin + '/bff/feed'; ${openSocket}`)
    expect([heard, api.arrived.at(-1)]).toEqual([secret, 'GET /v1/feed'])
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
      attacker = await startSite(host, () => ({ requests: emptyPage }))
      page = await context.newPage()
    })
    afterAll(async () => {
      await page?.close()
      await attacker?.stop()
    })
    beforeEach(() => page.goto(attacker.url))

    const aimed = (path: string, mark = ''): Aim => ({
      app: app.url,
      target: app.url + path + mark,
      own: attacker.url,
    })

    /** What came of it that must not, by whatever could be read. */
    const gained = (readable: unknown) => ({
      atApi: api.arrived,
      logins: server.counts.authorize - 1,
      read: [secret, 'session_expires_in', 'Signed in'].filter((text) => String(readable).includes(text)),
      logouts: events.filter(({ type }) => type === 'logout'),
    })
    const nothing = { atApi: [], logins: 0, read: [], logouts: [] }

    /** Runs them all, and makes sure that the requests of each have come; gives what they could read. */
    async function atOnce(attacks: readonly NamedAttack[]): Promise<string> {
      const readable = await Promise.all(
        attacks.map(async ({ what, path, attack }, index) => {
          const mark = `${path.includes('?') ? '&' : '?'}attack=${index}.`
          const text = await attack(page, aimed(path, mark))
          const hasCome = () => app.arrived.some((request) => request.endsWith(mark))
          await expect.poll(hasCome, { message: `requests of ${what}`, timeout: 10_000 }).toBe(true)
          return `${what}: ${String(text)}`
        }),
      )
      return readable.join('\n')
    }

    test('which the browser knows for what it is', async () => {
      await read("mode: 'no-cors'")(page, aimed('/bff/projects'))
      const headers = app.headers()
      expect(headers['sec-fetch-site']).toBe(relation)
      // The cookie of a site goes with the requests of its siblings: it is not what keeps them out.
      expect('cookie' in headers).toBe(relation === 'same-site')
    })

    test.each(visits)('T108 $what reaches no API and reads nothing', async ({ path, attack }) => {
      const readable = await attack(page, aimed(path))
      expect(app.arrived.length, 'requests of the attack').toBeGreaterThan(0)
      expect(gained(readable)).toEqual(nothing)
    })

    test('T108 T115 no tag, script or WebSocket reaches the API or reads anything', async () => {
      expect(gained(await atOnce(calls))).toEqual(nothing)
    })

    test.each(logoutVisits)('T49 $what signs nobody out', async ({ path, attack }) => {
      const readable = await attack(page, aimed(path))
      expect(app.arrived.length, 'requests of the attack').toBeGreaterThan(0)
      expect(gained(readable)).toEqual(nothing)
    })

    test('T49 no tag and no script signs anybody out', async () => {
      expect(gained(await atOnce(logoutCalls))).toEqual(nothing)
    })

    test('and is signed in still', async () => {
      expect(await own('return document.body.textContent')).toBe('Signed in')
    })
  })
})
