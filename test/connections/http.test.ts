/** Connections over HTTP, as scripts of the site and everybody else ask for them. */
import { request as httpRequest } from 'node:http'
import connect from 'connect'
import express from 'express'
import express4 from 'express4'
import { describe, expect, test } from 'vitest'
import type { ConnectionStore } from '../../lib/connections/connection-store.js'
import { getAuth, memoryConnectionStore, oauthConnections, type OAuthConnections } from '../../lib/index.js'
import { frameworks } from '../support/app.js'
import type { Browser, Page } from '../support/browser.js'
import { canary } from '../support/canaries.js'
import { startConnecting, type Connecting, type ConnectingOptions } from '../support/connecting.js'
import { absoluteForm, bare, cookieHeader, ownForm, ownScript, typed } from '../support/requests.js'
import type { Handler } from '../support/serve.js'

const fields = { region: { label: 'Region', choices: { eu: 'Europe', us: 'America' } } }

interface Stage extends Connecting {
  readonly alice: Browser
  readonly cookie: string
  readonly id: string
  /** A request with Alice's cookies and these headers. */
  ask(
    path: string,
    headers?: Readonly<Record<string, string>>,
    options?: { method?: string; body?: string },
  ): Promise<Page>
}

/** Alice is signed in and has one connection. */
async function connected(options: ConnectingOptions = {}): Promise<Stage> {
  const stage = await startConnecting(options)
  const alice = await stage.signedIn('alice', 'alice-at-projects')
  await stage.connect(alice)
  const { connections } = await stage.list(alice)
  const cookie = await cookieHeader(alice, stage.app.url)
  return {
    ...stage,
    alice,
    cookie,
    id: String(connections[0]?.['id']),
    ask: (path, headers = ownScript, request = {}) =>
      bare(stage.app.url + path, { cookie, ...headers }, request),
  }
}

const json = { ...ownScript, 'content-type': 'application/json' } as const

function said({ body }: Page): Record<string, unknown> {
  return JSON.parse(body) as Record<string, unknown>
}

test('a script of the site does with connections all that there is to do', async () => {
  const { id, ask, providers, alice } = await connected({
    providers: { projects: { name: 'Projects' }, maps: { name: 'Maps', fields } },
  })
  const post = (path: string, body: object = {}) =>
    ask(`/connections/${path}`, json, { method: 'POST', body: JSON.stringify(body) })

  const list = await ask('/connections')
  expect(list.status).toBe(200)
  expect(said(list)).toMatchObject({
    connections: [{ id, provider: 'projects', provider_name: 'Projects', status: 'active' }],
    outcome: null,
  })
  expect(said(await ask('/connections/providers'))).toEqual({
    providers: [
      { provider: 'projects', name: 'Projects', fields: [] },
      {
        provider: 'maps',
        name: 'Maps',
        fields: [
          {
            name: 'region',
            label: 'Region',
            required: true,
            choices: [
              { value: 'eu', label: 'Europe' },
              { value: 'us', label: 'America' },
            ],
          },
        ],
      },
    ],
  })
  expect(said(await ask(`/connections/${id}`))).toEqual((said(list)['connections'] as object[])[0])

  expect(said(await post(`${id}/rename`, { label: ' My <b>work</b> ' }))).toMatchObject({
    id,
    label: 'My <b>work</b>',
  })
  expect(said(await post(`${id}/test`))).toMatchObject({ id, status: 'active', label: 'My <b>work</b>' })
  expect(said(await post(`${id}/disconnect`))).toMatchObject({ id, status: 'disconnected' })
  const test = await post(`${id}/test`)
  expect([test.status, said(test)['error']]).toEqual([409, 'needs_reconnect'])

  const again = said(await post(`${id}/reconnect`, { return_to: '/open' }))
  expect(Object.keys(again)).toEqual(['location'])
  expect(new URL(String(again['location'])).origin).toBe(providers['projects']?.server.issuer)

  const missing = await post('maps/connect')
  expect([missing.status, said(missing)]).toEqual([
    400,
    {
      error: 'invalid_fields',
      error_description: expect.any(String),
      fields: { region: 'Region is missing.' },
    },
  ])
  const begun = said(await post('maps/connect', { region: 'eu' }))
  expect(new URL(String(begun['location'])).origin).toBe(providers['maps']?.server.issuer)

  const removed = await post(`${id}/remove`)
  expect([removed.status, removed.body]).toEqual([200, 'null'])
  expect(said(await ask('/connections'))).toEqual({ connections: [], outcome: null })
  expect((await ask(`/connections/${id}`)).status).toBe(404)
  expect(alice.responses.length).toBeGreaterThan(0)
})

