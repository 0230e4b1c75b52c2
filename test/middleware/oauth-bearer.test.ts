/** What gets past `oauthBearer`: its modes, and the session of `oauthLogin` in place of a token. */
import type { IncomingMessage, RequestListener } from 'node:http'
import { describe, expect, test } from 'vitest'
import {
  getAuth,
  isOAuthError,
  oauthBearer,
  OAuthError,
  optionalLogin,
  requireLogin,
  requireScope,
  startLogin,
  type Auth,
  type Middleware,
  type OAuthBearerOptions,
} from '../../lib/index.js'
import { frameworks, storages, type AppOptions, type LoginOptions } from '../support/app.js'
import { openBrowser } from '../support/browser.js'
import { json, reset } from '../support/faulty-server/answer.js'
import { breakableStore } from '../support/open-store.js'
import { bare, cookieHeader, location, typed } from '../support/requests.js'
import { chain, serve } from '../support/serve.js'
import { startStage } from '../support/stage.js'
import { travel } from '../support/time.js'
import { guardedApi, type ApiOptions } from '../threats/guard/api.js'
import { audience, seconds, startIssuer, type Issuer } from '../threats/guard/issuer.js'

type Mode = NonNullable<OAuthBearerOptions['mode']>
/** Who a handler finds on the request. */
function seen(req: IncomingMessage): object {
  const { auth, authError } = req as { auth?: Auth; authError?: OAuthError }
  const error = authError ? `${authError.code} ${authError.reason ?? ''}`.trim() : null
  return { user: auth?.subject ?? null, error }
}

const greets: Middleware = (req, res) => {
  res.setHeader('content-type', 'application/json')
  res.end(JSON.stringify(seen(req)))
}

const routes: NonNullable<ApiOptions['routes']> = (app, guard) => {
  app.use(guard)
  app.all('/open', greets)
  app.all('/me', requireLogin(), greets)
  app.all('/projects', requireScope('read:projects'), greets)
  app.all('/maybe', optionalLogin(), greets)
  app.all('/asks', (req, res) => void res.json(getAuth(req)))
  app.all('/login', async (req, res) => startLogin(req, res))
}

const modeApi = async (mode: Mode, options: Partial<OAuthBearerOptions> = {}) =>
  guardedApi({ options: { mode, ...options }, routes })

