/** What an app says of a provider, at work: where fields lead, and with which credentials. */
import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createProvider, type Provider } from '../../lib/connections/provider.js'
import { httpClient } from '../../lib/http.js'
import { checkOptions } from '../../lib/options.js'
import type { ConnectionProvider } from '../../lib/index.js'
import { canary, everythingIn, leaks, urlSafeCanary } from '../support/canaries.js'
import { startConnecting } from '../support/connecting.js'
import { startUserServer } from '../support/user-server.js'

const asked: string[] = []

/** A provider alone, whose requests are kept and never answered. */
function provider(options: Partial<ConnectionProvider>): Provider {
  const all = {
    clientId: 'app',
    scope: 'openid',
    issuer: 'https://{region}.service.example',
    fields: { region: { label: 'Region' }, note: { label: 'Note', required: false } },
    ...options,
  } as ConnectionProvider
  const unanswered: typeof fetch = async (url) => {
    asked.push(url as string)
    throw new Error('no network here')
  }
  return createProvider('projects', all, checkOptions('oauthConnections', {}, {}), {
    redirectUri: 'https://yourapp.com/connections/projects/callback',
    secrets: ['x'.repeat(43)],
    http: httpClient(unanswered),
    fetch: unanswered,
    timeout: 5,
    clockTolerance: 30,
    emit: () => undefined,
    now: () => 0,
  })
}

describe('the servers that fields lead to', () => {
  test('are one for all connections that agree in what leads there', () => {
    const { server } = provider({})
    const eu = server({ region: 'eu', note: 'mine' })
    expect(eu.issuer).toBe('https://eu.service.example')
    expect(server({ region: 'eu', note: 'yours', gone: 'x' })).toBe(eu)
    expect(server({ region: 'us' })).not.toBe(eu)
    expect(server({ region: 'us' }).issuer).toBe('https://us.service.example')
  })

  test('are a thousand at most: one in use survives a flood of others, which are forgotten', async () => {
    const { server } = provider({})
    const used = server({ region: 'used' })
    const unused = server({ region: 'unused' })
    const first = server({ region: 'r0' })
    for (let index = 0; index < 5_000; index++) {
      server({ region: `r${index}` })
      expect(server({ region: 'used' })).toBe(used)
    }
    expect(server({ region: 'unused' })).not.toBe(unused)
    expect(server({ region: 'r0' })).not.toBe(first)
    expect(asked).toEqual([]) // nothing was asked on the way
  })

  test('are none for values that are not possible, or not any more', () => {
    const { server } = provider({ fields: { region: { label: 'Region', choices: ['eu'] } } })
    for (const region of ['us', 'evil.example/', '__proto__'])
      expect(() => server({ region })).toThrowError(expect.objectContaining({ code: 'invalid_fields' }))
    expect(() => server({})).toThrowError(expect.objectContaining({ code: 'invalid_fields' }))
    const free = provider({}).server
    for (const region of ['EU', 'a.b', 'evil.example#', '127.0.0.1', 'a'.repeat(64)])
      expect(() => free({ region })).toThrowError(expect.objectContaining({ code: 'invalid_fields' }))
  })

  test('are found for a connection that is older than a field, by its default', () => {
    const { server } = provider({ fields: { region: { label: 'Region', default: 'eu' } } })
    expect(server({}).issuer).toBe('https://eu.service.example')
  })

  test('are named by where users sign in, unless there is an issuer', () => {
    const endpoints = {
      authorization: 'https://{region}.service.example/authorize',
      token: 'https://token.service.example/token',
    }
    const changes = {
      endpoints,
      scope: '',
      test: { url: 'https://api.service.example/me' },
      accountId: () => 'x',
    }
    expect(provider({ ...changes, issuer: undefined } as never).server({ region: 'eu' }).issuer).toBe(
      'https://eu.service.example',
    )
    expect(provider({ ...changes, issuer: 'https://service.example' }).server({ region: 'eu' }).issuer).toBe(
      'https://service.example',
    )
  })
})

test('a field that leads somewhere is refused in words, and nobody is asked', async () => {
  const fields = { region: { label: 'Region' } }
  const issuer = 'https://{region}.service.example'
  const stage = await startConnecting({ providers: { projects: { fields, issuer } } })
  const alice = await stage.signedIn('alice')
  const answer = await stage.post(alice, '/connections/projects/connect', { region: 'evil.example/' })
  expect(answer.status).toBe(400)
  expect(JSON.parse(answer.body)).toMatchObject({
    error: 'invalid_fields',
    fields: { region: 'This can have small letters, digits and "-", and is part of an address.' },
  })
})

