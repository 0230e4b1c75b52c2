/** T103: tokens that the authorization server is asked about, by what it answers, when it cannot, and how long it holds. */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  createVerifier,
  isOAuthError,
  type IntrospectionOptions,
  type OAuthBearerOptions,
} from '../../../lib/index.js'
import { everythingIn, leaks } from '../../support/canaries.js'
import {
  startFaultyServer,
  type Fault,
  type FaultName,
  type FaultyServer,
  type FaultyServerOptions,
} from '../../support/faulty-server.js'
import { hang, json } from '../../support/faulty-server/answer.js'
import type { introspectionFaults } from '../../support/faulty-server/faults/introspection.js'
import { introspectionResponse } from '../../support/faulty-server/introspection.js'
import { jump, travel } from '../../support/time.js'
import { startApi, type Api } from './api.js'
import { audience, startIssuer, type Members } from './issuer.js'

type IntrospectionFault = keyof typeof introspectionFaults & FaultName

interface Scene {
  readonly server: FaultyServer
  readonly api: Api
  /** An access token for the API, as the server issues them. */
  token(): Promise<string>
}

interface SceneOptions {
  readonly server?: FaultyServerOptions
  readonly introspection?: Partial<IntrospectionOptions>
  readonly options?: Partial<OAuthBearerOptions>
  readonly framework?: '4' | '5'
}

async function scene({ server: serverOptions, introspection, options, framework }: SceneOptions = {}) {
  const server = await startFaultyServer(serverOptions)
  onTestFinished(() => server.close())
  const { clientId, clientSecret, issuer } = server
  const api = await startApi(
    { url: issuer },
    {
      ...(framework && { framework }),
      options: {
        introspection: { clientId, clientSecret, ...introspection },
        ...options,
      },
    },
  )
  const made: Scene = { server, api, token: async () => issuedBy(server) }
  return made
}

async function issuedBy({ issuer, clientId, clientSecret }: FaultyServer): Promise<string> {
  const credentials = `${clientId}:${encodeURIComponent(clientSecret)}`
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      scope: 'read:projects',
      resource: audience,
    }),
  })
  const { access_token } = (await response.json()) as { access_token: string }
  return access_token
}

/** What the server says of a good token, but for these members. */
function saying(changes: Members): Fault {
  return {
    introspection: (op, authorization, token) => ({
      ...introspectionResponse(op, authorization, token),
      ...changes,
    }),
  }
}

describe.each(['4', '5'] as const)('with Express %s', (framework) => {
  test('T103 a token that only the server can read opens the API, and another does not', async () => {
    const { server, api, token } = await scene({ framework })
    const { status, body } = await api.present(await token())
    expect([status, JSON.parse(body)]).toMatchObject([
      200,
      { kind: 'bearer', subject: 'client-1', clientId: 'client-1', scopes: ['read:projects'] },
    ])
    expect(await api.verdict('made-up')).toBe('401 inactive')
    expect((await api.present('made-up')).challenge).toBe(
      'Bearer error="invalid_token", error_description="The access token is not valid"',
    )
    expect(server.complaints).toEqual([])
  })

  test('T103 a server that is away is a 503 with Retry-After and without a challenge', async () => {
    const { api, token } = await scene({ framework, server: { fault: 'introspection-503' } })
    const { status, headers, challenge } = await api.present(await token())
    expect([status, headers['retry-after'], challenge]).toEqual([503, '30', undefined])
  })
})

