import { describe, expect, test } from 'vitest'
import { OAuthError, type TokenResponseHook } from '../../lib/index.js'
import { httpClient } from '../../lib/http.js'
import { authorizationCodeGrant } from '../../lib/oauth/authorization-code.js'
import { transactionBinding, type AuthorizationTransaction } from '../../lib/oauth/authorization-request.js'
import { createClient } from '../../lib/oauth/client.js'
import { lenientTokenResponse } from '../../lib/oauth/lenient-token-response.js'
import { refreshTokenGrant } from '../../lib/oauth/refresh-token.js'
import type { TokenSet } from '../../lib/oauth/token-set.js'
import { canary, everythingIn, showsCanary, urlSafeCanary } from '../support/canaries.js'
import type { Answer } from '../support/faulty-server/answer.js'
import { startLocalServer } from './local-server.js'

const now = () => Math.floor(Date.now() / 1_000)
const access = urlSafeCanary('access-token')
const refresh = urlSafeCanary('refresh-token')
const good = { access_token: access, token_type: 'Bearer', expires_in: 300, scope: 'read' }

function form(fields: Record<string, string>, type = 'application/x-www-form-urlencoded'): Answer {
  return { status: 200, headers: { 'content-type': type }, body: new URLSearchParams(fields).toString() }
}

function said(body: unknown, status = 200, type = 'application/json'): Answer {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return { status, headers: { 'content-type': type }, body: text }
}

/** The same answer to a code and to a refresh token. */
async function both(answer: Answer, hook: TokenResponseHook | undefined, path = '/token') {
  const server = await startLocalServer(() => answer)
  const metadata = {
    issuer: server.url,
    authorization_endpoint: `${server.url}/authorize`,
    token_endpoint: server.url + path,
    revocation_endpoint: `${server.url}/revoke`,
  }
  const client = createClient({
    clientId: 'client',
    credentials: { clientSecret: canary('client-secret') },
    redirectUri: 'http://localhost/callback',
    metadata: async () => metadata,
    http: httpClient(),
    algorithms: ['RS256'],
    clockTolerance: 0,
    ...(hook && { tokenResponse: hook }),
    timeout: 5,
    emit: () => undefined,
    now,
  })
  const transaction: AuthorizationTransaction = {
    state: 'AAAAAAAAAAAAAAAAAAAAAA',
    code_verifier: canary('code-verifier').slice(0, 43).padEnd(43, 'a'),
    scope: 'asked',
    binding: transactionBinding(server.url, client),
  }
  const callback = new URLSearchParams({ code: canary('code'), state: transaction.state })
  const kept = { access_token: 'old', scope: ['asked'], generation: 0, refresh_token: refresh }
  return Promise.all([
    authorizationCodeGrant(client, transaction, callback).then(({ tokens }) => tokens, failed),
    refreshTokenGrant(client, kept, undefined).catch(failed),
  ])
}

function failed(error: unknown): OAuthError {
  if (!(error instanceof OAuthError)) throw error
  if (showsCanary(everythingIn(error))) throw new Error('it shows a secret')
  return error
}

async function tokensOf(answer: Answer, hook: TokenResponseHook | undefined): Promise<TokenSet> {
  const [first, second] = await both(answer, hook)
  if (first instanceof Error) throw first
  if (second instanceof Error) throw second
  expect(second.access_token).toBe(first.access_token)
  expect(second.scope).toEqual(first.scope)
  return first
}

async function errorOf(answer: Answer, hook: TokenResponseHook | undefined): Promise<OAuthError> {
  const [first, second] = await both(answer, hook)
  if (!(first instanceof OAuthError) || !(second instanceof OAuthError)) throw new Error('that was granted')
  expect(second.code).toBe(first.code)
  return first
}

const asIs: TokenResponseHook = (answer) => answer

