import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { memoryConnectionStore, type ConnectionStore } from '../../lib/index.js'
import { startConnecting } from '../support/connecting.js'
import { linkedSecret } from '../support/linked-record.js'
import { startLinked } from '../support/linked.js'

describe('disconnecting', () => {
  test('revokes the tokens and forgets them, and tells it once', async () => {
    const { link, server, told, kept, apps } = await startLinked()
    const ann = await link('ann')
    const both = await Promise.all([
      ann.disconnect(),
      (await apps[1].for(ann.owner).get(ann.id)).disconnect(),
    ])
    expect(both.map(({ status }) => status)).toEqual(['disconnected', 'disconnected'])
    expect(new Set(server.revoked)).toEqual(new Set(['refresh-ann.1', 'access-ann.1']))
    expect(await kept(ann.id)).not.toHaveProperty('tokens')
    expect(told(ann.id)).toEqual(['disconnected'])
    expect(await ann.disconnect()).toMatchObject({ status: 'disconnected' })
    expect(await ann.test()).toMatchObject({ status: 'disconnected' })
    expect(told(ann.id)).toEqual(['disconnected'])
    await expect(ann.accessToken()).rejects.toMatchObject({ code: 'needs_reconnect', reason: 'disconnected' })
  })

  test('is done at once when the provider is away, and the sweep revokes later', async () => {
    const { link, server, told, kept, apps } = await startLinked()
    const ann = await link('ann', { checkedAt: 1 })
    server.answer('/revoke', () => 503)
    expect(await ann.disconnect()).toMatchObject({ status: 'disconnected' })
    expect((await kept(ann.id))?.tokens).toBeTypeOf('string')
    await expect(ann.accessToken()).rejects.toMatchObject({ reason: 'disconnected' })
    server.answer('/revoke')
    await sleep(1_100)
    expect(await apps[1].check({ olderThan: 1 })).toMatchObject({ revoked: 1, isComplete: true })
    expect(server.revoked).toContain('refresh-ann.1')
    expect(await kept(ann.id)).not.toHaveProperty('tokens')
    expect(told(ann.id)).toEqual(['disconnected'])
  })

  test('waits for a silent provider no longer than it says', async () => {
    const { link, server, events } = await startLinked({ more: { timeout: 10 } })
    const ann = await link('ann')
    server.answer('/revoke', () => 'hang')
    const begun = performance.now()
    expect(await ann.disconnect()).toMatchObject({ status: 'disconnected' })
    expect(performance.now() - begun).toBeLessThan(3_000)
    expect(events.map(({ type }) => type)).toEqual(['disconnected'])
  })

  test('does not wait for a refresh that hangs, and leaves nothing of what it brings', async () => {
    const { link, server, kept, apps } = await startLinked({ more: { timeout: 10 } })
    const ann = await link('ann', { life: -1 })
    let answer: (value: undefined) => void = () => undefined
    const asked = new Promise<void>((resolve) => {
      server.answer('/token', async () => {
        resolve()
        return new Promise((go) => (answer = go))
      })
    })
    const refreshing = ann.accessToken().catch((error: unknown) => error)
    await asked
    const ended = await ann.disconnect()
    expect(ended.status).toBe('disconnected')
    expect((await apps[1].for(ann.owner).get(ann.id)).status).toBe('disconnected')
    // What the refresh brings would be alive still, if its process ended now.
    expect(server.revoked).toEqual([])
    answer(undefined)
    expect(await refreshing).toMatchObject({ code: 'needs_reconnect', reason: 'disconnected' })
    await expect.poll(() => server.revoked).toContain('refresh-ann.2')
    await expect.poll(async () => (await kept(ann.id))?.tokens).toBeUndefined()
  })

  test('leaves the account to another that lives by it; the last one revokes', async () => {
    const { link, server, kept } = await startLinked()
    const [one, two] = [
      await link('ann', { id: 'one', owner: 'team-a' }),
      await link('ann', { id: 'two', owner: 'team-b' }),
    ]
    await one.disconnect()
    expect(server.revoked).toEqual([])
    expect(await kept('one')).not.toHaveProperty('tokens')
    expect(await two.test()).toMatchObject({ status: 'active' })
    await two.disconnect()
    expect(server.revoked).toContain('refresh-ann.1')
  })

  test('both at the same moment leaves nothing alive', async () => {
    const { link, server } = await startLinked()
    const both = [
      await link('ann', { id: 'one', owner: 'team-a' }),
      await link('ann', { id: 'two', owner: 'team-b' }),
    ]
    await Promise.all(both.map((one) => one.disconnect()))
    expect(server.revoked).toContain('refresh-ann.1')
  })

  test('while its user connects it again leaves the new tokens', async () => {
    const { link, relink, server, kept } = await startLinked({ more: { timeout: 5 } })
    const ann = await link('ann')
    server.answer('/revoke', async () => {
      await relink(ann.id).catch(() => undefined)
      return undefined
    })
    await ann.disconnect()
    expect(await kept(ann.id)).toMatchObject({ status: 'active', tokens: expect.any(String) })
  })

  describe('T73 sends the tokens nowhere but to where they came from:', () => {
    test.each<[string, object]>([
      ['another server', { issuer: 'http://127.0.0.1:9' }],
      ['another client', { clientId: 'the-app-before' }],
      ['another token endpoint', { tokenOrigin: 'http://127.0.0.1:9' }],
      ['a provider that is gone', { provider: 'gone' }],
    ])('%s', async (_what, parts) => {
      const { link, server, kept } = await startLinked()
      const ann = await link('ann', parts)
      expect(await ann.disconnect()).toMatchObject({ status: 'disconnected' })
      expect(server.requests).toEqual([])
      expect((await kept(ann.id))?.tokens).toBeTypeOf('string')
      await ann.remove()
      expect(await kept(ann.id)).toBeUndefined()
    })
  })

  test('forgets what cannot be read', async () => {
    const { link, server, kept } = await startLinked()
    const ann = await link('ann', { tokens: 'sealed by nobody' })
    expect(ann).toMatchObject({ status: 'needs_reconnect', reason: 'unreadable' })
    await ann.disconnect()
    expect(server.requests).toEqual([])
    expect(await kept(ann.id)).not.toHaveProperty('tokens')
  })
})