describe('modes', () => {
  const nobody = '{"user":null,"error":null}'
  const expired = 'Bearer error="invalid_token", error_description="The access token expired"'
  const malformed =
    'Bearer error="invalid_request", error_description="The Authorization header is malformed"'

  /** Path, headers, and the answer: who was found, or the challenge. */
  type Case = [path: string, headers: (issuer: Issuer) => string[], answer: string]
  const none = () => []
  const basic = () => ['authorization', 'Basic eDp5']
  const good = (issuer: Issuer) => ['authorization', `Bearer ${issuer.token()}`]
  const old = (issuer: Issuer) => ['authorization', `Bearer ${issuer.token({ exp: seconds() - 60 })}`]
  const broken = () => ['authorization', 'Bearer a b']
  const twice = (issuer: Issuer) => [...good(issuer), ...good(issuer)]
  const user = '{"user":"user-1","error":null}'

  const cases: Record<Mode, readonly Case[]> = {
    required: [
      ['/open', none, '401 Bearer'],
      ['/open', basic, '401 Bearer'],
      ['/open', good, user],
      ['/open', old, `401 ${expired}`],
      ['/maybe', none, '401 Bearer'],
    ],
    optional: [
      ['/open', none, nobody],
      ['/open', basic, nobody],
      ['/open', good, user],
      ['/open', old, `401 ${expired}`],
      ['/open', broken, `400 ${malformed}`],
      ['/open', twice, `400 ${malformed}`],
      ['/maybe', none, nobody],
      ['/maybe', good, user],
      ['/me', none, '401 Bearer'],
      ['/projects', none, '401 Bearer'],
      ['/projects', good, user],
      ['/asks', none, '401 undefined'],
    ],
    attempt: [
      ['/open', none, nobody],
      ['/open', basic, nobody],
      ['/open', good, user],
      ['/open', old, '{"user":null,"error":"invalid_token expired"}'],
      ['/open', broken, '{"user":null,"error":"invalid_request malformed_header"}'],
      ['/open', twice, '{"user":null,"error":"invalid_request repeated_header"}'],
      ['/maybe', old, '{"user":null,"error":"invalid_token expired"}'],
      ['/me', none, '401 Bearer'],
      ['/me', old, `401 ${expired}`],
      ['/projects', old, `401 ${expired}`],
      ['/projects', broken, `400 ${malformed}`],
      ['/asks', old, '401 undefined'],
      ['/projects', good, user],
    ],
  }

  test.each(Object.keys(cases) as Mode[])('%s', async (mode) => {
    const { api, issuer } = await modeApi(mode)
    const found: unknown[] = []
    for (const [path, headers] of cases[mode]) {
      const { status, challenge, body } = await api.send({ path, headers: headers(issuer) })
      found.push([path, headers.name, status === 200 ? body : `${status} ${challenge}`])
    }
    expect(found).toEqual(cases[mode].map(([path, headers, answer]) => [path, headers.name, answer]))
  })

  test.each(['required', 'optional', 'attempt'] as const)(
    'what cannot be known is refused, never let in as nobody: %s',
    async (mode) => {
      const { api, issuer } = await modeApi(mode)
      for (const answer of [() => reset(), () => json({}, 500), () => json({ keys: [] })]) {
        issuer.answerKeys = answer
        for (const path of ['/open', '/maybe', '/me'])
          expect((await api.present(issuer.token(), path)).status).toBe(503)
      }
    },
  )

  test.each<Mode>(['required', 'optional'])(
    'a token that the app refuses as missing is not missing: %s',
    async (mode) => {
      const validate = () => {
        throw new OAuthError('missing_credentials')
      }
      const { api, issuer } = await modeApi(mode, { validate })
      for (const path of ['/open', '/maybe', '/me'])
        expect((await api.present(issuer.token(), path)).status).toBe(401)
    },
  )

  test('what the app has as expired is no expired token', async () => {
    const validate = () => {
      throw new OAuthError('access_denied', { reason: 'expired' })
    }
    const { api, issuer } = await modeApi('attempt', { validate })
    expect(await api.present(issuer.token(), '/open')).toMatchObject({ status: 403, challenge: undefined })
  })

  test('a bad token is told once, also when a guard refuses it later', async () => {
    const { api, issuer } = await modeApi('attempt')
    await api.present(issuer.token({ aud: 'x' }), '/me')
    await api.send({ path: '/me' })
    await api.present(issuer.token({ aud: 'x' }), '/open')
    const told = api.events.filter(({ type }) => type === 'token_rejected')
    expect(told).toMatchObject([{ error: { reason: 'audience' } }, { error: { reason: 'audience' } }])
  })

  test('the error that a guard refuses with is that of req.authError', async () => {
    const errors: unknown[] = []
    const { api, issuer } = await guardedApi({
      options: { mode: 'attempt', onError: 'next' },
      routes: (app, guard) =>
        app.get(
          '/me',
          guard,
          (req, _res, next) => {
            errors.push((req as { authError?: unknown }).authError)
            expect(Object.keys(req)).not.toContain('authError')
            next()
          },
          requireLogin(),
        ),
    })
    await api.present(issuer.token({ aud: 'x' }))
    expect(api.errors).toEqual(errors)
    expect(errors).toMatchObject([{ code: 'invalid_token', reason: 'audience' }])
  })

  test('nobody can be sent to a login, because there is none', async () => {
    const { api } = await modeApi('optional')
    expect((await api.send({ path: '/login' })).status).toBe(500)
    expect(api.errors).toMatchObject([{ code: 'invalid_configuration' }])
  })

  test('a second guard judges anew: a token that it does not take leaves nobody', async () => {
    const other = await startIssuer()
    const second = oauthBearer({ issuer: other.url, audience, mode: 'attempt', onEvent: () => undefined })
    const { api, issuer } = await guardedApi({
      options: { mode: 'attempt' },
      routes: (app, first) => {
        app.get('/me', first, second, greets)
        app.get('/back', second, first, greets)
      },
    })
    expect((await api.present(issuer.token())).body).toBe('{"user":null,"error":"invalid_token issuer"}')
    expect((await api.present(issuer.token(), '/back')).body).toBe(user)
    expect((await api.present(issuer.token(), '/back')).body).toBe(user)
  })

  test.each<[object, string]>([
    [{ mode: 'none' }, 'option "mode" is "none"; set it to "required" or "optional" or "attempt"'],
    [{ mode: false }, 'option "mode"'],
    [{ session: 'yes' }, 'option "session" is "yes"; set it to true or false'],
    [{ exposeChallenge: 1 }, 'option "exposeChallenge" is 1'],
    [{ credentialsRequired: false }, 'is not known'],
  ])('%j throws', (options, message) => {
    const needed = { issuer: 'https://auth.example.com', audience }
    expect(() => oauthBearer({ ...needed, ...options })).toThrow(message)
  })
})

