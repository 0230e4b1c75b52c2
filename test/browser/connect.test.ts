/**
 * Connecting in a real browser, which has cookies, tabs and policies of its own. The provider is another site than the app,
 * so that what comes back from it is a visit from another site.
 */
import { createServer } from 'node:http'
import express from 'express'
import helmet from 'helmet'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  getAuth,
  memoryConnectionStore,
  oauthConnections,
  oauthLogin,
  requireLogin,
  type OAuthConnections,
  type OAuthEvent,
} from '../../lib/index.js'
import { canary } from '../support/canaries.js'
import { hasChromium, launchChromium, needChromium } from '../support/chromium.js'
import { providerAt } from '../support/connecting.js'
import { correctSteps } from '../support/faulty-server/steps.js'
import { listening, stopped } from '../support/listening.js'
import { registration } from '../support/stage.js'
import { startUserServer, type UserServer } from '../support/user-server.js'

needChromium()

describe.skipIf(!hasChromium)('in Chromium', () => {
  const server = createServer()
  const events: OAuthEvent[] = []
  let url: string
  let login: UserServer
  let projects: UserServer
  let connections: OAuthConnections
  let browser: Browser
  let context: BrowserContext

  beforeAll(async () => {
    url = (await listening(server)).replace('127.0.0.1', 'app.localhost')
    login = await startUserServer({ life: 3_600 })
    projects = await startUserServer({ life: 3_600, cookie: 'account' })
    const shared = { baseUrl: url, secrets: [canary('cookie-secret')] }
    connections = oauthConnections({
      ...shared,
      store: memoryConnectionStore(),
      returnTo: '/settings',
      providers: { projects: providerAt(projects) },
      onEvent: (event) => events.push(event),
    })
    login.server.register(`${url}/callback`, `${url}/`)
    projects.server.register(`${url}/connections/projects/callback`)
    const app = express()
    app.use(helmet())
    app.use(oauthLogin({ ...registration(login.server), ...shared, storage: 'cookie' }), connections)
    app.get('/settings', requireLogin(), (request, response) => {
      const outcome = connections.outcome(request, response)
      response.send(
        `<!doctype html><h1>${getAuth(request).subject}</h1><output>${outcome?.status ?? 'nothing'}</output>` +
          '<form method="post" action="/connections/projects/connect"><button>Connect</button></form>' +
          '<form method="post" action="/logout"><button>Sign out</button></form>',
      )
    })
    app.get('/', (_request, response) => void response.send('<!doctype html><h1>Signed out</h1>'))
    server.on('request', app)
    browser = await launchChromium()
  })
  afterAll(async () => {
    await browser?.close()
    await Promise.all([stopped(server), login?.server.close(), projects?.server.close()])
  })
  beforeEach(async () => {
    context = await browser.newContext()
    events.length = 0
  })
  afterEach(() => context.close())

  /** From now on the browser is this user at the login, and has this account at the provider. */
  async function as(user: string, account: string): Promise<void> {
    await context.addCookies([
      { name: 'user', value: user, url: login.server.issuer },
      { name: 'account', value: account, url: projects.server.issuer },
    ])
  }

  async function settings(user: string): Promise<Page> {
    const page = await context.newPage()
    await page.goto(`${url}/settings`)
    expect(await page.locator('h1').textContent()).toBe(user)
    return page
  }

  const connect = (page: Page) => page.getByRole('button', { name: 'Connect' }).click()
  const linked = async () =>
    (await Promise.all(['alice', 'bob'].map((owner) => connections.for(owner).list()))).flat()

  test('a form of a page with the policy of helmet connects an account', async () => {
    await as('alice', 'alice-at-projects')
    const page = await settings('alice')
    await connect(page)
    await page.getByText('connected').waitFor()
    expect(page.url()).toBe(`${url}/settings`)
    const [connection] = await connections.for('alice').list()
    expect(connection).toMatchObject({ account_id: 'alice-at-projects', status: 'active' })
    await page.reload()
    expect(await page.locator('output').textContent()).toBe('nothing')
    await connection?.remove()
  })

  test('T11 who signs in as somebody else in another tab links nothing, and is told so', async () => {
    await as('alice', 'alice-at-projects')
    const first = await settings('alice')
    const tokenRequests = projects.server.counts.token
    // The user thinks about it at the provider, for as long as it takes.
    let goOn: () => void = () => undefined
    const thinking = new Promise<void>((resolve) => (goOn = resolve))
    projects.misbehave({
      async answerAuthorization(authorization, response) {
        await thinking
        return correctSteps.answerAuthorization(authorization, response)
      },
    })
    const atProvider = first.waitForRequest((request) => request.url().includes('/authorize?'))
    await connect(first)
    await atProvider

    await as('bob', 'alice-at-projects')
    const second = await context.newPage()
    await second.goto(`${url}/settings`)
    await second.getByRole('button', { name: 'Sign out' }).click()
    await second.getByText('Signed out').waitFor()
    await second.goto(`${url}/settings`)
    expect(await second.locator('h1').textContent()).toBe('bob')

    const end = first.waitForResponse((response) => response.url().includes('/callback?'))
    goOn()
    expect((await end).status()).toBe(409)
    await first.getByText('The sign-in here ended or changed on the way, so nothing was connected.').waitFor()
    expect(await linked()).toEqual([])
    expect(projects.server.counts.token).toBe(tokenRequests)
    expect(events.at(-1)).toMatchObject({ type: 'connect_failed', code: 'other_user' })
    await first.getByRole('link', { name: 'Go on to the site' }).click()
    await first.waitForURL(`${url}/settings`)
    expect(await first.locator('output').textContent()).toBe('nothing')
  })
})