describe('T103 the question', () => {
  test('T103 is a POST with the token in its body and nowhere else, from a client that has proved itself', async () => {
    const { server, api, token } = await scene()
    const presented = await token()
    expect(await api.verdict(presented)).toBe('200')
    const asked = server.requests.filter(({ endpoint }) => endpoint === 'introspection')
    expect(asked).toHaveLength(1)
    const [{ method, path, query, headers, body }] = asked as [(typeof asked)[0]]
    expect([method, path, query.size]).toEqual(['POST', '/introspect', 0])
    expect(Object.fromEntries(body)).toEqual({ token: presented, token_type_hint: 'access_token' })
    expect(headers.authorization).toMatch(/^Basic /)
    const elsewhere = server.requests.filter(({ endpoint }) => !['introspection', 'token'].includes(endpoint))
    expect(everythingIn([elsewhere, headers])).not.toContain(presented)
  })

  test.each<[string, Partial<IntrospectionOptions>, FaultyServerOptions]>([
    ['client_secret_post by the metadata', {}, { clientAuthentication: 'client_secret_post' }],
    [
      'client_secret_post by the options',
      { tokenEndpointAuthMethod: 'client_secret_post' },
      { clientAuthentication: 'client_secret_post' },
    ],
    [
      'a method that the metadata names for this endpoint alone',
      {},
      {
        clientAuthentication: 'client_secret_post',
        fault: withMetadata({
          token_endpoint_auth_methods_supported: ['client_secret_basic'],
          introspection_endpoint_auth_methods_supported: ['client_secret_post'],
        }),
      },
    ],
  ])('T103 by %s', async (_what, introspection, server) => {
    const { api, server: op } = await scene({ introspection, server })
    await api.present('made-up')
    expect(op.complaints).toEqual([])
    expect(await api.verdict('made-up')).toBe('401 inactive')
  })

  test('T103 goes with the secret that works while it is being replaced', async () => {
    const { server, api, token } = await scene({ introspection: { clientSecret: ['old', 'new'] } })
    const first = await token()
    server.changeSecret('old')
    expect(await api.verdict(first)).toBe('200')
    server.changeSecret('new')
    expect(await api.verdict(await token())).toBe('200')
  })

  test.each([
    ['a text with a space', 'two words'],
    ['a line break', 'a\r\nb'],
    ['nothing', ''],
    ['more than fits a header', 'x'.repeat(16_385)],
  ])('T103 is not asked of %s', async (_what, token) => {
    const server = await startFaultyServer()
    onTestFinished(() => server.close())
    const { issuer, clientId, clientSecret } = server
    const verifier = createVerifier({ issuer, audience, introspection: { clientId, clientSecret } })
    await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'invalid_token', reason: 'malformed' })
    expect(server.requests).toEqual([])
  })
})

describe('T103 where the question goes', () => {
  test('T103 a redirect is not followed', async () => {
    const { server, api, token } = await scene({ server: { fault: 'introspection-redirect' } })
    expect((await api.present(await token())).status).toBe(503)
    expect(server.elsewhere).toEqual([])
  })

  test('T103 a token cannot say where', async () => {
    const attacker = await startIssuer()
    const { server, api } = await scene({ introspection: { tokens: 'all' } })
    const token = attacker.token({ iss: attacker.url }, { jku: `${attacker.url}/keys` })
    expect(await api.verdict(token)).toBe('401 issuer')
    expect(attacker.requests).toEqual([])
    expect(server.requests).toEqual([])
  })

  test.each([
    ['http to another machine', 'http://op.example/introspect'],
    ['no URL', 'introspect'],
    ['a user and a password', 'http://a:b@127.0.0.1/introspect'],
    ['a number', 7],
  ])('T103 metadata with %s is refused', async (_what, endpoint) => {
    const { server, api, token } = await scene({
      server: { fault: withMetadata({ introspection_endpoint: endpoint }) },
    })
    expect((await api.present(await token())).status).toBe(503)
    expect(server.counts.introspection).toBe(0)
  })

  test('T103 metadata without the endpoint is a 503, and configuration tells where it is', async () => {
    const fault = withMetadata({ introspection_endpoint: undefined })
    const without = await scene({ server: { fault } })
    expect((await without.api.present(await without.token())).status).toBe(503)
    expect(without.api.events).toContainEqual(
      expect.objectContaining({ type: 'request_failed', code: 'invalid_server_metadata' }),
    )

    const server = await startFaultyServer({ fault })
    onTestFinished(() => server.close())
    const { issuer, clientId, clientSecret } = server
    const introspection = { clientId, clientSecret, endpoint: `${issuer}/introspect` }
    const api = await startApi({ url: issuer }, { options: { introspection } })
    expect(await api.verdict(await issuedBy(server))).toBe('200')
    expect(server.counts.discovery).toBe(0)
  })
})

