import { expect, test } from 'vitest'
import { oidcProvider } from '../../../lib/providers.js'
import { startConnecting } from '../../support/connecting.js'

test('an OpenID provider needs its issuer and a client alone', async () => {
  const plain = oidcProvider({ issuer: 'https://id.example', clientId: 'a' })
  const { issuer: _issuer, clientId: _clientId, ...special } = plain
  const stage = await startConnecting({
    providers: { projects: { ...special, test: undefined as never, allow: [] } },
  })
  const alice = await stage.signedIn('alice', 'alice-there')

  await stage.connect(alice)

  const { connections } = await stage.list(alice)
  expect(connections).toMatchObject([{ account_id: 'alice-there', status: 'active' }])
  expect(stage.providers['projects']?.server.counts.userinfo).toBe(0)
})

test('the userinfo endpoint makes the test call', () => {
  const { test: call, scope } = oidcProvider({
    issuer: 'https://id.example',
    clientId: 'a',
    scope: 'email',
    userinfo: 'https://id.example/me',
  })
  expect(call).toEqual({ url: 'https://id.example/me' })
  expect(scope).toBe('email openid')
})

test('consent is asked for where there is offline access', () => {
  const server = { issuer: 'https://id.example', clientId: 'a' }
  expect(oidcProvider(server).authorizationParameters).toEqual({ prompt: 'consent' })
  expect(oidcProvider({ ...server, scope: 'openid' }).authorizationParameters).toBeUndefined()
})
