import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import express from 'express'
import helmet from 'helmet'
import type { ClientMetadata } from 'oidc-provider'
import { afterEach, describe, expect, test } from 'vitest'
import { createAuthorizationServer } from '../../example-app/src/authorization-server.js'
import { getAuth, oauthBearer, requireScope, startLogin } from '../../lib/index.js'
import { frameworks, startApp, storages, type AppOptions, type LoginOptions } from '../support/app.js'
import { openBrowser, type Browser } from '../support/browser.js'
import { listening, stopped } from '../support/listening.js'

const clientSecret = 'the secret of this client'
const toClose: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of toClose.splice(0)) await close()
})

interface WorldOptions extends Partial<Omit<AppOptions, 'options' | 'routes'>> {
  options?: Options
  optionsAt?: (issuer: string) => Options
  /** Seconds. */
  accessTokenLifetime?: number
  /** Where the app hears of sign-outs at the server. */
  backchannelLogout?: string
}

/** Undefined takes a standing option away. */
type Options = { readonly [Name in keyof LoginOptions]?: LoginOptions[Name] | undefined }

/** An API, an authorization server and an app, all real, each on a port of its own. */
async function world(
  { options, optionsAt, accessTokenLifetime = 300, backchannelLogout, ...app }: WorldOptions,
  client: Partial<ClientMetadata> = { client_secret: clientSecret },
) {
  const apiServer = createServer()
  const authorizationServer = createServer()
  const apiUrl = await listening(apiServer, 'localhost')
  const issuer = await listening(authorizationServer, 'localhost')
  apiServer.on('request', projectsApi(issuer, apiUrl))
  toClose.push(
    () => stopped(apiServer),
    () => stopped(authorizationServer),
  )
  const started = await startApp({
    ...app,
    routes: ({ get }) => {
      get('/projects', requireScope('read:projects'), async (req, res) => {
        const authorization = `Bearer ${await getAuth(req).accessToken()}`
        const answer = await fetch(`${apiUrl}/v1/projects`, { headers: { authorization } })
        res.statusCode = answer.status
        res.end(await answer.text())
      })
      get('/sign-out', (_req, res) => {
        res.setHeader('content-type', 'text/html')
        res.end('<form method="post" action="/logout"><button>Sign out</button></form>')
      })
      get('/write', async (req, res) =>
        startLogin(req, res, { scope: 'write:projects', returnTo: '/private' }),
      )
    },
    options: present({
      clientId: 'app',
      clientSecret,
      issuer,
      scope: 'openid profile email offline_access read:projects',
      authorizationParameters: { prompt: 'consent' },
      ...(backchannelLogout !== undefined && { paths: { backchannelLogout } }),
      ...options,
      ...optionsAt?.(issuer),
    }),
  })
  toClose.push(() => started.close())
  authorizationServer.on(
    'request',
    createAuthorizationServer({
      issuer,
      apiUrl,
      accessTokenLifetime,
      clients: [
        {
          client_id: 'app',
          redirect_uris: [started.callbackUrl],
          post_logout_redirect_uris: [`${started.url}/`],
          grant_types: ['authorization_code', 'refresh_token'],
          ...(backchannelLogout !== undefined && {
            backchannel_logout_uri: started.url + backchannelLogout,
            backchannel_logout_session_required: true,
          }),
          ...client,
        },
      ],
    }),
  )
  return { ...started, issuer, browser: openBrowser() }
}

function present(options: Options): AppOptions['options'] {
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  return Object.fromEntries(given) as unknown as AppOptions['options']
}

function projectsApi(issuer: string, audience: string) {
  const api = express()
  api.use(oauthBearer({ issuer, audience }))
  api.get('/v1/projects', requireScope('read:projects'), (req, res) => {
    res.json({ for: getAuth(req).subject, clientId: getAuth(req).clientId })
  })
  return api
}

async function signIn(browser: Browser, url: string, user: string) {
  await browser.visit(url)
  await browser.submit({ username: user, password: user })
  return browser.submit()
}

describe.each(frameworks)('%s', (framework) => {
  describe.each(storages)('with storage "%s"', (storage) => {
    test('a user signs in, sees data of the API, and signs out', async () => {
      const { url, issuer, browser, events } = await world({ framework, storage })

      const projects = await signIn(browser, `${url}/projects?page=2`, 'alice')
      expect(projects).toMatchObject({ url: `${url}/projects?page=2`, status: 200 })
      expect(JSON.parse(projects.body)).toEqual({ for: 'alice', clientId: 'app' })

      const session = await browser.visit(`${url}/private`)
      expect(JSON.parse(session.body)).toMatchObject({
        sub: 'alice',
        iss: issuer,
        email: 'alice@example.com',
      })

      await browser.visit(`${url}/sign-out`)
      await browser.submit()
      if (browser.page.url.startsWith(issuer)) await browser.submit()
      expect(browser.page.url).toMatch(new RegExp(`^${url}/(\\?state=|$)`))
      await browser.visit(`${url}/private`)
      expect(browser.page.url).toMatch(`${issuer}/`)
      expect(events.map(({ type }) => type)).toEqual(['metadata_fetched', 'jwks_fetched', 'login', 'logout'])
    })
  })
})

