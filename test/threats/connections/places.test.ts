/** Threats to where the secrets of a connection go: another server than it was made with, and other addresses than were allowed. */
import { describe, expect, test, vi } from 'vitest'
import { startApi } from '../../support/api.js'
import { startConnected, type Connected } from '../../support/connected.js'
import { correctSteps } from '../../support/faulty-server/steps.js'
import type { Provider } from '../../support/faulty-server/provider.js'
import { redirect } from '../../support/faulty-server/answer.js'
import { travel } from '../../support/time.js'

/** How many requests with secrets the provider's server has seen. */
function asked({ server: { server } }: Connected): number {
  return server.counts.token + server.counts.revocation
}

function saying(change: (op: Provider) => Record<string, unknown>) {
  return { metadata: async (op: Provider) => ({ ...(await correctSteps.metadata(op)), ...change(op) }) }
}

describe('T73 when the server names another place for its tokens', () => {
  test.each([
    [
      'a token endpoint elsewhere',
      (op: Provider) => ({ token_endpoint: `${op.elsewhere}/token` }),
      { code: 'issuer_mismatch', reason: 'token_endpoint_moved' },
    ],
    [
      'token and revocation endpoint elsewhere',
      (op: Provider) => ({
        token_endpoint: `${op.elsewhere}/token`,
        revocation_endpoint: `${op.elsewhere}/revoke`,
      }),
      { code: 'issuer_mismatch', reason: 'token_endpoint_moved' },
    ],
    ['another issuer', (op: Provider) => ({ issuer: op.elsewhere }), { code: 'invalid_server_metadata' }],
  ])('%s gets nothing, neither at a refresh nor when it ends', async (_what, change, error) => {
    const stage = await startConnected()
    const [before, count] = [await stage.row(), asked(stage)]
    stage.server.misbehave(saying(change))
    const there = await stage.elsewhere()

    await expect(there.accessToken({ forceRefresh: true })).rejects.toMatchObject(error)
    expect(await stage.row()).toEqual(before)
    // The token that is there goes to the API only, and serves.
    expect(await there.accessToken()).toBe(await stage.connection.accessToken())
    const ended = await there.disconnect()

    expect(stage.server.server.elsewhere).toEqual([])
    expect(asked(stage)).toBe(count)
    expect(ended.status).toBe('disconnected')
    expect((await stage.row()).tokens).toBeTypeOf('string')
    stage.server.misbehave()
    travel(2)
    expect(await stage.instance().check({ olderThan: 1, perSecond: 1_000 })).toMatchObject({ revoked: 1 })
    expect(stage.server.server.counts.revocation).toBe(2)
  })

  test('a running instance that reads it anew sends nothing there, and works again when it is put right', async () => {
    const stage = await startConnected()
    const before = await stage.row()
    stage.server.misbehave(saying((op) => ({ token_endpoint: `${op.elsewhere}/token` })))
    const discoveries = stage.server.server.counts.discovery
    travel(2 * 86_400)
    // The old document serves while the new one is fetched.
    await stage.connections.for('alice').list()
    await vi.waitFor(async () => {
      await stage.connection.accessToken({ forceRefresh: true }).catch(() => undefined)
      expect(stage.server.server.counts.discovery).toBeGreaterThan(discoveries)
    })
    await expect(stage.connection.accessToken({ forceRefresh: true })).rejects.toMatchObject({
      reason: 'token_endpoint_moved',
    })

    expect(stage.server.server.elsewhere).toEqual([])
    expect(await stage.row()).toMatchObject({ status: before.status })
    stage.server.misbehave()
    expect(await (await stage.elsewhere()).accessToken({ forceRefresh: true })).toBeTypeOf('string')
  })

  test('a revocation endpoint elsewhere gets no token', async () => {
    const stage = await startConnected()
    stage.server.misbehave(saying((op) => ({ revocation_endpoint: `${op.elsewhere}/revoke` })))

    await (await stage.elsewhere()).disconnect()

    expect(stage.server.server.elsewhere).toEqual([])
    expect((await stage.row()).tokens).toBeTypeOf('string')
  })

  test('a revocation of the app’s own is not asked to send them there', async () => {
    const stage = await startConnected()
    stage.server.misbehave(saying((op) => ({ token_endpoint: `${op.elsewhere}/token` })))
    let revoked = 0
    const revokeToken = async () => void revoked++

    await (await stage.elsewhere({ revokeToken })).disconnect()
    expect(revoked).toBe(0)
    stage.server.misbehave()
    travel(2)
    await stage.instance({ revokeToken }).check({ olderThan: 1, perSecond: 1_000 })
    expect(revoked).toBe(2)
  })
})

