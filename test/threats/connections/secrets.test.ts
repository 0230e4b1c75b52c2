/** Threats to the secrets of connections: answers of one for another, values that show up, tables that are copied or changed. */
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { memoryConnectionStore, oauthConnections } from '../../../lib/index.js'
import type { ConnectionRecord } from '../../../lib/connections/connection-record.js'
import { bare, cookiesOf, ownScript } from '../../support/requests.js'
import { canary, everythingIn, leaks, type Exposed, type Secret } from '../../support/canaries.js'
import { startConnected, type Connected } from '../../support/connected.js'
import { providerAt, startConnecting } from '../../support/connecting.js'
import { json } from '../../support/faulty-server/answer.js'
import { correctSteps } from '../../support/faulty-server/steps.js'
import { captureOutput } from '../../support/output.js'

/** `LONG=1` has the full numbers. */
const [ownerCount, callCount, patience] =
  process.env['LONG'] === undefined ? [4, 12, 20_000] : [200, 50, 600_000]

test(
  'T41 many owners at once, on two instances, each get answers about their own account',
  { timeout: patience },
  async () => {
    const owners = Array.from({ length: ownerCount }, (_, n) => `user-${n}`)
    const store = memoryConnectionStore()
    const secrets = [canary('cookie-secret')]
    const stage = await startConnecting({ store, secrets, providers: { one: {}, two: {} } })
    const late = async () => new Promise((resolve) => setTimeout(resolve, Math.random() * 10))
    for (const owner of owners) {
      const browser = await stage.signedIn(owner, `account-of-${owner}`)
      for (const name of ['one', 'two']) await stage.connect(browser, name)
    }
    for (const server of Object.values(stage.providers)) {
      server.misbehave({
        async answerToken(op, response) {
          await late()
          return correctSteps.answerToken(op, response)
        },
        async answerUserinfo(op, claims) {
          await late()
          return correctSteps.answerUserinfo(op, claims)
        },
      })
    }
    const other = oauthConnections({
      baseUrl: stage.app.url,
      secrets,
      store,
      providers: Object.fromEntries(
        Object.entries(stage.providers).map(([name, server]) => [name, providerAt(server)]),
      ),
      onEvent: () => undefined,
    })
    const instances = [stage.connections, other]

    const answers = await Promise.all(
      owners.flatMap((owner) =>
        Array.from({ length: callCount }, async (_, n) => {
          const all = await instances[n % 2]?.for(owner).list()
          const connection = all?.[n % 4 < 2 ? 0 : 1]
          if (!connection) throw new Error('it is gone')
          // Some of them replace the token under the others.
          if (n % 8 === 0) await connection.accessToken({ forceRefresh: true })
          const answer = await connection.fetch(`${connection.issuer}/userinfo`)
          const { sub } = (await answer.json()) as { sub: string }
          const server = Object.values(stage.providers).find(
            ({ server: { issuer } }) => issuer === connection.issuer,
          )
          return [sub, server?.ownerOf(await connection.accessToken())]
        }).map(async (answer) => ({ owner, answer: await answer })),
      ),
    )

    const wrong = answers.filter(({ owner, answer }) => answer.some((sub) => sub !== `account-of-${owner}`))
    expect(wrong).toEqual([])
    expect(answers).toHaveLength(ownerCount * callCount)
    expect(Object.values(stage.providers).flatMap(({ server }) => server.complaints)).toEqual([])
  },
)

/** All that is secret in the life of the connection. */
async function secretsOf(stage: Connected, sealed: readonly string[]): Promise<Secret[]> {
  const { server, app } = stage
  const parameters = server.server.requests
    .filter(({ endpoint }) => endpoint === 'authorize')
    .flatMap(({ query }) => [query.get('state'), query.get('nonce')])
  return [
    ...server.server.secrets,
    ...app.secrets,
    ...parameters.map((value) => ({ role: 'state or nonce', value: value ?? '' })),
    ...sealed.map((value) => ({ role: 'sealed tokens', value })),
    ...(await cookiesOf(stage.browser, app.url, /./)).map(({ value }) => ({ role: 'cookie', value })),
  ]
}

