/** What a refused client is told: status, challenge and body to the letter (RFC 6750 §3). */
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { oauthBearer, OAuthError, requireScope, type OAuthBearerOptions } from '../../../lib/index.js'
import { everythingIn } from '../../support/canaries.js'
import { hang, html, json, reset, type Answer } from '../../support/faulty-server/answer.js'
import { newSigningKey } from '../../support/faulty-server/signing-key.js'
import { guardedApi, projectRoutes, type Api, type ApiAnswer } from './api.js'
import { audience, rs256, seconds, type Issuer } from './issuer.js'

type Send = (api: Api, issuer: Issuer) => Promise<ApiAnswer>

const invalid = 'error="invalid_token", error_description="The access token is not valid"'
const malformed = 'error="invalid_request", error_description="The Authorization header is malformed"'
const tooLittle = 'error_description="More scope is needed than the access token has"'

/** Case, request, status, parameters of the challenge, `error` of the body. */
const answers: [what: string, send: Send, status: number, challenge: string, error: string][] = [
  ['no credentials', (api) => api.send({}), 401, '', 'missing_credentials'],
  [
    'another scheme',
    (api) => api.send({ headers: ['authorization', 'Basic eDp5'] }),
    401,
    '',
    'missing_credentials',
  ],
  [
    'a malformed header',
    (api) => api.send({ headers: ['authorization', 'Bearer a b'] }),
    400,
    malformed,
    'invalid_request',
  ],
  [
    'a repeated header',
    (api) => api.send({ headers: ['authorization', 'Bearer a', 'authorization', 'Bearer b'] }),
    400,
    malformed,
    'invalid_request',
  ],
  ['junk', (api) => api.present('junk'), 401, invalid, 'invalid_token'],
  [
    'a bad signature',
    (api, issuer) => api.present(issuer.token({}, {}, () => Buffer.alloc(256, 1))),
    401,
    invalid,
    'invalid_token',
  ],
  [
    'an unknown key',
    (api, issuer) => api.present(issuer.token({}, { kid: 'x' })),
    401,
    invalid,
    'invalid_token',
  ],
  [
    'an expired token',
    (api, issuer) => api.present(issuer.token({ exp: seconds() - 60 })),
    401,
    'error="invalid_token", error_description="The access token expired"',
    'invalid_token',
  ],
  [
    'another audience',
    (api, issuer) => api.present(issuer.token({ aud: 'x' })),
    401,
    invalid,
    'invalid_token',
  ],
  ['another issuer', (api, issuer) => api.present(issuer.token({ iss: 'x' })), 401, invalid, 'invalid_token'],
  [
    'an ID token',
    (api, issuer) => api.present(issuer.token({}, { typ: 'id+jwt' })),
    401,
    invalid,
    'invalid_token',
  ],
  [
    'no scope',
    (api, issuer) => api.present(issuer.token({ scope: '' }), '/projects'),
    403,
    `error="insufficient_scope", scope="read:projects", ${tooLittle}`,
    'insufficient_scope',
  ],
  [
    'one scope of two',
    (api, issuer) => api.present(issuer.token(), '/both'),
    403,
    `error="insufficient_scope", scope="read:projects write:projects", ${tooLittle}`,
    'insufficient_scope',
  ],
]