test('reconnecting by a script keeps id and label', async () => {
  const { id, alice, post, list } = await connected()
  await post(alice, `/connections/${id}/rename`, { label: 'Mine' })
  await post(alice, `/connections/${id}/disconnect`)
  const { location } = said(await post(alice, `/connections/${id}/reconnect`, { return_to: '/open?a=b' }))

  expect((await alice.click(String(location))).url).toMatch(/\/open\?a=b$/)
  expect(await list(alice)).toMatchObject({
    connections: [{ id, label: 'Mine', status: 'active' }],
    outcome: { status: 'reconnected', connection: id },
  })
})

describe('methods', () => {
  test('each route names those that it has', async () => {
    const { id, ask } = await connected()
    const only = async (path: string, wrong: readonly string[]) => {
      const answers = await Promise.all(wrong.map((method) => ask(path, ownScript, { method })))
      for (const answer of answers)
        expect([path, answer.method, answer.status]).toEqual([path, answer.method, 405])
      return [...new Set(answers.map(({ headers }) => headers.allow))]
    }
    const readable = ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']
    const postable = ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']
    for (const path of ['', '/', '/providers', `/${id}`])
      expect(await only(`/connections${path}`, readable)).toEqual(['GET, HEAD'])
    for (const action of ['rename', 'test', 'reconnect', 'disconnect', 'remove'])
      expect(await only(`/connections/${id}/${action}`, postable)).toEqual(['POST'])
    expect(await only('/connections/projects/connect', postable)).toEqual(['POST'])
    expect(await only('/connections/projects/callback', ['POST', 'HEAD', 'OPTIONS'])).toEqual(['GET'])
    expect(said(await ask('/connections'))).toMatchObject({ connections: [{ id, status: 'active' }] })
  })

  test('HEAD answers as GET does, without a body, and leaves the outcome for whoever looks', async () => {
    const stage = await startConnecting()
    const alice = await stage.signedIn('alice')
    await stage.connect(alice)
    const cookie = await cookieHeader(alice, stage.app.url)
    const head = await bare(`${stage.app.url}/connections`, { cookie, ...ownScript }, { method: 'HEAD' })
    expect([head.status, head.body, head.setCookies]).toEqual([200, '', []])
    expect(head.headers['content-type']).toBe('application/json; charset=utf-8')
    const once = await stage.list(alice)
    expect(once.outcome).toMatchObject({ status: 'connected', provider: 'projects' })
    expect((await stage.list(alice)).outcome).toBeNull()
  })

  test('T105 a preflight is answered as nobody', async () => {
    const { id, ask } = await connected()
    for (const path of ['/connections', `/connections/${id}`, `/connections/${id}/remove`]) {
      const headers = {
        origin: 'https://evil.example',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'x-csrf',
        'sec-fetch-mode': 'cors',
        'sec-fetch-site': 'cross-site',
      }
      const answer = await ask(path, headers, { method: 'OPTIONS' })
      expect(answer.status).toBe(405)
      expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
      expect(answer.body).not.toContain(id)
      expect(answer.setCookies).toEqual([])
    }
  })
})

