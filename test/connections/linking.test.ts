/** What becomes of a provider's grant: a connection, a renewed one, or nothing at all. */
import { describe, expect, test } from 'vitest'
import { getAuth, memoryConnectionStore } from '../../lib/index.js'
import type { ConnectionStore } from '../../lib/connections/connection-store.js'
import type { Browser } from '../support/browser.js'
import { refreshesAnswered } from '../support/connected.js'
import { startConnecting, type Connecting, type ConnectingOptions } from '../support/connecting.js'
import { hang, json, type Answer } from '../support/faulty-server/answer.js'
import { correctSteps } from '../support/faulty-server/steps.js'
import { bare, cookieHeader, typed } from '../support/requests.js'

const owned = (stage: Connecting, owner: string) => stage.connections.for(owner).list()

async function only(stage: Connecting, owner: string) {
  const [connection, ...more] = await owned(stage, owner)
  if (!connection || more.length > 0) throw new Error(`${owner} has ${more.length + 1} connections`)
  return connection
}

/** Presses "connect again" and comes back. */
async function reconnect(stage: Connecting, browser: Browser, id: string) {
  const { body } = await stage.post(browser, `/connections/${id}/reconnect`)
  await browser.click((JSON.parse(body) as { location: string }).location)
  return (await stage.list(browser)).outcome
}

const types = (stage: Connecting) => stage.events.map(({ type }) => type)
const server = (stage: Connecting, name = 'projects') => {
  const found = stage.providers[name]
  if (!found) throw new Error(`there is no ${name}`)
  return found
}
const revocations = (stage: Connecting) => server(stage).server.counts.revocation

async function works(stage: Connecting, owner: string): Promise<boolean> {
  const connection = await only(stage, owner)
  return (await connection.fetch(`${server(stage).server.issuer}/userinfo`)).ok
}

describe('the same account again', () => {
  test('is the same connection with new tokens: id, chosen label and fields stay', async () => {
    const fields = { region: { label: 'Region', choices: ['eu', 'us'] } }
    const stage = await startConnecting({ providers: { projects: { fields } } })
    const alice = await stage.signedIn('alice')
    await stage.connect(alice, 'projects', { region: 'us' })
    const first = await only(stage, 'alice')
    const token = await first.accessToken()
    await first.rename('Mine')

    await stage.connect(alice, 'projects', { region: 'us' })
    expect((await stage.list(alice)).outcome).toEqual({
      action: 'connect',
      status: 'reconnected',
      provider: 'projects',
      connection: first.id,
    })
    const again = await only(stage, 'alice')
    expect(again).toMatchObject({
      id: first.id,
      label: 'Mine',
      fields: { region: 'us' },
      created_at: first.created_at,
    })
    expect(await again.accessToken()).not.toBe(token)
    expect(types(stage).filter((type) => type.endsWith('connected'))).toEqual(['connected', 'reconnected'])
    expect(revocations(stage)).toBe(0)
  })

  test('follows the name at the provider until its user chooses one', async () => {
    let name = 'before'
    const stage = await startConnecting({ providers: { projects: { label: () => name } } })
    const alice = await stage.signedIn('alice')
    await stage.connect(alice)
    name = 'after'
    await stage.connect(alice)
    expect((await only(stage, 'alice')).label).toBe('after')
  })

  test.each([
    ['needs its user', 'needs_reconnect'],
    ['was disconnected', 'disconnected'],
  ])('brings one back that %s', async (_what, status) => {
    const stage = await startConnecting()
    const alice = await stage.signedIn('alice')
    await stage.connect(alice)
    const { id } = await only(stage, 'alice')
    if (status === 'disconnected') await (await only(stage, 'alice')).disconnect()
    else {
      for (const { authorization } of server(stage).provider().refreshTokens.values())
        authorization.isRevoked = true
      await (await only(stage, 'alice')).accessToken({ forceRefresh: true }).catch(() => undefined)
    }
    expect((await only(stage, 'alice')).status).toBe(status)

    expect(await reconnect(stage, alice, id)).toMatchObject({ status: 'reconnected', connection: id })
    const { status: now, reason } = await only(stage, 'alice')
    expect({ now, reason, works: await works(stage, 'alice') }).toEqual({
      now: 'active',
      reason: undefined,
      works: true,
    })
    expect(types(stage).at(-1)).toBe('reconnected')
  })

  test('does not go by what is remembered of a refresh token that the server gives again', async () => {
    const stage = await startConnecting()
    const alice = await stage.signedIn('alice')
    let isDown = false
    server(stage).misbehave({
      answerToken: (_op, response) =>
        isDown ? json({}, 503) : json({ ...response, refresh_token: 'always the same' }),
      grants: {
        ...correctSteps.grants,
        refresh_token: {
          complaints: () => [],
          authorization: (op) => [...op.authorizations.values()].at(-1),
        },
      },
    })
    await stage.connect(alice)
    const old = await (await only(stage, 'alice')).accessToken({ forceRefresh: true })
    await (await only(stage, 'alice')).remove()
    await stage.connect(alice)
    isDown = true
    const connection = await only(stage, 'alice')
    // Whoever wants another looks first at what was renewed a moment ago.
    expect(await connection.accessToken({ minimumLifetime: 7_200 })).not.toBe(old)
    expect(await connection.accessToken()).not.toBe(old)
  })
})