test('T47 no secret of a connection’s life is in an event, an error, a view, JSON, inspect or a log', async () => {
  const output = captureOutput({ passOn: true })
  const stage = await startConnected()
  const exposed: Exposed[] = []
  const show = (where: string, value: unknown) => {
    const text = value instanceof Error ? `${value.stack} ${String(value.cause)}` : ''
    exposed.push({ where, text: `${text} ${everythingIn(value)} ${inspect(value)} ${JSON.stringify(value)}` })
  }
  const attempt = async (where: string, what: () => Promise<unknown>) =>
    show(where, await what().catch((error: unknown) => error))
  const { connection, server, me, browser } = stage
  const sealed = [(await stage.row()).tokens ?? '']

  show('the connection', connection)
  show('the connections', stage.connections)
  show('the list', await stage.list(browser))
  await attempt('a test', () => connection.test())
  await attempt('a rename', () => connection.rename('another'))
  await attempt('a foreign address', () => connection.fetch('https://api.example.com/?token=x'))
  await attempt('a request with a header', () => connection.fetch(me, { headers: { cookie: 'a=b' } }))
  await attempt('a method', () => connection.fetch(me, { method: 'not a method' }))
  // Careless servers quote what they were sent.
  const quoting = (status: number, error: string) => ({
    proofRefusal: (op: Parameters<typeof correctSteps.tokenResponse>[0]) => {
      const { body, headers } = op.requests.at(-1) ?? {}
      const description = `refused ${body?.get('refresh_token')} ${body?.get('code')} ${headers?.authorization} ${op.client.secret}`
      return json({ error, error_description: description }, status)
    },
  })
  for (const [status, error] of [
    [400, 'invalid_scope'],
    [401, 'invalid_client'],
    [503, 'temporarily_unavailable'],
    [400, 'invalid_grant'],
  ] as const) {
    server.misbehave(quoting(status, error))
    await attempt(`a refresh with ${error}`, () => connection.accessToken({ forceRefresh: true }))
    sealed.push((await stage.row()).tokens ?? '')
    await attempt(`connecting with ${error}`, () => stage.connect(browser).then(({ body }) => body))
    show(`the outcome of ${error}`, await stage.list(browser))
  }
  server.misbehave()
  await attempt('connecting again', () => stage.connect(browser).then(({ body }) => body))
  await attempt('a refresh', async () => void (await connection.accessToken({ forceRefresh: true })))
  sealed.push((await stage.row()).tokens ?? '')
  server.misbehave({
    answerRevocation: (op, { body }) =>
      json({ error: 'invalid_request', error_description: `${body.get('token')} ${op.client.secret}` }, 400),
  })
  await attempt('disconnecting', () => connection.disconnect())
  await attempt('a request of an ended one', () => connection.fetch(me))
  show('the list at the end', await stage.list(browser))
  show('events', stage.events)
  show('errors', stage.app.errors)
  output.restore()
  exposed.push({ where: 'the output', text: output.text() })

  const secrets = await secretsOf(stage, sealed)
  const roles = new Set(secrets.map(({ role }) => role))
  expect([...roles]).toEqual(
    expect.arrayContaining([
      'access token',
      'refresh token',
      'ID token',
      'code',
      'verifier',
      'client secret',
      'cookie secret',
      'sealed tokens',
      'state or nonce',
      'cookie',
    ]),
  )
  // The address of the provider, which a page is led to, has the state by its nature.
  expect(leaks(exposed, secrets)).toEqual([])
})