describe('T100 the challenge', () => {
  test.each(answers)('T100 %s', async (_what, send, status, challenge, error) => {
    const { api, issuer } = await guardedApi()
    const answer = await send(api, issuer)
    expect(answer).toMatchObject({ status, challenge: `Bearer ${challenge}`.trim() })
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    })
    expect(answer.headers['retry-after']).toBeUndefined()
    const body = JSON.parse(answer.body) as Record<string, unknown>
    expect(Object.keys(body)).toEqual(['error', 'error_description'])
    expect(body['error']).toBe(error)
  })

  test.each(answers)('T100 %s, with a realm', async (_what, send, status, challenge) => {
    const { api, issuer } = await guardedApi({ options: { realm: 'projects of example.com' } })
    const parameters = ['realm="projects of example.com"', challenge].filter(Boolean).join(', ')
    expect(await send(api, issuer)).toMatchObject({ status, challenge: `Bearer ${parameters}` })
  })

  test.each([['a"b'], ['a\\b'], ['a\r\nx: y'], ['\u00e4'], ['']])('T100 the realm %j is refused', (realm) => {
    expect(() => oauthBearer({ issuer: 'https://auth.example.com', audience, realm })).toThrow(
      'option "realm"',
    )
  })

  test('T100 nothing of the request comes back, and no reason goes out', async () => {
    const { api, issuer } = await guardedApi()
    const mark = 'mark"\\<script>'
    const tokens = [
      'mark.mark.mark',
      issuer.token({ iss: mark }),
      issuer.token({ aud: mark }),
      issuer.token({ sub: mark, scope: mark }, { kid: mark }),
      issuer.token({}, { typ: mark }),
      issuer.token({}, { alg: mark }),
    ]
    const answered = await Promise.all([
      ...tokens.map((token) => api.present(token, `/projects?${encodeURIComponent(mark)}`)),
      api.send({ headers: ['authorization', 'Bearer mark mark'] }),
      api.send({ headers: ['authorization', 'mark'] }),
    ])
    for (const { body, headers } of answered) {
      const text = `${body} ${JSON.stringify(headers)}`
      expect(text).not.toMatch(/mark|127\.0\.0\.1|unknown_key|malformed_header|JWT|JWS/i)
    }
  })

  test('T100 the reason goes to the event', async () => {
    const { api, issuer } = await guardedApi()
    const token = issuer.token({ aud: 'another' })
    await api.present(token)
    const event = api.events.find(({ type }) => type === 'token_rejected')
    expect(event).toMatchObject({ code: 'invalid_token', error: { reason: 'audience' } })
    expect(everythingIn(api.events)).not.toContain(token.split('.')[2])
  })
})

test('every refusal is told, also of a guard', async () => {
  const { api, issuer } = await guardedApi()
  await api.present(issuer.token({ scope: '' }), '/projects')
  expect(api.events).toContainEqual(expect.objectContaining({ code: 'insufficient_scope' }))
})

test('a failure to get keys is told with its cause', async () => {
  const { api, issuer } = await guardedApi()
  issuer.answerKeys = () => html('<title>Maintenance</title>')
  await api.present(issuer.token())
  const event = api.events.find(({ type }) => type === 'jwks_failed')
  expect(event).toMatchObject({ error: { code: 'invalid_server_response' } })
})

describe('keys that cannot be had', () => {
  const outages: [what: string, answer: () => Answer, options?: Partial<OAuthBearerOptions>][] = [
    ['down', () => reset()],
    ['failing', () => json({ error: 'server_error' }, 500)],
    ['answering with a page', () => html('<title>Maintenance</title>')],
    ['hanging', () => hang(), { timeout: 1 }],
  ]

  test.each(outages)(
    'the key server is %s: 503, no challenge, and recovery',
    async (_what, answer, options = {}) => {
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() })
      onTestFinished(() => void vi.useRealTimers())
      const { api, issuer } = await guardedApi({ options })
      const { answerKeys } = issuer
      issuer.answerKeys = answer
      const refused = await api.present(issuer.token())
      expect(refused).toMatchObject({ status: 503, challenge: undefined })
      expect(refused.headers).toMatchObject({ 'retry-after': '5', 'cache-control': 'no-store' })
      expect(JSON.parse(refused.body)).toEqual({
        error: 'temporarily_unavailable',
        error_description: 'The service is temporarily unavailable.',
      })
      expect(api.events).toContainEqual(expect.objectContaining({ code: 'key_set_unavailable' }))
      // What needs no key is judged as ever.
      expect(await api.verdict(issuer.token({ aud: 'x' }))).toBe('401 audience')
      expect((await api.send({})).status).toBe(401)

      issuer.answerKeys = answerKeys
      vi.setSystemTime(Date.now() + 2_000)
      expect((await api.present(issuer.token())).status).toBe(200)
    },
  )

  test.each(outages)('the key server is %s: a known key works on', async (_what, answer, options = {}) => {
    const { api, issuer } = await guardedApi({ options })
    expect((await api.present(issuer.token())).status).toBe(200)
    issuer.answerKeys = answer
    const unknown = issuer.token({}, { kid: 'new' }, rs256(await newSigningKey()))
    expect(await api.present(unknown)).toMatchObject({ status: 503, challenge: undefined })
    expect((await api.present(issuer.token())).status).toBe(200)
    expect((await api.present(issuer.token(), '/both')).status).toBe(403)
  })

  test.each<[string, Record<string, unknown>]>([
    ['knows no PKCE with S256', { code_challenge_methods_supported: ['plain'] }],
    ['has its login page on http', { authorization_endpoint: 'http://auth.example.com/authorize' }],
  ])('what is no affair of an API does not close it: the server %s', async (_what, metadata) => {
    const { api, issuer } = await guardedApi()
    const right = issuer.metadata()
    issuer.metadata = () => ({ ...right, ...metadata })
    expect((await api.present(issuer.token())).status).toBe(200)
  })

  test.each<[string, (url: string) => Record<string, unknown>]>([
    ['names another issuer', () => ({ issuer: 'https://evil.example' })],
    ['names no keys', () => ({ jwks_uri: undefined })],
    ['has its keys on http', () => ({ jwks_uri: 'http://evil.example/keys' })],
    ['has its keys in a file', () => ({ jwks_uri: 'file:///etc/passwd' })],
    ['has its keys behind a password', (url) => ({ jwks_uri: url.replace('//', '//user:password@') })],
    ['has no URL for its keys', () => ({ jwks_uri: 7 })],
  ])('the server %s: 503', async (_what, metadata) => {
    const { api, issuer } = await guardedApi()
    const right = issuer.metadata()
    issuer.metadata = () => ({ ...right, ...metadata(issuer.url) })
    expect(await api.present(issuer.token())).toMatchObject({ status: 503, challenge: undefined })
    expect(issuer.keyFetches).toBe(0)
  })
})