describe('a connection that is to be made again', () => {
  test('is not made with another account: nothing changes, and the new tokens are revoked', async () => {
    const stage = await startConnecting()
    const alice = await stage.signedIn('alice', 'one')
    await stage.connect(alice)
    const before = await only(stage, 'alice')
    const token = await before.accessToken()
    await stage.as(alice, 'two')

    const outcome = await reconnect(stage, alice, before.id)
    expect(outcome).toMatchObject({
      action: 'reconnect',
      status: 'failed',
      connection: before.id,
      error: 'other_account',
      message: expect.stringContaining('Sign out at projects, and choose the right one.') as unknown,
    })
    const after = await only(stage, 'alice')
    expect(JSON.stringify(after)).toBe(JSON.stringify(before))
    expect(await after.accessToken()).toBe(token)
    expect(await works(stage, 'alice')).toBe(true)
    expect(revocations(stage)).toBe(2) // the refresh token and the access token of the other account
    expect(types(stage).at(-1)).toBe('connect_failed')
  })

  test('nor are tokens revoked by which another connection may live', async () => {
    const stage = await startConnecting()
    const alice = await stage.signedIn('alice', 'one')
    await stage.connect(alice)
    const { id } = await only(stage, 'alice')
    await stage.as(alice, 'two')
    await stage.connect(alice)
    expect(await reconnect(stage, alice, id)).toMatchObject({ error: 'other_account' })
    expect(revocations(stage)).toBe(0)
    expect(await owned(stage, 'alice')).toHaveLength(2)
  })

  test('is not there any more when it was removed meanwhile', async () => {
    const stage = await startConnecting()
    const alice = await stage.signedIn('alice')
    await stage.connect(alice)
    const connection = await only(stage, 'alice')
    const { body } = await stage.post(alice, `/connections/${connection.id}/reconnect`)
    await connection.remove()
    const before = revocations(stage)
    await alice.click((JSON.parse(body) as { location: string }).location)
    expect((await stage.list(alice)).outcome).toMatchObject({
      status: 'failed',
      error: 'connection_not_found',
    })
    expect(await owned(stage, 'alice')).toEqual([])
    expect(revocations(stage) - before).toBe(2)
  })

  test('is nobody else’s to make again', async () => {
    const stage = await startConnecting()
    const [alice, bob] = [await stage.signedIn('alice'), await stage.signedIn('bob')]
    await stage.connect(alice)
    const { id } = await only(stage, 'alice')
    expect((await stage.post(bob, `/connections/${id}/reconnect`)).status).toBe(404)
  })
})