describe('exposeChallenge', () => {
  const name = 'access-control-expose-headers'
  const exposing = (before?: string) =>
    guardedApi({
      options: { exposeChallenge: true },
      before: (app) =>
        app.use((_req, res, next) => {
          if (before !== undefined) res.setHeader(name, before)
          next()
        }),
    })

  test.each([
    [undefined, 'WWW-Authenticate'],
    ['X-Total', 'X-Total, WWW-Authenticate'],
    ['X-Total,www-authenticate', 'X-Total,www-authenticate'],
    ['X-WWW-Authenticate', 'X-WWW-Authenticate, WWW-Authenticate'],
    ['*', '*, WWW-Authenticate'],
  ])('after %j', async (before, after) => {
    const { api, issuer } = await exposing(before)
    const answers = [
      await api.send({}),
      await api.present('junk'),
      await api.present(issuer.token(), '/both'),
    ]
    expect(answers.map(({ status, headers }) => [status, headers[name]])).toEqual(
      [401, 401, 403].map((status) => [status, after]),
    )
    expect((await api.present(issuer.token())).headers[name]).toBe(before)
  })

  test('only where it is asked for', async () => {
    const { api } = await guardedApi()
    expect((await api.send({})).headers[name]).toBeUndefined()
  })
})

interface BothOptions extends Pick<AppOptions, 'framework' | 'storage'> {
  readonly bearer?: Partial<OAuthBearerOptions>
  readonly login?: Partial<LoginOptions>
  readonly handlers?: readonly Middleware[]
  /** Default: the guard, then the handlers. */
  readonly api?: (guard: Middleware) => RequestListener
}

/** An application with a login, and one route that takes its session or a token. */
async function both(options: BothOptions = {}) {
  const { bearer = {}, login = {}, handlers = [greets], ...app } = options
  const issuer = await startIssuer()
  const guard = oauthBearer({
    issuer: issuer.url,
    audience,
    session: true,
    onEvent: () => undefined,
    ...bearer,
  } as OAuthBearerOptions)
  const api = options.api?.(guard) ?? chain(guard, ...handlers)
  const stage = await startStage({
    ...app,
    options: login,
    routes: ({ use }) => use((req, res, next) => (req.url?.startsWith('/api') ? api(req, res) : next())),
  })
  const url = `${stage.app.url}/api`
  const signedIn = async () => {
    const browser = await stage.signedIn()
    return { browser, cookie: await cookieHeader(browser, url) }
  }
  return { ...stage, issuer, url, signedIn }
}

const script = { 'sec-fetch-mode': 'cors', 'sec-fetch-site': 'same-origin', accept: 'application/json' }
const bearing = (token: string) => ({ authorization: `Bearer ${token}` })
const found = ({ status, body }: { status: number; body: string }): unknown =>
  status === 200 ? (JSON.parse(body) as { user: unknown }).user : status

