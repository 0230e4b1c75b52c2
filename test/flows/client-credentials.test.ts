import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import express from 'express'
import type { ClientMetadata } from 'oidc-provider'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createAuthorizationServer } from '../../example-app/src/authorization-server.js'
import {
  clientCredentials,
  getAuth,
  isOAuthError,
  oauthBearer,
  requireScope,
  type ClientCredentialsOptions,
} from '../../lib/index.js'
import { listening, stopped } from '../support/listening.js'

const clientSecret = 'the secret of this service'

/** A real authorization server, a guarded API, and a service that may read projects. */
async function world(
  options: Partial<ClientCredentialsOptions> = { clientSecret },
  client: Partial<ClientMetadata> = { client_secret: clientSecret },
) {
  const [apiServer, authorizationServer] = [createServer(), createServer()]
  const apiUrl = await listening(apiServer, 'localhost')
  const issuer = await listening(authorizationServer, 'localhost')
  onTestFinished(async () => {
    await stopped(apiServer)
    await stopped(authorizationServer)
  })
  const api = express()
  api.use(oauthBearer({ issuer, audience: apiUrl }))
  api.get('/v1/projects', requireScope('read:projects'), (req, res) => {
    const { clientId, subject, scopes } = getAuth(req)
    res.json({ clientId, subject, scopes })
  })
  api.get('/v1/users', requireScope('admin:users'), (_req, res) => res.json([]))
  apiServer.on('request', api)
  authorizationServer.on(
    'request',
    createAuthorizationServer({
      issuer,
      apiUrl,
      clients: [
        {
          client_id: 'service',
          grant_types: ['client_credentials'],
          redirect_uris: [],
          response_types: [],
          ...client,
        },
      ],
    }),
  )
  const service = clientCredentials({
    issuer,
    clientId: 'service',
    scope: 'read:projects',
    resource: apiUrl,
    apis: [`${apiUrl}/v1/`],
    ...options,
  })
  return { service, apiUrl, issuer }
}

describe('a service reads projects, having proved itself by', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const publicKey = { ...createPublicKey(privateKey).export({ format: 'jwk' }), kid: 'k1', use: 'sig' }
  const methods: Record<string, [Partial<ClientCredentialsOptions>, Partial<ClientMetadata>]> = {
    client_secret_basic: [{ clientSecret }, { client_secret: clientSecret }],
    client_secret_post: [
      { clientSecret, tokenEndpointAuthMethod: 'client_secret_post' },
      { client_secret: clientSecret },
    ],
    private_key_jwt: [{ privateKey: { key: privateKey, kid: 'k1' } }, { jwks: { keys: [publicKey] } }],
  }
  test.each(Object.entries(methods))('%s', async (method, [options, client]) => {
    const { service, apiUrl } = await world(options, {
      ...client,
      token_endpoint_auth_method: method as never,
    })
    const response = await service.fetch(`${apiUrl}/v1/projects`)
    expect([response.status, await response.json()]).toEqual([
      200,
      { clientId: 'service', subject: 'service', scopes: ['read:projects'] },
    ])
  })
})

test('a scope that the server drops without a word is missed', async () => {
  const { service } = await world()
  const error: unknown = await service
    .accessToken({ scope: 'read:projects no:such-scope' })
    .catch((thrown: unknown) => thrown)
  expect(isOAuthError(error) && [error.code, error.message]).toEqual([
    'insufficient_scope',
    'the authorization server granted "read:projects" of the requested "read:projects no:such-scope"',
  ])
})

test('an API that wants more than the token has says so itself', async () => {
  const { service, apiUrl } = await world()
  expect((await service.fetch(`${apiUrl}/v1/users`)).status).toBe(403)
})

test('an API that the server does not know is its refusal', async () => {
  const { service } = await world()
  await expect(service.accessToken({ resource: 'https://other.example' })).rejects.toMatchObject({
    code: 'invalid_target',
  })
})

test('a secret that was replaced is tried before the old one is given up', async () => {
  const { service, apiUrl } = await world({ clientSecret: ['the secret of last year', clientSecret] })
  expect((await service.fetch(`${apiUrl}/v1/projects`)).status).toBe(200)
})

test('a wrong secret is the server’s refusal', async () => {
  const { service } = await world({ clientSecret: 'a wrong one' })
  await expect(service.accessToken()).rejects.toMatchObject({ code: 'invalid_client', status: 500 })
})