/** Fails from the call of this number on, after it has done what was asked, as if the process had ended there. */
function brokenAfter(store: ConnectionStore, writes: number): ConnectionStore {
  let made = 0
  const counted = async <T>(run: () => Promise<T>) => {
    if (made >= writes) throw new Error('the process has ended')
    const result = await run()
    if (++made >= writes) throw new Error('the process has ended')
    return result
  }
  return {
    ...store,
    update: (record) => counted(() => store.update(record)),
    delete: (id, version) => counted(() => store.delete(id, version)),
  }
}

describe('an end that stops after a write', () => {
  test.each([1, 2, 3])('number %i is whole when it is done again', async (writes) => {
    const { link, server, told, kept, apps } = await startLinked({
      seenBy: (store, instance) => (instance === 0 ? brokenAfter(store, writes) : store),
    })
    const ann = await link('ann')
    await ann.remove().catch(() => undefined)
    expect((await kept(ann.id))?.status ?? 'disconnected').toBe('disconnected')
    await apps[1].for(ann.owner).removeAll()
    expect(await kept(ann.id)).toBeUndefined()
    expect(server.revoked).toContain('refresh-ann.1')
    expect(told(ann.id).filter((type) => type === 'disconnected').length).toBeLessThanOrEqual(1)
  })
})

describe('what is told of tokens', () => {
  test('names the connection: refreshed, not refreshed, not revoked', async () => {
    const { link, server, events } = await startLinked()
    const ann = await link('ann', { life: -1 })
    const { id, owner, provider } = ann
    await ann.accessToken()
    server.answer('/token', () => 503)
    await ann.accessToken({ forceRefresh: true }).catch(() => undefined)
    server.answer('/revoke', () => 503)
    await ann.disconnect()
    const connection = { id, owner, provider }
    expect(events).toMatchObject([
      { type: 'refreshed', connection },
      { type: 'refresh_failed', code: 'server_unavailable', connection },
      { type: 'disconnected', connection },
      { type: 'revocation_failed', connection },
    ])
    expect(JSON.stringify(events)).not.toMatch(/(refresh|access)-ann/)
  })

  test('a refresh token that was refused is not revoked, and its access token is', async () => {
    const { link, server } = await startLinked()
    const ann = await link('ann', { life: -1 })
    server.answer('/token', () => ({ status: 400, body: { error: 'invalid_grant' } }))
    await expect(ann.accessToken()).rejects.toMatchObject({ reason: 'refresh_refused' })
    await expect.poll(() => server.revoked).toEqual(['access-ann.1'])
  })
})