describe('a session in place of a token', () => {
  test.each(frameworks.flatMap((framework) => storages.map((storage) => [framework, storage] as const)))(
    '%s, storage "%s": token, session, or the way to either',
    async (framework, storage) => {
      const { url, app, issuer, signedIn } = await both({ framework, storage })
      const { browser, cookie } = await signedIn()
      expect(found(await bare(url, { ...script, cookie }))).toBe('subject-1')
      expect(found(await browser.visit(url))).toBe('subject-1')
      expect(found(await bare(url, bearing(issuer.token())))).toBe('user-1')
      expect(found(await bare(url, { ...bearing(issuer.token()), cookie }))).toBe('user-1')

      const client = await bare(url)
      expect([client.status, client.headers['www-authenticate']]).toEqual([401, 'Bearer'])
      expect(JSON.parse(client.body)).toMatchObject({ error: 'login_required', login_url: '/login' })
      const visit = await bare(`${url}?x=1`, typed)
      expect([visit.status, location(visit)]).toEqual([302, '/login?returnTo=%2Fapi%3Fx%3D1'])
      expect(visit.headers['www-authenticate']).toBeUndefined()
      expect((await openBrowser().visit(`${app.url}/api`)).status).toBe(200)
    },
  )

  test('a token that will not do is refused, whoever is signed in', async () => {
    const { url, issuer, signedIn } = await both()
    const { cookie } = await signedIn()
    const bad: [headers: Record<string, string>, status: number, code: string][] = [
      [bearing('junk'), 401, 'invalid_token'],
      [bearing(issuer.token({ exp: seconds() - 60 })), 401, 'invalid_token'],
      [bearing(issuer.token({ aud: 'x' })), 401, 'invalid_token'],
      [{ authorization: 'Bearer' }, 400, 'invalid_request'],
      [{ authorization: 'Bearer a b' }, 400, 'invalid_request'],
    ]
    for (const [headers, status, code] of bad) {
      const { headers: answered, ...answer } = await bare(url, { ...script, ...headers, cookie })
      expect([answer.status, JSON.parse(answer.body)]).toMatchObject([status, { error: code }])
      expect(answered['www-authenticate']).toContain(`error="${code}"`)
    }
    issuer.answerKeys = () => json({}, 500)
    expect(found(await bare(url, { ...script, ...bearing(issuer.token()), cookie }))).toBe(503)
    expect(found(await bare(url, { ...script, authorization: 'Basic eDp5', cookie }))).toBe('subject-1')
    expect(found(await bare(url, { ...script, authorization: `DPoP ${issuer.token()}`, cookie }))).toBe(401)
  })

  test('a token that the app refuses as missing is not missing', async () => {
    const validate = () => {
      throw new OAuthError('missing_credentials')
    }
    const { url, issuer, signedIn } = await both({ bearer: { validate } })
    const { cookie } = await signedIn()
    expect(found(await bare(url, { ...script, ...bearing(issuer.token()), cookie }))).toBe(401)
    expect(found(await bare(url, { ...script, cookie }))).toBe('subject-1')
  })

  test.each<[Mode, string]>([
    ['required', 'junk'],
    ['optional', 'junk'],
    ['attempt', 'junk'],
    ['required', 'a b'],
  ])(
    'mode %s: nobody is greeted beside the bad token "%s", by the handler of the error neither',
    async (mode, token) => {
      const { url, signedIn } = await both({
        bearer: { mode, onError: 'next' },
        api: (guard) => (req, res) => guard(req, res, () => greets(req, res, () => undefined)),
      })
      const { cookie } = await signedIn()
      const { body } = await bare(url, { ...script, ...bearing(token), cookie })
      expect(JSON.parse(body)).toMatchObject({ user: null, error: expect.stringContaining('invalid_') })
    },
  )

  describe('T108 what a cookie is sent along with has to be of this site', () => {
    type Case = [what: string, headers: (token: string) => Record<string, string>, isProven: boolean]
    const cases: Case[] = [
      ['a page of this site', () => ({ 'sec-fetch-site': 'same-origin' }), true],
      ['a page of another site', () => ({ 'sec-fetch-site': 'cross-site' }), false],
      ['a page of a sibling', () => ({ 'sec-fetch-site': 'same-site' }), false],
      ['this origin', () => ({ origin: 'SELF' }), true],
      ['another origin', () => ({ origin: 'https://evil.example' }), false],
      ['an opaque origin', () => ({ origin: 'null' }), false],
      ['nothing', () => ({}), false],
      ['the token of the session', (token) => ({ 'x-csrf-token': token }), true],
      [
        'the token of the session, from elsewhere',
        (token) => ({ 'sec-fetch-site': 'cross-site', 'x-csrf-token': token }),
        true,
      ],
      ['half a token', (token) => ({ 'x-csrf-token': token.slice(0, -1) }), false],
      ['an empty token', () => ({ 'x-csrf-token': '' }), false],
      ['the token in another header', (token) => ({ 'x-xsrf-token': token }), false],
      ['the header that scripts set', () => ({ 'x-requested-with': 'XMLHttpRequest' }), false],
      ['a request that wants JSON', () => ({ 'content-type': 'application/json' }), false],
    ]

    test.each(storages)('storage "%s"', async (storage) => {
      const told: Middleware = (req, res) => void res.end(String(getAuth(req).csrfToken))
      const { url, app, signedIn, issuer } = await both({ storage, handlers: [told] })
      const { cookie } = await signedIn()
      const { cookie: others } = await signedIn()
      const token = (await bare(url, { cookie })).body
      const foreign = (await bare(url, { cookie: others })).body
      const all: Case[] = [
        ...cases,
        ['the token of another session', () => ({ 'x-csrf-token': foreign }), false],
      ]
      for (const [what, headers, isProven] of all) {
        const sent: Record<string, string> = { ...headers(token), accept: 'application/json' }
        if (sent['origin'] === 'SELF') sent['origin'] = app.url
        const outcomes = await Promise.all(
          ['POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND'].map(async (method) => {
            const { status, body } = await bare(url, { ...sent, cookie }, { method })
            return status === 200 ? 'open' : (JSON.parse(body) as { error: string }).error
          }),
        )
        expect([what, new Set(outcomes)]).toEqual([what, new Set([isProven ? 'open' : 'csrf_rejected'])])
        for (const method of ['GET', 'HEAD', 'OPTIONS'])
          expect([what, method, (await bare(url, { ...sent, cookie }, { method })).status]).toEqual([
            what,
            method,
            200,
          ])
        // Nothing is sent along unasked that says who this is.
        const { status } = await bare(
          url,
          { ...sent, ...bearing(issuer.token()), cookie },
          { method: 'POST' },
        )
        expect([what, status]).toEqual([what, 200])
        expect((await bare(url, sent, { method: 'POST' })).status).toBe(401)
      }
    })

    test.each<[Mode, unknown]>([
      ['required', 403],
      ['optional', 403],
      ['attempt', { user: null, error: 'csrf_rejected cross_site' }],
    ])('mode %s', async (mode, answer) => {
      const { url, signedIn } = await both({ bearer: { mode } })
      const { cookie } = await signedIn()
      const forged = { 'sec-fetch-site': 'cross-site', accept: 'application/json', cookie }
      const { status, body } = await bare(url, forged, { method: 'POST' })
      expect(status === 200 ? JSON.parse(body) : status).toEqual(answer)
    })

    test('a guard behind an attempt refuses for that very reason', async () => {
      const { url, signedIn } = await both({
        bearer: { mode: 'attempt' },
        handlers: [requireLogin(), greets],
      })
      const { cookie } = await signedIn()
      const { status, body } = await bare(url, { 'sec-fetch-site': 'cross-site', cookie }, { method: 'POST' })
      expect([status, JSON.parse(body)]).toMatchObject([403, { error: 'csrf_rejected' }])
    })
  })

  test.each<[Mode, (typeof storages)[number], unknown]>([
    ['required', 'cookie', 401],
    ['optional', 'session', null],
    ['attempt', 'cookie', null],
  ])('mode %s, storage "%s": a session that was ended elsewhere is none', async (mode, storage, answer) => {
    const { url, app, signedIn } = await both({ storage, bearer: { mode } })
    const { cookie } = await signedIn()
    expect(found(await bare(url, { ...script, cookie }))).toBe('subject-1')
    await app.login.endSessions('subject-1')
    expect(found(await bare(url, { ...script, cookie }))).toBe(answer)
    expect(found(await bare(url, script))).toBe(answer)
  })

  test.each(['required', 'optional', 'attempt'] as const)(
    'mode %s: a store that is away is a 503, and never nobody',
    async (mode) => {
      const { store, breaks } = breakableStore()
      const { url, signedIn } = await both({ bearer: { mode }, login: { store } })
      const { cookie } = await signedIn()
      breaks((method) => method === 'get')
      expect((await bare(url, { ...script, cookie })).status).toBe(503)
      breaks(() => false)
      expect(found(await bare(url, { ...script, cookie }))).toBe('subject-1')
    },
  )

  test('the store is asked once, however many guards follow', async () => {
    const { store, calls } = breakableStore()
    const guards = [requireLogin(), requireLogin(), requireScope('openid'), optionalLogin()]
    const { url, signedIn } = await both({ login: { store }, handlers: [...guards, greets] })
    const { cookie } = await signedIn()
    const before = calls.length
    expect(found(await bare(url, { ...script, cookie }))).toBe('subject-1')
    expect(calls.slice(before).filter((call) => call.startsWith('get'))).toHaveLength(1)
  })

  test('guards judge the session by the rules of oauthLogin, and answer as it does', async () => {
    const { url, issuer, signedIn } = await both({
      handlers: [requireScope('read:projects'), greets],
      login: { scope: 'openid admin', impliedScopes: { admin: ['read:projects'] } },
    })
    const { cookie } = await signedIn()
    expect(found(await bare(url, { ...script, cookie }))).toBe('subject-1')
    expect(found(await bare(url, bearing(issuer.token({ scope: 'admin' }))))).toBe(403)
    const { url: plain, signedIn: signIn } = await both({ handlers: [requireScope('read:projects'), greets] })
    const page = await bare(plain, { ...typed, cookie: (await signIn()).cookie })
    expect([page.status, page.headers['content-type']]).toEqual([403, 'text/html; charset=utf-8'])
    expect(page.headers['www-authenticate']).toBeUndefined()
  })

  test('a handler can send nobody to the login', async () => {
    const { url } = await both({
      bearer: { mode: 'optional' },
      handlers: [(req, res, next) => void startLogin(req, res, { returnTo: '/api' }).catch(next)],
    })
    expect(location(await bare(url, typed))).toContain('code_challenge=')
  })

  test('a preflight is nobody, whatever cookie comes with it', async () => {
    const { url, signedIn } = await both()
    const { cookie } = await signedIn()
    const preflight = { origin: 'https://app.example', 'access-control-request-method': 'POST' }
    expect(found(await bare(url, { ...preflight, cookie }, { method: 'OPTIONS' }))).toBe(null)
  })

  test.each<{ mode: Mode; session: boolean }>([
    { mode: 'optional', session: false },
    { mode: 'attempt', session: true },
  ])('a guard behind one with %j judges the same session', async (first) => {
    const { url, signedIn } = await both({
      api: (guard) => {
        const before = oauthBearer({ issuer: 'https://auth.example.com', audience, ...first })
        return chain(before, guard, greets)
      },
    })
    const { cookie } = await signedIn()
    expect(found(await bare(url, { ...script, cookie }))).toBe('subject-1')
    expect(found(await bare(url, script))).toBe(401)
    const forged = await bare(url, { ...script, 'sec-fetch-site': 'cross-site', cookie }, { method: 'POST' })
    expect([forged.status, JSON.parse(forged.body)]).toMatchObject([403, { error: 'csrf_rejected' }])
  })

  test('without oauthLogin before it, that is a mistake of the application', async () => {
    const issuer = await startIssuer()
    const options = { issuer: issuer.url, audience, session: true, onEvent: () => undefined }
    const errors: unknown[] = []
    const url = await serve(() => {
      const guard = oauthBearer(options)
      return (req, res) =>
        guard(req, res, (error) => {
          errors.push(isOAuthError(error) && error.code)
          res.end()
        })
    })
    await bare(url)
    await bare(url, bearing(issuer.token()))
    expect(errors).toEqual(['invalid_configuration', false])
  })
})

