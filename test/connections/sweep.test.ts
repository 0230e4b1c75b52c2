import { describe, expect, test } from 'vitest'
import type { CheckOptions, ConnectionStore } from '../../lib/index.js'
import { linkedRecord, type LinkParts } from '../support/linked-record.js'
import { startLinked, type Linked } from '../support/linked.js'

const day = 86_400
const now = () => Math.floor(Date.now() / 1000)
const fast = { perSecond: 1_000 }

/** So many accounts, the first of them tried the longest ago. */
async function linkMany({ link }: Linked, count: number, parts: LinkParts = {}): Promise<string[]> {
  const names = Array.from({ length: count }, (_, n) => `a${String(n).padStart(3, '0')}`)
  for (const [n, name] of names.entries()) await link(name, { checkedAt: now() - 3 * day + n, ...parts })
  return names
}

function tested({ server }: Linked): string[] {
  return server.requests.filter(({ path }) => path === '/me').map(({ account }) => account)
}

describe('check', () => {
  test('tries what was not tried for a while, the longest ago first, and each once', async () => {
    const stage = await startLinked()
    const names = await linkMany(stage, 130)
    await stage.link('new')
    await stage.link('ended', { checkedAt: now() - 2 * day, status: 'disconnected' })
    stage.server.answer('/me', ({ account }) => (account === 'a007' ? 401 : undefined))
    expect(await stage.apps[0].check(fast)).toEqual({
      active: 129,
      needsReconnect: 1,
      unavailable: 0,
      revoked: 1,
      isComplete: true,
    })
    expect([...new Set(tested(stage))]).toEqual(names)
    expect(stage.told('id-a007')).toEqual(['needs_reconnect'])
    expect(stage.server.revoked).toEqual(['refresh-ended.1', 'access-ended.1'])
    expect(await stage.apps[1].check(fast)).toEqual({
      active: 0,
      needsReconnect: 0,
      unavailable: 0,
      revoked: 0,
      isComplete: true,
    })
  })

  describe('comes to an end, and says that their user is needed, for connections', () => {
    test.each<[string, LinkParts]>([
      ['of a server that is another now', { issuer: 'http://127.0.0.1:9' }],
      ['of a provider that is gone', { provider: 'gone' }],
      ['that cannot be read', { tokens: 'sealed by nobody' }],
    ])('%s', async (_what, parts) => {
      const stage = await startLinked()
      await linkMany(stage, 120, parts)
      const { apps, server, kept, events } = stage
      expect(await apps[0].check(fast)).toMatchObject({ needsReconnect: 120, isComplete: true })
      expect(await apps[0].check(fast)).toMatchObject({ needsReconnect: 0, isComplete: true })
      expect(server.requests).toEqual([])
      expect(await kept('id-a000')).toMatchObject({ status: 'active', tokens: expect.any(String) })
      expect(events).toEqual([])
    })
  })

  test('leaves a provider that is away alone, condemns nobody, and goes on with the others', async () => {
    const stage = await startLinked()
    const { apps, server, kept, events, link } = stage
    await linkMany(stage, 150)
    server.answer('/me', () => 503)
    await link('gone', { provider: 'gone', checkedAt: now() - 2 * day })
    expect(await apps[0].check(fast)).toEqual({
      active: 0,
      needsReconnect: 1,
      unavailable: 150,
      revoked: 0,
      isComplete: true,
    })
    expect(tested(stage)).toEqual(['a000', 'a001', 'a002', 'a003', 'a004'])
    expect(events.map(({ type }) => type)).toEqual(Array(5).fill('check_failed'))
    expect(JSON.stringify(events)).not.toContain('access-')
    expect(await kept('id-a000')).toMatchObject({ status: 'active' })
    server.answer('/me')
    // Those that were not tried stayed due; the others had their turn.
    expect(await apps[0].check(fast)).toMatchObject({ active: 145, unavailable: 0, isComplete: true })
  })

  test('is not held up by accounts that never work', async () => {
    const stage = await startLinked()
    await linkMany(stage, 20)
    const broken = new Set(['a000', 'a001', 'a002', 'a003', 'a004', 'a005'])
    stage.server.answer('/me', ({ account }) => (broken.has(account) ? 403 : undefined))
    await stage.apps[0].check(fast)
    expect(await stage.apps[0].check(fast)).toMatchObject({ active: 14, unavailable: 1 })
  })

  test('goes on after a mistake in a function of the app', async () => {
    const stage = await startLinked({
      provider: () => ({
        accountId: (me) => {
          if (me.id === 'a001') throw new TypeError('a mistake of the app')
          return me.id as string
        },
      }),
    })
    await linkMany(stage, 4)
    expect(await stage.apps[0].check(fast)).toMatchObject({ active: 3, unavailable: 1, isComplete: true })
    expect(stage.events).toMatchObject([
      {
        type: 'check_failed',
        connection: { id: 'id-a001' },
        error: { reason: 'account_id_function', cause: { message: 'a mistake of the app' } },
      },
    ])
  })

  test('one instance is at it; the other says so', async () => {
    const stage = await startLinked()
    await linkMany(stage, 20)
    const both = await Promise.all(stage.apps.map((app) => app.check(fast)))
    expect(both.filter(({ isComplete }) => isComplete)).toHaveLength(1)
    expect(tested(stage)).toHaveLength(20)
  })

  test('holds to its rate', async () => {
    const stage = await startLinked()
    await linkMany(stage, 11)
    const begun = performance.now()
    await stage.apps[0].check({ perSecond: 20 })
    expect(performance.now() - begun).toBeGreaterThan(495)
    expect(tested(stage)).toHaveLength(11)
  })

  test('can be ended, and goes on where it stopped', async () => {
    const stage = await startLinked()
    const names = await linkMany(stage, 30)
    const ended = new AbortController()
    stage.server.answer('/me', ({ account }) => {
      if (account === 'a009') ended.abort()
      return undefined
    })
    expect(await stage.apps[0].check({ ...fast, signal: ended.signal })).toMatchObject({
      active: 10,
      isComplete: false,
    })
    expect(await stage.apps[1].check(fast)).toMatchObject({ active: 20, isComplete: true })
    expect(tested(stage)).toEqual(names)
    await stage.link('late', { checkedAt: 1 })
    expect(await stage.apps[0].check({ signal: ended.signal })).toMatchObject({
      active: 0,
      isComplete: false,
    })
  })

  test('ends at once when it was waiting for its turn', async () => {
    const stage = await startLinked()
    await linkMany(stage, 3)
    const begun = performance.now()
    const signal = AbortSignal.timeout(200)
    expect(await stage.apps[0].check({ perSecond: 0.01, signal })).toMatchObject({
      active: 1,
      isComplete: false,
    })
    expect(performance.now() - begun).toBeLessThan(2_000)
    // It can be called again at once.
    expect(await stage.apps[1].check(fast)).toMatchObject({ active: 2, isComplete: true })
  })

  test('throws store_unavailable when the store fails, if only once', async () => {
    let isAway = false
    const flaky = (store: ConnectionStore): ConnectionStore => ({
      ...store,
      async get(id) {
        const fails = isAway
        isAway = false
        if (fails) throw new Error('away')
        return store.get(id)
      },
    })
    const stage = await startLinked({ seenBy: flaky })
    await linkMany(stage, 10)
    stage.server.answer('/me', ({ account }) => {
      if (account === 'a003') isAway = true
      return undefined
    })
    await expect(stage.apps[0].check(fast)).rejects.toMatchObject({ code: 'store_unavailable' })
    stage.server.answer('/me')
    expect(await stage.apps[1].check(fast)).toMatchObject({ isComplete: true })
  })

  test.each([
    [{ perSecond: 0 }],
    [{ perSecond: NaN }],
    [{ olderThan: -1 }],
    [{ signal: {} }],
    [{ perMinute: 1 }],
  ])('refuses %j', async (options) => {
    const { apps } = await startLinked()
    await expect(apps[0].check(options as CheckOptions)).rejects.toMatchObject({
      code: 'invalid_configuration',
    })
  })

  test('passes by what is ended or removed meanwhile', async () => {
    const stage = await startLinked()
    await linkMany(stage, 3)
    stage.server.answer('/me', async ({ account }) => {
      if (account === 'a000') {
        await stage.apps[1].for('owner-of-a001').removeAll()
        await (await stage.apps[1].for('owner-of-a002').get('id-a002')).disconnect()
      }
      return undefined
    })
    expect(await stage.apps[0].check(fast)).toEqual({
      active: 1,
      needsReconnect: 0,
      unavailable: 0,
      revoked: 0,
      isComplete: true,
    })
  })
})

