/** The tokens of a connection: refreshed once, kept by whoever is newest, and ended by nobody but server and user. */
import { describe, expect, test, vi } from 'vitest'
import { memoryConnectionStore } from '../../lib/index.js'
import type { ConnectionStore } from '../../lib/connections/connection-store.js'
import { heldRefresh, refreshesAnswered, startConnected, type Connected } from '../support/connected.js'
import { empty, hang, json, reset, type Answer } from '../support/faulty-server/answer.js'
import { correctSteps } from '../support/faulty-server/steps.js'
import { travel } from '../support/time.js'

const disconnected = { code: 'needs_reconnect', reason: 'disconnected' }

/** The tokens that the server was told to revoke. */
function revoked({ server: { server } }: Connected): (string | null)[] {
  return server.requests
    .filter(({ endpoint }) => endpoint === 'revocation')
    .map(({ body }) => body.get('token'))
}

function issued({ server: { server } }: Connected, role: string): string[] {
  return server.secrets.filter((secret) => secret.role === role).map(({ value }) => value)
}

function misuses({ server: { server } }: Connected): readonly string[] {
  return server.complaints
}

/** A server that takes a refresh token any number of times. */
const { refresh_token: rotating, ...otherGrants } = correctSteps.grants
const takenAgain = {
  grants: { ...otherGrants, ...(rotating && { refresh_token: { ...rotating, complaints: () => [] } }) },
}

/** Forgets the refresh that failed a moment ago, after which the server is left alone for a while. */
const afterThePause = () => travel(30)

describe('one refresh', () => {
  test('however many ask, on however many instances', async () => {
    const stage = await startConnected()
    const there = await stage.elsewhere()
    travel(3_600)

    const tokens = await Promise.all(
      Array.from({ length: 10 }, () => [stage.connection, there]).flatMap((both) =>
        both.map((connection) => connection.accessToken()),
      ),
    )

    expect(new Set(tokens).size).toBe(1)
    expect(stage.server.refreshes('alice')).toBe(1)
    expect(misuses(stage)).toEqual([])
  })

  test('for each time that another token is wanted, whatever the state of the one there is', async () => {
    const { connection, server, me } = await startConnected()
    const first = await connection.accessToken()

    const second = await connection.accessToken({ forceRefresh: true })

    expect(second).not.toBe(first)
    expect(await connection.accessToken()).toBe(second)
    expect(await connection.accessToken({ minimumLifetime: 3_000 })).toBe(second)
    await connection.accessToken({ minimumLifetime: 3_601 })
    expect(server.refreshes('alice')).toBe(2)
    expect((await connection.fetch(me)).status).toBe(200)
  })

  test.each([
    ['gives the same refresh token again', (first: string) => ({ refresh_token: first })],
    ['gives no other', () => ({ refresh_token: undefined })],
  ])('works again and again at a server that %s', async (_what, answered) => {
    const stage = await startConnected()
    const [first = ''] = issued(stage, 'refresh token')
    stage.server.misbehave({
      ...takenAgain,
      ...refreshesAnswered((_op, response) => json({ ...response, ...answered(first) })),
    })

    const tokens = [await stage.connection.accessToken()]
    for (let time = 1; time <= 3; time++) {
      travel(3_600)
      tokens.push(await (await stage.elsewhere()).accessToken())
    }

    expect(new Set(tokens).size).toBe(4)
    const sent = stage.server.server.requests.filter(({ body }) => body.has('refresh_token'))
    expect(sent.map(({ body }) => body.get('refresh_token'))).toEqual([first, first, first])
  })

  test('may grant less, and then the row and the view say so', async () => {
    const { connection, connections, server, row } = await startConnected()
    server.misbehave(refreshesAnswered((_op, response) => json({ ...response, scope: 'openid' })))

    await connection.accessToken({ forceRefresh: true })

    expect((await row()).scope).toEqual(['openid'])
    expect((await connections.for('alice').get(connection.id)).scope).toBe('openid')
  })
})