describe.each(storages)('optionalLogin with storage "%s"', (storage) => {
  const maybe = {
    storage,
    routes: ({ get }) => get('/maybe', optionalLogin(), greets),
  } satisfies Partial<AppOptions>

  test('greets who is signed in, and nobody whose session was ended elsewhere', async () => {
    const { app, signedIn } = await startStage(maybe)
    const browser = await signedIn()
    expect(found(await browser.visit(`${app.url}/maybe`))).toBe('subject-1')
    expect(found(await bare(`${app.url}/maybe`, typed))).toBe(null)
    await app.login.endSessions('subject-1')
    expect(found(await browser.visit(`${app.url}/maybe`))).toBe(null)
    travel(1)
    // Nor is that taken for a browser that keeps no session: the way to the login is open.
    expect(await browser.visit(`${app.url}/private`)).toMatchObject({ status: 200 })
  })

  test('a store that is away is a 503 for who brings a session, and no matter for others', async () => {
    const { store, breaks } = breakableStore()
    const { app, signedIn } = await startStage({ ...maybe, options: { store } })
    const browser = await signedIn()
    breaks((method) => method === 'get')
    expect((await browser.visit(`${app.url}/maybe`)).status).toBe(503)
    expect(found(await bare(`${app.url}/maybe`, typed))).toBe(null)
  })
})
