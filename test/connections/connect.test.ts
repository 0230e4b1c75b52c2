/** The way to a provider and back, over HTTP: where it begins, what it carries, and how it ends. */
import express from 'express'
import helmet from 'helmet'
import { describe, expect, test } from 'vitest'
import { memoryConnectionStore, oauthConnections, oauthLogin, requireLogin } from '../../lib/index.js'
import type { Page } from '../support/browser.js'
import { canary } from '../support/canaries.js'
import { providerAt, startConnecting } from '../support/connecting.js'
import { frameworks } from '../support/app.js'
import { bare, cookieHeader, cookiesOf, ownForm, ownScript, typed } from '../support/requests.js'
import { serve, type Handler } from '../support/serve.js'
import { registration } from '../support/stage.js'
import { startUserServer } from '../support/user-server.js'
import { travel } from '../support/time.js'

const textOf = ({ body }: Page) => ({
  code: /<code>(\w+)<\/code>/.exec(body)?.[1],
  wayOn: /<a href="([^"]*)">/.exec(body)?.[1],
})

const ofConnect = ({ setCookies }: Page) => setCookies.filter((header) => header.includes('.connect.'))

describe('connecting', () => {
  test.each(frameworks)('by a form, behind helmet, with %s', async (framework) => {
    const stage = await startConnecting({
      returnTo: '/settings',
      app: {
        framework,
        before: [helmet() as Handler],
        routes: (router) =>
          router.get('/settings', (_request, response) => {
            response.setHeader('content-type', 'text/html')
            response.end(
              '<form method="post" action="/connections/projects/connect"><button>Connect</button></form>',
            )
          }),
      },
    })
    const alice = await stage.signedIn('alice')
    await alice.visit(`${stage.app.url}/settings`)
    expect(alice.page.headers['content-security-policy']).toContain("form-action 'self'")
    const back = await alice.submit()
    expect(back.url).toBe(`${stage.app.url}/settings`)
    expect((await stage.list(alice)).outcome).toMatchObject({ status: 'connected' })
  })

  test('sends what the provider needs, and nothing that the page sent', async () => {
    const stage = await startConnecting({
      providers: { projects: { authorizationParameters: { access_type: 'offline', prompt: 'consent' } } },
    })
    const alice = await stage.signedIn('alice')
    const sent = { scope: 'admin', redirect_uri: 'https://evil.example/', prompt: 'none', provider: 'other' }
    const { body } = await stage.post(alice, '/connections/projects/connect', sent)
    const url = new URL((JSON.parse(body) as { location: string }).location)
    const { state, nonce, code_challenge, ...others } = Object.fromEntries(url.searchParams)
    expect([state, nonce, code_challenge].every((value) => (value?.length ?? 0) >= 22)).toBe(true)
    expect(others).toEqual({
      access_type: 'offline',
      prompt: 'consent',
      response_type: 'code',
      client_id: 'app-at-projects',
      redirect_uri: `${stage.app.url}/connections/projects/callback`,
      scope: 'openid profile offline_access',
      code_challenge_method: 'S256',
    })
  })

  test.each([
    ['/settings?tab=2#here', '/settings?tab=2#here'],
    ['https://evil.example/', '/'],
    ['//evil.example', '/'],
    ['/\\evil.example', '/'],
    ['', '/'],
  ])('comes back to a page of this site: %s', async (wanted, location) => {
    const stage = await startConnecting()
    const alice = await stage.signedIn('alice')
    const callback = await stage.pending(alice, 'projects', { return_to: wanted })
    const page = await alice.visit(callback, { follow: false })
    expect([page.status, page.headers.location]).toEqual([303, location])
    expect(page.headers).toMatchObject({ 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' })
  })

  test('goes on in several tabs at once, each with its own answer', async () => {
    const stage = await startConnecting({ providers: { a: {}, b: {} } })
    const alice = await stage.signedIn('alice')
    const callbacks = [await stage.pending(alice, 'a'), await stage.pending(alice, 'b')]
    for (const callback of callbacks.toReversed()) await alice.visit(callback)
    expect(await stage.connections.for('alice').list()).toHaveLength(2)
  })

  test('says at once what is too much to wait in a cookie', async () => {
    const names = Array.from({ length: 20 }, (_, index) => `field_${index}`)
    const fields = Object.fromEntries(names.map((name) => [name, { label: name }]))
    const stage = await startConnecting({ providers: { projects: { fields } } })
    const alice = await stage.signedIn('alice')
    const most = Object.fromEntries(names.map((name) => [name, 'x'.repeat(200)]))
    const page = await stage.post(alice, '/connections/projects/connect', most)
    expect([page.status, JSON.parse(page.body), ofConnect(page)]).toMatchObject([
      400,
      { error: 'invalid_request' },
      [],
    ])
    expect(stage.events.at(-1)).toMatchObject({
      type: 'connect_failed',
      error: { reason: 'transaction_too_large' },
    })
  })

  test('tells of a provider that is away before anybody goes there', async () => {
    const stage = await startConnecting()
    const alice = await stage.signedIn('alice')
    await stage.providers['projects']?.server.close()
    const page = await stage.post(alice, '/connections/projects/connect')
    expect([page.status, JSON.parse(page.body)]).toMatchObject([503, { error: 'server_unavailable' }])
    expect(stage.events.at(-1)).toMatchObject({ type: 'connect_failed', provider: 'projects' })
  })
})

describe('a callback', () => {
  test('that never began here, or comes again, leads back to the connections', async () => {
    const stage = await startConnecting({ returnTo: '/settings' })
    const alice = await stage.signedIn('alice')
    const callback = await stage.pending(alice)
    await alice.visit(callback)
    const again = await alice.visit(callback)
    const never = await alice.visit(callback.replace(/state=[^&]*/, `state=${'A'.repeat(22)}`))
    for (const page of [again, never]) {
      expect([page.status, textOf(page)]).toEqual([400, { code: 'unknown_state', wayOn: '/settings' }])
      expect(page.body).toContain('over already, or did not begin here')
      expect(page.headers).toMatchObject({ 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' })
    }
    expect(stage.tokenRequests()).toBe(1)
    // What came of the first is still to be told.
    expect((await stage.list(alice)).outcome).toMatchObject({ status: 'connected' })
  })

  test('that comes twenty times at once redeems its code once', async () => {
    const stage = await startConnecting()
    const alice = await stage.signedIn('alice')
    const callback = await stage.pending(alice)
    const cookie = await cookieHeader(alice, stage.app.url)
    const pages = await Promise.all(Array.from({ length: 20 }, () => bare(callback, { ...typed, cookie })))
    expect(pages.filter(({ status }) => status === 303)).toHaveLength(1)
    expect(stage.tokenRequests()).toBe(1)
  })

  test('that comes too late is none', async () => {
    const stage = await startConnecting({ transactionLifetime: 60 })
    const alice = await stage.signedIn('alice')
    const callback = await stage.pending(alice)
    const cookie = await cookieHeader(alice, stage.app.url)
    travel(61)
    expect((await bare(callback, { ...typed, cookie })).status).toBe(400)
    expect(stage.tokenRequests()).toBe(0)
  })

  test('with a state that cannot be ours is refused', async () => {
    const stage = await startConnecting()
    const alice = await stage.signedIn('alice')
    const queries = ['', 'state=', 'state=A', 'state=a&state=b', `state=${'A'.repeat(5_000)}`]
    for (const query of queries) {
      const page = await alice.visit(`${stage.app.url}/connections/projects/callback?code=a&${query}`)
      expect([page.status, textOf(page).code]).toEqual([400, 'invalid_callback'])
    }
    const told = stage.events.filter(({ type }) => type === 'connect_failed')
    expect(told).toMatchObject(queries.map(() => ({ provider: 'projects', code: 'invalid_callback' })))
  })

  test('finds everything as it was when it could not be known who is signed in', async () => {
    let isAway = false
    const stage = await startConnecting({
      owner: () => {
        if (isAway) throw Object.assign(new Error('the database of the app is away'), { status: 503 })
        return 'alice'
      },
    })
    const alice = await stage.signedIn('alice')
    const callback = await stage.pending(alice)
    isAway = true
    const away = await alice.visit(callback)
    expect([away.status, stage.tokenRequests()]).toEqual([503, 0])
    expect(away.headers['cache-control']).toBe('no-store') // the page is the app's own, and the URL holds a code
    expect(stage.events.at(-1)).toMatchObject({ type: 'connect_failed', error: { reason: 'threw' } })
    isAway = false
    await alice.visit(callback)
    expect((await stage.list(alice)).outcome).toMatchObject({ status: 'connected' })
  })

  test('of a provider that is not there is no page of ours', async () => {
    const stage = await startConnecting()
    const alice = await stage.signedIn('alice')
    const page = await alice.visit(`${stage.app.url}/connections/nothing/callback?code=a&state=b`)
    expect([page.status, textOf(page)]).toEqual([404, { code: 'provider_not_found', wayOn: '/' }])
  })

  test('clears what waited for it', async () => {
    const stage = await startConnecting()
    const alice = await stage.signedIn('alice')
    const callback = await stage.pending(alice)
    expect(await cookiesOf(alice, stage.app.url, /\.connect\./)).toHaveLength(1)
    await alice.visit(callback)
    expect(await cookiesOf(alice, stage.app.url, /\.connect\./)).toEqual([])
  })
})

test('an app below a path of its own has its callback there', async () => {
  const [login, projects] = [
    await startUserServer({ life: 3_600 }),
    await startUserServer({ life: 3_600, cookie: 'account' }),
  ]
  const url = await serve((origin) => {
    const baseUrl = `${origin}/app`
    login.server.register(`${baseUrl}/callback`)
    const connections = oauthConnections({
      baseUrl,
      secrets: [canary('cookie-secret')],
      store: memoryConnectionStore(),
      providers: { projects: providerAt(projects) },
    })
    const [registered] = connections.redirectUris()
    expect(registered?.redirectUri).toBe(`${baseUrl}/connections/projects/callback`)
    projects.server.register(registered?.redirectUri ?? '')
    const signIn = oauthLogin({
      ...registration(login.server),
      baseUrl,
      storage: 'cookie',
      secrets: [canary('cookie-secret')],
    })
    const tenant = express.Router({ mergeParams: true })
    tenant.use(signIn, connections)
    tenant.get('/', requireLogin(), (_request, response) => void response.send('in'))
    return express().use('/:tenant', tenant)
  })
  const alice = await login.openBrowser('alice')
  await projects.openBrowser('alice', alice)
  await alice.visit(`${url}/app/`)
  const cookie = await cookieHeader(alice, url)
  const form = await bare(
    `${url}/app/connections/projects/connect`,
    { ...ownForm, cookie },
    { method: 'POST' },
  )
  for (const header of form.setCookies) await alice.jar.setCookie(header, url)
  const back = await alice.visit(/url=(.*)/.exec(String(form.headers['refresh']))?.[1] ?? '')
  expect(back.url).toBe(`${url}/app/`)
  const { body } = await bare(`${url}/app/connections`, {
    ...ownScript,
    cookie: await cookieHeader(alice, url),
  })
  expect(JSON.parse(body)).toMatchObject({
    connections: [{ status: 'active' }],
    outcome: { status: 'connected' },
  })
  await Promise.all([login.server.close(), projects.server.close()])
})