describe('an account that another owner has', () => {
  test('is refused, and not revoked under their feet', async () => {
    const stage = await startConnecting()
    const [alice, bob] = [await stage.signedIn('alice', 'shared'), await stage.signedIn('bob', 'shared')]
    await stage.connect(alice)
    for (const status of ['active', 'needs_reconnect']) {
      await stage.connect(bob)
      expect((await stage.list(bob)).outcome).toMatchObject({ status: 'failed', error: 'account_taken' })
      expect([status, (await only(stage, 'alice')).status, revocations(stage)]).toEqual([status, status, 0])
      // The API of the test call refuses everybody for a while, which may pass.
      server(stage).misbehave({ answerUserinfo: () => json({}, 401) })
      await (await only(stage, 'alice')).test()
      server(stage).misbehave()
    }
    expect(await owned(stage, 'bob')).toEqual([])
    expect((await (await only(stage, 'alice')).test()).status).toBe('active')
  })

  test('is refused where theirs is at its end, and then nobody lives by what was granted', async () => {
    const stage = await startConnecting()
    const [alice, bob] = [await stage.signedIn('alice', 'shared'), await stage.signedIn('bob', 'shared')]
    await stage.connect(alice)
    server(stage).misbehave(refreshesAnswered(() => json({ error: 'invalid_grant' }, 400)))
    await (await only(stage, 'alice')).accessToken({ forceRefresh: true }).catch(() => undefined)
    expect((await only(stage, 'alice')).reason).toBe('refresh_refused')
    await expect.poll(() => revocations(stage)).toBe(1)
    server(stage).misbehave()

    await stage.connect(bob)

    expect((await stage.list(bob)).outcome).toMatchObject({ error: 'account_taken' })
    expect(revocations(stage)).toBe(3)
  })

  test('is free when theirs is disconnected, and they do not get it back then', async () => {
    const stage = await startConnecting()
    const [alice, bob] = [await stage.signedIn('alice', 'shared'), await stage.signedIn('bob', 'shared')]
    await stage.connect(alice)
    await (await only(stage, 'alice')).disconnect()
    await stage.connect(bob)
    expect((await stage.list(bob)).outcome).toMatchObject({ status: 'connected' })
    expect(await reconnect(stage, alice, (await only(stage, 'alice')).id)).toMatchObject({
      error: 'account_taken',
    })
    expect(await works(stage, 'bob')).toBe(true)
  })

  test('is shared where the app says so', async () => {
    const stage = await startConnecting({ providers: { projects: { sharedAccounts: true } } })
    const [alice, bob] = [await stage.signedIn('alice', 'shared'), await stage.signedIn('bob', 'shared')]
    await stage.connect(alice)
    await stage.connect(bob)
    expect([await works(stage, 'alice'), await works(stage, 'bob')]).toEqual([true, true])
    expect((await only(stage, 'alice')).id).not.toBe((await only(stage, 'bob')).id)
  })
})