describe.each(storages)('with storage "%s"', (storage) => {
  test('more scope is asked for when it is needed', async () => {
    const { url, browser } = await world({ storage })
    await signIn(browser, `${url}/private`, 'alice')
    const before = await browser.visit(`${url}/scoped`)
    await browser.visit(`${url}/write`)
    const after = await browser.submit()
    expect([before.status, after.url, after.status]).toEqual([200, `${url}/private`, 200])
  })

  test('twenty requests at once with an expired access token refresh it once, and nobody is signed out', async () => {
    const { url, browser, events } = await world({ storage, accessTokenLifetime: 3 })
    await signIn(browser, `${url}/projects`, 'alice')
    for (let round = 1; round <= 2; round++) {
      await new Promise((resolve) => setTimeout(resolve, 3_100))
      const answers = await Promise.all(Array.from({ length: 20 }, () => browser.fetch('/projects')))
      expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200))
      expect(events.filter(({ type }) => type === 'refreshed')).toHaveLength(round)
    }
  })

  test('a user who signs out at the server is signed out here, and can sign in again', async () => {
    const { url, issuer, browser, events } = await world({
      storage,
      backchannelLogout: '/backchannel-logout',
    })
    await signIn(browser, `${url}/private`, 'alice')
    const elsewhere = openBrowser()
    await signIn(elsewhere, `${url}/private`, 'alice')
    await browser.visit(`${issuer}/session/end`)
    await browser.submit({ logout: 'yes' })
    expect(events.at(-1)).toEqual({ type: 'server_logout', channel: 'back', subject: 'alice' })
    expect((await browser.visit(`${url}/private`)).url).toMatch(`${issuer}/`)
    expect((await elsewhere.visit(`${url}/private`)).url).toBe(`${url}/private`)
    expect((await signIn(browser, `${url}/private`, 'alice')).url).toBe(`${url}/private`)
  })

  test('a user who says no gets a page that says so', async () => {
    const { url, browser } = await world({ storage })
    await browser.visit(`${url}/private`)
    await browser.submit({ username: 'bob', password: 'bob' })
    const [deny] = /\/interaction\/[^"]+\/deny/.exec(browser.page.body) ?? []
    const page = await browser.submit({}, deny)
    expect(page.status).toBe(403)
    expect(page.body).toContain('Access was denied.')
    expect((await browser.fetch('/private')).status).toBe(401)
  })

  test('logout works behind the default policy of helmet', async () => {
    const { url, issuer, browser } = await world({ storage, before: [helmet()] })
    await signIn(browser, `${url}/private`, 'alice')
    await browser.visit(`${url}/sign-out`)
    const page = await browser.submit()
    expect([issuer, url]).toContain(new URL(page.url).origin)
    expect((await browser.visit(`${url}/private`)).url).toMatch(`${issuer}/`)
  })

  test('eight logins begun at once are finished in any order, and the ninth drops the oldest', async () => {
    const { url, browser } = await world({
      storage,
      options: { authorizationParameters: {} },
    })
    const starts: string[] = []
    for (let tab = 0; tab < 9; tab++) {
      const { headers } = await browser.visit(`${url}/login?returnTo=/private?tab=${tab}`, { follow: false })
      starts.push(headers['location'] ?? '')
    }
    await browser.visit(starts[8] ?? '')
    await browser.submit({ username: 'alice', password: 'alice' })
    const ends = [(await browser.submit()).url]
    for (const tab of [3, 1, 7, 2, 6, 4, 5]) ends.push((await browser.visit(starts[tab] ?? '')).url)
    expect(ends).toEqual([8, 3, 1, 7, 2, 6, 4, 5].map((tab) => `${url}/private?tab=${tab}`))
    // Its login is gone. The user is signed in, so the landing page it is.
    expect((await browser.visit(starts[0] ?? '')).url).toBe(`${url}/`)
  })
})

describe('the client proves who it is', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = { ...createPublicKey(privateKey).export({ format: 'jwk' }), kid: 'of the app', use: 'sig' }

  const methods: Record<string, [options: Options, client: Partial<ClientMetadata>]> = {
    client_secret_basic: [{}, { client_secret: clientSecret }],
    client_secret_post: [{ tokenEndpointAuthMethod: 'client_secret_post' }, { client_secret: clientSecret }],
    private_key_jwt: [
      { clientSecret: undefined, privateKey: { key: privateKey, kid: 'of the app' } },
      { jwks: { keys: [jwk] } },
    ],
    none: [{ clientSecret: undefined }, {}],
  }

  test.each(Object.entries(methods))('%s', async (method, [options, client]) => {
    const { url, browser } = await world(
      { options },
      { ...client, token_endpoint_auth_method: method as never },
    )
    expect((await signIn(browser, `${url}/projects`, 'alice')).status).toBe(200)
  })
})

test('the answer may come by form_post', async () => {
  const { url, browser } = await world({ options: { responseMode: 'form_post' } })
  expect((await signIn(browser, `${url}/projects`, 'alice')).status).toBe(200)
  expect(
    browser.responses.filter(({ method }) => method === 'POST').map((page) => new URL(page.url).pathname),
  ).toContain('/callback')
})

test('a server can be described by its endpoints, without OpenID Connect', async () => {
  const { url, browser, events } = await world({
    optionsAt: (issuer) => ({
      endpoints: { authorization: `${issuer}/auth`, token: `${issuer}/token`, userinfo: `${issuer}/me` },
      issuer: undefined,
      scope: 'read:projects',
    }),
  })
  const page = await signIn(browser, `${url}/projects`, 'alice')
  expect([page.status, JSON.parse(page.body)]).toEqual([200, { for: 'alice', clientId: 'app' }])
  expect(events.map(({ type }) => type)).toEqual(['login'])
})