describe('T73 when the app is set up for another server', () => {
  test.each([
    ['another client', () => ({ clientId: 'another-app' })],
    ['another issuer', () => ({ issuer: 'https://login.example/' })],
    [
      'endpoints of another host',
      () => ({
        issuer: undefined,
        endpoints: { authorization: 'https://login.example/authorize', token: 'https://login.example/token' },
        scope: 'profile',
      }),
    ],
  ])('%s gets nothing, and the connection works again when it is put right', async (_what, special) => {
    const stage = await startConnected()
    const [before, count] = [await stage.row(), asked(stage)]
    const set = special() as Parameters<Connected['instance']>[0]
    const there = await stage.elsewhere(set)
    const changed = { code: 'needs_reconnect', reason: 'configuration_changed' }

    expect(there).toMatchObject({ status: 'needs_reconnect', reason: 'configuration_changed' })
    await expect(there.accessToken({ forceRefresh: true })).rejects.toMatchObject(changed)
    await expect(there.fetch(stage.me)).rejects.toMatchObject(changed)
    expect(await there.test()).toMatchObject({ status: 'needs_reconnect', reason: 'configuration_changed' })
    expect(await stage.row()).toEqual(before)
    expect((await (await stage.elsewhere()).fetch(stage.me)).status).toBe(200)
    await there.disconnect()

    expect(asked(stage)).toBe(count)
    expect(await stage.row()).toMatchObject({ status: 'disconnected', tokens: before.tokens })
    travel(2)
    expect(await stage.instance(set).check({ olderThan: 1, perSecond: 1_000 })).toMatchObject({
      revoked: 0,
      unavailable: 1,
    })
    expect(await stage.instance().check({ olderThan: 1, perSecond: 1_000 })).toMatchObject({ revoked: 1 })
  })
})

