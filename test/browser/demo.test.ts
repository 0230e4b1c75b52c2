/** The demo, used as a visitor uses it. */
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { hasChromium, launchChromium, needChromium } from '../support/chromium.js'
import { signInAs, tokens } from '../support/demo-pages.js'
import { startDemo, type Demo } from '../support/demo.js'

needChromium()

describe.skipIf(!hasChromium).each(['cookie', 'session'])('the demo with storage "%s"', (storage) => {
  let demo: Demo
  let browser: Browser
  let context: BrowserContext
  let page: Page

  beforeAll(async () => {
    browser = await launchChromium()
    demo = await startDemo({ STORAGE: storage })
  })
  afterAll(async () => {
    await browser?.close()
    await demo?.stop()
  })
  beforeEach(async () => {
    context = await browser.newContext()
    page = await context.newPage()
  })
  afterEach(() => context.close())

  const signIn = (user: string, at: Page = page) => signInAs(user, at)
  const allow = (at: Page = page) => at.getByRole('button', { name: 'Allow' }).click()
  const heading = (at: Page = page) => at.getByRole('heading', { level: 1 }).textContent()

  test('alice signs in, sees the projects and creates one', async () => {
    await page.goto(`${demo.url}/projects`)
    await signIn('alice')
    expect(page.url()).toBe(`${demo.url}/projects`)
    const before = await page.getByRole('row').count()

    await page
      .getByRole('link', { name: /new project|start a project/i })
      .first()
      .click()
    await allow()
    await page.getByLabel('Name').fill('A greenhouse')
    await page.getByRole('button', { name: /create/i }).click()
    expect(page.url()).toBe(`${demo.url}/projects`)
    expect(await page.getByRole('row').count()).toBe(before + 1)
    await page.getByText('A greenhouse').waitFor()
  })

  test('alice reads the report; bob is refused it and stays signed in', async () => {
    await page.goto(`${demo.url}/admin`)
    await signIn('alice')
    await allow()
    const report = await heading()

    await context.clearCookies()
    const answers: number[] = []
    page.on('response', (response) => {
      if (new URL(response.url()).pathname === '/admin') answers.push(response.status())
    })
    await page.goto(`${demo.url}/admin`)
    await signIn('bob')
    await allow()
    expect(answers.at(-1)).toBe(403)
    expect(await heading()).not.toBe(report)
    await page.goto(demo.url)
    expect(await heading()).toContain('Bob')
  })

  test('recovery codes are shown to who gave the password just now, and to nobody else', async () => {
    await page.goto(`${demo.url}/session`)
    await signIn('alice')
    await page.goto(`${demo.url}/recovery-codes`)
    // The server knows when alice signed in, and has no reason to ask again.
    if (page.url().startsWith(demo.issuer)) await allow()
    expect(page.url()).toBe(`${demo.url}/recovery-codes`)
    expect(await page.getByRole('listitem').count()).toBe(8)
    expect(await heading()).toBe('Recovery codes')
    await page.goto(demo.url)
    expect(await heading()).toContain('Alice')
  })

  test('who signed in is for people with a role; the projects are for the session and for tokens', async () => {
    await page.goto(`${demo.url}/sign-ins`)
    await signIn('alice')
    await page.getByRole('row', { name: /alice/ }).first().waitFor()
    const json = JSON.parse(
      (await page.goto(`${demo.url}/projects.json`).then((answer) => answer?.text())) ?? '',
    )
    expect(json).toMatchObject({ for: 'alice', knownBy: 'session', projects: expect.any(Array) })

    await context.clearCookies()
    const client = await fetch(`${demo.url}/projects.json`)
    expect([client.status, client.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
    await page.goto(`${demo.url}/sign-ins`)
    await signIn('bob')
    expect(await heading()).toBe('You cannot go in here')
  })

  test('eight tabs that open at once all end signed in, where they were going', async () => {
    const tabs = await Promise.all(Array.from({ length: 8 }, () => context.newPage()))
    await Promise.all(tabs.map((tab, index) => tab.goto(`${demo.url}/session?tab=${index}`)))
    const [first, ...others] = tabs.toReversed()
    if (!first) throw new Error('no tab')
    await signIn('alice', first)
    // The others show the login page of a server that knows the user by now.
    for (const tab of others) {
      await tab.reload()
      if (tab.url().startsWith(demo.issuer)) await signIn('alice', tab)
    }
    expect(tabs.map((tab) => tab.url())).toEqual(
      tabs.map((_tab, index) => `${demo.url}/session?tab=${index}`),
    )
  }, 60_000)

  test('after sign-out neither Back nor a new visit shows anything private', async () => {
    await page.goto(`${demo.url}/session`)
    await signIn('alice')
    expect(await page.content()).toContain('alice@example.com')
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.waitForURL((url) => url.origin === demo.url)
    await page.getByRole('link', { name: 'Sign in' }).first().waitFor()

    await page.goBack()
    expect(await page.content()).not.toContain('alice@example.com')
    await page.goto(`${demo.url}/session`)
    expect(page.url()).toContain(demo.issuer)
  })

  test('no page, cookie or storage that a script can read holds a token', async () => {
    await page.goto(`${demo.url}/session`)
    await signIn('alice')
    const readable = await page.evaluate(
      'document.cookie + JSON.stringify(localStorage) + document.documentElement.outerHTML',
    )
    expect(readable).toContain('alice@example.com')
    expect(readable).not.toMatch(/eyJ|access_token|refresh_token/)
    const cookies = await context.cookies(demo.url)
    expect(cookies.filter(({ httpOnly }) => !httpOnly)).toEqual([])
  })

  test('a page of another site can sign nobody out', async () => {
    await page.goto(demo.url)
    await page.getByRole('link', { name: 'Sign in' }).first().click()
    await signIn('alice')
    const stranger = await context.newPage()
    await stranger.route('http://stranger.example/', (route) =>
      route.fulfill({
        contentType: 'text/html',
        body: `<img src="${demo.url}/logout"><form method="post" action="${demo.url}/logout"><button>Win</button></form>`,
      }),
    )
    await stranger.goto('http://stranger.example/')
    await stranger.getByRole('button', { name: 'Win' }).click()
    await page.goto(demo.url)
    expect(await heading()).toContain('Alice')
  })

  test('an access token that is over is refreshed by the next page, once for ten requests', async () => {
    await page.goto(`${demo.url}/session`)
    await signIn('alice')
    expect(await tokens(page)).toMatchObject([{ by: 'Sign-in' }])
    await page.getByRole('button', { name: 'Expire my access token' }).click()
    await page.waitForURL(`${demo.url}/session#tokens`)
    const [current, expired, first] = await tokens(page)
    expect(current).toMatchObject({ accessState: expect.stringContaining('left'), by: 'Refresh 2' })
    expect(expired).toMatchObject({ accessState: 'over', refreshState: 'used', by: 'Refresh 1' })
    expect(first).toMatchObject({ refreshState: 'used', by: 'Sign-in' })
    expect(new Set([current, expired, first].map((issue) => issue?.refresh)).size).toBe(3)
    await page.getByText(`Access token ${expired?.access} was over`).waitFor()

    await page.getByRole('button', { name: 'Ten requests at once' }).click()
    await page.getByText('10 of 10 requests answered by one instance, with one refresh').waitFor()
    await page.getByRole('link', { name: 'Back to the session' }).click()
    expect(await tokens(page)).toMatchObject([{ by: 'Refresh 4' }, { accessState: 'over' }, {}, {}])
    expect(demo.output()).not.toContain('arning')
  })

  test('"Sign me out everywhere" signs another browser out, too, and nobody else', async () => {
    const [other, bobs] = [await browser.newContext(), await browser.newContext()]
    const [second, third] = [await other.newPage(), await bobs.newPage()]
    for (const [at, user] of [
      [page, 'alice'],
      [second, 'alice'],
      [third, 'bob'],
    ] as const) {
      await at.goto(`${demo.url}/session`)
      await signIn(user, at)
    }
    await page.getByRole('button', { name: 'Sign me out everywhere' }).click()
    expect(await heading()).toBe('You are signed out everywhere')
    for (const at of [page, second]) {
      await at.goto(demo.url)
      expect(await heading(at)).toBe('All your projects, in one calm place.')
      await at.goto(`${demo.url}/session`)
      expect(at.url()).toContain(demo.issuer)
    }
    await third.goto(demo.url)
    expect(await heading(third)).toContain('Bob')
    await Promise.all([other.close(), bobs.close()])
  })
})