describe('a server off the standard', () => {
  test('whose answers are nested is put right for codes and refresh tokens alike', async () => {
    const tokens = await tokensOf(
      said({ ok: true, user: { token: access, scopes: ['a', 'b'] } }),
      ({ user }) => ({
        access_token: user.token,
        token_type: 'Bearer',
        scope: user.scopes.join(' '),
      }),
    )
    expect(tokens).toMatchObject({ access_token: access, scope: ['a', 'b'] })
  })

  test.each([
    'application/x-www-form-urlencoded',
    'application/x-www-form-urlencoded; charset=utf-8',
    'text/plain',
  ])('may answer with a form as %s', async (type) => {
    const fields = { access_token: access, token_type: 'bearer', expires_in: '300', scope: 'read' }
    const tokens = await tokensOf(form(fields, type), asIs)
    expect(tokens).toMatchObject({ access_token: access, scope: ['read'] })
    expect(tokens.expires_at).toBeGreaterThan(now() + 200)
  })

  test('may begin its JSON with a mark and call it something else', async () => {
    const text = `\uFEFF${JSON.stringify(good)}`
    expect(await tokensOf(said(text, 200, 'text/html'), asIs)).toMatchObject({ access_token: access })
  })

  test('is recognised at an address in another spelling', async () => {
    const [first] = await both(form({ access_token: access, token_type: 'bearer' }), asIs, '/a/../token')
    expect(first).toMatchObject({ access_token: access })
  })

  test.each([
    ['error', 'invalid_grant', 'invalid_grant', 'status_400'],
    ['error', 'invalid_client', 'invalid_client', 'status_400'],
    // Nobody knows what it means: it must not end a grant.
    ['error', 'whatever', 'server_refused', 'status_422'],
  ])('may send an %s with status 200: %s', async (_member, name, code, reason) => {
    const error = await errorOf(said({ ...good, error: name, error_description: 'no' }), asIs)
    expect(error).toMatchObject({ code, reason })
    expect(error.serverError?.error).toBe(name)
  })

  test('keeps the status of what it calls an error itself', async () => {
    expect(await errorOf(said({ error: 'whatever' }, 403), asIs)).toMatchObject({ reason: 'status_403' })
    expect(await errorOf(said({ error: 'invalid_grant' }, 503), asIs)).toMatchObject({
      code: 'server_unavailable',
    })
  })

  test.each([
    ['an access token that is no header', { ...good, access_token: 'a\r\nb' }],
    ['another type of token', { ...good, token_type: 'mac' }],
    ['an illegal refresh token', { ...good, refresh_token: 'ö' }],
    ['no access token', { token_type: 'Bearer' }],
    ['no type of token', { access_token: access }],
    ['an error that is no text', { error: 1 }],
  ])('is judged like any other: %s', async (_what, made) => {
    expect(await errorOf(said(good), () => made)).toMatchObject({ code: 'invalid_server_response' })
  })

  test.each([
    ['an HTML page', said('<!doctype html><a href="?a=b">', 200, 'text/html')],
    ['an HTML page that says it is text', said('<!doctype html><a href="?a=b">', 200, 'text/plain')],
    ['nothing', said('')],
    ['no content', { status: 204, headers: {}, body: '' }],
    ['a list', said('[1]')],
    [
      'bytes that are not UTF-8',
      {
        status: 200,
        headers: { 'content-type': 'application/json' },
        body: Buffer.from('{"a":"\xff"}', 'latin1'),
      },
    ],
    [
      'a form in which something comes twice',
      said('access_token=a&access_token=b&token_type=bearer', 200, 'text/plain'),
    ],
  ])('that sends %s is not shown to the function', async (_what, answer) => {
    let shown = 0
    const error = await errorOf(answer, (one) => {
      shown++
      return { ...good, ...one }
    })
    expect(error.code).toBe('invalid_server_response')
    expect(shown).toBe(0)
  })

  test('may not send without end', async () => {
    const error = await errorOf(said({ ...good, filler: 'x'.repeat(1_000_001) }), asIs)
    expect(error).toMatchObject({ code: 'invalid_server_response', reason: 'too_large' })
  })

  test('cannot give what the app makes a prototype', async () => {
    const evil = `{"__proto__":{"access_token":"${access}"},"a":{"__proto__":{"b":1}},"token_type":"Bearer"}`
    for (const answer of [said(evil), said(`__proto__=a&token_type=bearer`, 200, 'text/plain')]) {
      const seen: object[] = []
      await errorOf(answer, (one) => {
        seen.push(one, one['a'] ?? {})
        return Object.assign({}, one)
      })
      expect(seen.length).toBeGreaterThan(0)
      for (const one of seen) expect(Object.getOwnPropertyNames(one)).not.toContain('__proto__')
    }
  })
})

