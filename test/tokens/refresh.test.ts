import { describe, expect, test } from 'vitest'
import { getAuth, isOAuthError, type AccessTokenOptions } from '../../lib/index.js'
import { storages, type AppOptions } from '../support/app.js'
import { json, type Answer } from '../support/faulty-server/answer.js'
import type { Steps } from '../support/faulty-server/provider.js'
import { grants, tokenResponse } from '../support/faulty-server/token.js'
import { countingStore, sessionOver } from '../support/express-session.js'
import { bare, cookieHeader, ownForm, typed, withNewCookies } from '../support/requests.js'
import { startStage } from '../support/stage.js'
import { jump, travel } from '../support/time.js'

/** Seconds. */
const life = 3_600

interface Lifecycle extends Pick<AppOptions, 'storage' | 'before'> {
  resource?: string
  accessToken?: AccessTokenOptions
  fault?: Partial<Steps>
}

/** A server that was in trouble has not taken the refresh token, or takes it once more. */
const lenient: Partial<Steps> = {
  grants: Object.fromEntries(
    Object.entries(grants).map(([type, grant]) => [type, { ...grant, complaints: () => [] }]),
  ),
}

/** An app with a page that tells its access token, or why there is none. */
async function lifecycle({ storage = 'cookie', accessToken, fault = {}, resource, before }: Lifecycle = {}) {
  const stage = await startStage({
    storage,
    server: { fault },
    ...(before && { before }),
    options: { timeout: 0.5, ...(resource !== undefined && { resource }) },
    routes: ({ get }) => {
      get('/token', async (req, res) => {
        try {
          res.end(await getAuth(req).accessToken(accessToken))
        } catch (error) {
          if (!isOAuthError(error)) throw error
          res.statusCode = error.status
          res.end(`${error.code} ${error.reason}`)
        }
      })
      get('/late', async (req, res) => {
        res.write('the response has begun ')
        const token = await getAuth(req)
          .accessToken()
          .catch((error: { code: string }) => error.code)
        res.end(token)
      })
    },
  })
  const browser = await stage.signedIn()
  const { url } = stage.app
  return {
    ...stage,
    browser,
    tokenPage: () => browser.visit(`${url}/token`),
    tokenWith: async (cookie: string) => bare(`${url}/token`, { ...typed, cookie }),
    cookie: () => cookieHeader(browser, url),
    issued: () =>
      stage.server.secrets.filter(({ role }) => role === 'access token').map(({ value }) => value),
    /** From now on the token endpoint answers so. */
    answer: (answer: Answer) => stage.server.misbehave({ ...fault, ...lenient, answerToken: () => answer }),
    recover: () => stage.server.misbehave({ ...fault, ...lenient }),
  }
}

