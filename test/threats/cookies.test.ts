/** Threats to what lies in cookies: planted, swapped, cut, swollen or kept by a cache. */
import { createHash } from 'node:crypto'
import { describe, expect, it, onTestFinished } from 'vitest'
import { storages, type LoginOptions } from '../support/app.js'
import { openBrowser, type Browser } from '../support/browser.js'
import { startFaultyServer, type Fault } from '../support/faulty-server.js'
import { withClaims } from '../support/faulty-server/faults/modules-basic.js'
import { tokenResponse } from '../support/faulty-server/token.js'
import { csrfProtection, getAuth, oauthLogin, requireLogin } from '../../lib/index.js'
import { createSeal } from '../../lib/seal.js'
import { countingStore, sessionOver, type OpenStore } from '../support/express-session.js'
import {
  bare,
  cookieHeader,
  cookiesOf,
  location,
  ownForm,
  ownScript,
  setsSession,
  typed,
} from '../support/requests.js'
import { chain, serve, type Handler } from '../support/serve.js'
import { travel } from '../support/time.js'
import { registration, startStage, type Stage, type StageOptions } from '../support/stage.js'

const secrets = ['Zp3vKq8sXw1yB5nM7tRc2dFg4hJk6lQa']

describe('T13 a sealed value in the place of another', () => {
  const kinds = [
    'session cookie',
    'tokens cookie',
    'login cookie',
    'stored session',
    'stored tokens',
  ] as const
  type Kind = (typeof kinds)[number]
  /** A value as the package made it, and one of the same kind made for somebody else. */
  const offers = kinds.flatMap((kind) => [kind, `other ${kind}`] as const)
  const matrix = kinds.flatMap((slot) => offers.map((offer) => [offer, slot] as const))

  it.each(matrix)('%s as %s', async (offer, slot) => {
    const { values, accepts } = await places()
    expect(await accepts[slot](values[offer])).toBe(offer === slot)
  })

  /** The names of the keys: a release that changes one signs everybody out. */
  it.each([
    ['session cookie', 'session'],
    ['tokens cookie', 'session tokens'],
    ['login cookie', 'login'],
    ['stored session', 'stored session'],
    ['stored tokens', 'stored tokens'],
  ] as const)('the key of a %s opens nothing else', async (kind, purpose) => {
    const { values, place } = await places()
    const seal = createSeal(secrets, `${purpose} ${place}`)
    expect(kinds.filter((other) => seal.open(values[other], contextOf(values[other])) !== undefined)).toEqual(
      [kind],
    )
  })

  const tokenRoute: NonNullable<StageOptions['routes']> = ({ get }) =>
    get('/token', async (request, response) => response.end(await getAuth(request).accessToken()))

  function contextOf(sealed: string): string | undefined {
    const header = Buffer.from(sealed.split('.', 1)[0] ?? '', 'base64url').toString()
    return (JSON.parse(header) as { context?: string }).context
  }

  async function places() {
    const cookie = await startStage({ options: { secrets }, routes: tokenRoute })
    const open = countingStore()
    const stored = await startStage({
      storage: 'session',
      options: { ...registration(cookie.server), secrets },
      before: [sessionOver(open.store)],
    })
    cookie.server.register(stored.app.callbackUrl)
    const [user, otherUser] = [await cookie.signedIn(), await cookie.signedIn()]
    const [session, tokens] = [await sealedCookie(user, cookie.app.url), await tokensOf(user, cookie.app.url)]
    const [pending, otherPending] = [openBrowser(), openBrowser()]
    const callback = await cookie.pending(pending)
    await cookie.pending(otherPending)
    const [kept, otherKept] = [await keptOf(stored, open), await keptOf(stored, open)]
    const values: Record<(typeof offers)[number], string> = {
      'session cookie': session,
      'other session cookie': await sessionOfAnotherName(cookie),
      'tokens cookie': tokens,
      'other tokens cookie': await tokensOf(otherUser, cookie.app.url),
      'login cookie': await sealedCookie(pending, cookie.app.url),
      'other login cookie': await sealedCookie(otherPending, cookie.app.url),
      'stored session': kept.session,
      'other stored session': otherKept.session,
      'stored tokens': kept.tokens,
      'other stored tokens': otherKept.tokens,
    }
    const accepts: Record<Kind, (value: string) => Promise<boolean>> = {
      'session cookie': async (value) => enters(cookie.app.url, `oauth=${value}; oauth.tokens=${tokens}`),
      'tokens cookie': async (value) => {
        const both = `oauth=${session}; oauth.tokens=${value}`
        return (await bare(`${cookie.app.url}/token`, { ...typed, cookie: both })).status === 200
      },
      'login cookie': async (value) => {
        const state = new URL(callback).searchParams.get('state') ?? ''
        const before = cookie.server.counts.token
        const page = await bare(callback, { ...typed, cookie: `${loginCookieName(state)}=${value}` })
        return setsSession(page) || cookie.server.counts.token > before
      },
      'stored session': async (value) => {
        open.replace(kept.sid, (entry) => Object.assign(entry, { oauth: value }))
        return enters(stored.app.url, kept.cookie)
      },
      'stored tokens': async (value) => {
        open.replace(kept.record, (entry) => Object.assign(entry, { tokens: value }))
        return enters(stored.app.url, kept.cookie)
      },
    }
    return { values, accepts, place: JSON.stringify(['oauth', cookie.server.issuer, cookie.server.clientId]) }
  }

  /** What the store got from one more login. */
  async function keptOf({ app, signedIn }: Stage, open: OpenStore) {
    const before = new Set(Object.keys(open.entries()))
    const cookie = await cookieHeader(await signedIn(), app.url)
    const fresh = Object.entries(open.entries()).filter(([key]) => !before.has(key))
    const [record = '', recordText = '{}'] = fresh.find(([key]) => key.startsWith('oauth-tokens-')) ?? []
    const [sid = '', sessionText = '{}'] = fresh.find(([key]) => key !== record) ?? []
    const { tokens } = JSON.parse(recordText) as { tokens: string }
    const { oauth } = JSON.parse(sessionText) as { oauth: string }
    return { cookie, record, sid, tokens, session: oauth }
  }

  /** A session of an application with the same secret under another name. */
  async function sessionOfAnotherName({ server }: Stage): Promise<string> {
    const { app, signedIn } = await startStage({
      options: { ...registration(server), secrets, name: 'other' },
    })
    server.register(app.callbackUrl)
    return sealedCookie(await signedIn(), app.url)
  }
})

