/** Production and sandbox of one provider: nothing of one is ever used for the other. */
import { onTestFinished, expect, test } from 'vitest'
import { memoryConnectionStore, oauthConnections, type ConnectionProvider } from '../../lib/index.js'
import { startConnecting, type Connecting } from '../support/connecting.js'
import { canary, everythingIn, leaks } from '../support/canaries.js'
import { startUserServer, type UserServer } from '../support/user-server.js'

interface Stage {
  readonly stage: Connecting
  readonly production: UserServer
  readonly sandbox: UserServer
  readonly provider: ConnectionProvider
  readonly store: ReturnType<typeof memoryConnectionStore>
  readonly secret: string
}

const options = {
  scope: 'openid offline_access',
  accountId: (me: { sub: string }) => me.sub,
} as const

async function startEnvironments(special: Partial<ConnectionProvider> = {}): Promise<Stage> {
  const servers = await Promise.all([
    startUserServer({ life: 3_600, cookie: 'account', clientId: 'app-in-production' }),
    startUserServer({ life: 3_600, cookie: 'account', clientId: 'app-in-the-sandbox' }),
  ])
  onTestFinished(async () => {
    await Promise.all(servers.map(({ server }) => server.close()))
  })
  const [production, sandbox] = servers
  const environment = ({ server: { issuer, clientId, clientSecret } }: UserServer, name: string) => ({
    issuer,
    clientId,
    clientSecret,
    name,
    test: { url: `${issuer}/userinfo` },
    allow: [`${issuer}/`],
  })
  const provider = {
    ...options,
    ...special,
    environments: {
      production: environment(production, 'The real thing'),
      sandbox: environment(sandbox, 'To try things out'),
    },
  } as ConnectionProvider
  const none = {
    issuer: undefined,
    clientId: undefined,
    clientSecret: undefined,
    test: undefined,
    allow: undefined,
  }
  const store = memoryConnectionStore()
  const secret = canary('sealing-secret')
  const stage = await startConnecting({
    store,
    secrets: [secret],
    providers: { projects: { ...none, ...provider } as unknown as ConnectionProvider },
  })
  for (const { redirectUri } of stage.connections.redirectUris())
    for (const { server } of servers) server.register(redirectUri)
  return { stage, production, sandbox, provider, store, secret }
}

/** All that a server was sent, as text. */
function sentTo({ server }: UserServer): string {
  return server.requests
    .map(
      ({ path, query, headers, body }) =>
        `${path} ${query.toString()} ${body.toString()} ${JSON.stringify(headers)}`,
    )
    .join('\n')
}

/** The first secret of a client, encoded in whatever way, and its identifier. */
const secretsOf = ({ server }: UserServer) => [
  { role: 'client secret', value: server.clientSecret },
  { role: 'client id', value: server.clientId },
  {
    role: 'Basic credentials',
    value: Buffer.from(`${server.clientId}:${encodeURIComponent(server.clientSecret)}`).toString('base64'),
  },
  ...server.secrets.filter(({ role }) => /token|code/.test(role)),
]

test('T73 nothing of one environment is ever sent to the other', async () => {
  const { stage, production, sandbox } = await startEnvironments()
  const alice = await stage.signedIn('alice')
  await stage.connect(alice, 'projects')
  expect([production.server.counts.token, sandbox.server.counts.token]).toEqual([1, 0])
  await stage.connect(alice, 'projects', { environment: 'sandbox' })

  const { connections } = await stage.list(alice)
  // Made in the same second, they are in no order.
  const inOrder = connections.toSorted((a, b) =>
    JSON.stringify(a['fields']) < JSON.stringify(b['fields']) ? -1 : 1,
  )
  expect(inOrder).toMatchObject([
    { issuer: production.server.issuer, fields: { environment: 'production' }, account_id: 'alice' },
    { issuer: sandbox.server.issuer, fields: { environment: 'sandbox' }, account_id: 'alice' },
  ])
  const mine = await stage.connections.for('alice').list()
  for (const connection of mine) {
    await connection.accessToken({ forceRefresh: true })
    await connection.test()
    const other = connection.issuer === production.server.issuer ? sandbox : production
    await expect(connection.fetch(`${other.server.issuer}/userinfo`)).rejects.toMatchObject({
      code: 'url_not_allowed',
    })
    expect((await connection.fetch(`${connection.issuer}/userinfo`)).status).toBe(200)
    await connection.disconnect()
  }

  for (const { server } of [production, sandbox]) {
    expect(server.complaints).toEqual([])
    expect(server.counts).toMatchObject({ token: 2, revocation: 2 })
  }
  const exposed = (server: UserServer, where: string) => [{ where, text: sentTo(server) }]
  expect(leaks(exposed(sandbox, 'sandbox'), secretsOf(production))).toEqual([])
  expect(leaks(exposed(production, 'production'), secretsOf(sandbox))).toEqual([])
  // The search finds what is there.
  expect(leaks(exposed(sandbox, 'sandbox'), secretsOf(sandbox))).toContain('client id in sandbox')
  const told = [{ where: 'events', text: everythingIn(stage.events) }]
  const secrets = [...secretsOf(production), ...secretsOf(sandbox)].filter(({ role }) => role !== 'client id')
  expect(leaks(told, secrets)).toEqual([])
})

