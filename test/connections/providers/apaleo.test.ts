import { describe, expect, test } from 'vitest'
import { clientCredentials } from '../../../lib/index.js'
import { apaleo, apaleoSimpleClient } from '../../../lib/providers.js'
import { startApaleo } from '../../support/stand-ins/apaleo.js'
import { startStandInStage } from '../../support/stand-ins/stage.js'
import { travel } from '../../support/time.js'

const current = 'https://api.apaleo.com/account/v1/accounts/current'
const anna = 'anna@hotel.example'

async function stage(scope = 'availability.read reservations.read') {
  const service = await startApaleo()
  const { clientId, clientSecret } = service
  return {
    service,
    ...(await startStandInStage(apaleo({ clientId, clientSecret, scope }), service)),
  }
}

describe('apaleo', () => {
  test('a hotel account is connected, used, refreshed and revoked', async () => {
    const { service, connect, only, location } = await stage()
    expect((await location()).searchParams.get('scope')).toBe(
      'availability.read reservations.read offline_access',
    )

    expect(await connect(anna)).toMatchObject({ status: 'connected' })

    const connection = await only()
    expect(connection).toMatchObject({ label: 'Hotel Anna', account_id: 'ABCD' })
    expect(await (await connection.fetch(current)).json()).toMatchObject({ code: 'ABCD' })

    const first = await connection.accessToken()
    travel(3_600)
    const second = await connection.accessToken()
    expect(second).not.toBe(first)

    await connection.disconnect()
    expect(service.at('identity.apaleo.com/connect/revocation')).toHaveLength(2)
    expect(service.grants.isKnown(second)).toBe(false)
  })

  test('a refused refresh token asks for a new connection', async () => {
    const { service, connect, only } = await stage()
    await connect(anna)
    service.grants.revokeAll(anna)
    travel(3_600)
    await expect((await only()).fetch(current)).rejects.toMatchObject({
      code: 'needs_reconnect',
      reason: 'refresh_refused',
    })
  })

  test('tokens go to the API and nowhere else', async () => {
    const { connect, only } = await stage()
    await connect(anna)
    await expect((await only()).fetch('https://api.apaleo.com.evil.example/')).rejects.toMatchObject({
      code: 'url_not_allowed',
    })
  })

  test('a simple client gets tokens of its own', async () => {
    const service = await startApaleo()
    const { clientId, clientSecret, fetch } = service
    const hotel = clientCredentials({ ...apaleoSimpleClient({ clientId, clientSecret }), fetch })
    expect(await (await hotel.fetch(current)).json()).toMatchObject({ code: 'ABCD' })
    expect(service.at('identity.apaleo.com/connect/token')[0]?.form.get('grant_type')).toBe(
      'client_credentials',
    )
  })

  test('with OpenID Connect the endpoints are discovered', () => {
    const { issuer, endpoints } = apaleo({ clientId: 'a', scope: 'openid profile' })
    expect({ issuer, endpoints }).toEqual({ issuer: 'https://identity.apaleo.com' })
  })
})
