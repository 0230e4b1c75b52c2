/** A real authorization server that issues both kinds of access token, and one guard for both. */
import { createServer } from 'node:http'
import express from 'express'
import { Provider, type ClientMetadata } from 'oidc-provider'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  clientCredentials,
  getAuth,
  oauthBearer,
  requireScope,
  type IntrospectionOptions,
} from '../../lib/index.js'
import { listening, stopped } from '../support/listening.js'
import { travel } from '../support/time.js'

const client_secret = 'the secret of this client'

/** Clients by the kind of access token that the server gives them, and the API itself. */
const clients = ['opaque', 'jwt', 'api'].map((client_id): ClientMetadata => ({
  client_id,
  client_secret,
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
}))

async function world(introspection: Partial<IntrospectionOptions> = {}) {
  const [apiServer, authorizationServer] = [createServer(), createServer()]
  const audience = await listening(apiServer, 'localhost')
  const issuer = await listening(authorizationServer, 'localhost')
  onTestFinished(async () => {
    await stopped(apiServer)
    await stopped(authorizationServer)
  })
  const provider = new Provider(issuer, {
    clients,
    scopes: ['read:projects'],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      revocation: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (_ctx, client) => client.clientId === 'api' },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_ctx, resource, client) => ({
          scope: 'read:projects',
          audience: resource,
          ...(client.clientId === 'jwt'
            ? { accessTokenFormat: 'jwt' as const, jwt: { sign: { alg: 'RS256' as const } } }
            : { accessTokenFormat: 'opaque' as const }),
        }),
      },
    },
  })
  const asked: string[] = []
  const callback = provider.callback()
  authorizationServer.on('request', (req, res) => {
    asked.push(req.url ?? '')
    void callback(req, res)
  })
  const api = express()
  api.use(
    oauthBearer({
      issuer,
      audience,
      introspection: { clientId: 'api', clientSecret: client_secret, ...introspection },
      onEvent: () => undefined,
    }),
  )
  api.get('/projects', requireScope('read:projects'), (req, res) => {
    const { subject, clientId, scopes, expiresAt } = getAuth(req)
    res.json({ subject, clientId, scopes, isLater: expiresAt > Date.now() / 1000 + 500 })
  })
  apiServer.on('request', api)
  return {
    introspections: () => asked.filter((path) => path.endsWith('/introspection')).length,
    token: (clientId: string, resource = audience) =>
      clientCredentials({
        issuer,
        clientId,
        clientSecret: client_secret,
        scope: 'read:projects',
        resource,
      }).accessToken(),
    async get(token: string): Promise<[status: number, body: unknown]> {
      const headers = { authorization: `Bearer ${token}` }
      const response = await fetch(`${audience}/projects`, { headers })
      return [response.status, await response.json()]
    },
    async revoke(clientId: string, token: string) {
      const body = new URLSearchParams({ token, client_id: clientId, client_secret })
      expect((await fetch(`${issuer}/token/revocation`, { method: 'POST', body })).status).toBe(200)
    },
  }
}

describe('one guard', () => {
  test('T103 takes a JWT and an opaque token, and asks about the opaque one alone', async () => {
    const { token, get, introspections } = await world()
    const [jwt, opaque] = await Promise.all([token('jwt'), token('opaque')])
    expect([jwt.split('.').length, opaque.split('.').length]).toEqual([3, 1])
    const good = { scopes: ['read:projects'], isLater: true }
    expect(await get(jwt)).toEqual([200, { subject: 'jwt', clientId: 'jwt', ...good }])
    expect(introspections()).toBe(0)
    expect(await get(opaque)).toEqual([200, { clientId: 'opaque', ...good }])
    expect(await get(opaque)).toEqual([200, { clientId: 'opaque', ...good }])
    expect(introspections()).toBe(1)
  })

  test('T103 refuses both when they are for another API', async () => {
    const { token, get } = await world()
    for (const client of ['jwt', 'opaque'])
      expect((await get(await token(client, 'https://other.example')))[0]).toBe(401)
  })

  test('T103 sees the end of an opaque token when its answer has run out', async () => {
    const { token, get, revoke } = await world()
    const opaque = await token('opaque')
    travel(0)
    expect((await get(opaque))[0]).toBe(200)
    await revoke('opaque', opaque)
    travel(59)
    expect((await get(opaque))[0]).toBe(200)
    travel(1)
    expect((await get(opaque))[0]).toBe(401)
  })

  test('T103 whose credentials are wrong is a 500, and no client hears of it', async () => {
    const { token, get } = await world({ clientSecret: 'a wrong one' })
    expect(await get(await token('opaque'))).toEqual([
      500,
      { error: 'invalid_client', error_description: 'The application is not set up correctly.' },
    ])
  })

  test('T103 tells that this server introspects no JWTs', async () => {
    const { token, get } = await world({ tokens: 'all' })
    expect((await get(await token('opaque')))[0]).toBe(200)
    expect(await get(await token('jwt'))).toMatchObject([500, { error: 'server_refused' }])
  })
})