describe('whoever was killed before it could keep new tokens', () => {
  function breakable(): { store: ConnectionStore; break(isBroken: boolean): void } {
    const inner = memoryConnectionStore()
    let isBroken = false
    return {
      store: {
        ...inner,
        update: async (record) => {
          if (isBroken) throw new Error('killed')
          return inner.update(record)
        },
      },
      break: (now) => (isBroken = now),
    }
  }

  test('has told the others within the hour, which do not use the old refresh token again', async () => {
    const { store, break: breaks } = breakable()
    const stage = await startConnected({ store })
    stage.server.misbehave(refreshesAnswered((_op, response) => json({ ...response, expires_in: 86_400 })))
    breaks(true)
    const refreshed = stage.connection.accessToken({ forceRefresh: true })
    await expect(refreshed).rejects.toMatchObject({ code: 'store_unavailable' })
    breaks(false)
    travel(3_590)

    const there = await stage.elsewhere()
    const { version } = await stage.row()
    const token = await there.accessToken()

    expect((await stage.row()).version).toBe(version + 1)
    expect(token).toBe(issued(stage, 'access token').at(-1))
    expect(stage.server.refreshes('alice')).toBe(1)
    await there.accessToken({ forceRefresh: true })
    expect(misuses(stage)).toEqual([])
    expect(await stage.row()).toMatchObject({ status: 'active' })
  })

  test('leaves a token that still serves in use while the store takes nothing', async () => {
    const { store, break: breaks } = breakable()
    const { connection } = await startConnected({ store })
    const first = await connection.accessToken()
    breaks(true)
    travel(3_560)

    expect(await connection.accessToken()).toBe(first)
  })
})

describe('connecting again while tokens are refreshed', () => {
  test.each([
    ['and the server answers with older tokens', correctSteps.answerToken],
    ['and the server refuses the older refresh token', () => json({ error: 'invalid_grant' }, 400)],
  ])('%s: those of the user are kept', async (_what, answer) => {
    const stage = await startConnected()
    const held = heldRefresh(answer)
    stage.server.misbehave(held.fault)
    const refreshed = stage.connection.accessToken({ forceRefresh: true })
    await held.reached
    stage.server.misbehave()
    await stage.connect(stage.browser)
    const users = issued(stage, 'access token').at(-1)
    held.goOn()

    await refreshed
    expect(await stage.row()).toMatchObject({ status: 'active' })
    const there = await stage.elsewhere()
    const isUsers = (await there.accessToken()) === users
    // Whoever insisted on another token may have refreshed those of the user, once.
    expect(isUsers || stage.server.refreshes('alice') === 2).toBe(true)
    expect((await there.fetch(stage.me)).status).toBe(200)
    expect(await there.accessToken({ forceRefresh: true })).toBeTypeOf('string')
    expect(stage.events.map(({ type }) => type)).not.toContain('needs_reconnect')
  })

  test('a server that gives the same refresh token again gives newer tokens with it', async () => {
    const stage = await startConnected()
    const [constant] = issued(stage, 'refresh token')
    stage.server.misbehave({
      ...takenAgain,
      answerToken: (_op, response) => json({ ...response, refresh_token: constant }),
    })
    const old = await stage.connection.accessToken({ forceRefresh: true })
    stage.server.misbehave({ answerToken: () => json({ error: 'invalid_grant' }, 400) })
    await stage.connection.accessToken({ forceRefresh: true }).catch(() => undefined)
    expect(await stage.row()).toMatchObject({ status: 'needs_reconnect' })
    travel(10)
    stage.server.misbehave({
      ...takenAgain,
      answerToken: (_op, response) => json({ ...response, refresh_token: constant }),
    })
    await stage.connect(stage.browser)
    const users = await stage.connection.accessToken()

    travel(3_545) // due, and the old outcome is still remembered
    stage.server.misbehave({ ...takenAgain, answerToken: () => empty(503) })
    expect(await stage.connection.accessToken()).toBe(users)
    expect(users).not.toBe(old)
  })
})

