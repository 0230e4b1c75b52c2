import { generateKeyPairSync } from 'node:crypto'
import { decodeJwt } from 'jose'
import { describe, expect, onTestFinished, test } from 'vitest'
import { isOAuthError } from '../../lib/errors.js'
import { httpClient } from '../../lib/http.js'
import { algorithms } from '../../lib/jose/jwt.js'
import { createTokenClient, type TokenClientOptions } from '../../lib/oauth/client.js'
import { introspection, judgeIntrospection } from '../../lib/oauth/introspection.js'
import type { ServerMetadata } from '../../lib/oauth/server-metadata.js'
import { startFaultyServer, type Fault, type FaultName, type FaultyServer } from '../support/faulty-server.js'
import { json } from '../support/faulty-server/answer.js'

const token = 'an-opaque-token'

async function started(fault: FaultName | Fault = {}): Promise<FaultyServer> {
  const server = await startFaultyServer({ fault })
  onTestFinished(() => server.close())
  return server
}

function clientOf(server: FaultyServer, options: Partial<TokenClientOptions> = {}) {
  const { issuer, clientId, clientSecret } = server
  const metadata: ServerMetadata = { issuer, introspection_endpoint: `${issuer}/introspect` }
  return createTokenClient({
    clientId,
    credentials: { clientSecret },
    metadata: async () => metadata,
    http: httpClient(undefined, options.timeout ?? 5),
    algorithms,
    clockTolerance: 30,
    timeout: 5,
    emit: () => undefined,
    now: () => Date.now() / 1000,
    ...options,
  })
}

/** A server that gives this answer about whatever token. */
const answering = (body: unknown): Fault => ({ answerIntrospection: () => json(body) })

test('the answer about an active token, as the server gives it', async () => {
  const said = { active: true, scope: 'read', username: 'jane', more: { of: ['it'] } }
  const server = await started(answering(said))
  expect(await introspection(clientOf(server), token)).toEqual(said)
  expect(server.complaints).toEqual([])
})

test.each([
  [{ active: false, sub: 'jane' }],
  [{ active: 'true' }],
  [{ active: 1 }],
  [{ active: null }],
  [{}],
])('T103 nothing for %j', async (said) => {
  expect(await introspection(clientOf(await started(answering(said))), token)).toBeUndefined()
})

test('a client may prove itself with a key; the proof is for this server alone', async () => {
  const server = await started({ clientComplaints: () => [], ...answering({ active: true }) })
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const client = clientOf(server, { credentials: { privateKey: { key: privateKey } } })
  expect(await introspection(client, token)).toEqual({ active: true })
  const { body, headers } = server.requests[0] ?? {}
  expect(headers?.authorization).toBeUndefined()
  expect(decodeJwt(body?.get('client_assertion') ?? '')).toMatchObject({
    iss: server.clientId,
    sub: server.clientId,
    aud: server.issuer,
  })
})

