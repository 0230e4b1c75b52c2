/** A page that calls the app by `api.js`, while the session ends under it. */
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import onHeaders from 'on-headers'
import type { BrowserContext, Cookie, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createAuthorizationServer } from '../../example-app/src/authorization-server.js'
import { getAuth, requireLogin } from '../../lib/index.js'
import { startApp, type App } from '../support/app.js'
import { hasChromium, launchProfile, needChromium, type Profile } from '../support/chromium.js'
import { signInAs } from '../support/demo-pages.js'
import { listening, stopped } from '../support/listening.js'
import { serve } from '../support/serve.js'

needChromium()

const snippet = readFileSync('example-app/public/api.js')

/** A page as it is in an app: it sends notes, and shows a way in where there is none. */
const pageScript = `
import { api, user } from '/api.js'
window.user = async (options) => (await user(options))?.claims.sub ?? null
window.send = (notes) => Promise.all(notes.map(async (body) => {
  try {
    const answer = await api('/echo', { method: 'POST', body })
    return answer.status + ' ' + await answer.text()
  } catch (error) {
    document.querySelector('button').onclick = error.signIn
    return String(error)
  }
}))
`

let profile: Profile
beforeAll(async () => {
  if (hasChromium) profile = await launchProfile()
})
afterAll(() => profile?.close())