test('what an app adds to the authorization request gets there, and nothing of a field does', async () => {
  const stage = await startConnecting({
    providers: {
      projects: {
        fields: { environment: { label: 'Environment', required: false } },
        authorizationParameters: { access_type: 'offline', prompt: 'consent', version: 2 },
      },
    },
  })
  const alice = await stage.signedIn('alice')
  const answer = await stage.post(alice, '/connections/projects/connect', { environment: 'test & <b>' })
  const { location } = JSON.parse(answer.body) as { location: string }
  const query = new URL(location).searchParams
  expect(Object.fromEntries(query)).toMatchObject({
    access_type: 'offline',
    prompt: 'consent',
    version: '2',
    code_challenge_method: 'S256',
    redirect_uri: `${stage.app.url}/connections/projects/callback`,
  })
  expect(location).not.toContain('test')
  await alice.click(location)
  expect((await stage.list(alice)).connections).toMatchObject([{ fields: { environment: 'test & <b>' } }])
})

test('the test call may have a query, and takes the parameters of each request beside it', async () => {
  const sent: string[] = []
  const stage = await startConnecting({
    fetch: (url, init) => {
      sent.push(url as string)
      return fetch(url, init)
    },
    providers: { projects: { parameters: { query: { api_version: 2, fields: 'all' } } } },
  })
  const { issuer } = stage.providers['projects']?.server ?? { issuer: '' }
  const alice = await stage.signedIn('alice')
  await stage.connect(alice)
  expect(sent).toContain(`${issuer}/userinfo?api_version=2&fields=all`)
})

describe('credentials', () => {
  test('a list is tried from its start, once, and a function that fails is nobody’s broken connection', async () => {
    const next = canary('next-client-secret')
    let secret: () => string | readonly string[] = () => {
      throw new Error(`the vault is sealed: ${next}`)
    }
    const stage = await startConnecting({
      providers: { projects: { clientSecret: async () => secret() } },
    })
    const server = stage.providers['projects']?.server
    const alice = await stage.signedIn('alice')
    await stage.connect(alice)
    expect((await stage.list(alice)).outcome).toMatchObject({
      status: 'failed',
      error: 'temporarily_unavailable',
    })

    const old = server?.clientSecret ?? ''
    secret = () => [next, old]
    await stage.connect(alice)
    const tried = server?.counts.token
    expect(tried).toBe(2) // the new one, which is not known yet, and the old one
    const [connection] = await stage.connections.for('alice').list()
    expect(connection?.status).toBe('active')

    server?.changeSecret(next)
    await connection?.accessToken({ forceRefresh: true })
    expect((await stage.list(alice)).connections).toMatchObject([{ status: 'active' }])

    server?.changeSecret('one that nobody has')
    secret = () => {
      throw new Error('sealed')
    }
    await expect(connection?.accessToken({ forceRefresh: true })).rejects.toMatchObject({ status: 503 })
    expect((await stage.list(alice)).connections).toMatchObject([{ status: 'active' }])
    const told = everythingIn(stage.events.map((event) => ({ ...event, error: undefined })))
    expect(
      leaks(
        [{ where: 'events', text: told }],
        [
          { role: 'old', value: old },
          { role: 'next', value: next },
        ],
      ),
    ).toEqual([])
  })

  test('a client without any is public, and proves itself by PKCE alone', async () => {
    const server = await startUserServer({ life: 3_600, cookie: 'account', clientId: 'public' })
    onTestFinished(() => server.server.close())
    const { issuer } = server.server
    const stage = await startConnecting({
      providers: {
        projects: {
          issuer,
          clientId: 'public',
          clientSecret: undefined,
          tokenEndpointAuthMethod: 'none',
          test: { url: `${issuer}/userinfo` },
        } as unknown as ConnectionProvider,
      },
    })
    for (const { redirectUri } of stage.connections.redirectUris()) server.server.register(redirectUri)
    const alice = await stage.signedIn('alice')
    await stage.connect(alice)
    const request = server.server.requests.find(({ endpoint }) => endpoint === 'token')
    expect(request?.headers.authorization).toBeUndefined()
    expect(request?.body.get('client_secret')).toBeNull()
    expect(request?.body.get('client_id')).toBe('public')
    expect(request?.body.get('code_verifier')).toMatch(/^[\w-]{43}$/)
  })

  test('a key signs for itself, and no secret is sent', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const stage = await startConnecting({
      providers: {
        projects: {
          clientSecret: undefined,
          privateKey: { key: privateKey, kid: urlSafeCanary('kid').slice(-5) },
        } as unknown as ConnectionProvider,
      },
    })
    const alice = await stage.signedIn('alice')
    await stage.connect(alice)
    const requests = stage.providers['projects']?.server.requests ?? []
    const request = requests.find(({ endpoint }) => endpoint === 'token')
    expect(request?.headers.authorization).toBeUndefined()
    expect(request?.body.get('client_secret')).toBeNull()
    expect(request?.body.get('client_assertion')?.split('.')).toHaveLength(3)
  })
})