test.each<[string, Partial<ConnectionProvider>, string]>([
  ['name', {}, 'shared'],
  [
    'e-mail address',
    {
      scope: 'openid email offline_access',
      accountId: (me) => me.email as string,
      emailAsAccountId: true,
    },
    'demo@example.com',
  ],
])('T12 the same %s in two environments is two accounts', async (_what, special, account) => {
  const { stage, production, sandbox } = await startEnvironments(special)
  const [alice, bob] = [await stage.signedIn('alice', 'shared'), await stage.signedIn('bob', 'shared')]
  await stage.connect(alice, 'projects', { environment: 'production' })
  await stage.connect(bob, 'projects', { environment: 'sandbox' })

  const [hers = never(), ...others] = await stage.connections.for('alice').list()
  const [his = never()] = await stage.connections.for('bob').list()
  expect(others).toEqual([])
  expect(hers).toMatchObject({ status: 'active', issuer: production.server.issuer, account_id: account })
  expect(his).toMatchObject({ status: 'active', issuer: sandbox.server.issuer, account_id: account })
  // In one environment it is one account, and somebody has it.
  await stage.connect(bob, 'projects', { environment: 'production' })
  expect((await stage.list(bob)).outcome).toMatchObject({ error: 'account_taken' })
  // The end of the one is no other's, and nothing to be considerate of.
  await his.disconnect()
  expect([production.server.counts.revocation, sandbox.server.counts.revocation]).toEqual([0, 2])
  expect((await hers.fetch(`${production.server.issuer}/userinfo`)).status).toBe(200)
})

test('the user chooses, by the names that people have for them', async () => {
  const { stage, sandbox, production } = await startEnvironments()
  const alice = await stage.signedIn('alice')

  const providers = await alice.fetch(`${stage.app.url}/connections/providers`, {
    headers: { 'x-csrf': '1' },
  })
  expect(JSON.parse(providers.body)).toMatchObject({
    providers: [
      {
        provider: 'projects',
        fields: [
          {
            name: 'environment',
            label: 'Environment',
            required: false,
            default: 'production',
            choices: [
              { value: 'production', label: 'The real thing' },
              { value: 'sandbox', label: 'To try things out' },
            ],
          },
        ],
      },
    ],
  })

  for (const environment of ['staging', '__proto__', 'constructor', 'Production']) {
    const answer = await stage.post(alice, '/connections/projects/connect', { environment })
    expect(answer.status).toBe(400)
    expect(JSON.parse(answer.body)).toMatchObject({
      error: 'invalid_fields',
      fields: { environment: 'Environment must be one of The real thing, To try things out.' },
    })
  }
  expect([production, sandbox].map(({ server }) => server.counts.authorize)).toEqual([0, 0])
})

test('T73 a connection whose environment is another server or client now is used no more', async () => {
  const { stage, production, sandbox, provider, store, secret } = await startEnvironments()
  const alice = await stage.signedIn('alice')
  await stage.connect(alice, 'projects', { environment: 'sandbox' })
  const before = production.server.requests.length + sandbox.server.requests.length
  const environments = provider.environments ?? {}
  const real = environments['production'] ?? never()
  const trial = environments['sandbox'] ?? never()

  const changed: Record<string, ConnectionProvider['environments']> = {
    'another client': { production: real, sandbox: { ...trial, clientId: 'another' } },
    'another server': { production: real, sandbox: { ...trial, issuer: 'https://sandbox.service.example' } },
    'the names swapped': { sandbox: real, production: trial },
    'it is gone': { production: real },
  }
  for (const environmentsThen of Object.values(changed)) {
    const connections = oauthConnections({
      baseUrl: stage.app.url,
      secrets: [secret],
      store,
      providers: { projects: { ...options, environments: environmentsThen } as ConnectionProvider },
    })
    const [connection = never()] = await connections.for('alice').list()
    expect(connection).toMatchObject({ status: 'needs_reconnect', reason: 'configuration_changed' })
    await expect(connection.accessToken({ forceRefresh: true })).rejects.toMatchObject({
      code: 'needs_reconnect',
      reason: 'configuration_changed',
    })
    expect(await connection.test()).toMatchObject({ reason: 'configuration_changed' })
  }
  expect(production.server.requests.length + sandbox.server.requests.length).toBe(before)

  const another = oauthConnections({
    baseUrl: stage.app.url,
    secrets: [secret],
    store,
    providers: { projects: { ...options, environments: { sandbox: trial, production: real } } },
  })
  const [same] = await another.for('alice').list()
  expect(same).toMatchObject({ status: 'active' })
})

function never(): never {
  throw new Error('it is not there')
}
