/** An account whose tokens are bound to a key of the app, at a real server: connected, used, refreshed and disconnected. */
import { decodeJwt } from 'jose'
import { expect, test } from 'vitest'
import { memoryConnectionStore, type ConnectionProvider } from '../../lib/index.js'
import { startConnecting } from '../support/connecting.js'
import { startDPoPProvider } from '../support/dpop-provider.js'
import { travel } from '../support/time.js'

const clientSecret = 'the secret of this client'

test('a connection with DPoP proves its key at the token endpoint and at the API, and ends there', async () => {
  const provider = await startDPoPProvider()
  const { issuer, proven, revoked } = provider
  const store = memoryConnectionStore()
  const special: Partial<ConnectionProvider> = {
    issuer,
    clientId: 'app',
    clientSecret,
    scope: 'openid offline_access',
    authorizationParameters: { prompt: 'consent' },
    dpop: true,
    test: { url: `${issuer}/me` },
    accountId: (me) => me.sub as string,
    label: (me) => me.name as string,
    allow: [`${issuer}/me`],
  }
  const stage = await startConnecting({ store, providers: { projects: special } })
  provider.serve(
    [
      {
        client_id: 'app',
        client_secret: clientSecret,
        redirect_uris: stage.connections.redirectUris().map(({ redirectUri }) => redirectUri),
        grant_types: ['authorization_code', 'refresh_token'],
        dpop_bound_access_tokens: true,
      },
    ],
    'https://api.example.com',
  )
  const alice = await stage.signedIn('alice')
  await stage.connect(alice)
  await alice.submit({ username: 'alice', password: 'alice' })
  await alice.submit()

  const [connection] = await stage.connections.for('alice').list()
  if (!connection) throw new Error(`nothing was connected: ${JSON.stringify(await stage.list(alice))}`)
  expect(connection).toMatchObject({ status: 'active', account_id: 'alice', label: 'the name of alice' })
  const first = await connection.accessToken()
  // Whoever has the token and no key gets nothing.
  const stolen = await fetch(`${issuer}/me`, { headers: { authorization: `Bearer ${first}` } })
  expect(stolen.status).toBe(401)

  const answer = await connection.fetch(`${issuer}/me`)
  expect(await answer.json()).toMatchObject({ sub: 'alice' })
  travel(400)
  expect((await connection.fetch(`${issuer}/me`)).status).toBe(200)
  expect(await connection.accessToken()).not.toBe(first)
  const [row] = await store.list('alice')
  expect(row?.status).toBe('active')
  const bound = proven.filter(({ status }) => status === 200)
  expect(bound.map(({ path }) => path)).toEqual(['/token', '/me', '/me', '/token', '/me'])
  const proofs = bound.map(({ proof = '' }) => proof)
  expect(new Set(proofs).size).toBe(proofs.length)
  // To the API, a proof says which token it is for (RFC 9449 §4.2).
  expect(proofs.map((proof) => 'ath' in decodeJwt(proof))).toEqual([false, true, true, false, true])

  expect(await connection.disconnect()).toMatchObject({ status: 'disconnected' })
  // With it, this server ends all that was granted.
  expect(revoked).toContain('refresh_token')
  expect((await store.list('alice'))[0]).not.toHaveProperty('tokens')
})