test('T103 an API is ready when it knows where to ask, and with tokens "all" without keys', async () => {
  const ready = async (tokens: 'opaque' | 'all', changes: Members) => {
    const server = await startFaultyServer({ fault: withMetadata(changes) })
    onTestFinished(() => server.close())
    const { issuer, clientId, clientSecret } = server
    const introspection = { clientId, clientSecret, tokens }
    const verifier = createVerifier({ issuer, audience, introspection })
    return verifier.ready().then(
      () => 'ready',
      (error: unknown) => isOAuthError(error) && error.code,
    )
  }
  expect(await ready('opaque', {})).toBe('ready')
  expect(await ready('opaque', { introspection_endpoint: undefined })).toBe('invalid_server_metadata')
  expect(await ready('opaque', { jwks_uri: undefined })).toBe('key_set_unavailable')
  expect(await ready('all', { jwks_uri: undefined })).toBe('ready')
})

describe('T103 an answer that does not say yes', () => {
  const faults: IntrospectionFault[] = [
    'introspection-inactive',
    'introspection-active-text',
    'introspection-active-one',
    'introspection-active-null',
    'introspection-active-list',
    'introspection-active-absent',
    'introspection-empty-object',
  ]
  test('T103 is a 401, whatever else stands in it', async () => {
    const { server, api, token } = await scene()
    for (const fault of faults) {
      const presented = await token()
      server.misbehave(fault)
      expect([fault, await api.verdict(presented)]).toEqual([fault, '401 inactive'])
      server.misbehave()
    }
    expect(server.counts.introspection).toBe(faults.length)
  })
})

describe('T103 an answer that says it of something else', () => {
  const inOneHour = Math.floor(Date.now() / 1000) + 3600
  const rows: [Members, verdict: string][] = [
    [{}, '200'],
    [{ iss: undefined }, '200'],
    [{ iss: 'https://other.example' }, '401 issuer'],
    [{ iss: null }, '401 issuer'],
    [{ aud: undefined }, '401 audience'],
    [{ aud: 'https://other.example' }, '401 audience'],
    [{ aud: `${audience}/v1` }, '401 audience'],
    [{ aud: ['https://other.example', audience] }, '200'],
    [{ exp: undefined }, '200'],
    [{ exp: inOneHour - 2 * 3600 }, '401 expired'],
    [{ exp: String(inOneHour) }, '401 exp'],
    [{ exp: null }, '401 exp'],
    [{ nbf: inOneHour }, '401 nbf'],
    [{ iat: inOneHour }, '401 iat'],
    [{ sub: 7 }, '401 sub'],
    [{ sub: undefined, username: 'jane' }, '200'],
    [{ token_type: undefined }, '200'],
    [{ token_type: 'bEARER' }, '200'],
    [{ token_type: 'DPoP' }, '401 token_type'],
    [{ token_type: 'mac' }, '401 token_type'],
    [{ token_type: 'refresh_token' }, '401 token_type'],
    [{ token_type: null }, '401 token_type'],
    [{ token_use: 'access_token' }, '200'],
    [{ token_use: 'refresh_token' }, '401 not_an_access_token'],
    [{ token_use: 'refresh' }, '401 not_an_access_token'],
    [{ token_use: 'id_token' }, '401 not_an_access_token'],
    [{ typ: 'Refresh' }, '401 not_an_access_token'],
    [{ typ: 'ID' }, '401 not_an_access_token'],
    [{ typ: 'Bearer' }, '200'],
    [{ nonce: 'n' }, '401 not_an_access_token'],
    [{ cnf: { jkt: 'x' } }, '401 sender_constrained'],
    [{ cnf: { 'x5t#S256': 'x' } }, '401 sender_constrained'],
    [{ cnf: null }, '401 sender_constrained'],
  ]
  test('T103 is judged as the claims of a JWT are, also from memory', async () => {
    const { server, api, token } = await scene()
    for (const [changes, verdict] of rows) {
      const presented = await token()
      server.misbehave(saying(changes))
      expect([changes, await api.verdict(presented)]).toEqual([changes, verdict])
      expect([changes, await api.verdict(presented)]).toEqual([changes, verdict])
    }
    expect(server.counts.introspection).toBe(rows.length)
  })

  test('T103 a refresh token opens nothing', async () => {
    const { api } = await scene({ server: { fault: { ...saying({}), ...issuingRefreshTokens } } })
    expect(await api.verdict('refresh-token-1')).toBe('401 audience')
  })

  test('T103 a scope that was not granted is not there', async () => {
    const { api, token } = await scene()
    const presented = await token()
    expect((await api.present(presented, '/projects')).status).toBe(200)
    expect((await api.present(presented, '/both')).status).toBe(403)
  })
})

