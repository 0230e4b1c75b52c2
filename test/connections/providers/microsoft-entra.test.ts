import { describe, expect, test } from 'vitest'
import { microsoftEntra, type MicrosoftEntraOptions } from '../../../lib/providers.js'
import { startEntra } from '../../support/stand-ins/entra.js'
import { startStandInStage } from '../../support/stand-ins/stage.js'
import { travel } from '../../support/time.js'

const me = 'https://graph.microsoft.com/v1.0/me'
const tokens = 'login.microsoftonline.com/organizations/oauth2/v2.0/token'

async function stageAt(tenant?: string, special: Partial<MicrosoftEntraOptions> = {}) {
  const service = await startEntra(tenant)
  const { clientId, clientSecret } = service
  const provider = microsoftEntra({ clientId, clientSecret, scope: 'Mail.Read', ...special })
  return { service, ...(await startStandInStage(provider, service)) }
}

describe('Microsoft Entra', () => {
  test('an account of any organization is connected, used, refreshed and disconnected', async () => {
    const { service, connect, only, location, events } = await stageAt()
    expect((await location()).searchParams.get('scope')).toBe('Mail.Read offline_access User.Read')

    expect(await connect('adele')).toMatchObject({ status: 'connected' })

    const connection = await only()
    expect(connection).toMatchObject({
      label: 'Adele Vance',
      account_id: '87d349ed-44d7-43e1-9a83-5f2406dee5bd',
      scope: 'Mail.Read User.Read',
    })
    expect(await connection.fetch(me)).toMatchObject({ status: 200 })
    const first = await connection.accessToken()
    travel(3_600)
    expect(await connection.accessToken()).not.toBe(first)

    const before = service.requests.length
    expect(await connection.disconnect()).toMatchObject({ status: 'disconnected' })
    // There is nowhere to revoke at.
    expect(service.requests).toHaveLength(before)
    expect(events.map(({ type }) => type)).not.toContain('revocation_failed')
  })

  test.each(['invalid_grant', 'interaction_required', 'consent_required'])(
    'a refresh that is answered with %s asks for a new connection',
    async (error) => {
      const { service, connect, only } = await stageAt()
      await connect('adele')
      service.replace(`POST ${tokens}`, () => ({ status: 400, body: { error } }))
      travel(3_600)
      await expect((await only()).fetch(me)).rejects.toMatchObject({
        code: 'needs_reconnect',
        reason: 'refresh_refused',
      })
    },
  )

  test('a server in trouble ends no connection', async () => {
    const { service, connect, only } = await stageAt()
    await connect('adele')
    service.replace(`POST ${tokens}`, () => ({ status: 400, body: { error: 'temporarily_unavailable' } }))
    travel(3_600)
    await expect((await only()).fetch(me)).rejects.toMatchObject({ code: 'temporarily_unavailable' })
    expect(await only()).toMatchObject({ status: 'active' })
  })

  test('the tenant can be asked of the user', async () => {
    const { connect, only } = await stageAt('contoso.example', {
      tenant: '{tenant}',
      fields: { tenant: { label: 'Domain', pattern: /[a-z0-9.-]+/ } },
    })
    expect(await connect('adele', { tenant: 'contoso.example' })).toMatchObject({ status: 'connected' })
    expect((await only()).fields).toEqual({ tenant: 'contoso.example' })
  })

  test('a tenant by its id is a server with metadata', () => {
    const tenant = '5F2406DE-44d7-43e1-9a83-87d349edee5b'
    const { issuer, endpoints } = microsoftEntra({ clientId: 'a', tenant })
    expect(issuer).toBe('https://login.microsoftonline.com/5f2406de-44d7-43e1-9a83-87d349edee5b/v2.0')
    expect(endpoints).toBeUndefined()
  })

  test.each(['', 'a/b', '../x', 'a?b', 'a b'])('"%s" is no tenant', (tenant) => {
    expect(() => microsoftEntra({ clientId: 'a', tenant })).toThrow(/tenant/)
  })
})
