import { describe, expect, test } from 'vitest'
import { isOAuthError, OAuthError } from '../lib/errors.js'
import { canary, everythingIn, leaks } from './support/canaries.js'

test('a code brings its status and its sentence', () => {
  const error = new OAuthError('insufficient_scope')
  expect(error).toBeInstanceOf(Error)
  expect(error).toMatchObject({
    name: 'OAuthError',
    code: 'insufficient_scope',
    status: 403,
    statusCode: 403,
    expose: true,
    headers: {},
    message: 'More access is needed than was granted.',
    publicMessage: 'More access is needed than was granted.',
  })
})

test('a message for developers is not for users', () => {
  const error = new OAuthError('invalid_token', { message: 'for developers' })
  expect(error).toMatchObject({ message: 'for developers', expose: false })
  expect(error.publicMessage).toBe('The access token is not valid.')
  expect(JSON.stringify(error)).toBe(
    '{"error":"invalid_token","error_description":"The access token is not valid."}',
  )
})

test.each([
  ['server_unavailable', 503, false],
  ['key_set_unavailable', 503, false],
  ['store_unavailable', 503, false],
  ['temporarily_unavailable', 503, false],
  ['invalid_configuration', 500, false],
  ['invalid_client', 500, false],
  ['missing_credentials', 401, true],
  ['invalid_token', 401, true],
  ['invalid_request', 400, true],
] as const)('%s is status %i', (code, status, expose) => {
  expect(new OAuthError(code)).toMatchObject({ status, expose })
})

test('whatever is temporary says when to come again', () => {
  expect(new OAuthError('server_unavailable').headers).toEqual({ 'retry-after': '5' })
  expect(new OAuthError('server_error').headers).toEqual({})
  expect(new OAuthError('invalid_request', { status: 503 }).headers).toEqual({ 'retry-after': '5' })
  expect(new OAuthError('server_unavailable', { headers: { 'retry-after': '60' } }).headers).toEqual({
    'retry-after': '60',
  })
})

test('a user is never told anything but the sentence of the code', () => {
  const error = new OAuthError('server_unavailable', {
    message: 'GET https://internal.example/token failed',
    hint: 'a hint',
    reason: 'network',
    serverError: { error: 'x', error_description: 'y' },
    cause: new Error('connect ECONNREFUSED 10.0.0.1'),
  })
  expect(error.toJSON()).toEqual({
    error: 'server_unavailable',
    error_description: 'The authorization server cannot be reached.',
  })
})

describe('a cause', () => {
  const secret = { role: 'secret', value: canary('secret') }

  test('keeps its name, message, code and its own cause', () => {
    const inner = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED', port: 1 })
    const { cause } = new OAuthError('server_unavailable', {
      cause: new TypeError('fetch failed', { cause: inner }),
    })
    expect(cause).toMatchObject({
      name: 'TypeError',
      message: 'fetch failed',
      cause: { message: 'connect ECONNREFUSED', code: 'ECONNREFUSED' },
    })
    expect((cause as Error).cause).not.toHaveProperty('port')
  })

  test('loses everything that could hold a secret', () => {
    const cause = Object.assign(new Error('failed', { cause: { body: secret.value } }), {
      response: new Response(secret.value),
      error_description: secret.value,
      parameters: new URLSearchParams({ code: secret.value }),
      code: { token: secret.value },
      [Symbol('hidden')]: secret.value,
    })
    const error = new OAuthError('invalid_server_response', {
      cause: new Error('outer', { cause }),
    })
    const exposed = [
      { where: 'inspect', text: everythingIn(error) },
      { where: 'JSON', text: JSON.stringify(error) },
      { where: 'text', text: `${String(error)} ${error.stack}` },
    ]
    expect(leaks(exposed, [secret])).toEqual([])
    expect(everythingIn(error)).toContain('failed')
  })

  test.each([[{ token: secret.value }], [secret.value], [null], [7], [[secret.value]]])(
    'that is no error is dropped',
    (cause) => {
      const error = new OAuthError('invalid_server_response', { cause })
      expect(error.cause).toBeUndefined()
      expect(leaks([{ where: 'inspect', text: everythingIn(error) }], [secret])).toEqual([])
    },
  )

  test('of our own stays as it is', () => {
    const cause = new OAuthError('server_unavailable', { reason: 'timeout' })
    expect(new OAuthError('key_set_unavailable', { cause }).cause).toBe(cause)
  })
})

describe('isOAuthError', () => {
  test('knows ours, also of another copy of the package', () => {
    const foreign = new Error('x')
    Object.defineProperty(foreign, Symbol.for('express-oauth-kit.OAuthError'), { value: true })
    expect(isOAuthError(new OAuthError('invalid_token'))).toBe(true)
    expect(isOAuthError(foreign)).toBe(true)
  })

  test.each([[new Error('x')], [{ code: 'invalid_token' }], ['invalid_token'], [null], [undefined]])(
    'does not know %s',
    (value) => {
      expect(isOAuthError(value)).toBe(false)
    },
  )
})