describe.each(storages)('with storage "%s"', (storage) => {
  test('a token is used while it is good, then refreshed, and the new one is kept', async () => {
    const { tokenPage, issued, server } = await lifecycle({ storage })
    const [first, again] = [await tokenPage(), await tokenPage()]
    expect([first.body, again.body]).toEqual([issued()[0], issued()[0]])
    expect(server.counts.token).toBe(1)

    travel(life + 1)
    expect((await tokenPage()).body).toBe(issued()[1])
    expect((await tokenPage()).body).toBe(issued()[1])
    travel(life + 1)
    expect((await tokenPage()).body).toBe(issued()[2])
    expect([server.counts.token, server.complaints]).toEqual([3, []])
  })

  test('a page that needs no token refreshes none', async () => {
    const { browser, app, server } = await lifecycle({ storage })
    travel(life + 1)
    expect((await browser.visit(`${app.url}/private`)).status).toBe(200)
    expect(server.counts.token).toBe(1)
  })

  test('T59 thirty requests at once refresh once, and late ones with the old cookie get the new token', async () => {
    const { cookie, tokenWith, issued, server } = await lifecycle({ storage })
    travel(life + 1)
    const old = await cookie()
    const answers = await Promise.all(Array.from({ length: 30 }, () => tokenWith(old)))
    expect(new Set(answers.map(({ body }) => body))).toEqual(new Set([issued()[1]]))
    travel(29)
    const late = await tokenWith(old)
    expect(late.body).toBe(issued()[1])
    expect([server.counts.token, server.complaints]).toEqual([2, []])
  })

  test('a refreshed token is for the same API', async () => {
    const { tokenPage, server } = await lifecycle({ storage, resource: 'https://api.example.com' })
    travel(life + 1)
    await tokenPage()
    const sent = server.requests
      .filter(({ endpoint }) => endpoint === 'token')
      .map(({ body }) => body.get('resource'))
    expect(sent).toEqual(['https://api.example.com', 'https://api.example.com'])
  })

  test('refresh begins a little ahead of the end', async () => {
    const { tokenPage, issued } = await lifecycle({ storage })
    travel(life - 100)
    expect((await tokenPage()).body).toBe(issued()[0])
    travel(70)
    expect((await tokenPage()).body).toBe(issued()[1])
  })

  test.each<[string, Answer]>([
    ['503', json({ error: 'x' }, 503)],
    ['500 with HTML', { status: 500, headers: { 'content-type': 'text/html' }, body: '<h1>Oops</h1>' }],
    ['429', json({ error: 'slow_down' }, 429, { 'retry-after': '20' })],
    ['a reset', (response) => void response.destroy()],
    ['silence', () => undefined],
  ])('T63 %s keeps a token that is still good, and signs nobody out', async (_what, answer) => {
    const { tokenPage, answer: answerWith, recover, issued, browser, app } = await lifecycle({ storage })
    travel(life - 30)
    answerWith(answer)
    expect((await tokenPage()).body).toBe(issued()[0])
    travel(31)
    const page = await tokenPage()
    expect([page.status, page.body.split(' ')[0]]).toEqual([503, 'server_unavailable'])
    expect((await browser.visit(`${app.url}/private`)).url).toBe(`${app.url}/private`)
    recover()
    travel(30)
    expect((await tokenPage()).body).toBe(issued().at(-1))
  })

  test('T78 a clock that is set back makes no pause longer', async () => {
    const { tokenPage, answer: answerWith, recover, issued } = await lifecycle({ storage })
    travel(life + 1)
    answerWith(json({ error: 'x' }, 503, { 'retry-after': '20' }))
    expect((await tokenPage()).status).toBe(503)
    recover()
    jump(-15)
    travel(21)
    expect((await tokenPage()).body).toBe(issued().at(-1))
  })

  test('a server in trouble is left alone for as long as it asks', async () => {
    const { tokenPage, answer, server } = await lifecycle({ storage })
    travel(life + 1)
    answer(json({ error: 'slow_down' }, 429, { 'retry-after': '20' }))
    for (let visit = 0; visit < 5; visit++) await tokenPage()
    expect(server.counts.token).toBe(2)
    travel(21)
    await tokenPage()
    expect(server.counts.token).toBe(3)
  })

  test.each<[string, Answer]>([
    ['invalid_grant', json({ error: 'invalid_grant' }, 400)],
    ['an empty 400', { status: 400, headers: {}, body: '' }],
    ['a code of its own', json({ error: 'token_is_gone' }, 403)],
  ])('%s ends the session', async (_what, answer) => {
    const { tokenPage, answer: answerWith, browser, app } = await lifecycle({ storage })
    travel(life + 1)
    answerWith(answer)
    const page = await tokenPage()
    expect([page.status, page.body]).toEqual([401, 'login_required refresh_refused'])
    expect((await browser.fetch(`${app.url}/private`)).status).toBe(401)
    expect(app.events).toContainEqual(expect.objectContaining({ type: 'refresh_failed' }))
  })

  test.each<[string, Answer]>([
    ['as text', { status: 200, headers: { 'content-type': 'text/plain' }, body: '{"access_token":"a"}' }],
    ['without a type', { status: 200, headers: {}, body: '{"access_token":"a"}' }],
    [
      'that is not UTF-8',
      (response) => {
        response.writeHead(200, { 'content-type': 'application/json' })
        response.end(Buffer.from('{"access_token":"\xff","token_type":"Bearer"}', 'latin1'))
      },
    ],
  ])('T67 an answer %s is no answer, and ends nothing', async (_what, answer) => {
    const { tokenPage, answer: answerWith, recover, issued } = await lifecycle({ storage })
    travel(life + 1)
    answerWith(answer)
    expect((await tokenPage()).body).toBe('invalid_server_response content_type')
    recover()
    expect((await tokenPage()).body).toBe(issued().at(-1))
  })

  test('a wrong client secret signs nobody out', async () => {
    const { tokenPage, answer, recover, browser, app, issued } = await lifecycle({ storage })
    travel(life + 1)
    answer(json({ error: 'invalid_client' }, 401, { 'www-authenticate': 'Basic' }))
    const page = await tokenPage()
    expect([page.status, page.body.split(' ')[0]]).toEqual([500, 'invalid_client'])
    expect((await browser.visit(`${app.url}/private`)).url).toBe(`${app.url}/private`)
    recover()
    expect((await tokenPage()).body).toBe(issued().at(-1))
  })

  test('T61 an answer that got lost is asked for once more', async () => {
    const { tokenPage, server, issued } = await lifecycle({ storage })
    travel(life + 1)
    let attempts = 0
    server.misbehave({
      answerToken: (_op, response) => {
        attempts += 1
        return attempts === 1 ? (answer) => void answer.destroy() : json(response)
      },
      ...lenient,
    })
    expect((await tokenPage()).body).toBe(issued().at(-1))
    expect(attempts).toBe(2)
  })

  test('T62 a server that does not rotate keeps its refresh token, and its scope', async () => {
    const { tokenPage, server, issued } = await lifecycle({ storage })
    travel(life + 1)
    server.misbehave({
      tokenResponse: async (op, authorization) => ({
        ...(await tokenResponse(op, authorization)),
        refresh_token: undefined,
        scope: undefined,
        id_token: undefined,
      }),
      ...lenient,
    })
    expect((await tokenPage()).body).toBe(issued()[1])
    travel(life + 1)
    expect((await tokenPage()).body).toBe(issued()[2])
  })

  test('T39 a logout while the server is asked has the last word', async () => {
    const { tokenWith, cookie, server, app } = await lifecycle({ storage })
    travel(life + 1)
    const old = await cookie()
    server.misbehave({
      answerToken: async (_op, response) => {
        await new Promise((resolve) => setTimeout(resolve, 200))
        return json(response)
      },
    })
    const refreshing = tokenWith(old)
    await new Promise((resolve) => setTimeout(resolve, 50))
    const logout = await bare(`${app.url}/logout`, { ...ownForm, cookie: old }, { method: 'POST' })
    expect(logout.status).toBe(200)
    const page = await refreshing
    expect([page.status, page.body]).toEqual([401, 'login_required session_ended'])
    expect(page.setCookies.filter((header) => /^oauth=[^;]/.test(header))).toEqual([])
    const after = await bare(`${app.url}/private`, { accept: 'application/json', cookie: old })
    expect(after.status).toBe(401)
  })

  test('logout revokes the refresh token first, then the access token, and tells which is which', async () => {
    const { cookie, server, app } = await lifecycle({ storage })
    const accessToken = server.secrets.find(({ role }) => role === 'access token')
    await bare(`${app.url}/logout`, { ...ownForm, cookie: await cookie() }, { method: 'POST' })
    const revoked = server.requests
      .filter(({ endpoint }) => endpoint === 'revocation')
      .map(({ body }) => body)
    expect(revoked.map((body) => body.get('token_type_hint'))).toEqual(['refresh_token', 'access_token'])
    expect(revoked[1]?.get('token')).toBe(accessToken?.value)
    expect(server.complaints).toEqual([])
  })

  test('T57 a server that does not answer delays a logout by two seconds at most, and never stops it', async () => {
    const { cookie, server, app } = await lifecycle({ storage })
    server.misbehave({ answerRevocation: () => () => undefined })
    const before = await cookie()
    const start = performance.now()
    const page = await bare(`${app.url}/logout`, { ...ownForm, cookie: before }, { method: 'POST' })
    expect([page.status, performance.now() - start < 2_500]).toEqual([200, true])
    expect((await bare(`${app.url}/private`, { accept: 'application/json', cookie: before })).status).toBe(
      401,
    )
    expect(app.events).toContainEqual(expect.objectContaining({ type: 'revocation_failed' }))
  })
})