describe('whose it is', () => {
  test('T104 what is another owner’s answers as what there is not, whatever is asked', async () => {
    const asked: string[] = []
    const kept = memoryConnectionStore()
    const store: ConnectionStore = {
      ...kept,
      get: async (id) => {
        asked.push(id)
        return kept.get(id)
      },
    }
    const stage = await connected({ store })
    const mallory = await stage.signedIn('mallory')
    const cookie = await cookieHeader(mallory, stage.app.url)
    const ask = async (id: string, action: string) => {
      asked.length = 0
      const [method, body] =
        action === '' ? ['GET', undefined] : ['POST', '{"label":"mine now","owner":"alice"}']
      const answer = await bare(
        `${stage.app.url}/connections/${id}${action}?owner=alice`,
        { cookie, ...json },
        { method, ...(body !== undefined && { body }) },
      )
      const { date: _date, ...headers } = answer.headers
      return { status: answer.status, body: answer.body, headers, lookUps: asked.length }
    }
    for (const action of ['', '/rename', '/test', '/reconnect', '/disconnect', '/remove']) {
      const ofAlice = await ask(stage.id, action)
      expect(ofAlice).toEqual(await ask('AAAAAAAAAAAAAAAAAAAAAA', action))
      expect(ofAlice).toMatchObject({ status: 404, body: expect.stringContaining('connection_not_found') })
      // The same work takes the same time.
      expect(ofAlice.lookUps).toBe(1)
    }
    expect(await stage.list(stage.alice)).toMatchObject({ connections: [{ id: stage.id, status: 'active' }] })
  })

  test('nothing but the session says who asks', async () => {
    const { id, app, ask, signedIn } = await connected()
    const nobody = await bare(`${app.url}/connections?owner=alice`, { ...ownScript, 'x-user': 'alice' })
    expect([nobody.status, said(nobody)['error']]).toEqual([401, 'login_required'])
    const bob = await cookieHeader(await signedIn('bob'), app.url)
    const headers = { cookie: bob, ...json, authorization: 'Bearer alice' }
    const list = await bare(`${app.url}/connections?owner=alice&sub=alice`, headers)
    expect(said(list)['connections']).toEqual([])
    const body = JSON.stringify({ owner: 'alice', sub: 'alice', session: 'alice' })
    expect(
      (await bare(`${app.url}/connections/${id}/remove`, headers, { method: 'POST', body })).status,
    ).toBe(404)
    expect(said(await ask('/connections'))).toMatchObject({ connections: [{ id }] })
  })

  test('what is not known is 404, and only for those who are signed in', async () => {
    const { app, ask } = await connected()
    const post = { method: 'POST', body: '{}' }
    const unknown = await ask('/connections/unknown/connect', json, post)
    expect([unknown.status, said(unknown)['error']]).toEqual([404, 'provider_not_found'])
    expect((await ask('/connections/__proto__/connect', json, post)).status).toBe(404)
    for (const path of ['/unknown/connect', '/projects/connect', '/unknown/rename'])
      expect((await bare(`${app.url}/connections${path}`, json, post)).status).toBe(401)
  })

  test('an owner that the app does not name is refused', async () => {
    const stage = await startConnecting({ owner: () => undefined })
    const alice = await stage.signedIn('alice')
    const { status, body } = await alice.fetch(`${stage.app.url}/connections`, { headers: { 'x-csrf': '1' } })
    expect([status, (JSON.parse(body) as { error: string }).error]).toEqual([403, 'access_denied'])
  })

  test('a store that fails is a 503, and nobody’s sign-in', async () => {
    const kept = memoryConnectionStore()
    let isDown = false
    const failing = async () => {
      throw new Error('the database is down')
    }
    const store: ConnectionStore = {
      ...kept,
      list: async (owner) => (isDown ? failing() : kept.list(owner)),
      get: async (id) => (isDown ? failing() : kept.get(id)),
    }
    const { id, ask } = await connected({ store })
    isDown = true
    for (const answer of [
      await ask('/connections'),
      await ask(`/connections/${id}`),
      await ask(`/connections/${id}/rename`, json, { method: 'POST', body: '{"label":"x"}' }),
    ])
      expect([answer.status, said(answer)['error'], answer.headers['retry-after']]).toEqual([
        503,
        'store_unavailable',
        '5',
      ])
  })
})