describe('T103 an answer that is none', () => {
  const rows: [fault: IntrospectionFault, code: string, status: number, retryAfter?: string][] = [
    ['introspection-hang', 'server_unavailable', 503, '5'],
    ['introspection-reset', 'server_unavailable', 503, '5'],
    ['introspection-500', 'server_unavailable', 503, '5'],
    ['introspection-503', 'server_unavailable', 503, '30'],
    ['introspection-429', 'server_unavailable', 503, '7'],
    ['introspection-html', 'invalid_server_response', 503, '5'],
    ['introspection-404', 'invalid_server_response', 503, '5'],
    ['introspection-empty-200', 'invalid_server_response', 503, '5'],
    ['introspection-half-json', 'invalid_server_response', 503, '5'],
    ['introspection-array', 'invalid_server_response', 503, '5'],
    ['introspection-null', 'invalid_server_response', 503, '5'],
    ['introspection-true', 'invalid_server_response', 503, '5'],
    ['introspection-200-error', 'invalid_server_response', 503, '5'],
    ['introspection-huge', 'invalid_server_response', 503, '5'],
    ['introspection-redirect', 'invalid_server_response', 503, '5'],
    ['introspection-jwt', 'invalid_server_response', 503, '5'],
    ['introspection-server-error', 'server_error', 503, '5'],
    // The server does not let this API in: its own set-up, of which no client hears a 401.
    ['introspection-invalid-client', 'invalid_client', 500],
    ['introspection-bare-401', 'invalid_client', 500],
    ['introspection-invalid-token-401', 'invalid_client', 500],
    ['introspection-invalid-request', 'server_refused', 500],
    ['introspection-insufficient-scope', 'server_refused', 500],
  ]
  test.each(rows)('T103 %s: %s, %i', async (fault, code, status, retryAfter) => {
    const timeout = fault === 'introspection-hang' ? 0.3 : 5
    const { server, api, token } = await scene({ options: { timeout } })
    const presented = await token()
    server.misbehave(fault)
    const answer = await api.present(presented)
    expect([answer.status, answer.headers['retry-after'], answer.challenge]).toEqual([
      status,
      retryAfter,
      undefined,
    ])
    expect(JSON.parse(answer.body)).toMatchObject({
      error: status === 503 ? 'temporarily_unavailable' : code,
    })
    const failure = api.events.find((event) => event.type === 'request_failed')
    const hint = failure?.type === 'request_failed' ? (failure.error.hint ?? '') : 'no event'
    // Of an outage there is nothing that could be said of this endpoint.
    const isOutage = code === 'server_unavailable' || code === 'server_error'
    expect([failure, hint.includes('introspect')]).toMatchObject([{ code }, !isOutage])
    const seen = [
      { where: 'events', text: everythingIn(api.events) },
      { where: 'the answer', text: everythingIn(answer) },
    ]
    expect(leaks(seen, server.secrets)).toEqual([])
  })

  test('T103 junk that looks to the server like a JWT is bad junk, and no failure', async () => {
    const { api } = await scene({ server: { fault: 'introspection-unsupported-token-type' } })
    expect(await api.verdict('eyJhbGciOiJub25lIn0')).toBe('401 inactive')
  })

  test('T103 a server that introspects no JWTs cannot be asked about all tokens', async () => {
    const { api } = await scene({
      server: { fault: 'introspection-unsupported-token-type' },
      introspection: { tokens: 'all' },
    })
    expect((await api.present('eyJhbGciOiJub25lIn0.e30.e30')).status).toBe(500)
  })

  test('T103 nobody remembers an outage: the next request asks again', async () => {
    const { server, api, token } = await scene()
    const presented = await token()
    server.misbehave('introspection-500')
    expect((await api.present(presented)).status).toBe(503)
    server.misbehave()
    expect(await api.verdict(presented)).toBe('200')
  })

  test('T103 a limit of the server holds back all questions for as long as it says', async () => {
    const { server, api, token } = await scene()
    const presented = await token()
    travel(0)
    server.misbehave('introspection-429')
    expect((await api.present('another')).headers['retry-after']).toBe('7')
    server.misbehave()
    travel(4)
    const { status, headers } = await api.present(presented)
    expect([status, headers['retry-after']]).toEqual([503, '3'])
    expect(server.counts.introspection).toBe(1)
    travel(3)
    expect(await api.verdict(presented)).toBe('200')
  })
})