test('a late tab gets the new cookie, too: the answer that was to bring it may have been lost', async () => {
  // A short life, so that no cookie is set merely because the last one is an hour old.
  const short: Partial<Steps> = {
    tokenResponse: async (op, authorization) => ({
      ...(await tokenResponse(op, authorization)),
      expires_in: 60,
    }),
  }
  const { cookie, tokenWith, issued, server } = await lifecycle({ fault: short })
  const old = await cookie()
  travel(61)
  await tokenWith(old)
  const late = await tokenWith(old)
  expect(late.body).toBe(issued()[1])
  travel(61)
  expect((await tokenWith(withNewCookies(old, late))).body).toBe(issued()[2])
  expect([server.counts.token, server.complaints]).toEqual([3, []])
})

test('T61 a store that fails to take new tokens loses none: they are kept when it is back', async () => {
  const { store, breaks } = countingStore()
  const { tokenPage, server, issued } = await lifecycle({ storage: 'session', before: [sessionOver(store)] })
  travel(life + 1)
  breaks((called, key) => (called === 'set' && key.startsWith('oauth-tokens-') ? 'fails' : undefined))
  expect((await tokenPage()).body).toBe('store_unavailable undefined')
  breaks(() => undefined)
  expect((await tokenPage()).body).toBe(issued()[1])
  travel(life + 1)
  expect((await tokenPage()).body).toBe(issued()[2])
  expect([server.counts.token, server.complaints]).toEqual([3, []])
})

test('without a refresh token the user signs in again when the access token has ended', async () => {
  const { tokenPage, issued } = await lifecycle({
    fault: {
      tokenResponse: async (op, authorization) => ({
        ...(await tokenResponse(op, authorization)),
        refresh_token: undefined,
      }),
    },
  })
  travel(life - 10)
  expect((await tokenPage()).body).toBe(issued()[0])
  travel(11)
  expect((await tokenPage()).body).toBe('login_required access_token_expired')
})

test('a token that must be good for longer is refreshed sooner', async () => {
  const { tokenPage, issued } = await lifecycle({ accessToken: { minimumLifetime: 1_800 } })
  travel(1_700)
  expect((await tokenPage()).body).toBe(issued()[0])
  travel(200)
  expect((await tokenPage()).body).toBe(issued()[1])
})

test('once the response has begun, a cookie cannot keep new tokens, so none are asked for', async () => {
  const { browser, app, server, issued } = await lifecycle()
  travel(life - 10)
  expect((await browser.visit(`${app.url}/late`)).body).toBe(`the response has begun ${issued()[0]}`)
  travel(11)
  expect((await browser.visit(`${app.url}/late`)).body).toBe('the response has begun invalid_configuration')
  expect(server.counts.token).toBe(1)
})