describe('T13 what is kept in a row', () => {
  test('gives nothing away to whoever copies the table', async () => {
    const stage = await startConnected()
    await stage.connection.accessToken({ forceRefresh: true })
    const calls: unknown[] = []
    const { shared } = stage.store
    const there = await stage.elsewhere(
      {},
      {
        ...stage.store,
        shared: {
          ...shared,
          set: async (...call) => (calls.push(call), shared.set(...call)),
          add: async (...call) => (calls.push(call), shared.add(...call)),
        },
      },
    )
    await there.accessToken({ forceRefresh: true })
    const rows = await stage.store.page('', 100)

    const dump = [
      { where: 'the table', text: JSON.stringify(rows) },
      { where: 'the shared store', text: JSON.stringify(calls) },
    ]
    expect(rows).toHaveLength(1)
    expect(calls.length).toBeGreaterThan(1)
    expect(leaks(dump, stage.server.server.secrets)).toEqual([])
  })

  test.each<[keyof ConnectionRecord, string]>([
    ['owner', 'mallory'],
    ['accountId', 'another account'],
    ['provider', 'projects'],
    ['issuer', 'https://login.example'],
    ['clientId', 'another-app'],
    ['tokenOrigin', 'https://login.example'],
    ['id', 'another-id'],
  ])('opens no more when its %s is changed', async (member, value) => {
    const { server, ...stage } = await startConnected()
    const { connections, store } = stage
    const row = await stage.row()
    const changed: ConnectionRecord = { ...row, [member]: member === 'provider' ? 'other' : value }
    await store.delete(row.id, row.version)
    expect(await store.insert(changed)).toBe('done')
    const asked = server.server.requests.length

    const [found] = await connections.for(changed.owner).list()

    expect(found).toMatchObject({
      status: 'needs_reconnect',
      reason:
        member === 'provider'
          ? 'provider_removed'
          : /^(issuer|clientId)$/.test(member)
            ? 'configuration_changed'
            : 'unreadable',
    })
    await expect(found?.accessToken()).rejects.toMatchObject({ code: 'needs_reconnect' })
    await expect(found?.fetch(stage.me)).rejects.toMatchObject({ code: 'needs_reconnect' })
    expect(server.server.requests).toHaveLength(asked)
  })

  test('opens no more when its fields are changed, which lead its tokens somewhere', async () => {
    const { server, ...stage } = await startConnected()
    const row = await stage.row()
    const changed = { ...row, fields: { shop: 'mallory' }, version: row.version + 1 }
    expect(await stage.store.update(changed)).toBe('done')
    const asked = server.server.requests.length

    await expect(stage.connection.fetch(stage.me)).rejects.toMatchObject({ reason: 'unreadable' })

    expect(server.server.requests).toHaveLength(asked)
  })

  test('opens in no other place, and nothing of another place opens in it', async () => {
    const stage = await startConnected()
    const { browser, app, store, server } = stage
    const bob = await stage.signedIn('bob')
    await stage.connect(bob)
    const [bobs] = await store.list('bob')
    // A connection in flight and a refresh leave their marks, too.
    const { body } = await stage.post(browser, '/connections/projects/connect')
    expect(body).toContain('location')
    const kept: string[] = []
    const { shared } = store
    const noting = {
      ...shared,
      set: async (...call: Parameters<typeof shared.set>) => (kept.push(call[1]), shared.set(...call)),
    }
    await (await stage.elsewhere({}, { ...store, shared: noting })).accessToken({ forceRefresh: true })
    const row = await stage.row()
    const cookies = await cookiesOf(browser, app.url, /./)
    const strangers = [...kept, bobs?.tokens ?? '', ...cookies.map(({ value }) => value)]
    expect(kept.length).toBeGreaterThan(0)
    expect(cookies.length).toBeGreaterThan(2)
    const asked = server.server.counts.token

    let version = row.version
    for (const tokens of strangers) {
      await store.update({ ...row, tokens, version: ++version })
      const [found] = await stage.connections.for('alice').list()
      expect(found).toMatchObject({ status: 'needs_reconnect', reason: 'unreadable' })
      await expect(found?.accessToken({ forceRefresh: true })).rejects.toMatchObject({ reason: 'unreadable' })
    }
    const opened: string[] = []
    for (const { name } of cookies) {
      for (const value of [row.tokens ?? '', ...kept]) {
        const answer = await bare(`${app.url}/connections`, { ...ownScript, cookie: `${name}=${value}` })
        opened.push(
          answer.status === 200
            ? JSON.stringify((JSON.parse(answer.body) as { outcome: unknown }).outcome)
            : String(answer.status),
        )
      }
    }
    expect(opened.filter((what) => what !== 'null' && what !== '401')).toEqual([])
    expect(server.server.counts.token).toBe(asked)
  })
})
