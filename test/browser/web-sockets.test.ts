/** WebSockets of pages in a real browser: which ones open, and what becomes of cookies that come with the answer. */
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasChromium, launchChromium, needChromium } from '../support/chromium.js'
import { serve } from '../support/serve.js'
import { travel } from '../support/time.js'
import { socketProxy, startSocketApi } from '../proxy/socket-api.js'

needChromium()

describe.skipIf(!hasChromium)('in Chromium', () => {
  let browser: Browser

  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  test('T115 a page of the site talks with the API, and a page of another origin does not', async () => {
    const api = await startSocketApi()
    const { app, socketUrl } = await socketProxy(api.url)
    const foreign = await serve(() => (_request, response) => {
      response.setHeader('content-type', 'text/html')
      response.end('<!doctype html><title>Somebody else</title>')
    })
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.goto(`${app.url}/private`)
    expect(page.url()).toBe(`${app.url}/private`)
    expect(await echo(page, socketUrl)).toBe('echo: hello')

    // Another port of the same host: the browser sends the cookies along, SameSite or not.
    await page.goto(foreign)
    const before = api.handshakes.length
    expect(await echo(page, socketUrl)).toBe('refused')
    expect(api.handshakes).toHaveLength(before)
    await context.close()
  })

  test('the browser keeps the tokens that were refreshed for a WebSocket', async () => {
    const api = await startSocketApi()
    const { app, server, socketUrl } = await socketProxy(api.url)
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.goto(`${app.url}/private`)
    const before = await context.cookies(app.url)
    travel(3_601)
    expect(await echo(page, socketUrl)).toBe('echo: hello')
    const after = await context.cookies(app.url)
    const tokens = (cookies: typeof after) =>
      cookies.find(({ name }) => name.startsWith('oauth.tokens'))?.value
    expect(tokens(before)).toEqual(expect.any(String))
    expect(tokens(after)).not.toBe(tokens(before))

    travel(3_601) // a spent refresh token would be refused by now
    expect(await echo(page, socketUrl)).toBe('echo: hello')
    expect(server.complaints).toEqual([])
    await context.close()
  })
})

/** What a script of the page gets back from a WebSocket. */
async function echo(page: Page, url: string): Promise<string> {
  return page.evaluate<string>(`new Promise((resolve) => {
    const socket = new WebSocket(${JSON.stringify(url.replace(/^http/, 'ws'))})
    socket.onopen = () => socket.send('hello')
    socket.onmessage = ({ data }) => (resolve('echo: ' + data), socket.close())
    socket.onerror = () => resolve('refused')
  })`)
}
