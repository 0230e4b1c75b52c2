import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import express from 'express'
import * as client from 'openid-client'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createAuthorizationServer } from '../../example-app/src/authorization-server.js'
import { getAuth, oauthBearer, requireScope, type DPoPOptions } from '../../lib/index.js'
import { listening, stopped } from '../support/listening.js'

const clientSecret = 'the secret of this service'

/** A real authorization server, a guarded API, and a real client of both with a key of its own. */
async function world(dpop: Partial<DPoPOptions> = {}, alg?: string) {
  const [apiServer, authorizationServer] = [createServer(), createServer()]
  const apiUrl = await listening(apiServer, 'localhost')
  const issuer = await listening(authorizationServer, 'localhost')
  onTestFinished(async () => {
    await stopped(apiServer)
    await stopped(authorizationServer)
  })
  const statuses: number[] = []
  const api = express()
  api.use((_req, res, next) => {
    res.on('finish', () => statuses.push(res.statusCode))
    next()
  })
  api.use(oauthBearer({ issuer, audience: apiUrl, dpop: { baseUrl: apiUrl, ...dpop } }))
  api.all('/v1/projects', requireScope('read:projects'), (req, res) => {
    const { clientId, scopes } = getAuth(req)
    res.json({ clientId, scopes })
  })
  apiServer.on('request', api)
  authorizationServer.on(
    'request',
    createAuthorizationServer({
      issuer,
      apiUrl,
      clients: [
        {
          client_id: 'service',
          client_secret: clientSecret,
          grant_types: ['client_credentials'],
          redirect_uris: [],
          response_types: [],
          dpop_bound_access_tokens: true,
        },
      ],
    }),
  )
  const config = await client.discovery(new URL(issuer), 'service', clientSecret, undefined, {
    execute: [client.allowInsecureRequests],
  })
  const newHandle = async () => client.getDPoPHandle(config, await client.randomDPoPKeyPair(alg))
  const handle = await newHandle()
  const tokens = await client.clientCredentialsGrant(
    config,
    { scope: 'read:projects', resource: apiUrl },
    { DPoP: handle },
  )
  const token = tokens.access_token
  /** The status, or the code of the client's error. */
  const get = async (DPoP = handle, path = '/v1/projects', method = 'GET'): Promise<unknown> => {
    const url = new URL(apiUrl + path)
    const sent = client.fetchProtectedResource(config, token, url, method, undefined, undefined, { DPoP })
    return sent.then(
      ({ status }) => status,
      (error: unknown) => error,
    )
  }
  return { tokens, token, apiUrl, get, newHandle, statuses }
}

describe('a client that has its tokens bound to its key', () => {
  test.each([['ES256'], ['Ed25519']])('reads projects, with proofs signed by %s', async (alg) => {
    const { tokens, get } = await world({}, alg)
    expect(tokens.token_type).toBe('dpop')
    expect(await get()).toBe(200)
    expect(await get(undefined, '/v1/projects?page=2')).toBe(200)
    expect(await get(undefined, '/v1/projects', 'POST')).toBe(200)
  })

  test('learns the nonce of the API, once', async () => {
    const { get, statuses } = await world({ nonceSecrets: [randomBytes(32).toString('base64url')] })
    expect([await get(), await get(), await get()]).toEqual([200, 200, 200])
    expect(statuses).toEqual([401, 200, 200, 200])
  })

  test('cannot use them with another key, nor as plain bearer tokens', async () => {
    const { get, newHandle, token, apiUrl } = await world()
    const refused = await get(await newHandle())
    expect(refused).toBeInstanceOf(client.WWWAuthenticateChallengeError)
    expect(refused).toMatchObject({
      status: 401,
      cause: [{ scheme: 'bearer' }, { scheme: 'dpop', parameters: { error: 'invalid_token' } }],
    })
    const headers = { authorization: `Bearer ${token}` }
    expect((await fetch(`${apiUrl}/v1/projects`, { headers })).status).toBe(401)
  })
})