describe.skipIf(!hasChromium).each([
  { storage: 'cookie', responseMode: 'query', sites: 'one site', host: 'localhost', frames: true },
  { storage: 'session', responseMode: 'form_post', sites: 'two sites', host: '127.0.0.1', frames: true },
  { storage: 'cookie', responseMode: 'query', sites: 'two sites', host: '127.0.0.1', frames: false },
] as const)('app and server on $sites, the server known in frames: $frames', (made) => {
  const { storage, responseMode, host, frames } = made
  const authorizationServer = createServer()
  let issuer: string
  let app: App
  let context: BrowserContext
  let page: Page
  let signedIn: Cookie[]
  let showsPages = false
  /** Requests of the authorization endpoint. */
  let asked: URLSearchParams[] = []

  beforeAll(async () => {
    context = profile.context
    issuer = await listening(authorizationServer, host)
    const client = { client_id: 'spa', client_secret: 'the secret of this client' }
    app = await startApp({
      storage,
      options: { issuer, clientId: client.client_id, clientSecret: client.client_secret, responseMode },
      routes: (router) => {
        router.get('/page', showPage)
        router.get('/api.js', script(snippet))
        router.get('/page.js', script(pageScript))
        router.get('/user', requireLogin(), (request, response) => {
          response.end(JSON.stringify({ claims: getAuth(request).claims }))
        })
        router.use(echo)
      },
    })
    const server = createAuthorizationServer({
      issuer,
      apiUrl: 'https://api.example',
      clients: [{ ...client, redirect_uris: [app.callbackUrl] }],
    })
    authorizationServer.on('request', (request, response) => {
      const url = new URL(request.url ?? '/', issuer)
      if (url.pathname === '/auth') asked.push(url.searchParams)
      // Most servers do not: their cookie is `Lax`, and no frame of another site gets it.
      if (frames) forFrames(response)
      if (showsPages) response.end('Please sign in')
      else server(request, response)
    })
    page = await context.newPage()
    await page.goto(`${app.url}/login?returnTo=/page`)
    await signInAs('alice', page)
    await page.waitForURL(`${app.url}/page`)
    signedIn = await context.cookies()
    await page.close()
  })
  afterAll(async () => {
    await app?.close()
    await stopped(authorizationServer)
  })

  beforeEach(async () => {
    await context.clearCookies()
    await context.addCookies(signedIn)
    page = await context.newPage()
    await page.goto(`${app.url}/page`)
    asked = []
  })
  afterEach(async () => {
    showsPages = false
    await page.close()
  })

  const endSession = () => context.clearCookies({ name: /^(?:oauth|connect)/ })
  const endSessionAtServer = () => context.clearCookies({ name: /^example_id/ })

  /** Sends notes at once; what became of each. */
  const send = (...notes: string[]) => page.evaluate<string[]>(`send(${JSON.stringify(notes)})`)
  /** The name of who is signed in. */
  const user = (options = {}) => page.evaluate<string | null>(`user(${JSON.stringify(options)})`)
  const signInNeeded = 'Error: You need to sign in again.'

  test.runIf(frames)('a call survives the end of the session, and the page never leaves', async () => {
    expect(await user()).toBe('alice')
    await endSession()
    const moves: string[] = []
    page.on('framenavigated', (frame) => {
      if (frame === page.mainFrame()) moves.push(frame.url())
    })
    expect(await send('one', 'two', 'three')).toEqual([
      '200 alice: one',
      '200 alice: two',
      '200 alice: three',
    ])
    expect(asked.map((query) => query.get('prompt'))).toEqual(['none'])
    expect(await send('four')).toEqual(['200 alice: four'])
    expect([moves, await page.locator('iframe').count(), asked.length]).toEqual([[], 0, 1])
    expect(await page.evaluate('document.cookie')).toBe('')
  })

  test.runIf(host === 'localhost')(
    'where the server has ended its session, too, the page offers the login, and comes back from it',
    async () => {
      await endSession()
      await endSessionAtServer()
      expect(await send('one', 'two')).toEqual([signInNeeded, signInNeeded])
      expect(await send('three')).toEqual([signInNeeded])
      expect(asked).toHaveLength(1)
      expect(await page.locator('iframe').count()).toBe(0)
      await page.getByRole('button', { name: 'Sign in again' }).click()
      await signInAs('alice', page)
      await page.waitForURL(`${app.url}/page`)
      expect(await send('four')).toEqual(['200 alice: four'])
    },
  )

  test.runIf(host === 'localhost')(
    'who is signed in is asked without a login, unless one is wanted',
    async () => {
      await endSession()
      expect([await user(), asked.length]).toEqual([null, 0])
      expect([await user({ renew: true }), asked.length]).toEqual(['alice', 1])
    },
  )

  test.runIf(host === 'localhost')('a call is not repeated as somebody else', async () => {
    expect(await user()).toBe('alice')
    await endSession()
    await endSessionAtServer()
    const other = await context.newPage()
    await other.goto(`${app.url}/login?returnTo=/page`)
    await signInAs('bob', other)
    await other.waitForURL(`${app.url}/page`)
    await endSession()
    expect(await send('from alice')).toEqual([signInNeeded])
    expect(await user()).toBe(null)
  })

  test.runIf(host === 'localhost')(
    'a server that shows a page in spite of "prompt=none" is given up after five seconds',
    async () => {
      await endSession()
      showsPages = true
      await page.clock.install()
      const shown = page.waitForResponse((response) => response.url().startsWith(issuer))
      const sent = send('one')
      await shown
      await page.clock.runFor(3_000)
      expect(await page.locator('iframe').count()).toBe(1)
      await page.clock.runFor(3_000)
      expect(await sent).toEqual([signInNeeded])
      expect(await page.locator('iframe').count()).toBe(0)
    },
  )

  test.runIf(!frames)(
    'only a visit finds the session at the server: the page offers it, and nobody is asked anything',
    async () => {
      await endSession()
      expect(await send('one')).toEqual([signInNeeded])
      await page.getByRole('button', { name: 'Sign in again' }).click()
      await page.waitForURL(`${app.url}/page`)
      expect(await send('two')).toEqual(['200 alice: two'])
    },
  )

  test.runIf(host === 'localhost')('a page of another site cannot have it done in a frame', async () => {
    await endSession()
    const frame = `<iframe src="${app.url}/login?prompt=none&returnTo=/page"></iframe>`
    const foreign = await serve(() => (_request, response) => response.end(frame))
    const answered = page.waitForResponse((response) => response.url().startsWith(`${app.url}/login`))
    await page.goto(foreign.replace('localhost', '127.0.0.1'))
    expect([(await answered).status(), asked.length]).toEqual([401, 0])
    expect((await context.cookies(app.url)).filter(({ name }) => name.startsWith('oauth'))).toEqual([])
  })

  function showPage(_request: IncomingMessage, response: ServerResponse): void {
    // As the documentation has it.
    const policy = `default-src 'none'; script-src 'self'; connect-src 'self'; frame-src 'self' ${issuer}; frame-ancestors 'self'`
    response.setHeader('content-security-policy', policy)
    response.setHeader('content-type', 'text/html')
    response.end(
      '<!doctype html><title>A page</title><script type="module" src="/page.js"></script><button>Sign in again</button>',
    )
  }
})

function script(text: string | Buffer) {
  return (_request: IncomingMessage, response: ServerResponse) => {
    response.setHeader('content-type', 'text/javascript')
    response.end(text)
  }
}

/** A guarded API of the app that wants the header of `api.js`. */
function echo(request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void): void {
  if (request.url !== '/echo' || request.method !== 'POST' || request.headers['x-csrf'] === undefined) {
    next()
    return
  }
  requireLogin()(request, response, (error) => {
    if (error !== undefined) {
      next(error)
      return
    }
    let note = ''
    request.on('data', (chunk: Buffer) => (note += chunk.toString()))
    request.on('end', () => response.end(`${getAuth(request).subject}: ${note}`))
  })
}

/** What a server has to do that wants to be known in frames of other sites. */
function forFrames(response: ServerResponse): void {
  onHeaders(response, () => {
    const cookies = [response.getHeader('set-cookie') ?? []].flat().map(String)
    const changed = cookies.map((cookie) => cookie.replace(/samesite=lax/i, 'samesite=none; secure'))
    if (changed.length > 0) response.setHeader('set-cookie', changed)
  })
}