describe('T13 a session of another client', () => {
  it('does not open where secret and name are the same', async () => {
    const [one, other] = [
      await startStage({ options: { secrets } }),
      await startStage({ options: { secrets } }),
    ]
    const cookie = await cookieHeader(await one.signedIn(), one.app.url)
    expect(await enters(one.app.url, cookie)).toBe(true)
    expect(await enters(other.app.url, cookie)).toBe(false)
  })
})

describe('T27 cookies planted beside ours', () => {
  it.each(['session', 'login'] as const)('a %s cookie that comes twice counts as none', async (kind) => {
    const stage = await startStage()
    for (const planted of ['', 'x', 'j:{"a":1}', '"x"']) {
      const { name, value, isTaken } = await own(stage, kind)
      expect(await isTaken(`${name}=${planted}; ${name}=${value}`)).toBe(false)
      expect(await isTaken(`${name}=${value}; ${name}=${planted}`)).toBe(false)
      expect(await isTaken(`${name}=${value};${name}=${value}`)).toBe(false)
      expect(await isTaken(`a=b; ${name}=${value}; x${name}=${planted}`)).toBe(true)
    }
  })

  it('also when white space stands before the equals sign', async () => {
    const stage = await startStage()
    const { name, value, isTaken } = await own(stage, 'session')
    expect(await isTaken(`${name} =${value}; ${name}=x`)).toBe(false)
  })

  it('without the prefix counts for nothing on https', async () => {
    const { url, login } = await publicApp()
    const { cookie, value } = await login()
    expect(await enters(url, cookie)).toBe(true)
    expect(await enters(url, `oauth=x; ${cookie}; __Secure-oauth=x; __host-oauth=x`)).toBe(true)
    for (const name of ['oauth', '__Secure-oauth', '__host-oauth', '__Host-oauth2']) {
      expect(await enters(url, `${name}=${value}`)).toBe(false)
    }
  })

  it('all of ours have the prefix and its conditions', async () => {
    const { login } = await publicApp()
    const { setCookies } = await login()
    expect(setCookies.length).toBeGreaterThanOrEqual(3)
    for (const cookie of setCookies) {
      expect(cookie).toMatch(
        /^__Host-oauth(?:\.login\.[\w-]+|\.fresh|\.tokens)?=[^;]*; Max-Age=\d+; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
      )
    }
  })

  async function own({ app, server, pending, signedIn }: Stage, kind: 'session' | 'login') {
    if (kind === 'session') {
      const browser = await signedIn()
      const tokens = await tokensOf(browser, app.url)
      const isTaken = async (cookie: string) => enters(app.url, `oauth.tokens=${tokens}; ${cookie}`)
      return { name: 'oauth', value: await sealedCookie(browser, app.url), isTaken }
    }
    const browser = openBrowser()
    const callback = await pending(browser)
    const name = loginCookieName(new URL(callback).searchParams.get('state') ?? '')
    const isTaken = async (cookie: string) => {
      const before = server.counts.token
      await bare(callback, { ...typed, cookie })
      return server.counts.token > before
    }
    return { name, value: await sealedCookie(browser, app.url), isTaken }
  }
})