describe('at the same moment', () => {
  const back = async (stage: Connecting, browser: Browser, callback: string) =>
    bare(callback, { ...typed, cookie: await cookieHeader(browser, stage.app.url) })

  test('twenty answers for one owner and one account make one connection', async () => {
    const stage = await startConnecting()
    const browsers = await Promise.all(Array.from({ length: 5 }, () => stage.signedIn('alice')))
    const pending = await Promise.all(
      browsers.map(async (browser) => {
        const callbacks = []
        for (let tab = 0; tab < 4; tab++) callbacks.push(await stage.pending(browser))
        return callbacks
      }),
    )
    const pages = await Promise.all(
      browsers.flatMap((browser, index) =>
        (pending[index] ?? []).map((callback) => back(stage, browser, callback)),
      ),
    )
    expect(new Set(pages.map(({ status }) => status))).toEqual(new Set([303]))
    const connection = await only(stage, 'alice')
    expect(types(stage).filter((type) => type === 'connected')).toHaveLength(1)
    expect(types(stage).filter((type) => type === 'reconnected')).toHaveLength(19)
    expect(await connection.accessToken()).toMatch(/./)
    expect(await works(stage, 'alice')).toBe(true)
  })

  test('one of two owners gets the account', async () => {
    // Both look before either writes.
    const store = memoryConnectionStore()
    const waiting: (() => void)[] = []
    const both: ConnectionStore = {
      ...store,
      async linked(account) {
        const found = await store.linked(account)
        if (waiting.length < 2) {
          await new Promise<void>((resolve) => {
            waiting.push(resolve)
            if (waiting.length === 2) for (const go of waiting) go()
          })
        }
        return found
      },
    }
    const stage = await startConnecting({ store: both })
    const [alice, bob] = [await stage.signedIn('alice', 'shared'), await stage.signedIn('bob', 'shared')]
    const [ofAlice, ofBob] = [await stage.pending(alice), await stage.pending(bob)]
    await Promise.all([back(stage, alice, ofAlice), back(stage, bob, ofBob)])
    const lists = [await owned(stage, 'alice'), await owned(stage, 'bob')]
    expect(lists.flat()).toHaveLength(1)
    expect(
      types(stage)
        .filter((type) => type.startsWith('connect'))
        .toSorted(),
    ).toEqual(['connect_failed', 'connected'])
    expect(await works(stage, lists[0]?.length === 1 ? 'alice' : 'bob')).toBe(true)
    expect(revocations(stage)).toBe(0)
  })
})

describe('a test call that says nothing good of the new token', () => {
  const cannotTell = 'This site cannot tell whose account at projects this is. Nothing was connected.'
  const didNotSay = 'projects did not say whose account this is. Nothing was connected. Please try again.'
  const away = 'projects does not answer just now. Nothing was connected. Please try again later.'
  const answers: Readonly<
    Record<string, [answer: () => Answer, error: string, message: string, hint?: RegExp]>
  > = {
    'refuses it': [
      () => json({}, 401),
      'needs_reconnect',
      'projects does not accept the access that it has just given. Nothing was connected.',
    ],
    'forbids it': [() => json({}, 403), 'account_unknown', didNotSay, /status 403.*does the scope allow it/],
    'does not know it': [() => json({}, 404), 'account_unknown', didNotSay, /status 404/],
    'sends it elsewhere': [
      () => ({ status: 302, headers: { location: '/elsewhere' }, body: '' }),
      'account_unknown',
      didNotSay,
      /a redirect/,
    ],
    'has an error': [() => json({}, 500), 'upstream_unavailable', away, /does not answer/],
    'never answers': [hang, 'upstream_unavailable', away, /does not answer/],
    'answers with a page': [
      () => ({ status: 200, headers: {}, body: '<h1>Welcome' }),
      'account_unknown',
      didNotSay,
      /no JSON.*test.url/,
    ],
    'answers with null': [() => json(null), 'account_unknown', cannotTell, /accountId/],
    'names no account': [() => json({ name: 'nobody' }), 'account_unknown', cannotTell, /accountId/],
    'names a whole object': [() => json({ sub: {} }), 'account_unknown', cannotTell, /accountId/],
  }
  test.each(Object.entries(answers))(
    'and %s: no connection, revoked tokens, and a reason',
    async (_what, [answer, error, message, hint]) => {
      const stage = await startConnecting({ timeout: 0.6 })
      const alice = await stage.signedIn('alice')
      server(stage).misbehave({ answerUserinfo: answer })
      await stage.connect(alice)
      const { outcome, connections } = await stage.list(alice)
      expect({ outcome, connections }).toMatchObject({
        outcome: { action: 'connect', status: 'failed', error },
        connections: [],
      })
      expect(outcome).not.toHaveProperty('connection')
      expect(outcome?.['message']).toContain(message)
      expect(outcome?.['hint'] ?? '').toMatch(hint ?? /^$/)
      expect(revocations(stage)).toBe(2)
      expect(stage.events.at(-1)).toMatchObject({ type: 'connect_failed', provider: 'projects', code: error })
    },
  )

  test('leaves a connection alone that works', async () => {
    const stage = await startConnecting()
    const alice = await stage.signedIn('alice')
    await stage.connect(alice)
    const { id } = await only(stage, 'alice')
    server(stage).misbehave({ answerUserinfo: () => json({}, 500) })
    await stage.connect(alice)
    expect((await stage.list(alice)).outcome).toMatchObject({ error: 'upstream_unavailable' })
    expect(await reconnect(stage, alice, id)).toMatchObject({ error: 'upstream_unavailable' })
    server(stage).misbehave()
    // Many servers end all that they granted to an account.
    expect(revocations(stage)).toBe(0)
    expect(await works(stage, 'alice')).toBe(true)
  })

  test('leaves one alone that its API has refused for a while', async () => {
    const stage = await startConnecting()
    const alice = await stage.signedIn('alice')
    await stage.connect(alice)
    server(stage).misbehave({ answerUserinfo: () => json({}, 401) })
    expect((await (await only(stage, 'alice')).test()).reason).toBe('test_refused')

    await stage.connect(alice)

    server(stage).misbehave()
    expect(revocations(stage)).toBe(0)
    expect((await (await only(stage, 'alice')).test()).status).toBe('active')
  })
})

