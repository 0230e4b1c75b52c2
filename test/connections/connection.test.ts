import { describe, expect, test } from 'vitest'
import type { Answer } from '../support/account-server.js'
import { startLinked } from '../support/linked.js'
import { travel } from '../support/time.js'

const nobody = { body: { id: 'somebody-else', name: 'X' } }

describe('the test call', () => {
  test('finds that it works, and brings the label of the day', async () => {
    const { link, server, told } = await startLinked()
    const ann = await link('ann', { checkedAt: 1 })
    const tested = await ann.test()
    expect(tested).toMatchObject({ id: ann.id, status: 'active', label: 'Mx ann’s files' })
    expect(tested.checked_at).toBeGreaterThan(1)
    expect(server.requests).toMatchObject([{ path: '/me', account: 'ann' }])
    expect(told(ann.id)).toEqual([])
  })

  test('leaves the label that its user gave', async () => {
    const { link } = await startLinked()
    const ann = await link('ann', { label: 'Mine', isRenamed: true })
    expect(await ann.test()).toMatchObject({ status: 'active', label: 'Mine' })
  })

  test('that is refused tells it once, keeps the tokens, and a later one brings it back', async () => {
    const { link, server, told, kept } = await startLinked()
    const ann = await link('ann')
    server.answer('/me', () => 401)
    for (let times = 0; times < 2; times++)
      expect(await ann.test()).toMatchObject({
        status: 'needs_reconnect',
        reason: 'test_refused',
        message: expect.stringContaining('Files'),
      })
    expect(told(ann.id)).toEqual(['needs_reconnect'])
    await expect(ann.accessToken()).rejects.toMatchObject({ code: 'needs_reconnect', status: 409 })
    server.answer('/me')
    const again = await ann.test()
    expect(again).toMatchObject({ status: 'active' })
    expect(again).not.toHaveProperty('reason')
    expect(told(ann.id)).toEqual(['needs_reconnect', 'reconnected'])
    expect((await kept(ann.id))?.tokens).toBeTypeOf('string')
    expect(server.revoked).toEqual([])
  })

  test('that tells of another account needs its user, and revokes nothing', async () => {
    const { link, server, told } = await startLinked()
    const ann = await link('ann')
    server.answer('/me', () => nobody)
    expect(await ann.test()).toMatchObject({ status: 'needs_reconnect', reason: 'account_changed' })
    await expect(ann.accessToken()).rejects.toMatchObject({ reason: 'account_changed' })
    server.answer('/me')
    expect(await ann.test()).toMatchObject({ status: 'active' })
    expect(server.revoked).toEqual([])
    expect(told(ann.id)).toEqual(['needs_reconnect', 'reconnected'])
  })

  test('notices another account also when it had to refresh first', async () => {
    const { link, server } = await startLinked()
    const ann = await link('ann', { life: -1 })
    server.answer('/me', () => nobody)
    expect(await ann.test()).toMatchObject({ status: 'needs_reconnect', reason: 'account_changed' })
    expect(server.count('/token')).toBe(1)
  })

  describe('learns nothing from', () => {
    test.each<[string, Answer, string]>([
      ['503', 503, 'upstream_unavailable'],
      ['429', 429, 'upstream_unavailable'],
      ['403', 403, 'account_unknown'],
      ['404', 404, 'account_unknown'],
      ['a page', { body: '<p>Maintenance' }, 'account_unknown'],
      ['an answer without an account', { body: {} }, 'account_unknown'],
      [
        'an answer that the app judges so',
        { body: { id: 'ann', is: 'unavailable' } },
        'upstream_unavailable',
      ],
      ['silence', 'hang', 'upstream_unavailable'],
    ])('%s, and changes nothing', async (_what, answer, code) => {
      const { link, server, told, kept } = await startLinked({
        provider: (url) => ({ test: { url: `${url}/me`, judge: (me) => me.is ?? 'good' } }),
        more: { timeout: 0.2 },
      })
      const ann = await link('ann', { checkedAt: 1 })
      const before = await kept(ann.id)
      server.answer('/me', () => answer)
      await expect(ann.test()).rejects.toMatchObject({ code })
      expect(await kept(ann.id)).toEqual(before)
      expect(told(ann.id)).toEqual([])
    })

    test('a provider that is not there', async () => {
      const { link, server, kept } = await startLinked()
      const ann = await link('ann')
      await server.close()
      await expect(ann.test()).rejects.toMatchObject({ code: 'upstream_unavailable' })
      expect((await kept(ann.id))?.status).toBe('active')
    })
  })

  test('that the app judges as refused needs its user', async () => {
    const { link } = await startLinked({
      provider: (url) => ({ test: { url: `${url}/me`, judge: () => 'refused' } }),
    })
    const ann = await link('ann')
    expect(await ann.test()).toMatchObject({ status: 'needs_reconnect', reason: 'test_refused' })
  })

  test('without one, an access token is asked for', async () => {
    const { link, server, told, open } = await startLinked()
    const app = open({
      providers: {
        files: {
          issuer: server.url,
          clientId: 'files-app',
          clientSecret: 'x',
          scope: 'openid',
        },
      },
    })
    server.answer('/.well-known/openid-configuration', () => ({
      body: {
        issuer: server.url,
        authorization_endpoint: `${server.url}/authorize`,
        token_endpoint: `${server.url}/token`,
        jwks_uri: `${server.url}/jwks`,
        response_types_supported: ['code'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['RS256'],
      },
    }))
    const ann = await link('ann', { life: -1, checkedAt: 1 })
    const here = await app.for(ann.owner).get(ann.id)
    expect(await here.test()).toMatchObject({ status: 'active', label: 'Files' })
    expect(server.count('/token')).toBe(1)
    const bob = await link('bob', { life: -1, refreshable: false })
    const there = await app.for(bob.owner).get(bob.id)
    expect(await there.test()).toMatchObject({ status: 'needs_reconnect', reason: 'expired' })
    expect(told(bob.id)).toEqual(['needs_reconnect'])
  })

  test('gives a refused refresh as what it is', async () => {
    const { link, server, told, kept } = await startLinked()
    const ann = await link('ann', { life: -1 })
    server.answer('/token', () => ({ status: 400, body: { error: 'invalid_grant' } }))
    expect(await ann.test()).toMatchObject({ status: 'needs_reconnect', reason: 'refresh_refused' })
    expect(told(ann.id)).toEqual(['needs_reconnect'])
    expect(await kept(ann.id)).not.toHaveProperty('tokens')
  })

  test('of the old tokens condemns nobody who has connected again meanwhile', async () => {
    const { link, relink, server, told } = await startLinked()
    const ann = await link('ann')
    let isAgain = false
    server.answer('/me', async () => {
      if (!isAgain) await relink(ann.id)
      isAgain = true
      return 401
    })
    expect(await ann.test()).toMatchObject({ status: 'active' })
    expect(told(ann.id)).toEqual([])
  })

  test('is told once, whoever notices at the same moment', async () => {
    const { link, server, apps, told } = await startLinked()
    const ann = await link('ann')
    server.answer('/me', () => 401)
    const both = await Promise.all(apps.map(async (app) => (await app.for(ann.owner).get(ann.id)).test()))
    expect(both.map(({ status }) => status)).toEqual(['needs_reconnect', 'needs_reconnect'])
    expect(told(ann.id)).toEqual(['needs_reconnect'])
    server.answer('/me')
    await Promise.all(apps.map(async (app) => (await app.for(ann.owner).get(ann.id)).test()))
    expect(told(ann.id)).toEqual(['needs_reconnect', 'reconnected'])
  })

  test('another reason for what its user knows already is not told again', async () => {
    const { link, server, told } = await startLinked()
    const ann = await link('ann', { life: -1 })
    server.answer('/me', () => 401)
    await ann.test()
    server.answer('/token', () => ({ status: 400, body: { error: 'invalid_grant' } }))
    travel(7_200)
    expect(await ann.test()).toMatchObject({ reason: 'refresh_refused' })
    expect(told(ann.id)).toEqual(['needs_reconnect'])
  })
})

describe('a 401 of an API', () => {
  test('is looked into by one test call a minute, and handed back', async () => {
    travel(0)
    const { link, server, told, apps } = await startLinked()
    const ann = await link('ann')
    server.answer('/files', () => ({ status: 401, body: 'no' }))
    for (let times = 0; times < 3; times++) {
      const answer = await ann.fetch(`${server.url}/files`)
      expect([answer.status, await answer.text()]).toEqual([401, 'no'])
    }
    expect(server.count('/me')).toBe(1)
    expect(await apps[0].for(ann.owner).get(ann.id)).toMatchObject({ status: 'active' })
    travel(61)
    server.answer('/me', () => 401)
    await ann.fetch(`${server.url}/files`)
    expect(await apps[0].for(ann.owner).get(ann.id)).toMatchObject({ reason: 'test_refused' })
    expect(told(ann.id)).toEqual(['needs_reconnect'])
  })

  test('is handed back also when the test call is away', async () => {
    const { link, server, kept } = await startLinked()
    const ann = await link('ann')
    server.answer('/files', () => 401)
    server.answer('/me', () => 503)
    expect((await ann.fetch(`${server.url}/files`)).status).toBe(401)
    expect((await kept(ann.id))?.status).toBe('active')
  })
})

describe('renaming', () => {
  test.each([
    ['  My\nfiles ', 'My files'],
    ['x'.repeat(150), 'x'.repeat(100)],
    ['<b>&', '<b>&'],
  ])('%j gives %j', async (label, shown) => {
    const { link, told, server } = await startLinked()
    const ann = await link('ann')
    expect((await ann.rename(label)).label).toBe(shown)
    expect((await ann.rename(label)).label).toBe(shown)
    expect(told(ann.id)).toEqual(['connection_renamed'])
    expect(server.requests).toEqual([])
  })

  test('to nothing brings the provider’s own label back', async () => {
    const { link, told } = await startLinked()
    const ann = await link('ann', { label: 'Mine', isRenamed: true })
    expect((await ann.rename(' ')).label).toBe('Mx ann’s files')
    expect(told(ann.id)).toEqual(['connection_renamed'])
  })

  test('to nothing while the provider is away gives its name until the next test', async () => {
    const { link, server } = await startLinked()
    const ann = await link('ann', { label: 'Mine', isRenamed: true })
    server.answer('/me', () => 503)
    expect((await ann.rename('')).label).toBe('Files')
    server.answer('/me')
    expect((await ann.test()).label).toBe('Mx ann’s files')
  })

  test('at the same moment leaves one of the labels', async () => {
    const { link, apps } = await startLinked()
    const ann = await link('ann')
    const labels = Array.from({ length: 10 }, (_, n) => `label ${n}`)
    await Promise.all(
      labels.map(async (label, n) => (await apps[n % 2]!.for(ann.owner).get(ann.id)).rename(label)),
    )
    expect(labels).toContain((await apps[0].for(ann.owner).get(ann.id)).label)
  })

  test('what is no text, or somebody else’s, is refused', async () => {
    const { link, apps } = await startLinked()
    const ann = await link('ann')
    await expect(ann.rename(7 as unknown as string)).rejects.toMatchObject({ code: 'invalid_fields' })
    await expect(apps[0].for('mallory').get(ann.id)).rejects.toMatchObject({ code: 'connection_not_found' })
    await ann.remove()
    await expect(ann.rename('x')).rejects.toMatchObject({ code: 'connection_not_found' })
  })
})