describe('T28 a cookie of two users', () => {
  it('made of chunks of both opens for neither', async () => {
    const { app, signedIn } = await startStage({ server: { fault: largeClaims(3_000) } })
    const [userA, userB] = [await signedIn(), await signedIn()]
    const [a, b] = [await chunksOf(userA, app.url), await chunksOf(userB, app.url)]
    const [tokensA, tokensB] = [await tokensOf(userA, app.url), await tokensOf(userB, app.url)]
    expect(a).toHaveLength(2)
    expect(await enters(app.url, chunkHeader(a, tokensA))).toBe(true)
    expect(await enters(app.url, chunkHeader([a[0], b[1]], tokensA))).toBe(false)
    expect(await enters(app.url, chunkHeader([b[0], a[1]], tokensB))).toBe(false)
    const [first = '', second = ''] = a
    expect(await enters(app.url, chunkHeader([`2~${second}`, first.slice(2)], tokensA))).toBe(false)
  })
})

describe('T31 chunks', () => {
  it.each<[string, (chunks: string[]) => string[]]>([
    ['a count of 99999999', ([first = '', ...more]) => [first.replace('2', '99999999'), ...more]],
    ['a count of 0', ([first = '', ...more]) => [first.replace('2', '0'), ...more]],
    ['a count of 1', ([first = '', ...more]) => [first.replace('2', '1'), ...more]],
    ['a count of 3', ([first = '', ...more]) => [first.replace('2', '3'), ...more]],
    [
      'a count of 3 with a third chunk',
      ([first = '', ...more]) => [first.replace('2', '3'), ...more, 'AAAA'],
    ],
    [
      'a count of 9 with nine chunks',
      ([first = '', ...more]) => [first.replace('2', '9'), ...more, ...Array.from({ length: 7 }, () => 'A')],
    ],
    [
      'a count of 5 and as many chunks',
      (chunks) => {
        const value = chunks.join('').slice(2)
        const size = Math.ceil(value.length / 5)
        const five = Array.from({ length: 5 }, (_, index) => value.slice(index * size, (index + 1) * size))
        return five.map((chunk, index) => (index === 0 ? `5~${chunk}` : chunk))
      },
    ],
    ['a count of -1', ([first = '', ...more]) => [first.replace('2', '-1'), ...more]],
    ['no count', ([first = '', ...more]) => [first.slice(2), ...more]],
    ['a missing chunk', ([first = '']) => [first]],
    ['an empty chunk', ([first = '']) => [first, '']],
    ['a chunk cut short', ([first = '', second = '']) => [first, second.slice(0, -5)]],
    ['chunks in another order', ([first = '', second = '']) => [`2~${second}`, first.slice(2)]],
  ])('with %s are no session', async (_what, change) => {
    const { app, signedIn } = await startStage({ server: { fault: largeClaims(3_000) } })
    const browser = await signedIn()
    const [chunks, tokens] = [await chunksOf(browser, app.url), await tokensOf(browser, app.url)]
    expect(await enters(app.url, chunkHeader(chunks, tokens))).toBe(true)
    expect(await enters(app.url, chunkHeader(change(chunks), tokens))).toBe(false)
  })

  it('left over from a larger session are no harm, and are cleared by a smaller one', async () => {
    const { app, server, signedIn } = await startStage({ server: { fault: largeClaims(3_000) } })
    const browser = await signedIn()
    expect(await chunksOf(browser, app.url)).toHaveLength(2)
    server.misbehave()
    await browser.visit(`${app.url}/login?returnTo=/private`)
    expect(browser.page.status).toBe(200)
    expect(await chunksOf(browser, app.url)).toHaveLength(1)
  })

  it('without the tokens are no session: a browser may throw away one cookie of two', async () => {
    const { app, signedIn } = await startStage()
    const browser = await signedIn()
    const [session, tokens] = [await sealedCookie(browser, app.url), await tokensOf(browser, app.url)]
    expect(await enters(app.url, `oauth=${session}; oauth.tokens=${tokens}`)).toBe(true)
    expect(await enters(app.url, `oauth=${session}`)).toBe(false)
    expect(await enters(app.url, `oauth.tokens=${tokens}`)).toBe(false)
  })

  it('are all cleared by a logout', async () => {
    const { app, signedIn } = await startStage({ server: { fault: largeClaims(3_000) } })
    const browser = await signedIn()
    await browser.fetch('/logout', { method: 'POST' })
    expect(await browser.cookieNames(app.url)).toEqual([])
  })

  it('give up the ID token first, then the login with the name of the largest field', async () => {
    const { app, signedIn } = await startStage({ server: { fault: largeClaims(3_500) } })
    const chunks = await chunksOf(await signedIn(), app.url)
    expect(chunks.join('').length).toBeLessThan(7_500)
    const tooLarge = await startStage({ server: { fault: largeClaims(6_000) }, options: { onError: 'next' } })
    const page = await openBrowser().visit(`${tooLarge.app.url}/private`)
    expect(setsSession(page)).toBe(false)
    expect(tooLarge.app.errors).toMatchObject([
      { code: 'session_too_large', message: expect.stringContaining('"large" with 6002 characters') },
    ])
  })

  it('of 200 strange cookies cost an anonymous visitor next to nothing', async () => {
    const { app } = await startStage()
    const cookie = Array.from({ length: 200 }, (_, index) => `oauth.${index}=9~${'A'.repeat(40)}`).join('; ')
    expect(await quickest(async () => enters(app.url, `${cookie}; oauth=9~A`))).toBeLessThan(100)
  })

  it.each(['/login', '/callback?state=an-unknown-state-of-22&code=a'])(
    'of 900 planted logins cost %s next to nothing, and few words',
    async (path) => {
      const { app } = await startStage()
      const cookie = Array.from({ length: 900 }, (_, index) => `oauth.login.${index.toString(36)}=1`).join(
        '; ',
      )
      const { setCookies } = await bare(app.url + path, { ...typed, cookie })
      expect(setCookies.length).toBeLessThan(50)
      expect(await quickest(async () => bare(app.url + path, { ...typed, cookie }))).toBeLessThan(50)
    },
  )

  it('of a large session and of logins fit through nginx together', async () => {
    const { app, signedIn, pending } = await startStage({ server: { fault: largeClaims(3_500) } })
    const browser = await signedIn()
    for (let login = 0; login < 8; login += 1) await pending(browser)
    expect(`Cookie: ${await cookieHeader(browser, app.url)}`.length).toBeLessThan(8_192)
  })

  /** Milliseconds of the best of three runs. */
  async function quickest(run: () => Promise<unknown>): Promise<number> {
    const times: number[] = []
    for (let round = 0; round < 3; round += 1) {
      const start = performance.now()
      await run()
      times.push(performance.now() - start)
    }
    return Math.min(...times)
  }
})

