/** Threats to connecting: what a callback takes for an answer, whose account it links, and where secrets go. */
import { describe, expect, test } from 'vitest'
import {
  memoryConnectionStore,
  oauthConnections,
  type ConnectionProvider,
  type OAuthConnections,
} from '../../../lib/index.js'
import type { Page } from '../../support/browser.js'
import { providerAt, startConnecting, type Connecting } from '../../support/connecting.js'
import { correctSteps } from '../../support/faulty-server/steps.js'
import {
  bare,
  cookieHeader,
  cookiesOf,
  ownForm,
  ownScript,
  setsSession,
  typed,
} from '../../support/requests.js'
import { travel } from '../../support/time.js'

/** What a page says of an error, and what became of it. */
async function refusalOf(stage: Connecting, page: Page, owners: readonly string[] = ['alice', 'bob']) {
  const lists = await Promise.all(owners.map((owner) => stage.connections.for(owner).list()))
  return {
    status: page.status,
    code: /<code>(\w+)<\/code>/.exec(page.body)?.[1],
    linked: lists.flat().length,
    tokenRequests: stage.tokenRequests(),
  }
}

const refused = (status: number, code: string) => ({ status, code, linked: 0, tokenRequests: 0 })

function changed(callback: string, parameters: Readonly<Record<string, string | undefined>>): string {
  const url = new URL(callback)
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined) url.searchParams.delete(name)
    else url.searchParams.set(name, value)
  }
  return url.href
}

const parameter = (url: string, name: string) => new URL(url).searchParams.get(name) ?? ''

describe('T9 a mix-up of authorization servers:', () => {
  test('an answer that names another one, or none although it would, redeems no code', async () => {
    const stage = await startConnecting({ providers: { a: {}, b: {} } })
    const alice = await stage.signedIn('alice')
    const other = stage.providers['b']?.server.issuer
    for (const iss of [undefined, '', other, `${stage.providers['a']?.server.issuer}/`]) {
      const callback = await stage.pending(alice, 'a')
      await alice.visit(changed(callback, { iss }))
      const { outcome } = await stage.list(alice)
      expect({ iss, ...outcome }).toMatchObject({ iss, status: 'failed', error: 'issuer_mismatch' })
    }
    expect(stage.tokenRequests()).toBe(0)
    expect(await stage.connections.for('alice').list()).toEqual([])
  })

  test('nor does a code of one server that comes with the state of another', async () => {
    const stage = await startConnecting({ providers: { a: {}, b: {} } })
    const alice = await stage.signedIn('alice')
    const [ofA, ofB] = [await stage.pending(alice, 'a'), await stage.pending(alice, 'b')]
    await alice.visit(changed(ofA, { code: parameter(ofB, 'code'), iss: parameter(ofB, 'iss') }))
    expect((await stage.list(alice)).outcome).toMatchObject({ provider: 'a', error: 'issuer_mismatch' })
    expect(stage.tokenRequests()).toBe(0)
  })
})

describe('T10 confusion between connections:', () => {
  const names = ['a', 'b', 'c']
  const pairs = names.flatMap((from) => names.filter((to) => to !== from).map((to) => [from, to] as const))

  test('what began at one provider ends at no other, for every pair of three', async () => {
    const stage = await startConnecting({ providers: { a: {}, b: {}, c: {} } })
    const alice = await stage.signedIn('alice')
    for (const [from, to] of pairs) {
      const callback = await stage.pending(alice, from)
      const elsewhere = callback.replace(`/${from}/callback`, `/${to}/callback`)
      const page = await alice.visit(changed(elsewhere, { iss: stage.providers[to]?.server.issuer }))
      expect({ from, to, ...(await refusalOf(stage, page)) }).toEqual({
        from,
        to,
        ...refused(400, 'invalid_callback'),
      })
      // It is over: an answer that went astray once is not good for its own place, either.
      expect(await refusalOf(stage, await alice.visit(callback))).toEqual(refused(400, 'unknown_state'))
    }
  })

  test('nor does one environment of a provider end for another', async () => {
    let both: OAuthConnections | undefined
    const stage = await startConnecting({
      providers: { eu: {}, us: {} },
      app: {
        routes(router) {
          router.use((request, response, next) => both?.(request, response, next))
        },
      },
    })
    const environments: Record<string, unknown> = {}
    for (const name of ['eu', 'us']) {
      const { issuer, clientId, clientSecret } = providerAt(stage.providers[name])
      environments[name] = { issuer, clientId, clientSecret, test: { url: `${issuer}/userinfo` } }
    }
    both = oauthConnections({
      baseUrl: stage.app.url,
      path: '/linked',
      name: 'linked',
      secrets: ['a secret of the test that is long enough'],
      store: memoryConnectionStore(),
      providers: {
        projects: {
          environments: environments as NonNullable<ConnectionProvider['environments']>,
          scope: 'openid',
          accountId: (me) => me.sub as string,
        },
      },
    })
    for (const { server } of Object.values(stage.providers))
      server.register(`${stage.app.url}/linked/projects/callback`)
    const alice = await stage.signedIn('alice')
    const pending = async (environment: string) => {
      const { body } = await stage.post(alice, '/linked/projects/connect', { environment })
      const { headers } = await alice.visit((JSON.parse(body) as { location: string }).location, {
        follow: false,
      })
      await alice.visit(`${stage.app.url}/open`)
      return headers.location ?? ''
    }
    const [eu, us] = [await pending('eu'), await pending('us')]
    expect(parameter(eu, 'iss')).toBe(stage.providers['eu']?.server.issuer)

    await alice.visit(changed(eu, { code: parameter(us, 'code'), iss: parameter(us, 'iss') }))
    expect(stage.tokenRequests()).toBe(0)
    // One that claims to be of the right server is asked there, where the code is nobody's.
    await alice.visit(changed(us, { code: parameter(eu, 'code') }))
    expect(stage.tokenRequests()).toBe(1)
    expect(await both.for('alice').list()).toEqual([])
  })
})