describe('T103 what is remembered', () => {
  test('T103 an answer holds for a minute, and a revocation is seen by then', async () => {
    travel(0)
    const { server, api, token } = await scene()
    const presented = await token()
    for (let times = 0; times < 3; times += 1) expect(await api.verdict(presented)).toBe('200')
    expect(server.counts.introspection).toBe(1)
    server.misbehave('introspection-inactive')
    travel(59)
    expect(await api.verdict(presented)).toBe('200')
    travel(1)
    expect(await api.verdict(presented)).toBe('401 inactive')
  })

  test('T103 the time counts from the question, not from the answer', async () => {
    travel(0)
    const { server, api, token } = await scene({
      introspection: { cacheLifetime: 20 },
      options: { timeout: 30 },
    })
    const presented = await token()
    server.misbehave({
      answerIntrospection: (_op, response) => {
        travel(15)
        return json(response)
      },
    })
    expect(await api.verdict(presented)).toBe('200')
    server.misbehave('introspection-inactive')
    travel(5)
    expect(await api.verdict(presented)).toBe('401 inactive')
  })

  test('T103 no longer than the token itself', async () => {
    travel(0)
    const exp = Math.floor(Date.now() / 1000) + 20
    const { server, api, token } = await scene({ server: { fault: saying({ exp }) } })
    const presented = await token()
    expect(await api.verdict(presented)).toBe('200')
    travel(21)
    expect(await api.verdict(presented)).toBe('200') // within the tolerance for clocks, but not from memory
    expect(server.counts.introspection).toBe(2)
    travel(30)
    expect(await api.verdict(presented)).toBe('401 expired')
  })

  test('T103 without an end of its own, the token is good for as long as the answer holds', async () => {
    const { api, token } = await scene({ server: { fault: saying({ exp: undefined }) } })
    travel(0)
    const { body } = await api.present(await token())
    expect(JSON.parse(body)).toMatchObject({ expiresAt: Math.floor(Date.now() / 1000) + 60 })
  })

  test('T103 for as long as is configured, or not at all', async () => {
    travel(0)
    const short = await scene({ introspection: { cacheLifetime: 5 } })
    const presented = await short.token()
    expect(await short.api.verdict(presented)).toBe('200')
    short.server.misbehave('introspection-inactive')
    travel(4)
    expect(await short.api.verdict(presented)).toBe('200')
    travel(1)
    expect(await short.api.verdict(presented)).toBe('401 inactive')

    const none = await scene({ introspection: { cacheLifetime: 0 } })
    const another = await none.token()
    expect(await none.api.verdict(another)).toBe('200')
    none.server.misbehave('introspection-inactive')
    expect(await none.api.verdict(another)).toBe('401 inactive')
    none.server.misbehave()
    expect(await none.api.verdict(another)).toBe('200')
  })

  test('T103 a refusal holds for ten seconds, of this token alone', async () => {
    travel(0)
    const { server, api, token } = await scene({ server: { fault: 'introspection-inactive' } })
    const [one, another] = [await token(), await token()]
    expect(await api.verdict(one)).toBe('401 inactive')
    server.misbehave()
    travel(9)
    expect(await api.verdict(one)).toBe('401 inactive')
    expect(await api.verdict(another)).toBe('200')
    expect(server.counts.introspection).toBe(2)
    travel(1)
    expect(await api.verdict(one)).toBe('200')
  })

  test('T103 a clock that is set back makes nothing last longer', async () => {
    const { server, api, token } = await scene({ introspection: { cacheLifetime: 0.2 } })
    const presented = await token()
    expect(await api.verdict(presented)).toBe('200')
    server.misbehave('introspection-inactive')
    jump(-3600)
    await sleep(210)
    expect(await api.verdict(presented)).toBe('401 inactive')
  })

  test('T103 a server that goes away takes along what has run out: 503, never 200 and never 401', async () => {
    travel(0)
    const { server, api, token } = await scene()
    const presented = await token()
    expect(await api.verdict(presented)).toBe('200')
    server.misbehave('introspection-500')
    travel(59)
    expect(await api.verdict(presented)).toBe('200')
    travel(1)
    expect((await api.present(presented)).status).toBe(503)
  })

  test('T103 each token has an answer of its own, also of tokens that end alike', async () => {
    const { server, api } = await scene({
      server: {
        fault: {
          answerIntrospection: (op) => {
            const sub = op.requests.at(-1)?.body.get('token')
            return json({ active: true, sub, aud: audience, token_type: 'Bearer' })
          },
        },
      },
    })
    const tokens = ['one', 'two'].map((name) => `${name}-${'x'.repeat(100)}`)
    for (const token of [...tokens, ...tokens]) {
      const { body } = await api.present(token)
      expect(JSON.parse(body)).toMatchObject({ subject: token })
    }
    expect(server.counts.introspection).toBe(2)
  })

  test('T103 a JWT is verified here, and nobody is asked about it', async () => {
    const issuer = await startIssuer()
    const api = await startApi(issuer, {
      options: {
        introspection: { clientId: 'api', clientSecret: 'secret', endpoint: `${issuer.url}/introspect` },
      },
    })
    expect(await api.verdict(issuer.token())).toBe('200')
    expect(await api.verdict(issuer.token({ aud: 'another' }))).toBe('401 audience')
    expect(issuer.requests.filter((request) => request.startsWith('POST'))).toEqual([])
  })

  test('T103 with tokens "all", the revocation of a JWT is seen, and there need be no keys', async () => {
    travel(0)
    const issuer = await startIssuer()
    const fault: Fault = {
      ...withMetadata({ jwks_uri: undefined }),
      answerIntrospection: () => json({ active: true, aud: audience, token_type: 'Bearer' }),
    }
    const { server, api } = await scene({ server: { fault }, introspection: { tokens: 'all' } })
    const token = issuer.token({ iss: server.issuer })
    expect(await api.verdict(token)).toBe('200')
    server.misbehave('introspection-inactive')
    travel(60)
    expect(await api.verdict(token)).toBe('401 inactive')
    expect(server.counts.jwks).toBe(0)
  })
})