describe('disconnecting while tokens are refreshed', () => {
  test('ends them all', async () => {
    const stage = await startConnected()
    const held = heldRefresh()
    stage.server.misbehave(held.fault)
    const refreshed = stage.connection.accessToken({ forceRefresh: true }).catch((error: unknown) => error)
    await held.reached
    const ended = stage.connection.disconnect()
    held.goOn()

    await Promise.all([refreshed, ended])
    expect(await stage.row()).toMatchObject({ status: 'disconnected' })
    expect(await stage.row()).not.toHaveProperty('tokens')
    expect(revoked(stage)).toContain(issued(stage, 'refresh token').at(-1))
    await expect(stage.connection.accessToken()).rejects.toMatchObject(disconnected)
    await expect(stage.connection.fetch(stage.me)).rejects.toMatchObject(disconnected)
  })

  /** As an instance does that had the lease by then. */
  async function endedMeanwhile(stage: Connected, end: () => Promise<unknown>, during?: () => void) {
    const held = heldRefresh()
    stage.server.misbehave(held.fault)
    const refreshed = stage.connection.accessToken({ forceRefresh: true })
    const outcome = refreshed.then(() => 'used').catch((error: unknown) => error)
    await held.reached
    await end()
    during?.()
    held.goOn()
    return outcome
  }

  test('has the last word, also when the tokens are forgotten by then', async () => {
    const stage = await startConnected()
    const outcome = await endedMeanwhile(stage, async () => {
      const { tokens: _tokens, ...row } = await stage.row()
      await stage.store.update({ ...row, status: 'disconnected', version: row.version + 1 })
    })

    expect(outcome).toMatchObject(disconnected)
    expect(revoked(stage)).toEqual([
      issued(stage, 'refresh token').at(-1),
      issued(stage, 'access token').at(-1),
    ])
    expect(await stage.row()).toMatchObject({ status: 'disconnected' })
    expect(await stage.row()).not.toHaveProperty('tokens')
  })

  test('what comes after it was found at its end is revoked, and not kept', async () => {
    const stage = await startConnected()
    const outcome = await endedMeanwhile(stage, async () => {
      const { tokens: _tokens, ...row } = await stage.row()
      const condemned = { status: 'needs_reconnect', reason: 'refresh_refused' } as const
      await stage.store.update({ ...row, ...condemned, version: row.version + 1 })
    })

    expect(outcome).toMatchObject({ code: 'needs_reconnect', reason: 'refresh_refused' })
    expect(await stage.row()).not.toHaveProperty('tokens')
    await vi.waitFor(() => expect(revoked(stage)).toContain(issued(stage, 'refresh token').at(-1)))
  })

  test('has the last word when the row is gone', async () => {
    const stage = await startConnected()
    const outcome = await endedMeanwhile(stage, async () =>
      stage.store.delete(stage.connection.id, (await stage.row()).version),
    )

    expect(outcome).toMatchObject({ code: 'connection_not_found' })
    expect(revoked(stage)).toContain(issued(stage, 'refresh token').at(-1))
  })

  test('keeps what could not be revoked for the next sweep', async () => {
    const stage = await startConnected()
    const away = { answerRevocation: () => empty(503) }
    const held = heldRefresh()
    stage.server.misbehave({ ...held.fault, ...away })
    const refreshed = stage.connection.accessToken({ forceRefresh: true }).catch((error: unknown) => error)
    await held.reached
    const { tokens: _tokens, ...row } = await stage.row()
    await stage.store.update({ ...row, status: 'disconnected', version: row.version + 1 })
    held.goOn()
    expect(await refreshed).toMatchObject(disconnected)
    expect((await stage.row()).tokens).toBeTypeOf('string')
    stage.server.misbehave()
    travel(2)

    const swept = await stage.instance().check({ olderThan: 1, perSecond: 1_000 })

    expect(swept).toMatchObject({ revoked: 1 })
    expect(revoked(stage).slice(-2)).toEqual([
      issued(stage, 'refresh token').at(-1),
      issued(stage, 'access token').at(-1),
    ])
    expect(await stage.row()).not.toHaveProperty('tokens')
  })
})