describe('onError "next"', () => {
  const options: Partial<OAuthBearerOptions> = { onError: 'next' }

  test.each(answers)('%s: the error says it all', async (_what, send, status, challenge, code) => {
    const { api, issuer } = await guardedApi({ options })
    const answer = await send(api, issuer)
    expect(answer).toMatchObject({ status, challenge: `Bearer ${challenge}`.trim() })
    expect(answer.body).toBe('the application had an error')
    expect(api.errors).toEqual([expect.any(OAuthError)])
    expect(api.errors).toMatchObject([{ status, statusCode: status, code }])
  })

  test('the challenge is in the error, too', async () => {
    const { api } = await guardedApi({ options })
    const { challenge } = await api.present('junk')
    expect(api.errors).toMatchObject([{ headers: { 'www-authenticate': challenge } }])
  })

  test('an outage too', async () => {
    const { api, issuer } = await guardedApi({ options })
    issuer.answerKeys = () => json({}, 500)
    expect(await api.present(issuer.token())).toMatchObject({ status: 503, challenge: undefined })
    expect(api.errors).toMatchObject([
      { status: 503, code: 'key_set_unavailable', headers: { 'retry-after': '5' } },
    ])
  })
})

describe('guards without a middleware before them', () => {
  test('are a mistake of the application, not of the client', async () => {
    const { api, issuer } = await guardedApi({
      before: (app) => app.get('/forgotten', requireScope('read:projects')),
      routes: (app, guard) => projectRoutes(app.use(guard)),
    })
    expect((await api.present(issuer.token(), '/forgotten')).status).toBe(500)
    expect(api.errors).toMatchObject([{ code: 'invalid_configuration' }])
  })

  test('do not take what the application puts into req.auth for a user', async () => {
    const { api, issuer } = await guardedApi({
      before: (app) => {
        app.use((req, _res, next) => {
          Object.assign(req, { auth: { kind: 'bearer', scopes: ['read:projects'] } })
          next()
        })
        app.get('/forgotten', requireScope('read:projects'), (_req, res) => void res.send('open'))
      },
    })
    expect((await api.send({ path: '/forgotten' })).status).toBe(500)
    expect((await api.send({ path: '/projects' })).status).toBe(401)
    expect((await api.present(issuer.token(), '/projects')).status).toBe(200)
  })

  test('a logged req.auth shows no token', async () => {
    const seen: unknown[] = []
    const { api, issuer } = await guardedApi({
      routes: (app, guard) =>
        app.get('/me', guard, (req, res) => {
          seen.push((req as { auth?: unknown }).auth)
          res.send('ok')
        }),
    })
    const token = issuer.token()
    await api.present(token)
    expect(seen).toMatchObject([{ token, subject: 'user-1' }])
    for (const text of [everythingIn(seen), JSON.stringify(seen)])
      expect(text).not.toContain(token.slice(-40))
  })
})
