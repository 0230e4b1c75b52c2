/** The demo's single page, used as a visitor uses it; and what it holds while that happens. */
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { hasChromium, launchChromium, needChromium } from '../support/chromium.js'
import { signInAs } from '../support/demo-pages.js'
import { startSinglePage, watch, type Place, type Seen, type SinglePage } from '../support/single-page.js'

needChromium()

/**
 * One visit, told in the order in which it happens: each test goes on where the one before ended. Where the session is kept
 * does not matter to most of it.
 */
describe.skipIf(!hasChromium).each(['cookie', 'session'])('the single page with storage "%s"', (storage) => {
  const isFirst = storage === 'cookie'
  let spa: SinglePage
  let browser: Browser
  let context: BrowserContext
  let page: Page
  let seen: Seen

  beforeAll(async () => {
    browser = await launchChromium()
    spa = await startSinglePage({ STORAGE: storage })
    context = await newContext()
    seen = watch(context, new URL(spa.url).origin)
    page = await context.newPage()
  })
  afterAll(async () => {
    await browser?.close()
    await spa?.stop()
  })
  /** What a script of the page could read without asking anybody, at the end of each test. */
  const held: Place[] = []
  afterEach(async () => {
    const texts = await page.evaluate<Record<string, string>>(
      `({
        cookies: document.cookie,
        localStorage: JSON.stringify(localStorage),
        sessionStorage: JSON.stringify(sessionStorage),
        address: location.href + JSON.stringify(history.state),
        page: document.documentElement.outerHTML,
      })`,
    )
    held.push(...Object.entries(texts).map(([where, text]) => ({ where, text })))
  })

  const hasToken = (text: string) =>
    spa.tokens.some(({ value }) => text.includes(value)) || /eyJ[\w-]{8,}\.[\w-]+/.test(text)

  /**
   * The ID token that the browser carries to the authorization server by itself, in the address of the page that signing
   * out moves on to (OpenID Connect RP-Initiated Logout §2). To `fetch` that address is told without it.
   */
  function isHint({ where, text }: Place): boolean {
    const rest = text.replaceAll(/\bid_token_hint=[\w.-]+/g, '')
    return where.startsWith(`POST ${spa.demo.url}/logout`) && text.includes(spa.issuer) && !hasToken(rest)
  }

  async function newContext(): Promise<BrowserContext> {
    const made = await browser.newContext()
    made.setDefaultTimeout(10_000) // so that a failure names what was waited for
    return made
  }

  async function signIn(user: string, at: Page = page): Promise<void> {
    await at.goto(spa.url)
    await at.getByRole('main').getByRole('button', { name: 'Sign in' }).click()
    await signInAs(user, at)
    await project('Harbour map', at).waitFor()
  }

  const project = (name: string, at: Page = page) =>
    at.getByRole('listitem').filter({ hasText: name }).first()
  const press = (name: string, at: Page = page) => at.getByRole('button', { name, exact: true }).click()
  const wire = (text: string) => page.locator('#wire li').filter({ hasText: text }).first()
  const issued = (kind: string) => spa.tokens.filter((token) => token.kind === kind).length
  const draft = async () => [
    await page.getByLabel('Name').inputValue(),
    await page.getByLabel('Description').inputValue(),
  ]
  const type = async (name: string, description: string) => {
    await page.getByLabel('Name').fill(name)
    await page.getByLabel('Description').fill(description)
  }

  test('alice signs in and sees the projects, her name and how long the session lasts', async () => {
    await signIn('alice')
    await page.getByText('Alice Archer').waitFor()
    await page.getByText(/Session ends in 23:\d\d:\d\d/).waitFor()
    expect([issued('access_token'), issued('refresh_token'), issued('id_token')]).toEqual([1, 1, 1])
    const cookies = await context.cookies(spa.url)
    expect(cookies.filter(({ httpOnly }) => !httpOnly)).toEqual([])
  })

  test('an access token that is over is replaced, and the page does not notice', async () => {
    await type('A greenhouse', 'For tomatoes')
    await press('Let the access token expire')
    await wire('The server refreshed the token').waitFor()
    await project('Harbour map').waitFor()
    expect([issued('access_token'), ...(await draft())]).toEqual([3, 'A greenhouse', 'For tomatoes'])
  })

  test.runIf(isFirst)(
    'a session that is over begins anew without a question while the sign-in server knows her',
    async () => {
      await press('End my session')
      await wire('The session was over').waitFor()
      expect([issued('access_token'), page.url(), ...(await draft())]).toEqual([
        4,
        spa.url,
        'A greenhouse',
        'For tomatoes',
      ])
      // What came by the silent login can be refreshed like what came before.
      expect(issued('refresh_token')).toBe(4)
    },
  )

  test.runIf(isFirst)(
    'an API that is away or hangs, and a store that is away, are told as what they are',
    async () => {
      for (const [trouble, status, words] of [
        ['API hangs', '504', 'The projects take too long'],
        ['Store away', '503', 'Nobody was signed out'],
        ['API down', '502', 'The projects cannot be reached'],
      ] as const) {
        await page.getByLabel(trouble).check()
        await page.locator('#projects').getByRole('alert').getByText(words).waitFor()
        await wire(status).waitFor()
      }
      await press('Create project')
      await page.getByText('The projects cannot be reached. ').waitFor()
      expect(await draft()).toEqual(['A greenhouse', 'For tomatoes'])
      await page.getByLabel('All is well').check()
      await project('Harbour map').waitFor()
    },
  )

  test.runIf(isFirst)(
    'creating asks for one more right, then for a name that is one; bob sees it happen',
    async () => {
      const other = await newContext()
      const bobs = await other.newPage()
      await signIn('bob', bobs)

      await press('Create project')
      await page.getByText('You have not allowed this app to create projects.').waitFor()
      await page.getByRole('link', { name: 'Allow it' }).click()
      await press('Allow')
      await page.getByText('What you typed is still here.').waitFor()
      expect(await draft()).toEqual(['A greenhouse', 'For tomatoes'])
      await press('Create project')
      await project('A greenhouse').waitFor()
      expect(await draft()).toEqual(['', ''])
      await project('A greenhouse', bobs).waitFor()

      await press('Create project')
      await page.getByText('Name must be a text, and not an empty one.').waitFor()
      expect(await page.evaluate('document.activeElement.name')).toBe('name')

      await press('Read the report', bobs)
      await bobs.getByText('a right that you have not given').waitFor()
      await bobs.getByRole('link', { name: 'Allow it' }).click()
      await press('Allow', bobs)
      await press('Read the report', bobs)
      await bobs.getByText('Your account does not have this right.').waitFor()
      await bobs.getByText('Bob Baker').waitFor()
      await other.close()
    },
  )

  test.runIf(isFirst)(
    'a session that is over at the sign-in server, too, asks for a sign-in and loses no word',
    async () => {
      await type('Half a word', 'and more')
      await press('End it at Example ID, too')
      await page.getByRole('dialog').getByText('What you typed stays').waitFor()
      await page.keyboard.press('Escape')
      expect(await draft()).toEqual(['Half a word', 'and more'])
      await press('Create project')
      await page.getByRole('dialog').getByRole('button', { name: 'Sign in again' }).click()
      await signInAs('alice', page)
      await project('Harbour map').waitFor()
      expect([page.url(), ...(await draft())]).toEqual([spa.url, 'Half a word', 'and more'])
    },
  )

  test('after sign-out nothing is left, and Back shows nothing private', async () => {
    await press('Sign out')
    await page.waitForURL((url) => url.origin === spa.demo.url && url.pathname === '/')
    expect(await page.evaluate('JSON.stringify(sessionStorage)')).toBe('{}')
    await page.goto(spa.url)
    await page.getByRole('heading', { name: 'never sees a token' }).waitFor()
    expect(await page.content()).not.toContain('Alice')
    await page.goBack()
    await page.goBack()
    expect(await page.content()).not.toMatch(/Alice|Half a word/)
  })

  test('in all that time nothing that the browser was given, but one address, held a token', async () => {
    const places = [...held, ...(await seen.all())]
    const bodies = (path: string) => places.filter(({ where }) => where.endsWith(` ${spa.demo.url}${path}`))
    for (const path of ['/user', '/bff/projects', '/spa/expire', '/session/token', '/spa'])
      expect(bodies(path).map(({ text }) => text.length)).toContainEqual(
        expect.toSatisfy((length) => length > 10),
      )
    expect(issued('access_token')).toBeGreaterThan(isFirst ? 5 : 2)
    const leaks = places.filter(({ text }) => hasToken(text))
    expect(leaks.filter((place) => !isHint(place)).map(({ where }) => where)).toEqual([])
  })
})