describe('addresses that are not allowed', () => {
  async function startAllowed() {
    const [api, canary] = [await startApi(), await startApi()]
    const stage = await startConnected({
      providers: {
        projects: {
          fields: { region: { label: 'Region', choices: ['eu', 'us'], default: 'eu' } },
          allow: [`${api.url}/{region}/v1/`],
        },
      },
    })
    return { ...stage, api, canary, base: `${api.url}/eu/v1` }
  }

  test('T109 reach nobody, whatever their spelling, and no token is asked for', async () => {
    const stage = await startAllowed()
    const { port } = new URL(stage.api.url)
    const there = new URL(stage.canary.url)
    const count = asked(stage)
    travel(7_200) // a token would have to be fetched
    const steps = ['..', '%2e%2e', '.%2e', '%252e%252e', '..;', '.;', '%EF%BC%8E%EF%BC%8E', '..%00']
    const slashes = ['/', '//', '\\', '%2f', '%5c', '%252f', '%EF%BC%8F']
    const addresses = [
      ...steps.flatMap((step) => slashes.map((slash) => `${stage.base}/${step}${slash}admin`)),
      `${stage.api.url}/us/v1/x`,
      `${stage.api.url}/{region}/v1/x`,
      `${stage.api.url}/eu/v1`,
      `${stage.api.url}/eu/v1x`,
      `${stage.api.url}/EU/v1/x`,
      `${stage.api.url}/eu%2fv1/x`,
      `http://localhost:${port}/eu/v1/x`,
      `http://127.1:${port}/eu/v1/x`,
      `http://127.0.0.1.:${port}/eu/v1/x`,
      `HTTP://127.0.0.1:${port}/eu/v1/x`,
      `http://127.0.0.1:${port}@${there.host}/eu/v1/x`,
      `http://${there.host}\\@127.0.0.1:${port}/eu/v1/x`,
      `http://user@127.0.0.1:${port}/eu/v1/x`,
      `//${there.host}/v1/x`,
      `/v1/x`,
      'data:text/plain,x',
      there.href,
    ]
    const reached: string[] = []
    for (const address of addresses) {
      const code = await stage.connection.fetch(address).then(
        () => 'reached',
        (error: { code?: string }) => error.code,
      )
      if (code !== 'url_not_allowed') reached.push(`${address}: ${code}`)
    }

    expect(reached).toEqual([])
    expect([...stage.api.requests, ...stage.canary.requests]).toEqual([])
    expect(asked(stage)).toBe(count)
  })

  test('T109 are refused before the tokens are opened', async () => {
    const stage = await startAllowed()
    const row = await stage.row()
    await stage.store.update({ ...row, tokens: 'nobody can open this', version: row.version + 1 })

    await expect(stage.connection.fetch(stage.canary.url)).rejects.toMatchObject({ code: 'url_not_allowed' })
    await expect(stage.connection.fetch(`${stage.base}/x`)).rejects.toMatchObject({ reason: 'unreadable' })
  })

  test.each([301, 302, 303, 307, 308])(
    'T110 are not reached by a redirect (%i), and following it by hand is refused',
    async (status) => {
      const stage = await startAllowed()
      stage.api.answer = () => redirect(`${stage.canary.url}/taken`, status)

      const answer = await stage.connection.fetch(`${stage.base}/x`, { method: 'POST', body: 'a' })

      expect(answer.status).toBe(status)
      const next = new URL(answer.headers.get('location') ?? '', `${stage.base}/x`)
      const count = asked(stage)
      travel(7_200)
      await expect(stage.connection.fetch(next)).rejects.toMatchObject({
        code: 'url_not_allowed',
        reason: 'not_listed',
      })
      await expect(stage.connection.fetch(`${stage.base}/x`, { redirect: 'follow' })).rejects.toMatchObject({
        code: 'invalid_configuration',
      })
      expect(stage.canary.requests).toEqual([])
      expect(asked(stage)).toBe(count)
      expect(stage.api.requests).toHaveLength(1)
    },
  )

  test('T110 are not reached by a redirect of the test call', async () => {
    const stage = await startConnected()
    const canary = await startApi()
    stage.server.misbehave({ answerUserinfo: () => redirect(`${canary.url}/taken`, 307) })

    await expect(stage.connection.test()).rejects.toMatchObject({ code: 'account_unknown' })
    expect(canary.requests).toEqual([])
    expect(await stage.row()).toMatchObject({ status: 'active' })
  })

  test.each(['Cookie', 'cookie', 'Authorization', 'DPoP', 'Host', 'Proxy-Authorization', 'Connection', 'TE'])(
    'T111 a request brings no %s of its own',
    async (name) => {
      const stage = await startAllowed()
      await expect(
        stage.connection.fetch(`${stage.base}/x`, { headers: { [name]: 'of the caller' } }),
      ).rejects.toMatchObject({ code: 'invalid_configuration' })
      expect(stage.api.requests).toEqual([])
    },
  )

  test('T111 a request carries the token of its connection and nothing else that is secret, and keeps no copy', async () => {
    const stage = await startAllowed()
    const headers = { 'x-wish': 'of the caller' }

    await stage.connection.fetch(`${stage.base}/x`, { headers })

    const [request] = stage.api.requests
    expect(Object.keys(request?.headers ?? {}).toSorted()).toEqual([
      'accept',
      'accept-encoding',
      'accept-language',
      'authorization',
      'connection',
      'host',
      'sec-fetch-mode',
      'user-agent',
      'x-wish',
    ])
    expect(stage.api.tokens).toEqual([await stage.connection.accessToken()])
    expect(headers).toEqual({ 'x-wish': 'of the caller' })
  })

  test('T112 a length of the caller’s own is not what is sent', async () => {
    const stage = await startAllowed()
    const post = async (headers: Record<string, string>) =>
      stage.connection.fetch(`${stage.base}/x`, { method: 'POST', body: 'four', headers })

    for (const length of ['1', '9', '4, 5']) await post({ 'content-length': length })
    await expect(post({ 'transfer-encoding': 'chunked' })).rejects.toMatchObject({
      code: 'invalid_configuration',
    })

    expect(stage.api.requests.map(({ headers, body }) => [headers['content-length'], body])).toEqual([
      ['4', 'four'],
      ['4', 'four'],
      ['4', 'four'],
    ])
  })
})
