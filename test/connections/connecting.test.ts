import { expect, test } from 'vitest'
import { startConnecting } from '../support/connecting.js'

test('a user connects an account, uses it, and disconnects it', async () => {
  const stage = await startConnecting()
  const { app, connections, providers } = stage
  const alice = await stage.signedIn('alice', 'alice-at-projects')

  const back = await stage.connect(alice)

  expect(back.url).toBe(`${app.url}/`)
  const { connections: list, outcome } = await stage.list(alice)
  expect(outcome).toMatchObject({ status: 'connected', provider: 'projects' })
  expect(list).toMatchObject([
    {
      provider: 'projects',
      label: 'alice-at-projects’s projects',
      status: 'active',
      account_id: 'alice-at-projects',
    },
  ])

  const [calendar] = await connections.for('alice').list()
  const answer = await calendar?.fetch(`${providers['projects']?.server.issuer}/userinfo`)
  expect(await answer?.json()).toMatchObject({ sub: 'alice-at-projects' })

  const ended = await stage.post(alice, `/connections/${calendar?.id}/disconnect`)
  expect(JSON.parse(ended.body)).toMatchObject({ id: calendar?.id, status: 'disconnected' })
  await expect(calendar?.fetch(`${providers['projects']?.server.issuer}/userinfo`)).rejects.toMatchObject({
    code: 'needs_reconnect',
    reason: 'disconnected',
  })
  expect(providers['projects']?.server.counts.revocation).toBe(2)
  expect(stage.events.map(({ type }) => type)).toContain('disconnected')
})
