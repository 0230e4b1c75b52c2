/** The demo as two processes with one Redis, and what happens when some of that is killed. */
import { createConnection } from 'node:net'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { hasChromium, launchChromium, needChromium } from '../support/chromium.js'
import { signInAs, tokens } from '../support/demo-pages.js'
import { startDemo, type Demo } from '../support/demo.js'
import { needProgram } from '../support/needed.js'
import { hasRedis } from '../support/redis.js'

needChromium()
needProgram('redis-server', hasRedis)

const storages = ['cookie', 'session']

describe.skipIf(!hasChromium || !hasRedis).each(storages)('the cluster with storage "%s"', (storage) => {
  let demo: Demo
  let browser: Browser
  let context: BrowserContext
  let page: Page

  beforeAll(async () => {
    browser = await launchChromium()
    demo = await startDemo({ STORAGE: storage, REDIS_URL: '' }, 'cluster.js')
  })
  afterAll(async () => {
    await browser?.close()
    await demo?.stop()
  })
  beforeEach(async () => {
    context = await browser.newContext()
    page = await context.newPage()
    await page.goto(`${demo.url}/session`)
    await signInAs('alice', page)
  })
  afterEach(() => context.close())

  async function expire(): Promise<void> {
    await page.getByRole('button', { name: 'Expire my access token' }).click()
    await page.waitForURL(`${demo.url}/session#tokens`)
  }

  const pidOf = (name: string) => {
    const pids = [...demo.output().matchAll(new RegExp(`${name} .*?process (\\d+)`, 'g'))]
    return Number(pids.at(-1)?.[1])
  }
  const heading = () => page.getByRole('heading', { level: 1 }).textContent()

  async function ask(command: string): Promise<void> {
    const port = Number(/redis:\/\/127\.0\.0\.1:(\d+)/.exec(demo.output())?.[1])
    await new Promise<void>((resolve, reject) => {
      const socket = createConnection(port, '127.0.0.1', () => socket.end(`${command}\r\n`))
      socket.on('error', reject)
      socket.on('close', () => resolve())
      socket.resume()
    })
  }

  test('eight refreshes at both processes sign nobody out', { timeout: 60_000 }, async () => {
    const by = new Set<string | undefined>()
    for (let count = 1; count <= 4; count++) {
      await expire()
      const [current, expired] = await tokens(page)
      expect(current?.by).toBe(`Refresh ${2 * count}`)
      for (const issue of [current, expired]) by.add(issue?.details.split(',')[0])
      if (count % 2 === 0) await page.reload() // the processes change places
    }
    expect(by).toEqual(new Set(['App 1', 'App 2']))

    await page.getByRole('button', { name: 'Ten requests at once' }).click()
    await page.getByText('10 of 10 requests answered by 2 instances, with one refresh').waitFor()
  })

  test(
    'a session survives a process that is killed, and the process comes back',
    { timeout: 60_000 },
    async () => {
      await expire()
      process.kill(pidOf('App 1'), 'SIGKILL')
      await expire()
      for (let visit = 0; visit < 4; visit++) {
        await page.reload()
        expect(await heading()).toBe('Your session')
        await page.getByText('This page came from App 2').waitFor()
      }
      await demo.printed(/App 1 is back: process/)
      await page.reload()
      const first = await page.locator('footer b').textContent()
      await page.reload()
      const second = await page.locator('footer b').textContent()
      expect(new Set([first, second])).toEqual(new Set(['App 1', 'App 2']))
    },
  )

  test(
    'while Redis is away pages say 503, and nobody is signed out by that',
    { timeout: 60_000 },
    async () => {
      await ask('SHUTDOWN')
      await demo.printed(/Redis ended/)
      for (const path of ['/session', '/']) {
        const answer = await page.goto(`${demo.url}${path}`)
        expect(answer?.status()).toBe(503)
        expect(await heading()).toBe('One moment, please')
      }
      await demo.printed(
        /App 1: Redis is back[^]*App 2: Redis is back|App 2: Redis is back[^]*App 1: Redis is back/,
      )
      await page.goto(`${demo.url}/session`)
      await expire()
      expect(await tokens(page)).toMatchObject([{ by: 'Refresh 2' }, { by: 'Refresh 1' }, { by: 'Sign-in' }])
    },
  )

  test('"Sign me out everywhere" reaches another browser at either process', async () => {
    const other = await browser.newContext()
    const second = await other.newPage()
    await second.goto(`${demo.url}/session`)
    await signInAs('alice', second)
    await page.getByRole('button', { name: 'Sign me out everywhere' }).click()
    expect(await heading()).toBe('You are signed out everywhere')
    for (let visit = 0; visit < 2; visit++) {
      await second.goto(`${demo.url}/session`)
      expect(second.url()).toContain(demo.issuer)
      await second.goto(demo.url)
      await second.getByRole('link', { name: 'Sign in' }).first().waitFor()
    }
    await other.close()
  })

  test('it ends at once and leaves nothing behind', async () => {
    await demo.stop()
    expect(() => process.kill(pidOf('App 1'), 0)).toThrow('ESRCH')
    expect(() => process.kill(pidOf('App 2'), 0)).toThrow('ESRCH')
    await expect(ask('PING')).rejects.toThrow('ECONNREFUSED')
  })
})