describe('forged requests', () => {
  const crossSite = { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  const noCors = { ...crossSite, 'sec-fetch-mode': 'no-cors' }
  const { 'x-csrf': _header, ...forgetful } = json

  /** As other sites, and clients that are no browsers, would read. */
  const reading: Record<string, Record<string, string>> = {
    'fetch no-cors': noCors,
    'a script tag': { ...noCors, 'sec-fetch-dest': 'script' },
    'a script with the header, where CORS is open': { ...ownScript, ...crossSite },
    'a sibling domain': { ...ownScript, 'sec-fetch-site': 'same-site' },
    'a frame': { ...typed, ...crossSite, 'sec-fetch-dest': 'iframe' },
    'who says nothing': { accept: '*/*' },
    'an own script that forgot the header': forgetful,
  }
  const changing: Record<string, [headers: Record<string, string>, body: string]> = {
    'a form of another site': [{ ...typed, ...crossSite, ...form }, 'label=x'],
    'a form of a sibling domain': [{ ...typed, 'sec-fetch-site': 'same-site', ...form }, 'label=x'],
    'fetch no-cors': [{ ...noCors, 'content-type': 'text/plain' }, '{"label":"x"}'],
    'a form of nowhere': [{ accept: 'text/html', origin: 'null', ...form }, 'label=x'],
    'a form with a wrong token': [{ accept: 'text/html', ...form }, 'label=x&csrf_token=wrong'],
    'an own script that forgot the header': [forgetful, '{"label":"x"}'],
  }

  test.each(['', '/', '/providers', '/ID'])('T108 no other site reads %j', async (path) => {
    const stage = await connected()
    for (const [who, headers] of Object.entries(reading)) {
      const answer = await stage.ask(`/connections${path.replace('ID', stage.id)}`, headers)
      expectRefused(answer, who, stage)
    }
  })

  test.each(['projects/connect', 'ID/rename', 'ID/test', 'ID/reconnect', 'ID/disconnect', 'ID/remove'])(
    'T108 no other site posts %s',
    async (path) => {
      const stage = await connected()
      for (const [who, [headers, body]] of Object.entries(changing)) {
        const request = { method: 'POST', body }
        const answer = await stage.ask(`/connections/${path.replace('ID', stage.id)}`, headers, request)
        expectRefused(answer, who, stage)
      }
      expect(stage.events.map(({ type }) => type).filter((type) => !type.endsWith('_fetched'))).toEqual([
        'connected',
      ])
    },
  )

  function expectRefused(answer: Page, who: string, { id }: Stage): void {
    expect([who, answer.status]).toEqual([who, 403])
    expect(answer.body).toContain('csrf_rejected')
    expect(answer.body).not.toContain(id)
    expect(answer.setCookies).toEqual([])
    expect(answer.headers['cache-control']).toBe('no-store')
  }

  describe('a browser that does not say where a form comes from', () => {
    const silent = { accept: 'text/html', origin: 'null', ...form }
    const parsers: Record<string, Handler[]> = {
      nobody: [],
      'express.urlencoded': [express.urlencoded({ extended: false }) as Handler],
    }

    test.each(Object.keys(parsers))('proves it by the token in the form that %s parsed', async (parser) => {
      const stage = await connected({
        app: {
          before: parsers[parser] ?? [],
          routes: (router) =>
            router.get('/token', (request, response) => response.end(getAuth(request as never).csrfToken)),
        },
      })
      const token = (await stage.ask('/token')).body
      const send = async (label: string, csrf: string) =>
        stage.ask(`/connections/${stage.id}/rename`, silent, {
          method: 'POST',
          body: new URLSearchParams({ label, csrf_token: csrf }).toString(),
        })
      expect((await send('forged', `${token}x`)).status).toBe(403)
      const answer = await send('Mine', token)
      expect([answer.status, answer.headers.location]).toEqual([303, '/'])
      expect(said(await stage.ask(`/connections/${stage.id}`))['label']).toBe('Mine')
      // A form of another site that knew the token would still be another site's.
      const forged = await stage.ask(
        `/connections/${stage.id}/rename`,
        { ...silent, 'sec-fetch-site': 'cross-site' },
        { method: 'POST', body: `label=forged&csrf_token=${token}` },
      )
      expect(forged.status).toBe(403)
    })
  })
})

describe('what is sent', () => {
  /** What becomes of the label. */
  async function renamed(stage: Stage, type: string | undefined, body: string): Promise<unknown> {
    const headers = { ...ownScript, ...(type !== undefined && { 'content-type': type }) }
    const answer = await stage.ask(`/connections/${stage.id}/rename`, headers, { method: 'POST', body })
    const { label, error } = said(answer)
    return answer.status === 200 ? label : `${answer.status} ${String(error)}`
  }

  const form = 'application/x-www-form-urlencoded'
  const rows: [type: string | undefined, body: string, becomes: string][] = [
    ['application/json', '{"label":"Ünï"}', 'Ünï'],
    ['application/json; charset=utf-8', '{"label":"b"}', 'b'],
    ['Application/JSON;charset=UTF-8', '{"label":"c"}', 'c'],
    [form, 'label=d+e', 'd e'],
    [`${form}; charset=UTF-8`, 'label=%C3%A9', 'é'],
    ['application/json', '{"label":5}', '400 invalid_fields'],
    ['application/json', '{"label":null}', '400 invalid_fields'],
    ['application/json', '{"label":["x"]}', '400 invalid_fields'],
    ['application/json', '{"label":{"toString":1}}', '400 invalid_fields'],
    ['application/json', '{"__proto__":{"label":"x"}}', '400 invalid_fields'],
    ['application/json', '{}', '400 invalid_fields'],
    ['application/json', '', '400 invalid_fields'],
    ['application/json', '["x"]', '400 invalid_request'],
    ['application/json', '[]', '400 invalid_request'],
    [form, '', '400 invalid_fields'],
    [form, 'label=a&label=b', '400 invalid_request'],
    [undefined, 'label=x', '400 invalid_fields'],
    ['text/plain', '{"label":"x"}', '400 invalid_fields'],
    ['application/json-seq', '{"label":"x"}', '400 invalid_fields'],
    ['multipart/form-data; boundary=x', '--x--', '400 invalid_fields'],
  ]
  /** Parsers of JSON answer these themselves. */
  const broken: typeof rows = [
    ['application/json', '{"label":', '400 invalid_request'],
    ['application/json', 'null', '400 invalid_request'],
    ['application/json', '"label"', '400 invalid_request'],
  ]

  const parsers: Record<string, { before: Handler[]; rows: typeof rows }> = {
    nobody: { before: [], rows: [...rows, ...broken] },
    'express 5, extended': {
      before: [express.json(), express.urlencoded({ extended: true })] as Handler[],
      rows,
    },
    'express 5, not extended': {
      before: [express.json(), express.urlencoded({ extended: false })] as Handler[],
      rows,
    },
    'express 4, extended': {
      before: [express4.json(), express4.urlencoded({ extended: true })] as Handler[],
      rows,
    },
    'express.text': { before: [express.text({ type: '*/*' })] as Handler[], rows: [...rows, ...broken] },
    'express.raw': {
      before: [express.raw({ type: () => true })] as Handler[],
      rows: [...rows.filter(([type]) => type !== undefined), ...broken],
    },
  }

  test.each(Object.entries(parsers))('is read the same where %s has parsed it', async (_name, parser) => {
    const stage = await connected({ app: { before: parser.before } })
    for (const [type, body, becomes] of parser.rows)
      expect([type, body, await renamed(stage, type, body)]).toEqual([type, body, becomes])
  })

  test('fields with brackets are no fields of ours, whoever parsed them', async () => {
    const stage = await connected({ app: { before: [express.urlencoded({ extended: true }) as Handler] } })
    for (const body of ['label[x]=1', 'label[]=a', 'label[]=a&label[]=b'])
      expect([body, await renamed(stage, form, body)]).toEqual([body, '400 invalid_request'])
  })

  test.each(frameworks)('on %s, a connection is renamed by a form and by JSON', async (framework) => {
    const stage = await connected({ app: { framework } })
    expect(await renamed(stage, 'application/json', '{"label":"by JSON"}')).toBe('by JSON')
    expect(await renamed(stage, form, 'label=by+form')).toBe('by form')
    expect(await renamed(stage, form, 'label=')).toBe('projects')
  })

  test('more than 64 KB is refused, whether its length is told or not, and the answer arrives', async () => {
    const stage = await connected()
    for (const type of ['application/json', form]) {
      const body =
        type === form ? `label=${'x'.repeat(1_000_000)}` : JSON.stringify({ label: 'x'.repeat(1_000_000) })
      expect(await renamed(stage, type, body)).toBe('413 invalid_request')
      const headers = { cookie: stage.cookie, ...ownScript, 'content-type': type }
      expect(await chunked(`${stage.app.url}/connections/${stage.id}/rename`, headers, body)).toBe(413)
    }
    expect(said(await stage.ask(`/connections/${stage.id}`))['label']).toBe('alice-at-projects’s projects')
  })
})

/** The status of what is answered to a body that comes in pieces. */
async function chunked(
  url: string,
  headers: Record<string, string>,
  body: string,
): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method: 'POST', headers, agent: false }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode))
    })
    request.on('error', reject)
    for (let at = 0; at < body.length; at += 50_000) request.write(body.slice(at, at + 50_000))
    request.end()
  })
}