describe('a function that fails', () => {
  test.each([
    ['throws', 'TypeError', () => (undefined as unknown as { a: object }).a],
    ['throws the answer', 'Error', (answer: object) => fail(JSON.stringify(answer))],
    ['gives nothing', 'no_object', () => undefined],
    ['gives a text', 'no_object', () => 'token'],
    ['gives a list', 'no_object', () => [good]],
    ['gives a promise', 'promise', async () => good],
    ['gives a promise that fails', 'promise', async () => fail('later')],
    ['gives what cannot be sent on', 'TypeError', () => ({ ...good, a: 1n })],
    ['gives what becomes something else', 'no_object', () => ({ toJSON: () => 'token' })],
  ] as const)('%s is told as such, without the answer', async (_what, reason, hook) => {
    const error = await errorOf(said(good), hook as unknown as TokenResponseHook)
    expect(error).toMatchObject({ code: 'invalid_configuration', reason })
    expect(everythingIn(error)).not.toContain(access)
  })

  test('may throw an error of this package, which is passed on', async () => {
    const hook = () => {
      throw new OAuthError('invalid_grant')
    }
    expect(await errorOf(said(good), hook)).toMatchObject({ code: 'invalid_grant' })
  })
})

function fail(message: string): never {
  throw new Error(message)
}

describe('without a function', () => {
  test('nothing is put right', async () => {
    expect(await tokensOf(said(good), undefined)).toMatchObject({ access_token: access })
    for (const answer of [
      form({ access_token: access, token_type: 'bearer' }),
      said({ access_token: access }),
      said(good, 200, 'text/html'),
      said({ error: 'invalid_grant' }),
    ])
      expect(await errorOf(answer, undefined)).toMatchObject({ code: 'invalid_server_response' })
  })
})

describe('the lenient function', () => {
  test.each([
    ['no type of token', { access_token: access }, {}],
    ['an empty type', { access_token: access, token_type: '' }, {}],
    ['scopes with commas', { ...good, scope: 'a,b, c' }, { scope: ['a', 'b', 'c'] }],
    ['scopes as a list', { ...good, scope: ['a', 'b'] }, { scope: ['a', 'b'] }],
    ['no scope', { access_token: access }, { scope: ['asked'] }],
  ])('takes %s', async (_what, answer, wanted) => {
    expect(await tokensOf(said(answer), lenientTokenResponse)).toMatchObject({
      access_token: access,
      ...wanted,
    })
  })

  test.each([
    ['a text', { expires_in: '30000' }],
    ['called something else', { expires: 30_000 }],
    ['called something else, as a text', { expires: '30000' }],
    ['a time', { expires: now() + 30_000 }],
    ['a time as a text', { expires_in: String(now() + 30_000) }],
  ])('takes a lifetime that is %s', async (_what, life) => {
    const { expires_at = 0 } = await tokensOf(said({ access_token: access, ...life }), lenientTokenResponse)
    expect(Math.abs(expires_at - now() - 30_000)).toBeLessThan(100)
  })

  test.each(['', 'soon', null, -1, {}])('takes the lifetime %j for none', async (expires_in) => {
    const tokens = await tokensOf(said({ access_token: access, expires_in }), lenientTokenResponse)
    expect(tokens.expires_at).toBeUndefined()
  })

  test('leaves another type of token and errors as they are', async () => {
    const other = { access_token: access, token_type: 'mac' }
    expect(await errorOf(said(other), lenientTokenResponse)).toMatchObject({
      code: 'invalid_server_response',
    })
    const refused = form({ error: 'invalid_grant', error_description: 'used' })
    expect(await errorOf(refused, lenientTokenResponse)).toMatchObject({ code: 'invalid_grant' })
  })
})
