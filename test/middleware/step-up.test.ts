/** A sign-in that is too weak or too old for what comes next: to the server and back, once. */
import { describe, expect, test } from 'vitest'
import { getAuth, requireStepUp, startLogin, type Middleware, type StepUpOptions } from '../../lib/index.js'
import { frameworks, storages, type AppOptions } from '../support/app.js'
import { openBrowser, type Browser } from '../support/browser.js'
import { withClaims } from '../support/faulty-server/faults/modules-basic.js'
import { now } from '../support/faulty-server/provider.js'
import { breakableStore } from '../support/open-store.js'
import { bare, cookieHeader, location, sentParameter, setsSession, typed } from '../support/requests.js'
import { startStage, type StageOptions } from '../support/stage.js'
import { travel } from '../support/time.js'

const script = { 'sec-fetch-mode': 'cors', 'sec-fetch-site': 'same-origin', accept: 'application/json' }

const shows: Middleware = (req, res) => {
  const { subject, scopes, claims } = getAuth(req)
  res.end(JSON.stringify({ subject, scopes, claims }))
}

/** An application with a page, `/vault`, that needs a sign-in like this. */
async function vault(needs: StepUpOptions, stage: StageOptions = {}) {
  const routes: AppOptions['routes'] = (router) => {
    router.use((req, res, next) => {
      if (!req.url?.startsWith('/vault')) next()
      else requireStepUp(needs)(req, res, () => shows(req, res, next))
    })
    router.get('/more', (req, res) => startLogin(req, res, { scope: 'read:projects', returnTo: '/open' }))
  }
  const started = await startStage({ ...stage, routes })
  const url = `${started.app.url}/vault`
  const { requests } = started.server
  /** What the server was asked for of late. */
  const asked = (count = 1) =>
    requests
      .filter(({ endpoint }) => endpoint === 'authorize')
      .slice(-count)
      .map(({ query }) => [query.get('acr_values'), query.get('max_age')])
  return { ...started, url, asked }
}

const statusAt = async (browser: Browser, url: string) => (await browser.visit(url, { follow: false })).status

describe.each(frameworks.flatMap((framework) => storages.map((storage) => ({ framework, storage }))))(
  '$framework, storage "$storage"',
  (app) => {
    test('a page visit goes to a login that asks for it, and comes back to the same page', async () => {
      const { url, asked, signedIn } = await vault({ acr: ['gold', 'silver'], maxAge: 60 }, app)
      const browser = await signedIn()
      await browser.visit(`${new URL(url).origin}/more`)
      const before = await browser.visit(`${url}?page=2`, { follow: false })
      expect([sentParameter(before, 'acr_values'), sentParameter(before, 'max_age')]).toEqual([
        'gold silver',
        '60',
      ])
      expect(sentParameter(before, 'prompt')).toBeNull()

      const page = await browser.visit(`${url}?page=2`)
      expect([page.url, page.status]).toEqual([`${url}?page=2`, 200])
      expect(asked()).toEqual([['gold silver', '60']])
      // What was granted before the step is granted after it.
      expect(JSON.parse(page.body)).toMatchObject({
        subject: 'subject-1',
        scopes: ['openid', 'read:projects'],
        claims: { acr: 'gold' },
      })
      expect(await statusAt(browser, url)).toBe(200)
    })
  },
)