describe('T103 what goes wrong is never the fault of who presents the token', () => {
  async function failure(run: Promise<unknown>) {
    const error = await run.then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    if (!isOAuthError(error)) throw new Error('no OAuthError was thrown')
    return error
  }

  test.each<[FaultName, status: number, code: string, reason: string | undefined]>([
    ['introspection-hang', 503, 'server_unavailable', 'timeout'],
    ['introspection-reset', 503, 'server_unavailable', 'network'],
    ['introspection-500', 503, 'server_unavailable', 'status_500'],
    ['introspection-429', 503, 'server_unavailable', 'status_429'],
    ['introspection-redirect', 503, 'invalid_server_response', 'redirect'],
    ['introspection-huge', 503, 'invalid_server_response', 'too_large'],
    ['introspection-html', 503, 'invalid_server_response', 'content_type'],
    ['introspection-jwt', 503, 'invalid_server_response', 'content_type'],
    ['introspection-404', 503, 'invalid_server_response', 'status_404'],
    ['introspection-array', 503, 'invalid_server_response', undefined],
    ['introspection-200-error', 503, 'invalid_server_response', undefined],
    ['introspection-server-error', 503, 'server_error', 'status_400'],
    ['introspection-invalid-client', 500, 'invalid_client', 'status_401'],
    ['introspection-bare-401', 500, 'invalid_client', 'status_401'],
    ['introspection-invalid-token-401', 500, 'invalid_client', 'status_401'],
    ['introspection-insufficient-scope', 500, 'server_refused', 'status_403'],
    ['introspection-unsupported-token-type', 500, 'server_refused', 'status_400'],
  ])('T103 %s: %i %s', async (fault, status, code, reason) => {
    const server = await started(fault)
    const timeout = fault === 'introspection-hang' ? 0.3 : 5
    const error = await failure(introspection(clientOf(server, { timeout }), token))
    expect([error.status, error.code, error.reason]).toEqual([status, code, reason])
    expect(JSON.stringify([error, error.message, error.hint, error.serverError])).not.toContain(token)
  })

  test('T103 a server that names no endpoint', async () => {
    const server = await started()
    const { issuer } = server
    const error = await failure(
      introspection(clientOf(server, { metadata: async () => ({ issuer }) }), token),
    )
    expect([error.status, error.code, error.headers['retry-after']]).toEqual([
      503,
      'invalid_server_metadata',
      '5',
    ])
  })

  test('T103 a function that gives no secret', async () => {
    const server = await started()
    const credentials = { clientSecret: () => Promise.reject(new Error('sealed')) }
    const error = await failure(introspection(clientOf(server, { credentials }), token))
    expect([error.status, error.code]).toEqual([503, 'temporarily_unavailable'])
    expect(server.counts.introspection).toBe(0)
  })

  test('T103 a refused secret is followed by the next, a bare 401 alike', async () => {
    const server = await started()
    const seen: (string | undefined)[] = []
    server.misbehave({
      clientComplaints: () => [],
      answerIntrospection: (op) => {
        seen.push(op.requests.at(-1)?.headers.authorization)
        return seen.length === 1 ? { status: 401, headers: {}, body: '' } : json({ active: true })
      },
    })
    const client = clientOf(server, { credentials: { clientSecret: ['old', 'new'] } })
    expect(await introspection(client, token)).toEqual({ active: true })
    expect(new Set(seen).size).toBe(2)
  })

  test('T103 each says what to do', async () => {
    const hintOf = async (fault: FaultName) =>
      (await failure(introspection(clientOf(await started(fault)), token))).hint
    expect(await hintOf('introspection-invalid-client')).toContain('"introspection.clientId"')
    expect(await hintOf('introspection-jwt')).toContain('RFC 9701')
    expect(await hintOf('introspection-unsupported-token-type')).toContain('"introspection.tokens"')
  })
})

describe('the judgement of an answer', () => {
  const now = 1_000_000
  const rules = {
    issuer: 'https://auth.example.com',
    audience: { claim: 'aud', values: ['https://api.example.com'] },
    profile: 'any' as const,
    clockTolerance: 30,
    now: () => now,
  }
  const answer = { active: true, aud: 'https://api.example.com' }

  test('T103 what is left out is what was configured, and stays out of the claims', () => {
    expect(judgeIntrospection(answer, rules, now + 60)).toEqual({
      claims: answer,
      subject: undefined,
      clientId: undefined,
      scopes: [],
      expiresAt: now + 60,
    })
  })

  test('T103 of a profile for JWTs nothing is wanted', () => {
    expect(judgeIntrospection(answer, { ...rules, profile: 'rfc9068' }, now + 60).expiresAt).toBe(now + 60)
  })

  test('T103 where another claim says what a token is for, an answer without type and audience may be of a refresh token', () => {
    const byClient = { ...rules, audience: { claim: 'client_id', values: ['app'] } }
    const judged = (said: object) => {
      try {
        return judgeIntrospection({ active: true, client_id: 'app', ...said }, byClient, now + 60).clientId
      } catch (error) {
        return isOAuthError(error) && error.reason
      }
    }
    expect([judged({ token_type: 'Bearer' }), judged({ aud: 'https://other.example' }), judged({})]).toEqual([
      'app',
      'app',
      'token_type',
    ])
    expect(judged({ token_type: 'Bearer', client_id: 'another' })).toBe('audience')
  })

  test('T103 what is there is judged', () => {
    const full = {
      ...answer,
      iss: rules.issuer,
      sub: 'jane',
      client_id: 'app',
      scope: 'read write',
      exp: now + 1_000,
    }
    expect(judgeIntrospection(full, rules, now + 60)).toMatchObject({
      subject: 'jane',
      clientId: 'app',
      scopes: ['read', 'write'],
      expiresAt: now + 1_000,
    })
    expect(judgeIntrospection({ ...full, exp: now - 29 }, rules, now + 60).expiresAt).toBe(now - 29)
    const refused = expect.objectContaining({ code: 'invalid_token' })
    for (const change of [{ exp: now - 30 }, { iss: `${rules.issuer}/` }, { aud: rules.issuer }])
      expect(() => judgeIntrospection({ ...full, ...change }, rules, now + 60)).toThrow(refused)
  })
})