describe('a refresh that fails', () => {
  test.each<[string, () => Answer, string]>([
    ['is never answered', () => hang(), 'server_unavailable'],
    ['breaks off', () => reset(), 'server_unavailable'],
    ['is answered with 503', () => empty(503), 'server_unavailable'],
    ['is answered with 429', () => json({ error: 'slow_down' }, 429), 'server_unavailable'],
    ['is refused for the client', () => json({ error: 'invalid_client' }, 401), 'invalid_client'],
    ['is refused for the scope', () => json({ error: 'invalid_scope' }, 400), 'invalid_scope'],
    [
      'is answered with a page',
      () => ({ status: 200, headers: {}, body: '<h1>' }),
      'invalid_server_response',
    ],
  ])('because it %s says nothing about the connection', async (_what, answer, code) => {
    const { connection, connections, server, row } = await startConnected({ timeout: 1 })
    const before = await row()
    // Before it looks at the refresh token: a server that spends it and never answers has ended the connection.
    server.misbehave({ proofRefusal: answer })

    await expect(connection.accessToken({ forceRefresh: true })).rejects.toMatchObject({ code })

    expect(await row()).toEqual(before)
    expect((await connections.for('alice').get(connection.id)).status).toBe('active')
    expect(await connection.accessToken()).toBeTypeOf('string')
  })

  test('serves the old token until its end, and works again when the server does', async () => {
    const { connection, server } = await startConnected()
    const first = await connection.accessToken()
    server.misbehave({ proofRefusal: () => empty(503) })
    travel(3_560)
    expect(await connection.accessToken()).toBe(first)
    travel(60)
    await expect(connection.accessToken()).rejects.toMatchObject({ code: 'server_unavailable' })
    server.misbehave()
    afterThePause()
    expect(await connection.accessToken()).not.toBe(first)
  })

  test.each([
    ['says so', () => json({ error: 'invalid_grant', error_description: 'revoked by its user' }, 400)],
    ['says nothing', () => empty(400)],
  ])('because the server refuses for good, and %s, needs the user', async (_what, answer) => {
    const stage = await startConnected()
    stage.server.misbehave(refreshesAnswered(answer))
    travel(3_600)

    await expect(stage.connection.fetch(stage.me)).rejects.toMatchObject({
      code: 'needs_reconnect',
      reason: 'refresh_refused',
      status: 409,
    })

    const row = await stage.row()
    expect(row).toMatchObject({ status: 'needs_reconnect', reason: 'refresh_refused' })
    expect(row).not.toHaveProperty('tokens')
    expect(stage.events).toContainEqual({
      type: 'needs_reconnect',
      connection: { id: row.id, owner: 'alice', provider: 'projects' },
      reason: 'refresh_refused',
    })
    // The refresh token is dead already.
    await expect.poll(() => revoked(stage)).toHaveLength(1)
    const asked = stage.server.server.counts.token
    await expect(stage.connection.accessToken()).rejects.toMatchObject({ code: 'needs_reconnect' })
    expect(stage.server.server.counts.token).toBe(asked)
  })

  /** An instance that shares the table and knows nothing of leases and outcomes, as when a lease was lost. */
  const apart = async (stage: Connected, get = stage.store.get) =>
    stage.elsewhere({}, { ...stage.store, get, shared: memoryConnectionStore().shared })

  test('because somebody else has used the refresh token, who has the new ones, condemns nothing', async () => {
    const stage = await startConnected()
    const before = await stage.row()
    await (await apart(stage)).accessToken({ forceRefresh: true })
    // It reads what was there before until it is refused for good.
    let answers = 0
    const late = await apart(stage, async (id) => (answers++ < 4 ? before : stage.store.get(id)))
    let refusals = 0
    stage.server.misbehave({
      ...takenAgain,
      ...refreshesAnswered((op, response) =>
        refusals++ === 0 ? json({ error: 'invalid_grant' }, 400) : correctSteps.answerToken(op, response),
      ),
    })

    expect(await late.accessToken({ forceRefresh: true })).toBeTypeOf('string')

    expect([answers > 4, refusals]).toEqual([true, 2])
    expect(await stage.row()).toMatchObject({ status: 'active' })
  })

  test('to be the first of two does not take the place of the other', async () => {
    const stage = await startConnected()
    const held = heldRefresh()
    stage.server.misbehave({ ...takenAgain, ...held.fault })
    const second = stage.connection.accessToken({ forceRefresh: true })
    await held.reached
    stage.server.misbehave(takenAgain)
    const first = await (await apart(stage)).accessToken({ forceRefresh: true })
    const row = await stage.row()
    held.goOn()
    await second

    // It looked again, found those of the first, and as it insists on others, renewed them.
    expect(stage.server.refreshes('alice')).toBe(3)
    const sent = stage.server.server.requests.filter(({ body }) => body.has('refresh_token'))
    expect(sent.at(-1)?.body.get('refresh_token')).not.toBe(sent[0]?.body.get('refresh_token'))
    expect(stage.server.ownerOf(first)).toBe('alice')
    expect((await stage.row()).version).toBe(row.version + 1)
  })

  test('because the store is away is the store’s failure', async () => {
    const inner = memoryConnectionStore()
    let isAway = false
    const away = async () => Promise.reject(new Error('away'))
    const store: ConnectionStore = {
      ...inner,
      get: async (id) => (isAway ? away() : inner.get(id)),
      update: async (record) => (isAway ? away() : inner.update(record)),
    }
    const { connection, row, me } = await startConnected({ store })
    const before = await row()
    isAway = true

    await expect(connection.accessToken()).rejects.toMatchObject({ code: 'store_unavailable', status: 503 })
    await expect(connection.fetch(me)).rejects.toMatchObject({ code: 'store_unavailable' })
    isAway = false
    expect(await row()).toEqual(before)
  })
})