describe('where it is', () => {
  test('T104 other spellings of a path are not answered with what is there', async () => {
    const { id, ask, app, cookie } = await connected({
      app: {
        routes: (router) => router.use((_request, response) => response.writeHead(404).end('of the app')),
      },
    })
    for (const path of [
      '/connections',
      '/connections/',
      '/connections?x=1',
      '/connections/?',
      `/connections/${id}/?a=/b`,
    ])
      expect([path, (await ask(path)).status]).toEqual([path, 200])
    const spellings = [
      '/Connections',
      '/connections%2f',
      '/connections%2F' + id,
      '//connections',
      '/./connections',
      '/x/../connections',
      '/connections;x',
      '/connectionsx',
      '/connections//',
      `/connections//${id}`,
      `/connections/%2e%2e/connections/${id}`,
      `/connections/%2e/${id}`,
      `/connections/${id}//`,
      `/connections/${id}%2ftest`,
      `/connections/${id}%00`,
      `/connections/${id}.`,
      `/connections/${id};x`,
      `/connections/${id.toUpperCase()}x`,
      `/connections/%${id.charCodeAt(0).toString(16)}${id.slice(1)}`,
      '/connections/x%2f..%2fproviders',
      `/connections/${'x'.repeat(8_000)}`,
      `/connections/${id}/unknown`,
      `/connections/${id}/test/more`,
    ]
    for (const path of spellings) {
      const { status } = await absoluteForm(app.url, path, { cookie, ...ownScript })
      expect([path, status]).toEqual([path, 404])
    }
    for (const path of [
      `/connections/${id}%2fremove`,
      `/connections/${id}/%72emove`,
      `/connections/${id}/REMOVE`,
    ]) {
      const { status } = await ask(path, json, { method: 'POST', body: '{}' })
      expect([path, status]).toEqual([path, path.includes('%2f') ? 405 : 404])
    }
    expect((await ask(`/connections/${id}`)).status).toBe(200)
  })

  test.each([
    ['express 5', () => express()],
    ['express 4', () => express4()],
    ['connect', () => connect()],
  ])('below a path of %s, everything is below it', async (_name, framework) => {
    let below: OAuthConnections | undefined
    const parent = framework() as { use(path: string, handler: Handler): void } & Handler
    parent.use('/tools', (request, response, next) => below?.(request, response, next))
    const stage = await startConnecting({ app: { routes: (router) => router.use(parent) } })
    const { app, providers } = stage
    const { issuer, clientId, clientSecret, register } = providers['projects']?.server ?? fail()
    below = oauthConnections({
      baseUrl: `${app.url}/tools`,
      secrets: [canary('cookie-secret')],
      store: memoryConnectionStore(),
      page: true,
      providers: { projects: { issuer, clientId, clientSecret, scope: 'openid' } },
    })
    for (const { redirectUri } of below.redirectUris()) {
      expect(redirectUri).toBe(`${app.url}/tools/connections/projects/callback`)
      register(redirectUri)
    }

    const alice = await stage.signedIn('alice')
    await alice.visit(`${app.url}/tools/connections`)
    const back = await alice.submit({}, '/tools/connections/projects/connect')

    expect(back.url).toBe(`${app.url}/tools/connections`)
    expect(back.body).toContain('is connected.')
    expect(await below.for('alice').list()).toMatchObject([{ account_id: 'alice', status: 'active' }])
    expect((await stage.list(alice)).connections).toEqual([])
  })

  test('a visit is left to the app, where its own pages may be', async () => {
    const { id, alice, app } = await connected({
      app: { routes: (router) => router.use((request, response) => response.end(`page ${request.url}`)) },
    })
    for (const path of [
      '/connections',
      `/connections/${id}`,
      '/connections/providers',
      '/connections/help',
    ]) {
      expect(await alice.visit(app.url + path)).toMatchObject({ status: 200, body: `page ${path}` })
      expect(alice.page.headers).not.toHaveProperty('x-content-type-options')
    }
    // What changes something is still no page of anybody's.
    expect((await alice.visit(`${app.url}/connections/projects/connect`)).status).toBe(405)
  })
})