describe('T11 forced linking:', () => {
  test('who signs in as somebody else on the way links nothing', async () => {
    const stage = await startConnecting()
    const browser = await stage.signedIn('alice', 'somebody')
    const callback = await stage.pending(browser)
    await stage.signIn(browser, 'bob')
    expect(await refusalOf(stage, await browser.visit(callback))).toEqual(refused(409, 'other_user'))
    // The way back to alice does not bring it back.
    await stage.signIn(browser, 'alice')
    expect(await refusalOf(stage, await browser.visit(callback))).toEqual(refused(400, 'unknown_state'))
    expect(stage.events.filter(({ type }) => type === 'connect_failed')).toMatchObject([
      { provider: 'projects', code: 'other_user', error: { reason: 'other_user' } },
      { provider: 'projects', code: 'unknown_state' },
    ])
  })

  test('nor does the same user in another session', async () => {
    const stage = await startConnecting()
    const browser = await stage.signedIn('alice')
    const callback = await stage.pending(browser)
    await stage.signIn(browser, 'alice')
    expect(await refusalOf(stage, await browser.visit(callback))).toEqual(refused(409, 'other_user'))
  })

  test('nor does who signs out on the way, and no login follows that would come back with a spent code', async () => {
    const stage = await startConnecting()
    const browser = await stage.signedIn('alice')
    const callback = await stage.pending(browser)
    await stage.signOut(browser)
    const logins = stage.login.logins('alice')
    const page = await browser.visit(callback)
    expect(await refusalOf(stage, page)).toEqual(refused(409, 'other_user'))
    expect(page.url).toBe(callback)
    expect(stage.login.logins('alice')).toBe(logins)
    expect(stage.events.at(-1)).toMatchObject({ type: 'connect_failed', error: { reason: 'signed_out' } })
  })

  test('nor does a user who has changed teams on the way, or has none any more', async () => {
    let team: string | undefined = 'red'
    const stage = await startConnecting({ owner: () => team })
    const browser = await stage.signedIn('alice')
    const callback = await stage.pending(browser)
    team = undefined
    const without = await refusalOf(stage, await browser.visit(callback), ['red', 'blue', 'alice'])
    expect(without).toEqual(refused(403, 'access_denied'))
    team = 'blue'
    const other = await refusalOf(stage, await browser.visit(callback), ['red', 'blue', 'alice'])
    expect(other).toEqual(refused(409, 'other_user'))
  })

  test('an answer for another browser links nothing, even of the same session', async () => {
    const stage = await startConnecting()
    const attacker = await stage.signedIn('bob', 'account-of-the-attacker')
    const callback = await stage.pending(attacker)
    const victim = await stage.signedIn('alice')
    const own = await stage.pending(victim)
    expect(await refusalOf(stage, await victim.visit(callback))).toEqual(refused(400, 'unknown_state'))
    // With the attacker's transaction planted beside it.
    for (const { key, value } of await attacker.jar.getCookies(stage.app.url)) {
      if (key.includes('.connect.')) await victim.jar.setCookie(`${key}=${value}`, stage.app.url)
    }
    expect(await refusalOf(stage, await victim.visit(callback))).toEqual(refused(409, 'other_user'))
    // With the attacker's code in an answer to the victim's own question.
    await victim.visit(changed(own, { code: parameter(callback, 'code') }))
    expect(await stage.connections.for('alice').list()).toEqual([])
  })

  test('connecting begins with a POST that a page of this site makes', async () => {
    const stage = await startConnecting()
    const browser = await stage.signedIn('alice')
    const cookie = await cookieHeader(browser, stage.app.url)
    const connect = `${stage.app.url}/connections/projects/connect`
    const { 'x-csrf': _csrf, ...withoutHeader } = ownScript
    const form = { method: 'POST', body: 'a=b' }
    const attempts = [
      [405, { ...typed, cookie }, { method: 'GET' }],
      [405, { ...typed, cookie }, { method: 'HEAD' }],
      [403, { ...ownForm, 'sec-fetch-site': 'cross-site', cookie }, form],
      [403, { ...ownForm, 'sec-fetch-site': 'same-site', cookie }, form],
      [403, { ...withoutHeader, cookie }, { method: 'POST' }],
      [403, { cookie }, form],
      [303, { ...ownForm }, form], // signed out: to the login
      [401, { ...ownScript }, { method: 'POST' }],
    ] as const
    for (const [status, headers, request] of attempts) {
      const page = await bare(connect, headers, request)
      expect([page.status, page.setCookies.filter((header) => header.includes('.connect.'))]).toEqual([
        status,
        [],
      ])
    }
    expect((await bare(connect, { ...ownForm, cookie }, form)).status).toBe(200)
  })

  test('it ends with a GET of somebody who comes, and with nothing that a browser asks for by itself', async () => {
    const stage = await startConnecting()
    const browser = await stage.signedIn('alice')
    const callback = await stage.pending(browser)
    const cookie = await cookieHeader(browser, stage.app.url)
    const framed = { ...typed, 'sec-fetch-dest': 'iframe', 'sec-fetch-site': 'cross-site' }
    const attempts = [
      [405, { ...typed }, 'HEAD'],
      [405, { ...ownForm }, 'POST'],
      [400, { ...typed, 'sec-purpose': 'prefetch' }, 'GET'],
      [400, { ...typed, 'sec-purpose': 'prefetch;prerender' }, 'GET'],
      [400, { ...framed }, 'GET'],
      [
        400,
        { 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image', 'sec-fetch-site': 'same-origin' },
        'GET',
      ],
      [400, { ...ownScript }, 'GET'],
    ] as const
    for (const [status, headers, method] of attempts) {
      const page = await bare(callback, { ...headers, cookie }, { method })
      expect([page.status, headers, method]).toEqual([status, headers, method])
      expect(page.headers).toMatchObject({ 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' })
      expect(page.setCookies.filter((header) => header.includes('.connect'))).toEqual([])
    }
    expect(stage.tokenRequests()).toBe(0)
    await browser.visit(callback)
    expect(await stage.connections.for('alice').list()).toHaveLength(1)
  })
})

describe('T12 accounts that share an e-mail address', () => {
  test('are two connections, whoever says so', async () => {
    const byEmail: Partial<ConnectionProvider> = {
      scope: 'openid email',
      accountId: (me) => me.email as string,
      emailAsAccountId: true,
    }
    const stage = await startConnecting({ providers: { a: byEmail, b: byEmail } })
    const [alice, bob] = [await stage.signedIn('alice'), await stage.signedIn('bob')]
    await stage.connect(alice, 'a')
    await stage.connect(alice, 'b')
    const mine = await stage.connections.for('alice').list()
    expect(new Set(mine.map(({ provider, account_id }) => `${provider}: ${account_id}`))).toEqual(
      new Set(['a: demo@example.com', 'b: demo@example.com']),
    )
    expect(new Set(mine.map(({ id }) => id)).size).toBe(2)
    // At the same issuer it is the same account, by what the app says.
    await stage.connect(bob, 'a')
    expect((await stage.list(bob)).outcome).toMatchObject({ error: 'account_taken' })
  })

  test('also at one provider with the same address', async () => {
    const stage = await startConnecting({ providers: { a: { scope: 'openid email' } } })
    const [alice, bob] = [await stage.signedIn('alice', 'one'), await stage.signedIn('bob', 'two')]
    await stage.connect(alice, 'a')
    await stage.connect(bob, 'a')
    const lists = await Promise.all(['alice', 'bob'].map((owner) => stage.connections.for(owner).list()))
    expect(lists.map((list) => list.map(({ account_id }) => account_id))).toEqual([['one'], ['two']])
  })
})

describe('T13 an artifact of one kind in the place of another', () => {
  test('opens nothing: every cookie in every other slot', async () => {
    const stage = await startConnecting()
    const { app } = stage
    const browser = await stage.signedIn('alice')
    await stage.connect(browser) // leaves an outcome, and a session with its tokens
    const ofConnect = await stage.pending(browser)
    const login = await browser.visit(`${app.url}/login`, { follow: false })
    const ofLogin =
      (await browser.visit(login.headers.location ?? '', { follow: false })).headers.location ?? ''
    const cookies = await cookiesOf(browser, app.url, /^oauth/)
    const slots = cookies.map(({ name }) => name)
    expect(
      slots
        .map((name) =>
          name.replace(/^oauth\.[\w-]{6}\.connect/, 'oauth.connect').replace(/\.(connect|login)\..*/, '.$1.'),
        )
        .toSorted(),
    ).toEqual(
      expect.arrayContaining([
        'oauth',
        'oauth.connect-outcome',
        'oauth.connect.',
        'oauth.login.',
        'oauth.tokens',
      ]),
    )
    const isOfSession = (name: string) => ['oauth', 'oauth.tokens'].includes(name)
    const header = (pairs: readonly { name: string; value: string }[]) =>
      pairs.map(({ name, value }) => `${name}=${value}`).join('; ')
    const before = stage.tokenRequests() + stage.login.server.counts.token
    /** What a browser with these cookies can do that one without them cannot. */
    const opened = async (cookie: string) => {
      const [page, list, connect, back] = await Promise.all([
        bare(`${app.url}/private`, { ...typed, cookie }),
        bare(`${app.url}/connections`, { ...ownScript, cookie }),
        bare(ofConnect, { ...typed, cookie }),
        bare(ofLogin, { ...typed, cookie }),
      ])
      return [
        page.status === 200 && 'a session',
        list.body.includes('"outcome":{') && 'an outcome',
        connect.status !== 400 && 'a connection in flight',
        setsSession(back) && 'a login in flight',
      ].filter((what) => what !== false)
    }
    for (const from of cookies) {
      for (const slot of slots.filter((name) => name !== from.name)) {
        expect([from.name, slot, await opened(header([{ name: slot, value: from.value }]))]).toEqual([
          from.name,
          slot,
          [],
        ])
        // Beside a session that is good, for what only a session may do.
        const session = cookies.filter(({ name }) => isOfSession(name))
        if (isOfSession(slot)) continue
        const gained = await opened(header([...session, { name: slot, value: from.value }]))
        expect([from.name, slot, gained]).toEqual([from.name, slot, ['a session']])
      }
    }
    expect(stage.tokenRequests() + stage.login.server.counts.token).toBe(before)
    expect(await opened(header(cookies))).toEqual([
      'a session',
      'an outcome',
      'a connection in flight',
      'a login in flight',
    ])
  })

  test('nor does the state of a login end a connection, or the other way round', async () => {
    const stage = await startConnecting()
    const { app } = stage
    const browser = await stage.signedIn('alice')
    const ofConnect = await stage.pending(browser)
    const login = await browser.visit(`${app.url}/login`, { follow: false })
    const ofLogin =
      (await browser.visit(login.headers.location ?? '', { follow: false })).headers.location ?? ''
    const before = stage.login.server.counts.token

    const asConnection = await browser.visit(
      `${app.url}/connections/projects/callback${new URL(ofLogin).search}`,
    )
    expect(await refusalOf(stage, asConnection)).toEqual(refused(400, 'unknown_state'))
    await browser.visit(`${app.url}/callback${new URL(ofConnect).search}`, { follow: false })
    expect([stage.login.server.counts.token - before, stage.tokenRequests()]).toEqual([0, 0])
    await browser.visit(ofConnect)
    expect(await stage.connections.for('alice').list()).toHaveLength(1)
  })
})

describe('T73 a server that names another place while the user is away', () => {
  /** The user comes back when nothing is remembered of what the server said before. */
  async function comeBack(metadata: (elsewhere: string) => Record<string, unknown>): Promise<Connecting> {
    const stage = await startConnecting({ transactionLifetime: 3_600 })
    const projects = stage.providers['projects']
    const browser = await stage.signedIn('alice')
    const callback = await stage.pending(browser)
    const there = metadata(projects?.provider().elsewhere ?? '')
    projects?.misbehave({ metadata: async (op) => ({ ...(await correctSteps.metadata(op)), ...there }) })
    travel(1_300)
    await browser.visit(callback)
    expect(projects?.server.elsewhere).toEqual([])
    return stage
  }

  test('for its tokens: neither code nor secret is sent to anybody', async () => {
    const stage = await comeBack((elsewhere) => ({ token_endpoint: `${elsewhere}/token` }))
    expect(stage.tokenRequests()).toBe(0)
    expect(stage.events.at(-1)).toMatchObject({
      type: 'connect_failed',
      code: 'issuer_mismatch',
      error: { reason: 'token_endpoint_moved' },
    })
    expect(await stage.connections.for('alice').list()).toEqual([])
  })

  test('and another name for itself: what it said before counts', async () => {
    const stage = await comeBack((elsewhere) => ({ issuer: elsewhere, token_endpoint: `${elsewhere}/token` }))
    expect(stage.tokenRequests()).toBe(1)
    expect(stage.events.map(({ type }) => type)).toContain('metadata_failed')
  })
})