describe('without a refresh token', () => {
  const withoutRefresh = (life: number | undefined) => ({
    answerToken: (
      _op: unknown,
      { refresh_token: _refresh, expires_in: _life, ...response }: Record<string, unknown>,
    ) => json({ ...response, ...(life !== undefined && { expires_in: life }) }),
  })
  /** Connects once more at a server that gives these tokens. */
  async function again(life: number | undefined): Promise<Connected> {
    const stage = await startConnected()
    stage.server.misbehave(withoutRefresh(life))
    await stage.connect(stage.browser)
    return stage
  }

  test('a token that ends is good until then, and then its user is needed', async () => {
    const { connection, row, events } = await again(300)
    const token = await connection.accessToken()
    travel(280) // a refresh would be due
    expect(await connection.accessToken({ minimumLifetime: 60 })).toBe(token)
    travel(20)

    await expect(connection.accessToken()).rejects.toMatchObject({
      code: 'needs_reconnect',
      reason: 'expired',
    })
    expect(await row()).toMatchObject({ status: 'needs_reconnect', reason: 'expired' })
    expect(events.filter(({ type }) => type === 'needs_reconnect')).toHaveLength(1)
  })

  test('a token that never ends works until the test call says otherwise', async () => {
    const { connection, connections, server, row, me } = await again(undefined)
    const token = await connection.accessToken()
    travel(400 * 86_400)
    expect(await connection.accessToken()).toBe(token)
    expect((await connection.fetch(me)).status).toBe(200)
    // Another one cannot be had, and that is no news about this one.
    await expect(connection.accessToken({ forceRefresh: true })).rejects.toMatchObject({
      code: 'needs_reconnect',
      reason: 'not_renewable',
    })
    expect(await row()).toMatchObject({ status: 'active' })

    server.misbehave({ answerUserinfo: () => empty(401) })
    expect((await connection.fetch(me)).status).toBe(401)
    const refused = { status: 'needs_reconnect', reason: 'test_refused' }
    expect(await connections.for('alice').get(connection.id)).toMatchObject(refused)
    await expect(connection.fetch(me)).rejects.toMatchObject({ reason: 'test_refused' })
    server.misbehave()
    expect(await connection.test()).toMatchObject({ status: 'active' })
    expect(await connection.accessToken()).toBe(token)
  })
})

test('an API that refuses a token gets another one, once', async () => {
  const { connection, server, me } = await startConnected()
  const first = await connection.accessToken()
  server.provider().accessTokens.delete(first)

  expect((await connection.fetch(me)).status).toBe(200)

  expect(server.refreshes('alice')).toBe(1)
  expect(await connection.accessToken()).not.toBe(first)
})