test('no answer may be kept, guessed at, or given to somebody else', async () => {
  const { id, ask } = await connected({ page: true })
  const post = { method: 'POST', body: '{"label":"x"}' }
  const answers = [
    await ask('/connections'),
    await ask('/connections/providers'),
    await ask(`/connections/${id}`),
    await ask('/connections/unknown'),
    await ask('/connections', typed),
    await ask('/connections', { ...typed, 'sec-fetch-site': 'cross-site' }),
    await ask('/connections', {}),
    await ask('/connections', ownScript, { method: 'DELETE' }),
    await ask(`/connections/${id}/rename`, json, post),
    await ask(`/connections/${id}/test`, json, post),
    await ask(`/connections/${id}/test`, ownForm, { method: 'POST', body: '' }),
    await ask('/connections/projects/connect', json, post),
    await ask('/connections/projects/connect', ownForm, { method: 'POST', body: '' }),
    await ask('/connections/projects/callback?code=x&state=y', typed),
    await ask(`/connections/${id}/remove`, json, post),
  ]
  for (const { url, status, headers } of answers)
    expect([url, status, headers['cache-control'], headers['x-content-type-options'], headers.vary]).toEqual([
      url,
      status,
      'no-store',
      'nosniff',
      expect.stringMatching(/\bcookie\b/i),
    ])
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 303, 400, 403, 404, 405]))
})

test('T47 no answer has a token, whatever is asked', async () => {
  const { id, ask, providers, connections } = await connected()
  const [connection] = await connections.for('alice').list()
  const accessToken = String(await connection?.accessToken())
  expect(providers['projects']?.ownerOf(accessToken)).toBe('alice-at-projects')
  const post = { method: 'POST', body: '{"label":"x"}' }
  for (const answer of [
    await ask('/connections'),
    await ask(`/connections/${id}`),
    await ask(`/connections/${id}/rename`, json, post),
    await ask(`/connections/${id}/test`, json, post),
    await ask(`/connections/${id}/disconnect`, json, post),
  ]) {
    expect(answer.status).toBe(200)
    expect(answer.body).not.toContain(accessToken)
    const [view] = [(said(answer)['connections'] as object[] | undefined)?.[0] ?? said(answer)]
    expect(Object.keys(view).toSorted()).toEqual(
      'account_id checked_at connected_at created_at fields id issuer label provider provider_name scope status'.split(
        ' ',
      ),
    )
  }
  expect(id).toMatch(/^[\w-]{22}$/)
})

function fail(): never {
  throw new Error('there is no such provider')
}
