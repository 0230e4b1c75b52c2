/** The logout plans against our own faulty server: RP-initiated, back-channel, and front-channel in a real browser. */
import helmet from 'helmet'
import type { Browser as Chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { frameworks, storages } from '../support/app.js'
import { hasChromium, launchChromium, needChromium } from '../support/chromium.js'
import type { FaultName } from '../support/faulty-server.js'
import { isGoodCookie, isSignedIn, logoutPaths, tell } from '../support/logout.js'
import { startStage } from '../support/stage.js'
import { startRun, type AppSetup, type LoginRun } from './login-run.js'

const apps = frameworks.flatMap((framework) => storages.map((storage) => ({ framework, storage })))

/** Logs in and out, with a server that does this wrong at logout. */
async function loggedOut(fault: FaultName, app: AppSetup): Promise<LoginRun> {
  const run = await startRun({
    app: {
      ...app,
      options: {
        // What the client is registered with at the server, as `id_token_signed_response_alg`.
        algorithms: ['RS256'],
        paths: { backchannelLogout: logoutPaths.backchannelLogout },
      },
      routes: ({ get }) => get('/', (_request, response) => response.end('signed out')),
    },
  })
  await run.login()
  run.server.misbehave(fault)
  await run.browser.visit(`${run.app.url}/open`)
  await run.browser.submit({}, '/logout')
  return run
}

/** The user is back on a page of the application, and signed out there. */
async function expectLoggedOut(run: LoginRun): Promise<void> {
  const { status, url, body } = run.browser.page
  expect([status, new URL(url).origin, body]).toEqual([200, run.app.url, 'signed out'])
  expect(await isSignedIn(run.browser, run.app)).toBe(false)
  expect(run.app.errors).toEqual([])
  expect(run.server.complaints).toEqual([])
  expect(run.server.elsewhere).toEqual([])
  expect(run.server.counts).toMatchObject({ authorize: 1, endSession: 1 })
}

describe.each(apps)('RP-initiated logout on $framework with storage $storage', (app) => {
  it.each([
    'oidcc-client-test-rp-init-logout',
    'oidcc-client-test-rp-init-logout-other-state',
    'oidcc-client-test-rp-init-logout-no-state',
  ] as const)('%s', async (name) => {
    const run = await loggedOut(name, app)
    await expectLoggedOut(run)
    const asked = run.server.requests.find(({ endpoint }) => endpoint === 'endSession')?.query
    expect(asked?.get('id_token_hint')).toMatch(/^ey/)
    expect(asked?.get('post_logout_redirect_uri')).toBe(`${run.app.url}/`)
    expect(run.server.logoutAnswers.map(({ status }) => status)).toEqual([200])
  })
})

describe.each(apps)('Back-channel logout on $framework with storage $storage', (app) => {
  it('oidcc-client-test-rp-backchannel-rpinitlogout', async () => {
    const run = await loggedOut('oidcc-client-test-rp-backchannel-rpinitlogout', app)
    await expectLoggedOut(run)
    expect(run.server.logoutAnswers).toEqual([{ status: 200, cacheControl: 'no-store', body: '' }])
  })

  it.each([
    'oidcc-client-test-rp-backchannel-rpinitlogout-alg-none',
    'oidcc-client-test-rp-backchannel-rpinitlogout-wrong-alg',
    'oidcc-client-test-rp-backchannel-rpinitlogout-wrong-aud',
    'oidcc-client-test-rp-backchannel-rpinitlogout-wrong-iss',
    'oidcc-client-test-rp-backchannel-rpinitlogout-wrong-event',
    'oidcc-client-test-rp-backchannel-rpinitlogout-no-event',
    'oidcc-client-test-rp-backchannel-rpinitlogout-with-nonce',
  ] as const)('%s', async (name) => {
    const run = await loggedOut(name, app)
    await expectLoggedOut(run)
    expect(run.server.logoutAnswers).toEqual([
      { status: 400, cacheControl: 'no-store', body: expect.stringContaining('"error":"invalid_request"') },
    ])
    // Nobody but the user has ended anything: told the same about another session, the application lets it live.
    const { headers } = await run.browser.visit(`${run.app.url}/private`)
    expect(headers['content-type']).toBe('application/json')
    expect((await tell(run.app, await run.server.logoutToken())).status).toBe(400)
    expect(await isSignedIn(run.browser, run.app)).toBe(true)
  })
})

needChromium()

describe.skipIf(!hasChromium)('Front-channel logout in Chromium', () => {
  let chromium: Chromium
  beforeAll(async () => {
    chromium = await launchChromium()
  })
  afterAll(async () => chromium?.close())

  /** The application is on `localhost`, the server on `127.0.0.1`: two sites, as in life. */
  async function signedIn(storage: (typeof storages)[number]) {
    const policy = { directives: { upgradeInsecureRequests: null } }
    const stage = await startStage({
      storage,
      options: { paths: { frontchannelLogout: logoutPaths.frontchannelLogout } },
      before: [helmet({ contentSecurityPolicy: policy })],
      routes: ({ get }) => get('/', (_request, response) => response.end('signed out')),
    })
    const context = await chromium.newContext()
    const page = await context.newPage()
    const problems: string[] = []
    page.on('console', (message) => {
      const isIcon = message.location().url.endsWith('/favicon.ico')
      if (message.type() === 'error' && !isIcon) problems.push(message.text())
    })
    await page.goto(`${stage.app.url}/private`)
    expect(page.url()).toBe(`${stage.app.url}/private`)
    const cookies = await context.cookies(stage.app.url)
    const cookie = cookies.map(({ name, value }) => `${name}=${value}`).join('; ')
    expect(await isGoodCookie(cookie, stage.app)).toBe(true)
    const framed = page.waitForResponse((response) => response.url().includes(logoutPaths.frontchannelLogout))
    return { ...stage, page, cookie, problems, framed }
  }

  it.each(storages)('oidcc-client-test-rp-frontchannel-rpinitlogout with storage %s', async (storage) => {
    const { app, server, page, cookie, problems, framed } = await signedIn(storage)
    server.misbehave('oidcc-client-test-rp-frontchannel-rpinitlogout')
    await page.goto(`${app.url}/open`)
    await page.click('button')
    expect((await framed).status()).toBe(200)
    await page.waitForURL((url) => url.origin === app.url && url.pathname === '/')
    expect(await page.textContent('body')).toBe('signed out')
    expect(await isGoodCookie(cookie, app)).toBe(false)
    expect([problems, server.complaints]).toEqual([[], []])
    await page.context().close()
  })

  it.each(storages)('oidcc-client-test-rp-frontchannel-opinitlogout with storage %s', async (storage) => {
    const { app, server, page, cookie, problems, framed } = await signedIn(storage)
    server.misbehave('oidcc-client-test-rp-frontchannel-opinitlogout')
    const hint = server.secrets.find(({ role }) => role === 'ID token')?.value ?? ''
    await page.goto(`${server.issuer}/end-session?id_token_hint=${hint}&state=of-the-server`)
    const response = await framed
    expect([response.status(), (await response.allHeaders())['cache-control']]).toEqual([200, 'no-store'])
    // A browser brings no cookies to a frame on another site; the name of the session has to do.
    expect((await response.request().allHeaders())['cookie']).toBeUndefined()
    await expect.poll(async () => page.frames()[1]?.title()).toBe('Signed out')
    expect(await isGoodCookie(cookie, app)).toBe(false)
    expect([problems, server.counts.revocation]).toEqual([[], 0])
    await page.context().close()
  })
})
