import { ResponseBodyError } from 'openid-client'
import { describe, expect, test } from 'vitest'
import { OAuthError } from '../../lib/errors.js'
import { authorizationCodeGrant } from '../../lib/oauth/authorization-code.js'
import { authorizationRequest } from '../../lib/oauth/authorization-request.js'
import { algorithms } from '../../lib/jose/jwt.js'
import { createClient } from '../../lib/oauth/client.js'
import { authorizationError, tokenEndpointError } from '../../lib/oauth/server-error.js'
import { everythingIn } from '../support/canaries.js'

/** As openid-client throws it for an answer with an error in its body. */
function bodyError(status: number, error: string, description?: string): ResponseBodyError {
  const cause = { error, ...(description !== undefined && { error_description: description }) }
  return new ResponseBodyError('server responded with an error in the response body', {
    cause,
    response: Response.json(cause, { status }),
  })
}

/** Code and hint per error that documentation lists, with what the hint must mention. */
const authorizationCodes: [error: string, code: string, status: number, hint: RegExp][] = [
  ['invalid_request', 'invalid_request', 400, /parameter.*clientId/],
  ['unauthorized_client', 'unauthorized_client', 400, /redirect URI/],
  ['access_denied', 'access_denied', 403, /said no/],
  ['unsupported_response_type', 'unsupported_response_type', 400, /response_type=code/],
  ['unsupported_responce_type', 'unsupported_response_type', 400, /response_type=code/],
  ['invalid_scope', 'invalid_scope', 400, /case-sensitive and separated by one space/],
  ['server_error', 'server_error', 502, /logs/],
  ['temporarily_unavailable', 'temporarily_unavailable', 503, /later/],
  ['interaction_required', 'interaction_required', 400, /prompt=none/],
  ['login_required', 'login_required', 400, /prompt=none/],
  ['account_selection_required', 'account_selection_required', 400, /prompt=none/],
  ['consent_required', 'consent_required', 403, /agreed/],
]

const tokenCodes: [error: string, code: string, status: number, hint: RegExp][] = [
  [
    'invalid_request',
    'invalid_request',
    400,
    /repeated, missing or not supported.*authenticating the client/,
  ],
  ['invalid_client', 'invalid_client', 500, /"clientId" and "clientSecret" \(of this environment\?\)/],
  ['invalid_grant', 'invalid_grant', 400, /expired, used before, revoked/],
  ['unauthorized_client', 'unauthorized_client', 400, /authorization_code.*refresh_token/],
  ['unsupported_grant_type', 'unsupported_grant_type', 500, /grant type/],
  ['invalid_scope', 'invalid_scope', 400, /more than was granted/],
]

describe('at the callback', () => {
  test.each(authorizationCodes)('%s', (error, code, status, hint) => {
    const told = authorizationError({ error, error_description: 'why', error_uri: 'https://a.example/why' })
    expect(told).toMatchObject({
      code,
      status,
      serverError: { error, error_description: 'why', error_uri: 'https://a.example/why' },
    })
    expect(told.hint).toMatch(hint)
    expect(told.message).not.toContain('why')
  })
})

describe('at the token endpoint', () => {
  test.each(tokenCodes)('%s', (error, code, status, hint) => {
    for (const answered of [400, 401, 403]) {
      const told = tokenEndpointError(bodyError(answered, error, 'why'), [])
      expect(told).toMatchObject({ code, status, serverError: { error, error_description: 'why' } })
      expect(told.hint).toMatch(hint)
    }
  })
})

test.each(['invalid_code', 'mfa_required', 'constructor', '__proto__', 'toString', 'hasOwnProperty', ''])(
  'an error of the server’s own, %j, keeps its name',
  (error) => {
    const expected = { code: 'server_refused', status: 400, serverError: { error } }
    for (const told of [
      authorizationError({ error }),
      tokenEndpointError(bodyError(400, error || 'x'), []),
    ]) {
      expect(told).toMatchObject(error === '' ? { code: 'server_refused' } : expected)
      expect(told.hint).toContain('documentation')
    }
  },
)

test('no error of a server becomes a code of ours that means something else', () => {
  for (const error of [
    'invalid_token',
    'missing_credentials',
    'invalid_configuration',
    'store_unavailable',
  ]) {
    expect(authorizationError({ error }).code).toBe('server_refused')
  }
})

test('a server that wants DPoP is not one of our own refusals', () => {
  for (const error of ['use_dpop_nonce', 'invalid_dpop_proof']) {
    const expected = { code: 'server_refused', status: 400, hint: expect.stringContaining('DPoP') }
    expect(tokenEndpointError(bodyError(400, error), [])).toMatchObject(expected)
  }
})

