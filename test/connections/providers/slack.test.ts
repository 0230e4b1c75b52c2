import { describe, expect, test } from 'vitest'
import { slack, type SlackOptions } from '../../../lib/providers.js'
import { startSlack, type SlackStandInOptions } from '../../support/stand-ins/slack.js'
import { startStandInStage } from '../../support/stand-ins/stage.js'
import { travel } from '../../support/time.js'

const tokens = 'slack.com/api/oauth.v2.access'

async function stageAt(server: SlackStandInOptions = {}, special: Partial<SlackOptions> = {}) {
  const service = await startSlack(server)
  const { clientId, clientSecret } = service
  const scope = 'channels:read chat:write'
  const provider = slack({ clientId, clientSecret, scope, ...special })
  return { service, ...(await startStandInStage(provider, service)) }
}

describe('Slack', () => {
  test('a user is connected, and the nested token of theirs used and revoked', async () => {
    const { service, connect, only, location } = await stageAt()
    const asked = (await location()).searchParams
    expect(asked.get('user_scope')).toBe('channels:read,chat:write')
    expect(asked.get('scope')).toBeNull()

    expect(await connect('U1234')).toMatchObject({ status: 'connected' })

    const connection = await only()
    expect(connection).toMatchObject({
      label: 'u1234 (Pickleball)',
      account_id: 'T9TK3CUKW/U1234',
      scope: 'channels:read chat:write',
    })
    const answer = await connection.fetch('https://slack.com/api/auth.test')
    expect(await answer.json()).toMatchObject({ user_id: 'U1234' })

    const token = await connection.accessToken()
    await connection.disconnect()
    expect(service.at('slack.com/api/auth.revoke')).toHaveLength(1)
    expect(service.grants.isKnown(token)).toBe(false)
  })

  test('a bot is connected by the token at the top', async () => {
    const { connect, only, location } = await stageAt(
      {},
      { actsAs: 'bot', authorizationParameters: { user_scope: 'users:read' } },
    )
    expect((await location()).searchParams.get('scope')).toBe('channels:read,chat:write')
    await connect('U1234')
    expect(await only()).toMatchObject({
      account_id: 'T9TK3CUKW/B-robot',
      scope: 'channels:read chat:write',
    })
  })

  test('what acts as somebody else is not taken', async () => {
    const { service, connect } = await stageAt()
    service.replace(`POST ${tokens}`, () => ({
      body: {
        ok: true,
        access_token: 'xoxb-1',
        token_type: 'bot',
        scope: 'commands',
        authed_user: { id: 'U1' },
      },
    }))
    expect(await connect('U1234')).toMatchObject({ status: 'failed', error: 'invalid_scope' })
  })

  test('with token rotation the token is refreshed, once each', async () => {
    const { service, connect, only } = await stageAt({ rotates: true })
    await connect('U1234')
    const connection = await only()
    const first = await connection.accessToken()

    travel(12 * 3_600)
    const second = await connection.accessToken()
    expect(second).not.toBe(first)
    travel(12 * 3_600)
    expect(await connection.accessToken()).not.toBe(second)

    service.grants.revokeAll('U1234')
    travel(12 * 3_600)
    await expect(connection.accessToken()).rejects.toMatchObject({
      code: 'needs_reconnect',
      reason: 'refresh_refused',
    })
  })

  test.each([
    ['bad_client_secret', 'invalid_client'],
    ['internal_error', 'temporarily_unavailable'],
    ['ratelimited', 'temporarily_unavailable'],
    ['something_new', 'server_refused'],
    [undefined, 'server_error'],
  ])('the error %s in an answer with status 200 ends no connection', async (error, code) => {
    const { service, connect, only } = await stageAt({ rotates: true })
    await connect('U1234')
    service.replace(`POST ${tokens}`, () => ({ body: { ok: false, error } }))
    travel(12 * 3_600)
    await expect((await only()).accessToken()).rejects.toMatchObject({ code })
    expect(await only()).toMatchObject({ status: 'active' })
  })

  test('an app that was taken away is found by the test call, and a service in trouble proves nothing', async () => {
    const { service, connect, only } = await stageAt()
    await connect('U1234')
    const works = await only()
    service.grants.revokeAll('U1234')
    expect(await works.test()).toMatchObject({ status: 'needs_reconnect', reason: 'test_refused' })

    service.replace('GET slack.com/api/auth.test', () => ({ body: { ok: false, error: 'fatal_error' } }))
    await expect(works.test()).rejects.toMatchObject({ code: 'upstream_unavailable' })
  })

  test('a token that is revoked already counts as revoked, and a failure does not', async () => {
    const gone = await stageAt()
    await gone.connect('U1234')
    gone.service.grants.revokeAll('U1234')
    await (await gone.only()).disconnect()
    expect(gone.events.map(({ type }) => type)).not.toContain('revocation_failed')

    const failing = await stageAt()
    await failing.connect('U1234')
    failing.service.replace('POST slack.com/api/auth.revoke', () => ({
      body: { ok: false, error: 'fatal_error' },
    }))
    await (await failing.only()).disconnect()
    expect(failing.events.map(({ type }) => type)).toContain('revocation_failed')
  })

  test('an answer without the ids of user and workspace names nobody', async () => {
    const { service, connect } = await stageAt()
    service.replace('GET slack.com/api/auth.test', () => ({ body: { ok: true, user_id: 'U1' } }))
    expect(await connect('U1234')).toMatchObject({ status: 'failed', error: 'account_unknown' })
  })
})