describe('T32 a cookie that says it is compressed', () => {
  it.each([{ zip: 'DEF' }, { zip: 'DEF', p2c: 1e9 }, { alg: 'PBES2-HS256+A128KW', p2c: 2e9 }])(
    '%o is not ours',
    async (header) => {
      const { app, signedIn } = await startStage()
      const browser = await signedIn()
      const sealed = await sealedCookie(browser, app.url)
      const tokens = await tokensOf(browser, app.url)
      expect(await enters(app.url, chunkHeader([sealed], tokens))).toBe(true)
      const [, ...parts] = sealed.split('.')
      const first = Buffer.from(JSON.stringify({ alg: 'dir', enc: 'A256GCM', ...header })).toString(
        'base64url',
      )
      expect(await enters(app.url, chunkHeader([[first, ...parts].join('.')], tokens))).toBe(false)
    },
  )
})

describe('T40 caches', () => {
  const paths = [
    '/login',
    '/login?returnTo=/x',
    '/callback',
    '/callback?state=a&code=b',
    '/callback?state=a&error=access_denied',
    '/logout',
    '/user',
    '/backchannel',
    '/frontchannel',
    '/frontchannel?iss=a&sid=b',
    '/private',
    '/scoped',
  ]
  const kinds: readonly Record<string, string>[] = [typed, { accept: 'application/json' }, ownForm, ownScript]

  it.each(storages)('keep no answer of a path of the package, storage %s', async (storage) => {
    const { app, signedIn } = await startStage({
      storage,
      options: {
        user: true,
        logoutByGet: true,
        paths: { backchannelLogout: '/backchannel', frontchannelLogout: '/frontchannel' },
      },
    })
    const user = await cookieHeader(await signedIn(), app.url)
    const answers = new Map<string, unknown>()
    for (const path of paths) {
      for (const method of ['GET', 'HEAD', 'POST']) {
        for (const headers of kinds) {
          const cookie = path === '/user' ? { cookie: user } : {}
          const page = await bare(app.url + path, { ...headers, ...cookie }, { method })
          const isOurs = page.status !== 404
          if (isOurs) answers.set(`${method} ${path} ${page.status}`, page.headers['cache-control'])
        }
      }
    }
    const kept = [...answers].filter(([, control]) => !/(^|, )no-store$/.test(String(control)))
    expect(kept).toEqual([])
    for (const answer of ['GET /user 200', 'GET /user 403', 'POST /user 405', 'POST /logout 303'])
      expect([...answers.keys()]).toContain(answer)
  })

  it('keep no refusal of csrfProtection, which looks at no session, nor what names the way in', async () => {
    const { app } = await startStage({ routes: ({ use }) => use(csrfProtection()) })
    for (const [path, method, status] of [
      ['/own', 'POST', 403],
      ['/private', 'GET', 401],
    ] as const) {
      const page = await bare(app.url + path, { ...ownScript, 'sec-fetch-site': 'cross-site' }, { method })
      expect([path, page.status]).toEqual([path, status])
      expect(page.headers).toMatchObject({
        'cache-control': 'no-store',
        'referrer-policy': 'no-referrer',
        'x-content-type-options': 'nosniff',
      })
    }
  })

  it('keep nothing that the app’s own error handler answers at a path of the package', async () => {
    const { app, signedIn } = await startStage({ options: { user: true, onError: 'next' } })
    const cookie = await cookieHeader(await signedIn(), app.url)
    for (const [path, headers] of [
      ['/callback?state=a&code=b', typed],
      ['/user', typed],
      ['/user', { ...ownScript, cookie: `${cookie}x`, 'sec-fetch-site': 'same-site' }],
      ['/logout', ownScript],
    ] as const) {
      const page = await bare(app.url + path, headers)
      expect([path, page.body]).toEqual([path, 'the application had an error'])
      expect([path, page.headers['cache-control']]).toEqual([path, 'no-store'])
    }
    expect(app.errors).toHaveLength(4)
  })

  it('keep nobody apart from somebody by the address alone: the user endpoint varies by cookie', async () => {
    const { app, signedIn } = await startStage({ options: { user: true } })
    const cookie = await cookieHeader(await signedIn(), app.url)
    for (const headers of [ownScript, { ...ownScript, cookie }, typed]) {
      const { headers: answered } = await bare(`${app.url}/user`, headers)
      expect([answered['cache-control'], answered['vary']]).toEqual(['no-store', 'Cookie'])
    }
  })

  it.each(storages)('a page that depends on the user is kept by none, storage %s', async (storage) => {
    const { app, signedIn } = await startStage({ storage })
    const { headers } = (await signedIn()).page
    expect(headers).toMatchObject({ 'cache-control': 'private, no-store', vary: 'Cookie' })
    expect(app.errors).toEqual([])
  })

  const publicly: Handler = (_request, response, next) => {
    response.setHeader('cache-control', 'public, max-age=600')
    next()
  }
  const withCookie: Handler = (_request, response, next) => {
    response.setHeader('set-cookie', 'theme=dark')
    next()
  }
  it('a rolling cookie is kept by none although the application says so before', async () => {
    expect(await rollingAnswer([publicly])).toMatchObject({
      'cache-control': 'private, no-store',
      vary: 'Cookie',
    })
  })

  const publicHeaders = { 'cache-control': 'public, max-age=600', vary: 'accept-encoding' }
  type Says = (response: Parameters<Handler>[1]) => unknown
  /** All the ways in which Node lets an application say it. */
  const ways: Record<string, Says> = {
    'an object': (response) => response.writeHead(200, publicHeaders).end(),
    'an object after a reason': (response) => response.writeHead(200, 'Fine', publicHeaders).end(),
    'a list': (response) => response.writeHead(200, Object.entries(publicHeaders).flat()).end(),
    'a list after a reason': (response) =>
      response.writeHead(200, 'Fine', Object.entries(publicHeaders).flat()).end(),
    'a list of pairs': (response) => response.writeHead(200, Object.entries(publicHeaders) as never).end(),
    'other letters': (response) =>
      response.writeHead(200, { 'Cache-Control': 'public', Vary: 'Origin' }).end(),
    'a map of headers': (response) => response.setHeaders(new Headers(publicHeaders)).end(),
    'its first bytes': (response) =>
      response.setHeaders(new Headers(publicHeaders)).write('a') && response.end(),
    'headers sent early': (response) => {
      response.setHeaders(new Headers(publicHeaders)).flushHeaders()
      response.end()
    },
  }

  it.each(Object.entries(ways))('nor when it says so at last, with %s', async (_way, says) => {
    const { url, login } = await publicApp(requireLogin(), (_request, response) => says(response))
    const { cookie } = await login()
    travel(2 * 3_600)
    const page = await bare(url, { ...typed, cookie })
    expect([page.status, page.setCookies.length]).toEqual([200, 1])
    expect(page.headers['cache-control']).toBe('private, no-store')
    expect(page.headers['vary']).toMatch(/, Cookie$/)
  })

  it('nor when the application has set a cookie of its own before', async () => {
    expect(await rollingAnswer([publicly, withCookie])).toMatchObject({
      'cache-control': 'private, no-store',
    })
  })

  /** The headers of the first answer two hours after the login, which sets the session cookie anew. */
  async function rollingAnswer(before: Handler[]) {
    const { app, signedIn } = await startStage({ before })
    const cookie = await cookieHeader(await signedIn(), app.url)
    travel(2 * 3_600)
    const page = await bare(`${app.url}/private`, { ...typed, cookie })
    expect(page.status).toBe(200)
    expect(setsSession(page)).toBe(true)
    return page.headers
  }
})