describe('T103 a crowd', () => {
  test('T103 with one token asks once', async () => {
    const { server, api, token } = await scene()
    const presented = await token()
    const answers = await Promise.all(Array.from({ length: 30 }, async () => api.present(presented)))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(server.counts.introspection).toBe(1)
  })

  test('T103 with one bad token asks once, and each request has a challenge of its own', async () => {
    const { server, api } = await scene()
    const answers = await Promise.all(Array.from({ length: 30 }, async () => api.present('made-up')))
    expect(new Set(answers.map(({ status, challenge }) => `${status} ${challenge?.slice(0, 6)}`))).toEqual(
      new Set(['401 Bearer']),
    )
    expect(server.counts.introspection).toBe(1)
    const errors = api.events.flatMap((event) => (event.type === 'token_rejected' ? [event.error] : []))
    expect(new Set(errors).size).toBe(30)
  })

  test('T103 with as many tokens is at the server fifty at a time, and what is too much is a 503', async () => {
    const server = await startFaultyServer()
    onTestFinished(() => server.close())
    const { issuer, clientId, clientSecret } = server
    const introspection = { clientId, clientSecret }
    const verifier = createVerifier({ issuer, audience, timeout: 20, introspection })
    await verifier.ready()
    server.misbehave({ answerIntrospection: () => hang() })
    const refused: unknown[] = []
    for (let one = 0; one < 1_060; one += 1)
      verifier.verify(`made-up-${one}`).catch((error: unknown) => refused.push(error))
    await expect.poll(() => server.counts.introspection, { timeout: 10_000 }).toBe(50)
    // Ten find no place in the queue; the others wait there for a second, and not until the server gives an answer.
    await expect.poll(() => refused.length, { timeout: 5_000 }).toBe(1_010)
    expect(refused[0]).toMatchObject({ code: 'server_unavailable', status: 503, reason: 'too_busy' })
    expect(server.counts.introspection).toBe(50)
    server.misbehave()
  })
})

function withMetadata(changes: Members): Fault {
  return {
    answerDiscovery: async (op) => json({ ...(await op.steps.metadata(op)), ...changes }),
  }
}

/** As at servers that introspect them; this one is known by its name. */
const issuingRefreshTokens: Fault = {
  answerIntrospection: (op) =>
    json({ active: true, iss: op.issuer, sub: 'user-1', client_id: 'client-1', scope: 'read:projects' }),
}