describe('a store that is away', () => {
  const failing = (call: 'linked' | 'insert'): ConnectingOptions => {
    const store = memoryConnectionStore()
    return { store: { ...store, [call]: () => Promise.reject(new Error('away')) } }
  }
  test.each(['linked', 'insert'] as const)('when asked to %s: an outcome, and no row', async (call) => {
    const stage = await startConnecting(failing(call))
    const alice = await stage.signedIn('alice')
    await stage.connect(alice)
    const { outcome, connections } = await stage.list(alice)
    expect({ outcome, connections }).toMatchObject({
      outcome: { error: 'store_unavailable' },
      connections: [],
    })
    expect(types(stage)).toContain('connect_failed')
  })

  test('each connecting writes one row, once', async () => {
    const store = memoryConnectionStore()
    const writes: string[] = []
    const watched: ConnectionStore = {
      ...store,
      insert: (record) => (writes.push(`insert ${record.version}`), store.insert(record)),
      update: (record) => (writes.push(`update ${record.version}`), store.update(record)),
      delete: (id, version) => (writes.push(`delete ${version}`), store.delete(id, version)),
    }
    const stage = await startConnecting({ store: watched })
    const alice = await stage.signedIn('alice')
    await stage.connect(alice)
    await stage.connect(alice)
    expect(writes).toEqual(['insert 1', 'update 2'])
  })
})

describe('connections of a team', () => {
  test('are the same for each of its users', async () => {
    const teams = new Map([
      ['alice', 'red'],
      ['bob', 'red'],
      ['carol', 'blue'],
    ])
    const stage = await startConnecting({
      owner: async (req) => teams.get(getAuth(req).subject ?? ''),
    })
    const [alice, bob, carol, dave] = await Promise.all(
      ['alice', 'bob', 'carol', 'dave'].map((user) => stage.signedIn(user, 'account-of-red')),
    )
    if (!alice || !bob || !carol || !dave) throw new Error('somebody is missing')
    await stage.connect(alice)
    const { connections } = await stage.list(bob)
    expect(connections).toMatchObject([{ account_id: 'account-of-red' }])
    await stage.connect(bob)
    expect((await stage.list(bob)).outcome).toMatchObject({
      status: 'reconnected',
      connection: connections[0]?.['id'],
    })
    expect((await stage.list(carol)).connections).toEqual([])
    await stage.connect(carol)
    expect((await stage.list(carol)).outcome).toMatchObject({ error: 'account_taken' })
    const refusal = await stage.post(dave, '/connections/projects/connect')
    expect([refusal.status, JSON.parse(refusal.body)]).toMatchObject([403, { error: 'access_denied' }])
  })
})