describe.each(storages)('storage "%s"', (storage) => {
  test('T26 the session after the step is another one', async () => {
    const { app, url, signedIn } = await vault({ acr: 'gold' }, { storage })
    const browser = await signedIn()
    const before = await cookieHeader(browser, url)
    expect((await browser.visit(url)).status).toBe(200)
    // Whoever had the cookie of before has not made the step.
    const old = await bare(url, { ...script, cookie: before })
    expect([old.status, JSON.parse(old.body)]).toMatchObject([
      401,
      { error: storage === 'cookie' ? 'insufficient_user_authentication' : 'login_required' },
    ])
    expect(app.events.filter(({ type }) => type === 'login')).toHaveLength(2)
  })

  test('what the ID token says counts, whatever onLogin keeps or makes up', async () => {
    const onLogin = () => ({ acr: 'silver', auth_time: 1, name: 'Alice' })
    const { url, signedIn } = await vault({ acr: 'gold', maxAge: 60 }, { storage, options: { onLogin } })
    const page = await (await signedIn()).visit(url)
    expect([page.status, JSON.parse(page.body)]).toMatchObject([200, { claims: { acr: 'silver' } }])
    const madeUp = { onLogin: () => ({ acr: 'gold', auth_time: now() }) }
    const { url: other, signedIn: signIn } = await vault({ acr: 'gold' }, { storage, options: madeUp })
    expect(await statusAt(await signIn(), other)).toBe(302)
  })

  test('a sign-in grows old, and is asked for again', async () => {
    const { url, asked, signedIn, server } = await vault({ maxAge: 60 }, { storage })
    const browser = await signedIn()
    expect(await statusAt(browser, url)).toBe(200)
    travel(85)
    expect(await statusAt(browser, url)).toBe(200)
    travel(10)
    expect(await statusAt(browser, url)).toBe(302)
    expect(await browser.visit(url)).toMatchObject({ url, status: 200 })
    expect(asked()).toEqual([[null, '60']])
    expect(server.counts.authorize).toBe(2)
  })

  test('scripts are told what is needed, and where to get it', async () => {
    const { app, url, asked, signedIn } = await vault({ acr: ['gold', 'silver'], maxAge: 60 }, { storage })
    const browser = await signedIn()
    await browser.visit(`${app.url}/more`)
    const answer = await browser.fetch(url)
    expect(answer.status).toBe(401)
    expect(answer.headers['www-authenticate']).toBeUndefined()
    const told = JSON.parse(answer.body) as { login_url: string }
    expect(told).toEqual({
      error: 'insufficient_user_authentication',
      error_description: 'A stronger or more recent sign-in is needed.',
      acr_values: 'gold silver',
      max_age: 60,
      login_url: expect.stringMatching(/^\/login\?step_up=[\w.-]+$/),
    })
    const page = await browser.visit(`${app.url}${told.login_url}&returnTo=/vault`)
    expect([page.url, page.status]).toEqual([url, 200])
    expect(asked()).toEqual([['gold silver', '60']])
    expect(JSON.parse(page.body)).toMatchObject({ scopes: ['openid', 'read:projects'] })
  })
})

describe('what a login is asked for', () => {
  test('only what is needed', async () => {
    const acr = await vault({ acr: 'gold' })
    const { body } = await (await acr.signedIn()).fetch(acr.url)
    expect(JSON.parse(body)).toMatchObject({ acr_values: 'gold' })
    expect(Object.keys(JSON.parse(body) as object)).not.toContain('max_age')
    await (await acr.signedIn()).visit(acr.url)
    expect(acr.asked()).toEqual([['gold', null]])
    const age = await vault(
      { maxAge: 5 },
      { server: { fault: withClaims(() => ({ auth_time: undefined })) } },
    )
    const answer = await (await age.signedIn()).fetch(age.url)
    expect(Object.keys(JSON.parse(answer.body) as object)).not.toContain('acr_values')
  })

  test.each([
    [30, 300, '30'],
    [300, 30, '30'],
  ])(
    'every login must be of %i seconds, this page needs %i: the shorter counts',
    async (every, maxAge, asks) => {
      const options = { authorizationParameters: { max_age: every } }
      const { url, asked, signedIn } = await vault({ acr: 'gold', maxAge }, { options })
      await (await signedIn()).visit(url)
      expect(asked()).toEqual([['gold', asks]])
    },
  )

  test('nobody else can put a demand into the login path', async () => {
    const { app, url, signedIn, server } = await vault({ acr: 'gold' })
    const browser = await signedIn()
    const { login_url: good } = JSON.parse((await browser.fetch(url)).body) as { login_url: string }
    const before = server.counts.authorize
    const sealed = good.slice('/login?step_up='.length)
    const wrong = [
      '',
      'x',
      JSON.stringify({ acr: ['bronze'] }),
      sealed.slice(0, -1),
      `${sealed}&step_up=${sealed}`,
    ]
    for (const value of wrong)
      expect((await bare(`${app.url}/login?step_up=${value}`, typed)).status).toBe(400)
    const plain = await bare(`${app.url}/login?acr_values=bronze&max_age=9`, typed)
    expect([sentParameter(plain, 'acr_values'), sentParameter(plain, 'max_age')]).toEqual([null, null])
    // One of another application does not open here.
    const other = await vault({ acr: 'bronze' })
    const { body } = await (await other.signedIn()).fetch(other.url)
    const { login_url: foreign } = JSON.parse(body) as { login_url: string }
    expect((await bare(`${app.url}${foreign}`, typed)).status).toBe(400)
    expect(server.counts.authorize).toBe(before)
  })

  test('a form that was posted is lost: it ends where logins end', async () => {
    const { app, url, signedIn } = await vault({ acr: 'gold' })
    const browser = await signedIn()
    const cookie = await cookieHeader(browser, url)
    const posted = await bare(url, { ...typed, 'sec-fetch-site': 'same-origin', cookie }, { method: 'POST' })
    expect(posted.status).toBe(303)
    expect(sentParameter(posted, 'acr_values')).toBe('gold')
    const back = await bare(location(posted))
    const callback = await bare(location(back), {
      ...typed,
      cookie: [cookie, ...posted.setCookies.map((one) => one.split(';', 1)[0])].join('; '),
    })
    expect([setsSession(callback), location(callback)]).toEqual([true, '/'])
    expect(app.events.at(-1)).toMatchObject({ type: 'login' })
  })

  test('without "openid" that is a mistake of the application', async () => {
    const claims = withClaims(() => ({}))
    const { url, app, signedIn } = await vault(
      { maxAge: 60 },
      {
        server: { fault: claims },
        options: { scope: 'read:projects', onError: 'next' },
      },
    )
    const page = await (await signedIn()).visit(url)
    expect(page.status).toBe(500)
    expect(app.errors).toMatchObject([{ code: 'invalid_configuration' }])
  })

  test('a store that is away is a 503, and no login', async () => {
    const { store, breaks } = breakableStore()
    const { url, signedIn } = await vault({ acr: 'gold' }, { options: { store } })
    const browser = await signedIn()
    breaks((method) => method === 'get')
    expect(await statusAt(browser, url)).toBe(503)
  })

  test('nobody is sent to sign in first, and makes the step then', async () => {
    const { url, asked } = await vault({ acr: 'gold' })
    const browser = openBrowser()
    expect(await browser.visit(url)).toMatchObject({ url, status: 200 })
    expect(asked(2)).toEqual([
      [null, null],
      ['gold', null],
    ])
  })
})