/** Claims that make a session of several chunks. */
function largeClaims(size: number): Fault {
  const { idTokenClaims } = withClaims(() => ({ large: 'x'.repeat(size) }))
  return { idTokenClaims, tokenResponse }
}

function loginCookieName(state: string): string {
  return `oauth.login.${createHash('sha256').update(state).digest('base64url').slice(0, 16)}`
}

async function sealedCookie(browser: Browser, url: string): Promise<string> {
  const [cookie] = await cookiesOf(browser, url, /^(?:oauth|other)(?:\.login\..+)?$/)
  if (!cookie) throw new Error('the browser has no cookie of ours')
  return cookie.value
}

async function chunksOf(browser: Browser, url: string): Promise<string[]> {
  return (await cookiesOf(browser, url, /^oauth(?:\.\d)?$/)).map(({ value }) => value)
}

/** The cookies of a session: the chunks of who it is of, and its tokens. */
function chunkHeader(chunks: readonly (string | undefined)[], tokens: string): string {
  const session = chunks.map((chunk, index) => `oauth${index === 0 ? '' : `.${index}`}=${chunk}`)
  return [...session, `oauth.tokens=${tokens}`].join('; ')
}

async function tokensOf(browser: Browser, url: string): Promise<string> {
  const [cookie] = await cookiesOf(browser, url, /^oauth\.tokens$/)
  if (!cookie) throw new Error('the browser has no tokens of ours')
  return cookie.value
}

