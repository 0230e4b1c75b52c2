import { describe, expect, test } from 'vitest'
import { google } from '../../../lib/providers.js'
import { startGoogle } from '../../support/stand-ins/google.js'
import { startStandInStage } from '../../support/stand-ins/stage.js'
import { travel } from '../../support/time.js'

const about = 'https://www.googleapis.com/drive/v3/about'
const drive = 'https://www.googleapis.com/auth/drive.file'

async function stage(scope = `profile ${drive}`) {
  const service = await startGoogle()
  const { clientId, clientSecret } = service
  const provider = google({ clientId, clientSecret, scope })
  return { service, ...(await startStandInStage(provider, service)) }
}

describe('Google', () => {
  test('an account is connected, used, refreshed, and its grant revoked', async () => {
    const { service, connect, only, location, events } = await stage()
    const asked = (await location()).searchParams
    expect(Object.fromEntries(asked)).toMatchObject({
      access_type: 'offline',
      prompt: 'consent',
      scope: `profile ${drive} openid`,
    })

    expect(await connect('jane')).toMatchObject({ status: 'connected' })

    const connection = await only()
    expect(connection).toMatchObject({ label: 'Jane Doe', account_id: '110169484474386276334' })
    expect(await connection.fetch(about)).toMatchObject({ status: 200 })

    const first = await connection.accessToken()
    travel(3_600)
    const second = await connection.accessToken()
    expect(second).not.toBe(first)
    travel(3_600)
    const third = await connection.accessToken()
    expect(third).not.toBe(second)

    await connection.disconnect()
    expect(service.grants.isKnown(third)).toBe(false)
    // The refresh token ended all; that the access token was not known after that is no failure.
    expect(service.at('oauth2.googleapis.com/revoke')).toHaveLength(2)
    expect(events.map(({ type }) => type)).not.toContain('revocation_failed')
  })

  test('who connects again gets a refresh token again', async () => {
    const { connect, only } = await stage()
    await connect('john')
    await connect('john')
    const connection = await only()
    expect(connection.label).toBe('john@example.com')
    travel(3_600)
    expect(await connection.fetch(about)).toMatchObject({ status: 200 })
  })

  test('the seventh day of an app in testing asks for a new connection', async () => {
    const { service, connect, only } = await stage()
    await connect('jane')
    service.grants.revokeAll('jane')
    travel(7 * 24 * 3_600)
    await expect((await only()).fetch(about)).rejects.toMatchObject({
      code: 'needs_reconnect',
      reason: 'refresh_refused',
    })
  })

  test('a user who took the app away is found by the test call, after one refresh', async () => {
    const { service, connect, only } = await stage()
    await connect('jane')
    service.grants.revokeAll('jane')
    await (await only()).test().catch(() => undefined)
    expect(await only()).toMatchObject({ status: 'needs_reconnect' })
  })

  test('a revocation that fails stays to be done', async () => {
    const { service, connect, only, events } = await stage()
    await connect('jane')
    service.replace('POST oauth2.googleapis.com/revoke', () => ({ status: 503 }))
    await (await only()).disconnect()
    expect(events.map(({ type }) => type)).toContain('revocation_failed')
  })

  test('parameters of the app go along with those of the definition', () => {
    expect(
      google({ clientId: 'a', authorizationParameters: { hd: 'example.com' } }).authorizationParameters,
    ).toEqual({ access_type: 'offline', prompt: 'consent', hd: 'example.com' })
  })
})
