/** Accounts at other services, connected in the demo as a visitor does it. */
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { hasChromium, launchChromium, needChromium } from '../support/chromium.js'
import { signInAs } from '../support/demo-pages.js'
import { startDemo, type Demo } from '../support/demo.js'

needChromium()

describe.skipIf(!hasChromium)('connections in the demo', () => {
  let browser: Browser
  let context: BrowserContext
  let page: Page
  let demo: Demo

  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())
  beforeEach(async () => {
    context = await browser.newContext()
    // The very first start fills the folder, which takes long where the machine has much to do.
    context.setDefaultTimeout(60_000)
    page = await context.newPage()
  })
  afterEach(async () => {
    await context.close()
    await demo?.stop()
  })

  const open = async (user: string) => {
    await page.goto(`${demo.url}/connected`)
    await signInAs(user, page)
    await page.waitForURL(`${demo.url}/connected`)
  }
  const press = (name: string, at: Locator | Page = page) =>
    at.getByRole('button', { name, exact: true }).click()
  const service = (name: string) => page.locator('form.connect', { hasText: name })
  const connection = (label: string) => page.locator('.connection', { hasText: label })
  const state = (label: string) => connection(label).locator('.state').textContent()
  const notice = () => page.locator('main').getByRole('status').textContent()
  const use = async (label: string) => {
    await page.goto(`${demo.url}/connected`)
    await connection(label).getByRole('link', { name: 'Use it' }).click()
    await page.getByRole('heading', { level: 1, name: label }).waitFor()
  }
  /** At the provider, where people choose who they are. */
  const allowAs = async (account: string, answer = 'Allow') => {
    await page.getByRole('button', { name: account }).click()
    await press(answer)
    await page.waitForURL(`${demo.url}/connected`)
  }

  test(
    'an account is connected, used, broken at its provider, connected again and disconnected',
    { timeout: 60_000 },
    async () => {
      demo = await startDemo({})
      await open('alice')

      const projects = service('Projects EU')
      await press('Connect', projects)
      await page.getByText('Region is missing.').waitFor()
      await projects.getByLabel('Region').selectOption('eu')
      await press('Connect', projects)
      await allowAs('Nordlicht Studio', 'Deny')
      expect(await page.getByRole('alert').textContent()).toContain('the user pressed Deny')
      expect(await page.locator('.connection').count()).toBe(0)

      await projects.getByLabel('Region').selectOption('eu')
      await press('Connect', projects)
      await press('Allow')
      await page.waitForURL(`${demo.url}/connected`)
      const label = 'Nordlicht Studio’s projects'
      expect(await notice()).toContain(`${label} is connected`)
      const id = await connection(label).getAttribute('id')
      await use(label)
      await page.getByRole('cell', { name: 'Ferry terminal signs' }).waitFor()

      await page.goto(`${demo.url}/connected`)
      await connection(label).getByText('Rename, or break it').click()
      await press('Break it: remove access at the provider', connection(label))
      await page.waitForURL(/did=break/)
      expect(await state(label)).toBe('Works')
      await use(label)
      expect(await page.getByRole('alert').textContent()).toContain(
        'does not accept this connection any more',
      )
      await page.goto(`${demo.url}/connected`)
      expect(await state(label)).toBe('Needs you')
      expect(await page.locator('.journal').textContent()).toContain('refresh_refused')

      await press('Connect again', connection(label))
      await press('Allow')
      await page.waitForURL(`${demo.url}/connected`)
      expect(await notice()).toContain('is connected again')
      expect(await connection(label).getAttribute('id')).toBe(id)
      await use(label)
      await page.getByRole('cell', { name: 'Ferry terminal signs' }).waitFor()

      await page.goto(`${demo.url}/connected`)
      await press('Disconnect', connection(label))
      await page.getByText('You have disconnected it.').waitFor()
      expect(await state(label)).toBe('Disconnected')
      await press('Remove', connection(label))
      await page.getByText('Nothing is connected yet.').waitFor()
    },
  )

  test(
    'a restart finds what was connected, and refreshes what ran out meanwhile',
    { timeout: 180_000 },
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'demo-data-'))
      try {
        demo = await startDemo({ DATA: folder })
        await open('alice')
        await press('Connect', service('Hotel'))
        await allowAs('Hotel am Hafen')
        const label = 'Hotel am Hafen, Hamburg'
        await connection(label).getByText('Rename, or break it').click()
        await press('Expire the access token', connection(label))
        await page.waitForURL(/did=expire/)
        await demo.stop()

        demo = await startDemo({ DATA: folder }, 'main.js', demo.ports)
        await use(label)
        await page.getByRole('cell', { name: 'Suite' }).waitFor()
        await page.goto(`${demo.url}/connected`)
        expect(await state(label)).toBe('Works')
        const journal = (await page.locator('.journal').textContent()) ?? ''
        expect(journal.match(/The access token of Hotel \(apaleo-like\) was refreshed/g)).toHaveLength(1)
      } finally {
        await demo.stop()
        await rm(folder, { recursive: true, force: true })
      }
    },
  )
})
