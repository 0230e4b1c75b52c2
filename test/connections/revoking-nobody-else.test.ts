/** Revoking what a connection had, where others live by the same grant, and a store that says what it must not. */
import { describe, expect, test } from 'vitest'
import { filesProvider } from '../support/linked-record.js'
import { startLinked } from '../support/linked.js'
import { unhandledRejections } from '../support/unhandled-rejections.js'

describe('two providers with one client', () => {
  const both = (url: string, special = {}) => ({
    files: filesProvider(url),
    photos: { ...filesProvider(url), ...special },
  })

  test('share the grant of an account: what ends at one must not end at the other', async () => {
    const { server, open, link } = await startLinked()
    const app = open({ providers: both(server.url) })
    await link('alice')
    await link('alice', { id: 'photos-of-alice', provider: 'photos' })

    await (await app.for('owner-of-alice').get('photos-of-alice')).disconnect()
    expect(server.revoked).toEqual([])

    // Nobody is left who lives by it.
    await (await app.for('owner-of-alice').get('id-alice')).disconnect()
    expect(server.revoked).toEqual(['refresh-alice.1', 'access-alice.1'])
  })

  test('share nothing when each has a client of its own', async () => {
    const { server, open, link } = await startLinked()
    const app = open({ providers: both(server.url, { clientId: 'photos-app' }) })
    await link('alice')
    await link('alice', { id: 'photos-of-alice', provider: 'photos', clientId: 'photos-app' })

    await (await app.for('owner-of-alice').get('photos-of-alice')).disconnect()

    expect(server.revoked).toHaveLength(2)
  })
})

test('a store that answers nonsense while tokens are revoked in the background does not end the process', async () => {
  const { rejections, result } = await unhandledRejections(async () => {
    const { server, link, kept } = await startLinked({
      seenBy: (store) => ({ ...store, linked: async () => undefined as never }),
    })
    const connection = await link('alice')
    server.answer('/token', () => ({ status: 400, body: { error: 'invalid_grant' } }))
    await connection.accessToken({ forceRefresh: true }).catch(() => undefined)
    return kept(connection.id)
  })

  expect(result).toMatchObject({ status: 'needs_reconnect', reason: 'refresh_refused' })
  expect(rejections).toEqual([])
})

test('tokens of a connection that is removed behind a refresh which died are revoked when its turn is over', async () => {
  const { server, link, store, kept } = await startLinked()
  const connection = await link('alice')
  // Its holder was killed, and the lease ends by itself a moment after somebody has lost patience.
  await store.shared.add('connections oauth:lease:connection id-alice', 'killed', 3)

  await connection.remove()
  expect([await kept(connection.id), server.revoked]).toEqual([undefined, []])

  await expect.poll(() => server.revoked, { timeout: 2_000 }).toEqual(['refresh-alice.1', 'access-alice.1'])
})