async function enters(url: string, cookie: string): Promise<boolean> {
  return (await bare(`${url}/private`, { ...typed, cookie })).status === 200
}

/** An application that the world knows under an https address. */
async function publicApp(...handlers: readonly Handler[]) {
  const baseUrl = 'https://app.example'
  const server = await startFaultyServer({ redirectUri: `${baseUrl}/callback` })
  onTestFinished(() => server.close())
  const options: LoginOptions = { ...registration(server), baseUrl, secrets, storage: 'cookie' }
  const url = await serve(() => chain(oauthLogin(options), ...handlers, entry))
  return {
    url,
    login: async () => {
      const start = await bare(`${url}/login`, typed)
      const [cookie = ''] = start.setCookies[0]?.split(';') ?? []
      const callback = new URL(location(await bare(location(start), typed)))
      const end = await bare(url + callback.pathname + callback.search, { ...typed, cookie })
      const pairs = end.setCookies.map((header) => header.split(';')[0] ?? '')
      const session = pairs.find((pair) => pair.startsWith('__Host-oauth='))
      return {
        cookie: pairs.filter((pair) => /^__Host-oauth(\.tokens)?=/.test(pair)).join('; '),
        value: session?.slice('__Host-oauth='.length) ?? '',
        setCookies: [...start.setCookies, ...end.setCookies],
      }
    },
  }
}

/** Lets in whoever has a session. */
const entry: Handler = (request, response) => {
  response.writeHead('auth' in request && request.auth !== undefined ? 200 : 401).end()
}
