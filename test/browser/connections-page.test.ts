/** The page of the connections, as people use it: by mouse, by keyboard, and by what a screen reader is told. */
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { memoryConnectionStore, type OAuthConnectionsOptions } from '../../lib/index.js'
import type { ConnectionRecord } from '../../lib/connections/connection-record.js'
import { hasChromium, launchChromium, needChromium } from '../support/chromium.js'
import { startConnecting, type Connecting, type ConnectingOptions } from '../support/connecting.js'
import { serve } from '../support/serve.js'

needChromium()

interface Stage extends Connecting {
  readonly page: Page
  readonly store: OAuthConnectionsOptions['store']
  /** Keeps a connection of Alice's, as it could be in the table. */
  keep(record: Partial<ConnectionRecord>): Promise<void>
}

const apaleo = {
  name: 'apaleo',
  fields: {
    region: { label: 'Region', choices: { eu: 'Europe', us: 'United States' }, help: 'Where it is kept.' },
    code: { label: 'Property code', pattern: /[A-Z]{3}/, help: 'Three capital letters, such as MUC.' },
    note: { label: 'Note', required: false },
  },
}

describe.skipIf(!hasChromium)('the page of the connections', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  /** Alice looks at the page; she is signed in at the app and at the providers. */
  async function start(
    options: ConnectingOptions = {},
    context: Parameters<Browser['newContext']>[0] = {},
  ): Promise<Stage> {
    const store = memoryConnectionStore()
    const stage = await startConnecting({
      page: true,
      store,
      providers: { projects: { name: 'Projects' }, apaleo },
      ...options,
    })
    const alice = await stage.signedIn('alice')
    const made = await browser.newContext(context)
    made.setDefaultTimeout(5_000)
    const sites = [stage.app.url, ...Object.values(stage.providers).map(({ server }) => server.issuer)]
    for (const url of sites)
      for (const { key, value } of await alice.jar.getCookies(url))
        await made.addCookies([{ name: key, value, url, sameSite: 'Lax' }])
    const page = await made.newPage()
    let kept = 0
    return {
      ...stage,
      page,
      store,
      async keep(record) {
        kept += 1
        await store.insert({
          id: `connection-${kept}`,
          owner: 'alice',
          provider: 'projects',
          issuer: stage.providers['projects']?.server.issuer ?? '',
          accountId: `account-${kept}`,
          status: 'active',
          label: `Account ${kept}`,
          isRenamed: false,
          fields: {},
          clientId: 'app-at-projects',
          tokenOrigin: stage.providers['projects']?.server.issuer ?? '',
          scope: ['openid', 'offline_access'],
          isExclusive: true,
          createdAt: 1_790_000_000 + kept,
          connectedAt: 1_790_000_000,
          checkedAt: 1_790_300_000,
          version: 1,
          ...record,
        })
      },
    }
  }

  const open = ({ page, app }: Stage) => page.goto(`${app.url}/connections`)

  test(
    'with the keyboard alone, an account is connected, renamed and disconnected',
    { timeout: 60_000 },
    async () => {
      const stage = await start()
      const { page, app } = stage
      await open(stage)
      const reach = async (text: string) => {
        for (let presses = 0; presses < 40; presses += 1) {
          await page.keyboard.press('Tab')
          const focus = await page.evaluate<{ text: string; outline: number }>(
            `({ text: document.activeElement.innerText || document.activeElement.name || '',
              outline: parseFloat(getComputedStyle(document.activeElement).outlineWidth) })`,
          )
          expect([focus.text, focus.outline]).toEqual([focus.text, 3])
          if (focus.text.startsWith(text)) return
        }
        throw new Error(`the keyboard does not reach "${text}"`)
      }
      const said = async () => page.getByRole('status').innerText()

      await reach('Connect Projects')
      await page.keyboard.press('Enter')
      await page.waitForURL(`${app.url}/connections`)
      expect(await said()).toBe('alice’s projects is connected.')
      expect(await page.title()).toBe('Connections')

      await reach('Rename')
      await page.keyboard.press('Enter')
      await reach('label')
      await page.keyboard.press('ControlOrMeta+A')
      await page.keyboard.type('My <work>')
      await Promise.all([page.waitForEvent('load'), page.keyboard.press('Enter')])
      expect(await said()).toBe('The connection is called My <work> now.')

      await reach('Disconnect')
      await page.keyboard.press('Space')
      await reach('Yes, disconnect')
      await Promise.all([page.waitForEvent('load'), page.keyboard.press('Enter')])
      expect(await said()).toBe('My <work> is disconnected.')
      await page.getByRole('button', { name: 'Connect again My <work>' }).click()
      await page.waitForURL(`${app.url}/connections`)
      await page.getByText('is connected again.').waitFor()
    },
  )

  test('a screen reader is told what there is to see', async () => {
    const stage = await start()
    await stage.keep({ status: 'needs_reconnect', reason: 'refresh_refused', label: 'Hotel am Markt' })
    await stage.keep({ status: 'disconnected', label: 'Old account' })
    await open(stage)
    const tree = await stage.page.locator('body').ariaSnapshot()
    for (const line of [
      '- main:',
      '- heading "Connections" [level=1]',
      '- region "Your connections":',
      '- article "Hotel am Markt":',
      '- paragraph: "Status: Not working"',
      '- paragraph: Projects does not accept this connection any more.',
      '- time: 25 Sept 2026, 01:33 UTC',
      '- button "Connect again Hotel am Markt"',
      '- button "Test Hotel am Markt"',
      '- group: Disconnect Hotel am Markt',
      '- paragraph: "Status: Disconnected"',
      '- group: Remove Old account',
      '- region "Connect another account":',
      '- button "Connect Projects"',
      '- combobox "Region":',
      '- textbox "Property code"',
      '- textbox "Note (optional)"',
    ])
      expect(tree).toContain(line)
    const buttons = tree.match(/(button|group:) .*/g) ?? []
    expect(new Set(buttons).size).toBe(buttons.length)
    const code = stage.page.getByLabel('Property code')
    await stage.page.getByLabel('Region').selectOption('eu')
    await code.fill('muc')
    await stage.page.getByRole('button', { name: 'Connect apaleo' }).click()
    const alert = stage.page.getByRole('alert')
    await alert.getByRole('link', { name: 'Property code does not look right.' }).click()
    expect(await stage.page.evaluate('document.activeElement.name')).toBe('code')
    expect(await stage.page.title()).toBe('That did not work – Connections')
    expect(await code.getAttribute('aria-invalid')).toBe('true')
    expect(await code.inputValue()).toBe('muc')
    expect(await stage.page.getByLabel('Region').inputValue()).toBe('eu')
    const ids = String(await code.getAttribute('aria-describedby')).split(' ')
    const told = await Promise.all(ids.map((id) => stage.page.locator(`#${id}`).innerText()))
    expect(told.join(' ')).toMatch(/^Three capital letters.* Property code does not look right/)
  })

  test('by day and by night all text can be read, and it fits into 320 px', async () => {
    const stage = await start()
    const { page } = stage
    await stage.keep({ status: 'needs_reconnect', reason: 'refresh_refused', label: 'W'.repeat(100) })
    await stage.keep({ status: 'disconnected' })
    await stage.keep({ scope: ['x'.repeat(200)], accountId: 'a'.repeat(250) })
    await open(stage)
    await page.getByLabel('Region').selectOption('eu')
    await page.getByLabel('Property code').fill('muc')
    await page.getByRole('button', { name: 'Connect apaleo' }).click()
    await page.getByRole('alert').waitFor()
    await page.evaluate('document.querySelectorAll("details").forEach((one) => { one.open = true })')
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      expect(await page.evaluate(tooPale)).toEqual([])
    }
    expect(await page.evaluate<number>('document.querySelectorAll("main *").length')).toBeGreaterThan(80)
    await page.setViewportSize({ width: 320, height: 640 })
    expect(await page.evaluate(wider)).toEqual([])
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(320)
  })

  test('T20 what hostile accounts and providers say runs nowhere, even without the policy', async () => {
    // Escaping must do by itself: the policy is for what nobody thought of.
    const stage = await start({}, { bypassCSP: true })
    const { page, providers, app } = stage
    const dialogs: string[] = []
    page.on('dialog', (dialog) => {
      dialogs.push(dialog.message())
      void dialog.dismiss()
    })
    for (const text of [
      '<script>alert(1)</script>',
      '"><img src=x onerror=alert(2)>',
      "' autofocus onfocus=alert(3) x='",
      '</textarea></title></style><svg onload=alert(4)>',
    ])
      await stage.keep({ label: text, accountId: text, fields: { [text]: text }, scope: [text] })
    providers['projects']?.server.misbehave('error-hostile-description')
    await open(stage)
    await page.getByRole('button', { name: 'Connect Projects' }).click()
    await page.getByRole('alert').waitFor()
    expect(page.url()).toBe(`${app.url}/connections`)
    expect(await page.getByRole('alert').innerText()).toContain('<script>alert(1)</script>')
    expect(await page.locator('main :is(script, img, svg, textarea, iframe)').count()).toBe(0)
    expect(await page.locator('main [onfocus], main [onerror], main [autofocus]').count()).toBe(0)
    expect(await page.getByRole('heading', { level: 3 }).first().innerText()).toBe(
      '<script>alert(1)</script>',
    )
    expect(dialogs).toEqual([])
    providers['projects']?.server.misbehave()
  })

  test('T20 a label that turns the direction of writing turns nothing but itself', async () => {
    const stage = await start()
    const { page } = stage
    await stage.keep({ label: 'x' })
    await open(stage)
    await page.getByText('Rename', { exact: false }).first().click()
    await page.getByLabel('Name').fill('\u202Eevil')
    await page.getByRole('button', { name: 'Save' }).click()
    const last = page.getByRole('status').locator('p')
    await last.waitFor()
    // "The connection is called <label> now.": the letters of what follows go from left to right.
    const [n, w] = await page.evaluate<[number, number]>(`(() => {
      const { lastChild } = document.querySelector('[role=status] p')
      return [1, 3].map((at) => {
        const range = document.createRange()
        range.setStart(lastChild, at)
        range.setEnd(lastChild, at + 1)
        return range.getBoundingClientRect().left
      })
    })()`)
    expect(n).toBeLessThan(w)
  })

  test('T108 another site can link here, and can neither frame it, read it nor post to it', async () => {
    const stage = await start()
    const { page, app } = stage
    await stage.keep({ label: 'The plan' })
    const to = `${app.url}/connections`
    const other = await serve(() => (_request, response) => {
      response.setHeader('content-type', 'text/html')
      response.end(
        `<a href="${to}">look</a><iframe src="${to}"></iframe><form method="post" action="${to}/connection-1/disconnect"><button>win</button></form>`,
      )
    })
    const evil = other.replace('localhost', '127.0.0.1')
    await page.goto(evil)
    expect(await page.frames()[1]?.locator('body').innerText()).not.toContain('The plan')
    const script = `fetch(${JSON.stringify(to)}, { credentials: 'include' }).then((answer) => answer.text(), () => 'blocked')`
    expect(await page.evaluate(script)).toBe('blocked')
    await page.getByText('win').click()
    await page.waitForURL(/disconnect/)
    expect(await page.locator('body').innerText()).not.toContain('The plan')
    expect(await stage.store.get('connection-1')).toMatchObject({ status: 'active', version: 1 })
    await page.goto(evil)
    await page.getByText('look').click()
    await page.getByRole('heading', { name: 'The plan' }).waitFor()
  })
})

/** Texts whose contrast with what is behind them is less than 4.5 to 1 (WCAG 2.2, 1.4.3). */
const tooPale = `(() => {
  const rgb = (color) => (color.match(/[\\d.]+/g) ?? []).map(Number)
  const light = (color) => {
    const [r, g, b] = rgb(color).map((part) => part / 255).map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor
      if (rgb(color)[3] !== 0) return color
    }
    return 'rgb(255, 255, 255)'
  }
  return [...document.querySelectorAll('main, main *')].filter((element) => {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== '')
    if (!hasText && !('value' in element)) return false
    const [one, two] = [light(getComputedStyle(element).color), light(behind(element))].sort((a, b) => b - a)
    return (one + 0.05) / (two + 0.05) < 4.5
  }).map((element) => element.outerHTML.slice(0, 200))
})()`

/** What is wider than the window. */
const wider = `[...document.querySelectorAll('main *')]
  .filter((element) => !element.closest('.hidden') && element.getBoundingClientRect().right > innerWidth)
  .map((element) => element.outerHTML.slice(0, 200))`
