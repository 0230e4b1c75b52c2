/** Those who keep the MCP SDK's own bearer middleware have our verifier behind it. */
import { createServer, type IncomingMessage } from 'node:http'
import { requireBearerAuth as requireBearerAuth2 } from '@modelcontextprotocol/express'
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js'
import { requireBearerAuth as requireBearerAuth1 } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js'
import { OAuthError, OAuthErrorCode, verifyBearerToken } from '@modelcontextprotocol/server'
import express, { type RequestHandler } from 'express'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createVerifier, protectedResource, toMcpVerifier, type McpAuthInfo } from '../../lib/index.js'
import { reset } from '../support/faulty-server/answer.js'
import { listening, stopped } from '../support/listening.js'
import { startIssuer } from '../threats/guard/issuer.js'

type Middleware1 = Parameters<typeof requireBearerAuth1>[0]
type Middleware2 = Parameters<typeof requireBearerAuth2>[0]
/** What both know, and no more. */
type Options = Pick<Middleware1 & Middleware2, keyof Middleware1 & keyof Middleware2>

const generations: [
  name: string,
  requireBearerAuth: (options: Options) => RequestHandler,
  invalidToken: (message: string) => Error,
][] = [
  ['1.x', requireBearerAuth1, (message) => new InvalidTokenError(message)],
  ['2.x', requireBearerAuth2, (message) => new OAuthError(OAuthErrorCode.InvalidToken, message)],
]

describe.each(generations)('the middleware of version %s', (_name, requireBearerAuth, invalidToken) => {
  async function world() {
    const issuer = await startIssuer()
    const mcp = protectedResource({ resource: 'https://api.example.com/mcp', issuer: issuer.url })
    const verifier = toMcpVerifier(createVerifier({ protectedResource: mcp, timeout: 1 }), invalidToken)
    const guard = requireBearerAuth({
      verifier,
      requiredScopes: ['mcp:read'],
      resourceMetadataUrl: mcp.metadataUrl,
      expectedResource: new URL(mcp.resource),
    })
    const seen: McpAuthInfo[] = []
    const app = express()
    app.get('/mcp', guard, (req: IncomingMessage & { auth?: unknown }, res) => {
      seen.push(req.auth as McpAuthInfo)
      res.end('in')
    })
    const server = createServer(app)
    const url = await listening(server)
    onTestFinished(() => stopped(server))
    const send = async (token: string) => {
      const answer = await fetch(`${url}/mcp`, { headers: { authorization: `Bearer ${token}` } })
      const challenge = answer.headers.get('www-authenticate')
      return { status: answer.status, challenge, body: await answer.text() }
    }
    const token = (claims = {}) => issuer.token({ aud: mcp.resource, scope: 'mcp:read mcp:list', ...claims })
    return { issuer, mcp, send, seen, token, verifier }
  }

  test('lets a good token in and knows all about it', async () => {
    const { send, seen, token, mcp, issuer, verifier } = await world()
    const good = token()
    expect(await send(good)).toMatchObject({ status: 200, body: 'in' })
    expect(seen).toEqual([
      {
        token: good,
        clientId: 'client-1',
        scopes: ['mcp:read', 'mcp:list'],
        expiresAt: expect.any(Number),
        resource: new URL(mcp.resource),
        resourceMetadataUrl: mcp.metadataUrl,
        extra: expect.objectContaining({ sub: 'user-1', iss: issuer.url }),
      },
    ])
    // The SDK's type lets handlers change the list; ours is shared by all requests with this token.
    expect(Object.isFrozen(seen[0]?.scopes)).toBe(false)
    const nameless = await verifier.verifyAccessToken(token({ client_id: undefined }))
    expect(nameless).toMatchObject({ clientId: '' })
  })

  test('refuses a bad one in fixed words, and one with too little scope with 403', async () => {
    const { send, seen, token, mcp } = await world()
    const refusals: [claims: object, description: string][] = [
      [{ exp: 1 }, 'The access token expired'],
      [{ aud: 'https://api.example.com/other' }, 'The access token is not valid'],
      [{ iss: 'https://evil.example' }, 'The access token is not valid'],
      [{ cnf: { jkt: 'x' } }, 'The access token is not valid'],
    ]
    for (const [claims, description] of refusals) {
      const { status, challenge, body } = await send(token(claims))
      expect(status).toBe(401)
      expect(challenge).toContain(`Bearer error="invalid_token", error_description="${description}"`)
      expect(challenge).toContain(`resource_metadata="${mcp.metadataUrl}"`)
      expect(JSON.parse(body)).toEqual({ error: 'invalid_token', error_description: description })
    }
    expect(await send(token({ scope: 'mcp:list' }))).toMatchObject({ status: 403 })
    expect(seen).toEqual([])
  })

  test('takes no outage for a bad token: nobody is sent to a login', async () => {
    const { send, token, issuer, seen } = await world()
    issuer.answerKeys = () => reset()
    expect(await send(token())).toMatchObject({ status: 500, challenge: null })
    expect(seen).toEqual([])
  })
})

test('what 2.x is told of a verifier without a protected resource is where the app says its metadata is', async () => {
  const issuer = await startIssuer()
  const verifier = toMcpVerifier(
    createVerifier({ issuer: issuer.url, audience: 'https://api.example.com' }),
    (message) => new OAuthError(OAuthErrorCode.InvalidToken, message),
  )
  const resourceMetadataUrl = 'https://api.example.com/.well-known/oauth-protected-resource'
  const token = issuer.token()
  const auth = await verifyBearerToken(`Bearer ${token}`, { verifier, resourceMetadataUrl })
  expect(auth).toMatchObject({ token, clientId: 'client-1', resourceMetadataUrl })
  expect(auth).not.toHaveProperty('resource')
})

test('a mistake on the way is handed on as it is', async () => {
  const mistake = new TypeError('a mistake')
  const broken = toMcpVerifier({ verify: () => Promise.reject(mistake) }, () => new Error('not this one'))
  await expect(broken.verifyAccessToken('x')).rejects.toBe(mistake)
})

test.each<[string, unknown]>([
  ['nothing', undefined],
  ['a class', InvalidTokenError],
  ['what makes no error', () => 'invalid_token'],
])('%s in the place of the error is refused at once', (_what, invalidToken) => {
  const verifier = createVerifier({ issuer: 'https://auth.example.com', audience: 'https://api.example.com' })
  expect(() => toMcpVerifier(verifier, invalidToken as () => Error)).toThrow('makes no error')
})