test.each([500, 502, 503, 504])('status %i is an outage, whatever the body says', (status) => {
  const told = tokenEndpointError(bodyError(status, 'invalid_grant'), [])
  expect(told).toMatchObject({ code: 'server_unavailable', status: 503, reason: `status_${status}` })
  const bodiless = new Error('unexpected status', { cause: new Response('', { status }) })
  expect(tokenEndpointError(bodiless, [])).toMatchObject({ code: 'server_unavailable', status: 503 })
})

test('status 429 without a body is an outage too', () => {
  const bodiless = new Error('unexpected status', { cause: new Response('', { status: 429 }) })
  expect(tokenEndpointError(bodiless, [])).toMatchObject({ code: 'server_unavailable', status: 503 })
})

test('status 429 is an outage with a body as well', () => {
  expect(tokenEndpointError(bodyError(429, 'slow_down'), [])).toMatchObject({
    code: 'server_unavailable',
    status: 503,
  })
})

test.each(['server_error', 'temporarily_unavailable', 'access_denied', 'invalid_target'])(
  'the token endpoint says %s, which specifications do define',
  (error) => {
    const told = tokenEndpointError(bodyError(400, error), [])
    expect(told.hint).not.toContain('no specification defines')
  },
)

test.each([
  'invalid_target',
  'invalid_request_object',
  'request_not_supported',
  'unmet_authentication_requirements',
])('the authorization endpoint says %s, which specifications do define', (error) => {
  expect(authorizationError({ error }).hint).not.toContain('no specification defines')
})

// RFC 6749 §5.2 has a server send both: the error in the body, and the challenge in the header.
test.each(['Basic realm="tokens"', 'Basic', 'Bearer error="invalid_client"'])(
  'a client that is refused with the challenge %s is told what is wrong',
  async (challenge) => {
    const client = createClient({
      clientId: 'client-1',
      redirectUri: 'https://app.example.com/callback',
      credentials: { clientSecret: 'wrong' },
      metadata: async () => ({
        issuer: 'https://auth.example.com',
        authorization_endpoint: 'https://auth.example.com/authorize',
        token_endpoint: 'https://auth.example.com/token',
      }),
      http: async () =>
        Response.json(
          { error: 'invalid_client' },
          { status: 401, headers: { 'www-authenticate': challenge } },
        ),
      algorithms,
      clockTolerance: 30,
      timeout: 5,
      emit: () => undefined,
      now: () => 0,
    })
    const { transaction } = await authorizationRequest(client, {
      scope: ['a'],
      parameters: {},
      responseMode: 'query',
    })
    const answer = new URLSearchParams({ code: 'c', state: transaction.state })
    await expect(authorizationCodeGrant(client, transaction, answer)).rejects.toMatchObject({
      code: 'invalid_client',
      status: 500,
    })
  },
)

test.each([
  new Error('x'),
  new TypeError('x'),
  new Error('x', { cause: new Response('', { status: 400 }) }),
  new Error('x', { cause: new Error('y', { cause: new Response('<html>', { status: 200 }) }) }),
  'text',
  undefined,
  null,
])('anything else is an unusable answer', (thrown) => {
  expect(tokenEndpointError(thrown, [])).toMatchObject({ code: 'invalid_server_response', status: 502 })
})

test('an error of our own HTTP client comes through, however deep it was wrapped', () => {
  const own = new OAuthError('server_unavailable', { reason: 'timeout' })
  expect(tokenEndpointError(own, [])).toBe(own)
  expect(tokenEndpointError(new Error('a', { cause: new Error('b', { cause: own }) }), [])).toBe(own)
})

describe('the server’s words', () => {
  test('are cut and freed of everything that is not printable ASCII', () => {
    const { serverError } = authorizationError({
      error: 'invalid\u0000_\u00e9',
      error_description: `a\r\nb\u202e${'x'.repeat(1000)}`,
      error_uri: 'https://a.example/\u0007',
    })
    expect(serverError?.error).toBe('invalid?_?')
    expect(serverError?.error_description).toMatch(/^a\?\?b\?x+$/)
    expect(serverError?.error_description?.length).toBe(300)
    expect(serverError?.error_uri).toBe('https://a.example/?')
  })

  test('do not repeat the secrets of the exchange', () => {
    const secrets = ['the-code', 'the-verifier', 'the-secret', '']
    const told = tokenEndpointError(
      bodyError(400, 'invalid_grant', 'code the-code with the-verifier and the-secret, the-code'),
      secrets,
    )
    expect(told.serverError?.error_description).toBe(
      'code [redacted] with [redacted] and [redacted], [redacted]',
    )
    expect(everythingIn(told)).not.toMatch(/the-(code|verifier|secret)/)
  })
})