describe('a revocation that failed', () => {
  const ended = { status: 'disconnected', life: 3_600 } as const

  test('is tried again by each sweep for a week, and then its tokens are forgotten', async () => {
    const { link, server, kept, apps } = await startLinked()
    server.answer('/revoke', () => 503)
    await link('young', { ...ended, checkedAt: now() - 6 * day })
    await link('old', { ...ended, checkedAt: now() - 8 * day })
    expect(await apps[0].check(fast)).toMatchObject({ unavailable: 2, revoked: 0 })
    expect((await kept('id-young'))?.tokens).toBeTypeOf('string')
    expect(await kept('id-old')).not.toHaveProperty('tokens')
    expect(await kept('id-old')).toMatchObject({ status: 'disconnected', checkedAt: expect.any(Number) })
    server.answer('/revoke')
    expect(await apps[0].check(fast)).toMatchObject({ unavailable: 0, revoked: 1 })
    expect(server.revoked).toContain('refresh-young.1')
    expect(server.count('/me')).toBe(0)
  })

  test('is forgotten after a week also where the server is left alone, and not before', async () => {
    const { link, server, kept, apps } = await startLinked()
    server.answer('/revoke', () => 503)
    for (let n = 0; n < 8; n++) await link(`old-${n}`, { ...ended, checkedAt: now() - 8 * day + n })
    await link('young', { ...ended, checkedAt: now() - 6 * day })
    expect(await apps[0].check(fast)).toMatchObject({ unavailable: 9, revoked: 0, isComplete: true })
    expect(server.count('/revoke')).toBe(5)
    for (let n = 0; n < 8; n++) expect(await kept(`id-old-${n}`)).not.toHaveProperty('tokens')
    expect((await kept('id-young'))?.tokens).toBeTypeOf('string')
    expect(await apps[0].check(fast)).toMatchObject({ unavailable: 1 })
  })

  test('keeps nobody from being tested', async () => {
    const stage = await startLinked()
    stage.server.answer('/revoke', () => 503)
    for (let n = 0; n < 8; n++) await stage.link(`ended-${n}`, { ...ended, checkedAt: now() - 5 * day })
    await linkMany(stage, 10)
    expect(await stage.apps[0].check(fast)).toMatchObject({ active: 10, unavailable: 8, isComplete: true })
    expect(stage.server.count('/revoke')).toBe(5)
  })

  test('finds what a refresh brought that nobody could keep', async () => {
    const { link, server, store, apps } = await startLinked()
    const ann = await link('ann', { life: -1, checkedAt: now() - 2 * day })
    await ann.accessToken()
    const kept = (await store.get(ann.id))!
    // As it was before: the process ended between the server's answer and the write.
    const { tokens = '' } = linkedRecord(server.url, 'ann', { life: -1 })
    await store.update({
      ...kept,
      tokens,
      status: 'disconnected',
      checkedAt: now() - 2 * day,
      version: kept.version + 1,
    })
    expect(await apps[1].check(fast)).toMatchObject({ revoked: 1 })
    expect(server.revoked).toContain('refresh-ann.2')
  })
})

test('a sweep of many sorts of connections ends, and the next has nothing to do', async () => {
  const stage = await startLinked()
  const sorts: LinkParts[] = [
    {},
    { status: 'needs_reconnect', reason: 'test_refused' },
    { status: 'needs_reconnect', reason: 'of a later version' },
    { life: -1 },
    { life: -1, refreshable: false },
    { status: 'disconnected' },
  ]
  for (let n = 0; n < 120; n++)
    await stage.link(`s${n}`, { checkedAt: now() - 2 * day - n, ...sorts[n % sorts.length] })
  expect(await stage.apps[0].check(fast)).toEqual({
    active: 60,
    needsReconnect: 40,
    unavailable: 0,
    revoked: 20,
    isComplete: true,
  })
  expect(await stage.apps[0].check(fast)).toMatchObject({ active: 0, needsReconnect: 0, revoked: 0 })
})