describe('removing', () => {
  test('revokes and forgets, and tells it once', async () => {
    const { link, server, told, kept, apps } = await startLinked()
    const ann = await link('ann')
    const there = await apps[1].for(ann.owner).get(ann.id)
    const both = await Promise.allSettled([ann.remove(), there.remove()])
    expect(both.map(({ status }) => status)).toContain('fulfilled')
    expect(await kept(ann.id)).toBeUndefined()
    expect(server.revoked).toContain('refresh-ann.1')
    expect(told(ann.id)).toEqual(['disconnected', 'connection_removed'])
    await expect(ann.remove()).rejects.toMatchObject({ code: 'connection_not_found' })
  })

  test('is done also while the provider is away', async () => {
    const { link, server, kept, events } = await startLinked()
    const ann = await link('ann')
    server.answer('/revoke', () => 503)
    await ann.remove()
    expect(await kept(ann.id)).toBeUndefined()
    expect(events.map(({ type }) => type)).toEqual([
      'disconnected',
      'revocation_failed',
      'connection_removed',
    ])
  })

  test('while others change it ends all the same', async () => {
    const { link, kept, apps } = await startLinked()
    const ann = await link('ann')
    const busy = Array.from({ length: 5 }, async (_, n) =>
      (await apps[1].for(ann.owner).get(ann.id)).rename(`label ${n}`).catch(() => undefined),
    )
    await Promise.all([ann.remove(), ann.disconnect().catch(() => undefined), ...busy])
    expect(await kept(ann.id)).toBeUndefined()
  })

  test('all of an owner leaves those of others', async () => {
    const { link, server, kept, apps, told } = await startLinked()
    const mine = [await link('ann', { owner: 'me' }), await link('bob', { owner: 'me' })]
    const other = await link('eve')
    await Promise.all(apps.map((app) => app.for('me').removeAll()))
    expect(await apps[0].for('me').list()).toEqual([])
    expect(await kept(other.id)).toMatchObject({ status: 'active' })
    expect(new Set(server.revoked)).toEqual(
      new Set(['refresh-ann.1', 'access-ann.1', 'refresh-bob.1', 'access-bob.1']),
    )
    for (const { id } of mine) expect(told(id)).toEqual(['disconnected', 'connection_removed'])
    await apps[0].for('nobody').removeAll()
  })
})

describe('connecting again', () => {
  test('keeps id, label and fields, after a disconnect as well', async () => {
    const store = memoryConnectionStore()
    const stage = await startConnecting({
      store,
      secrets: [linkedSecret],
      providers: { projects: { fields: { region: { label: 'Region', choices: ['eu', 'us'] } } } },
    })
    const alice = await stage.signedIn('alice')
    await stage.connect(alice, 'projects', { region: 'us' })
    const [before] = await stage.connections.for('alice').list()
    const { id = '' } = before ?? {}
    await before?.rename('My projects')
    await before?.disconnect()
    const { body } = await stage.post(alice, `/connections/${id}/reconnect`)
    await alice.click((JSON.parse(body) as { location: string }).location)
    const after = await stage.connections.for('alice').list()
    expect(after).toMatchObject([
      {
        id,
        label: 'My projects',
        fields: { region: 'us' },
        status: 'active',
        created_at: before?.created_at,
      },
    ])
    expect((await after[0]?.test())?.status).toBe('active')
    const told = stage.events.flatMap((event) => ('connection' in event ? [event.type] : []))
    expect(told).toEqual(['connected', 'connection_renamed', 'disconnected', 'reconnected'])
  })
})
