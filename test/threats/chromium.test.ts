/** The same threats in a real browser, which reads addresses and pages in its own way. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Browser } from 'playwright-core'
import { startApp, type App } from '../support/app.js'
import { hasChromium, launchChromium, needChromium } from '../support/chromium.js'
import { startFaultyServer, type FaultyServer } from '../support/faulty-server.js'
import { leaves, nastiest } from './support/open-redirects.js'
import { serve } from '../support/serve.js'
import { registration } from '../support/stage.js'

needChromium()

describe.skipIf(!hasChromium)('in Chromium', () => {
  let browser: Browser
  let server: FaultyServer
  let app: App

  beforeAll(async () => {
    browser = await launchChromium()
    server = await startFaultyServer()
    app = await startApp({ options: registration(server) })
    server.register(app.callbackUrl, app.url)
  })

  afterAll(async () => {
    await Promise.all([browser?.close(), app?.close(), server?.close()])
  })

  it('T14 none of the 60 nastiest payloads leads away from the login', async () => {
    const payloads = nastiest(60, app.url)
    expect(payloads).toHaveLength(60)
    const logins = payloads.map(
      (payload) => `/login?${new URLSearchParams({ returnTo: payload }).toString()}`,
    )
    expect(await strangersVisited(app.url, logins)).toEqual([])
  })

  it('whereas a server that trusts them loses its users', async () => {
    const trusting = await serve(() => (request, response) => {
      const { searchParams } = new URL(request.url ?? '/', 'http://host')
      const location = encodeURI(searchParams.get('returnTo') ?? '/').replaceAll('%5C', '\\')
      response.writeHead(302, { location }).end()
    })
    const paths = nastiest(15, trusting).map(
      (payload) => `/?${new URLSearchParams({ returnTo: payload }).toString()}`,
    )
    expect((await strangersVisited(trusting, paths)).length).toBeGreaterThan(5)
  })

  it('T20 markup in an error opens no dialog', async () => {
    const page = await browser.newPage()
    const dialogs: string[] = []
    page.on('dialog', (dialog) => {
      dialogs.push(dialog.message())
      void dialog.dismiss()
    })
    for (const fault of ['error-hostile-description', 'error-hostile-code'] as const) {
      server.misbehave(fault)
      await page.goto(`${app.url}/private`)
      expect(await page.locator('code').textContent()).toMatch(/^(?:access_denied|server_refused)$/)
    }
    server.misbehave()
    expect(dialogs).toEqual([])
    await page.close()
  })

  /** Origins, beyond this one and the authorization server, that a browser asks for when it visits these paths. */
  async function strangersVisited(origin: string, paths: readonly string[]): Promise<string[]> {
    const found: string[] = []
    const tabs = 2
    await Promise.all(
      Array.from({ length: tabs }, async (_, tab) => {
        const context = await browser.newContext()
        const page = await context.newPage()
        page.on('request', (request) => {
          if (leaves(request.url(), origin) && leaves(request.url(), server.issuer)) found.push(request.url())
        })
        // Nobody is asked for the way to a stranger, which would take its time.
        await context.route(
          (url) => leaves(url.href, origin) && leaves(url.href, server.issuer),
          (route) => route.abort(),
        )
        for (const path of paths.filter((_path, index) => index % tabs === tab)) {
          await page.goto(origin + path, { waitUntil: 'commit', timeout: 10_000 }).catch(() => undefined)
          if (leaves(page.url(), origin) && page.url().startsWith('http')) found.push(page.url())
        }
        await context.close()
      }),
    )
    return found
  }
})