describe('no circle', () => {
  const faults: [what: string, needs: StepUpOptions, claims: () => Record<string, unknown>][] = [
    ['does not know the acr', { acr: 'gold' }, () => ({ acr: 'bronze' })],
    ['says no acr', { acr: 'gold' }, () => ({ acr: undefined })],
    ['asks nobody to sign in again', { maxAge: 60 }, () => ({ auth_time: now() - 3_600 })],
    ['says no auth_time', { maxAge: 60 }, () => ({ auth_time: undefined })],
    ['is an hour ahead', { maxAge: 60 }, () => ({ auth_time: now() + 3_600 })],
  ]

  test.each(faults)(
    'a server that %s: a page says so, and another try is possible',
    async (_what, needs, claims) => {
      const { app, server, url, signedIn } = await vault(needs, { server: { fault: withClaims(claims) } })
      const browser = await signedIn()
      for (let round = 1; round <= 2; round++) {
        const page = await browser.visit(url)
        expect([page.status, new URL(page.url).pathname]).toEqual([400, '/callback'])
        expect(page.body).toContain('A stronger or more recent sign-in is needed.')
        expect(server.counts.authorize).toBe(1 + round)
        // The session of before is as good as it was.
        expect(await statusAt(browser, `${app.url}/private`)).toBe(200)
      }
      server.misbehave()
      expect(await browser.visit(url)).toMatchObject({ url, status: 200 })
    },
  )

  test.each(['cookie'] as const)(
    'a browser that goes on with the session of before (%s)',
    async (storage) => {
      const { server, url, signedIn } = await vault({ acr: 'gold' }, { storage })
      const browser = await signedIn()
      const { setCookie } = browser.jar
      browser.jar.setCookie = (async (cookie: { key: string }, ...rest: unknown[]) =>
        ['oauth', 'oauth.tokens'].includes(cookie.key)
          ? undefined
          : Reflect.apply(setCookie, browser.jar, [cookie, ...rest])) as never
      const page = await browser.visit(url)
      expect([page.url, page.status, server.counts.authorize]).toEqual([url, 400, 2])
      expect(page.body).toContain('session_not_kept')
    },
  )

  test('two steps in a row are none', async () => {
    const { app, server, url } = await vault({ acr: 'gold' })
    const browser = openBrowser()
    await browser.visit(url)
    await browser.visit(`${app.url}/login`)
    expect(await browser.visit(url)).toMatchObject({ url, status: 200 })
    expect(server.counts.authorize).toBe(4)
  })
})
