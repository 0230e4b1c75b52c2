import { SignJWT } from 'jose'
import { describe, expect, test } from 'vitest'
import { OAuthError } from '../../lib/index.js'
import { openBrowser } from '../support/browser.js'
import { metadata } from '../support/faulty-server/discovery.js'
import type { Provider } from '../support/faulty-server/provider.js'
import { startStage, type StageOptions } from '../support/stage.js'

/** Signs in and gives the first page. */
async function login(stage: StageOptions) {
  const started = await startStage(stage)
  const browser = openBrowser()
  const page = await browser.visit(`${started.app.url}/private`)
  return { ...started, browser, page }
}

async function signed(
  { issuer, client, keys: [key] }: Provider,
  claims: Record<string, unknown>,
): Promise<string> {
  if (!key) throw new Error('the server has no key')
  const jwt = new SignJWT({ ...claims, iss: issuer, aud: client.id })
  return jwt.setProtectedHeader({ alg: key.alg, kid: key.kid }).sign(key.privateKey)
}

function jwtAnswer(body: string) {
  return { status: 200, headers: { 'content-type': 'application/jwt' }, body }
}

describe('onLogin', () => {
  test('may choose the claims that are kept', async () => {
    const { page } = await login({
      options: { onLogin: ({ claims }) => ({ team: 'red', was: claims['sub'] }) },
    })
    const claims = JSON.parse(page.body)
    expect(claims).toEqual({ team: 'red', was: claims.sub, sub: expect.any(String) })
  })

  test('cannot turn the user into another', async () => {
    const { page } = await login({ options: { onLogin: () => ({ sub: 'admin' }) } })
    expect(JSON.parse(page.body).sub).not.toBe('admin')
  })

  test('keeps all claims of the user, and none of the token, when it returns nothing', async () => {
    const { page, server } = await login({ options: { onLogin: async () => undefined } })
    const claims = JSON.parse(page.body)
    expect(claims).toMatchObject({ iss: server.issuer, sub: expect.any(String) })
    for (const name of ['nonce', 'aud', 'exp', 'iat', 'at_hash']) expect(claims).not.toHaveProperty(name)
  })

  test('is told about the login', async () => {
    const told: unknown[] = []
    const { server } = await login({
      options: {
        onLogin: ({ claims, scopes, accessToken, returnTo, request }) => {
          told.push([typeof claims['sub'], scopes, accessToken.length > 10, returnTo, request.method])
        },
      },
    })
    expect(server.complaints).toEqual([])
    expect(told).toEqual([['string', ['openid'], true, '/private', 'GET']])
  })

  test('false refuses the user', async () => {
    const { page, browser, app } = await login({ options: { onLogin: () => false } })
    expect(page.status).toBe(403)
    expect(page.body).toContain('You may not sign in here.')
    expect((await browser.fetch('/private')).status).toBe(401)
    expect(app.events.at(-1)).toMatchObject({ type: 'login_failed', code: 'login_refused' })
  })

  test('an OAuthError that it throws is the answer', async () => {
    const onLogin = () => {
      throw new OAuthError('access_denied', { hint: 'not in the list' })
    }
    const { page, app } = await login({ options: { onLogin } })
    expect([page.status, app.errors]).toEqual([403, []])
  })

  test('a mistake in it signs nobody in and reaches the error handler of the app', async () => {
    const mistake = new Error('no database')
    const onLogin = () => Promise.reject(mistake)
    const { page, app, browser } = await login({ options: { onLogin } })
    expect([page.status, app.errors]).toEqual([500, [mistake]])
    expect(page.headers).toMatchObject({ 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' })
    expect((await browser.fetch('/private')).status).toBe(401)
    expect(app.events.at(-1)).toMatchObject({ type: 'login_failed', code: 'login_refused' })
  })
})

describe('userinfo', () => {
  const userinfo = (claims: object) => ({
    fault: { userinfo: (_op: unknown, { subject }: { subject: string }) => ({ sub: subject, ...claims }) },
  })

  test('adds claims, and the signed ID token wins over it', async () => {
    const { page, server } = await login({
      options: { userinfo: true },
      server: userinfo({ nickname: 'Al', iss: 'https://evil.example' }),
    })
    expect(JSON.parse(page.body)).toMatchObject({ nickname: 'Al', iss: server.issuer })
  })

  test('may be signed', async () => {
    const { page } = await login({
      options: { userinfo: true },
      server: { fault: { answerUserinfo: async (op, claims) => jwtAnswer(await signed(op, claims)) } },
    })
    expect(page.status).toBe(200)
  })

  test('that is signed by somebody else is refused', async () => {
    const { page, browser } = await login({
      options: { userinfo: true },
      server: {
        fault: {
          answerUserinfo: async (op, claims) => {
            const token = await signed(op, claims)
            return jwtAnswer(`${token.slice(0, -8)}AAAAAAAA`)
          },
        },
      },
    })
    expect(page.status).toBe(502)
    expect((await browser.fetch('/private')).status).toBe(401)
  })

  test('that is not there is noticed before the user is sent away', async () => {
    const { page, server } = await login({
      options: { userinfo: true },
      server: { fault: { metadata: (op) => ({ ...metadata(op), userinfo_endpoint: undefined }) } },
    })
    expect([page.status, server.counts.authorize]).toEqual([502, 0])
  })
})

describe('with storage "session"', () => {
  test('without express-session the error says what to mount', async () => {
    const { app, server } = await startStage({ storage: 'cookie', options: { storage: 'session' } })
    const page = await openBrowser().visit(`${app.url}/login`)
    expect(page.status).toBe(500)
    expect(page.body).toContain('mount app.use(session({ … })) before oauthLogin')
    expect(server.counts.authorize).toBe(0)
  })
})

test('an ID token by another algorithm than was chosen is refused', async () => {
  const [other, same] = [
    await login({ options: { algorithms: ['ES256', 'PS256'] } }),
    await login({ options: { algorithms: ['RS256'] } }),
  ]
  expect([other.page.status, same.page.status]).toEqual([400, 200])
  expect(other.app.events.at(-1)).toMatchObject({ type: 'login_failed', code: 'invalid_id_token' })
})
