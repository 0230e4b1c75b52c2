/** Threats to the way back: what the callback takes for an answer, and what comes of it. */
import { randomBytes } from 'node:crypto'
import express from 'express'
import { describe, expect, it } from 'vitest'
import { storages } from '../support/app.js'
import { openBrowser, type Browser, type Page } from '../support/browser.js'
import { replayed } from '../support/browser/exchange.js'
import type { Fault, FaultName, FaultyServer } from '../support/faulty-server.js'
import { authorizationResponse } from '../support/faulty-server/authorization.js'
import { withClaims } from '../support/faulty-server/faults/modules-basic.js'
import { now, type Authorization } from '../support/faulty-server/provider.js'
import { bare, cookieHeader, location, sentParameter, setsSession, typed } from '../support/requests.js'
import type { Handler } from '../support/serve.js'
import { registration, startStage, type Stage } from '../support/stage.js'

describe('T1 login CSRF', () => {
  it.each(storages)('an answer for another browser begins no session with storage %s', async (storage) => {
    const { app, server, pending } = await startStage({ storage })
    const callback = await pending(openBrowser())
    const victim = openBrowser()
    const page = await victim.visit(callback, { follow: false })
    expect(setsSession(page)).toBe(false)
    expect(server.counts.token).toBe(0)
    expect(await isSignedIn(victim, app.url)).toBe(false)
    expect(sentParameter(page, 'state')).toMatch(/^r\.[\w-]{22}$/)
    expect(sentParameter(page, 'state')).not.toContain(stateOf(callback))
  })

  it('nor one for a browser that is about to sign in itself', async () => {
    const { app, server, pending } = await startStage()
    const callback = await pending(openBrowser())
    const victim = openBrowser()
    await pending(victim)
    expect(setsSession(await victim.visit(callback, { follow: false }))).toBe(false)
    expect(server.counts.token).toBe(0)
    expect(await isSignedIn(victim, app.url)).toBe(false)
  })

  it('two logins have nothing in common', async () => {
    const { app } = await startStage()
    const pages = [await bare(`${app.url}/login`, typed), await bare(`${app.url}/login`, typed)]
    for (const name of ['state', 'nonce', 'code_challenge']) {
      expect(new Set(pages.map((page) => sentParameter(page, name))).size).toBe(2)
    }
  })
})

describe('T2 a state that is not there', () => {
  const states = {
    absent: '',
    empty: 'state=&',
    array: 'state[]=STATE&',
    object: 'state[a]=STATE&',
    'in another case': 'State=STATE&',
    repeated: 'state=STATE&state=STATE&',
    'repeated, once empty': 'state=&state=STATE&',
  }
  const cookies = ['none', 'of the login', 'empty', 'malformed', 'of the empty state'] as const
  const cases = Object.keys(states).flatMap((state) => cookies.map((cookie) => ({ state, cookie })))

  it.each(cases)('state $state, cookie $cookie', async ({ state, cookie }) => {
    const { app, server, pending } = await startStage()
    const browser = openBrowser()
    const callback = new URL(await pending(browser))
    const query = states[state as keyof typeof states].replaceAll('STATE', stateOf(callback.href))
    const code = callback.searchParams.get('code') ?? ''
    const url = `${app.callbackUrl}?${query}code=${code}&iss=${encodeURIComponent(server.issuer)}`
    const page = await bare(url, { ...typed, ...(await cookieNamed(cookie, browser, app.url)) })
    expect(page.status).toBe(400)
    expect(setsSession(page)).toBe(false)
    expect(server.counts.token).toBe(0)
  })

  it.each(['', 'null', 'undefined', 'r.', '__proto__', '%00', '../', 'a'.repeat(4_000)])(
    'the malformed state "%s" is refused at once',
    async (state) => {
      const { app, server } = await startStage()
      const page = await bare(`${app.callbackUrl}?code=a&state=${state}`, typed)
      expect(page.status).toBe(400)
      expect(server.counts).toMatchObject({ authorize: 0, token: 0 })
    },
  )

  async function cookieNamed(
    kind: (typeof cookies)[number],
    browser: Browser,
    url: string,
  ): Promise<{ cookie?: string }> {
    const [name = '', value = ''] = (await cookieHeader(browser, url)).split('=')
    const headers = {
      none: undefined,
      'of the login': `${name}=${value}`,
      empty: `${name}=`,
      malformed: `${name}=%ZZ..${value.slice(0, 20)}`,
      'of the empty state': `oauth.login.47DEQpj8HBSa-_TI=${value}; oauth.login.=${value}`,
    }
    const cookie = headers[kind]
    return cookie === undefined ? {} : { cookie }
  }
})

describe('T3 a callback that comes again', () => {
  it.each(storages)('fifty times at once is one token request with storage %s', async (storage) => {
    const { server, pending } = await startStage({ storage })
    const browser = openBrowser()
    const callback = await pending(browser)
    const first = await callbackPage(browser, callback)
    const pages = await Promise.all(Array.from({ length: 50 }, async () => replayed(first)))
    expect(server.counts.token).toBe(1)
    expect(pages.filter(setsSession)).toEqual([])
    expect(new Set(pages.map(({ status }) => status))).toEqual(new Set([302]))
  })

  it('at the very same moment, too', async () => {
    const { app, server, pending } = await startStage()
    const browser = openBrowser()
    const callback = await pending(browser)
    const headers = { ...typed, cookie: await cookieHeader(browser, app.url) }
    const pages = await Promise.all(Array.from({ length: 50 }, async () => bare(callback, headers)))
    expect(server.counts.token).toBe(1)
    expect(pages.filter(setsSession)).toHaveLength(1)
  })

  it('leads home when it has signed the user in already', async () => {
    const { server, app, pending } = await startStage()
    const browser = openBrowser()
    const callback = await pending(browser, '/login?returnTo=/private')
    await browser.visit(callback)
    const again = await browser.visit(callback, { follow: false })
    expect(again).toMatchObject({ status: 303, headers: { location: '/' } })
    expect(server.counts.token).toBe(1)
    expect(await isSignedIn(browser, app.url)).toBe(true)
  })
})

describe('T6 authorization code injection', () => {
  it.each(storages)('a code of another login is worth nothing with storage %s', async (storage) => {
    const { app, server, pending } = await startStage({ storage })
    const stolen = new URL(await pending(openBrowser())).searchParams.get('code') ?? ''
    const attacker = openBrowser()
    const callback = new URL(await pending(attacker))
    callback.searchParams.set('code', stolen)
    const page = await attacker.visit(callback.href, { follow: false })
    expect(page.status).toBe(400)
    expect(setsSession(page)).toBe(false)
    expect(await isSignedIn(attacker, app.url)).toBe(false)
    expect(server.complaints).toEqual(['token request: code_verifier does not match'])
  })
})

describe('T8 the nonce', () => {
  const used: string[] = []
  it.each<[string, (authorization: Authorization) => unknown]>([
    ['is missing', () => undefined],
    ['is empty', () => ''],
    ['is another one', ({ parameters }) => `${parameters.get('nonce')}1`],
    ['is an array', ({ parameters }) => [parameters.get('nonce')]],
    ['was used before', ({ parameters }) => used.push(parameters.get('nonce') ?? '') && used[0]],
  ])('%s', async (_what, nonce) => {
    const fault = withClaims((_op, authorization) => ({ nonce: nonce(authorization) }))
    const stage = await startStage({ server: { fault } })
    used.push(sentParameter(await bare(`${stage.app.url}/login`, typed), 'nonce') ?? '')
    expect(await endOf(stage)).toEqual(refused)
  })
})

describe('T9 mix-up of authorization servers', () => {
  it.each<[string, (answer: URLSearchParams, server: FaultyServer) => void]>([
    ['iss is missing', (answer) => answer.delete('iss')],
    ['iss is empty', (answer) => answer.set('iss', '')],
    ['iss is another server', (answer) => answer.set('iss', 'https://evil.example')],
    ['iss has a slash more', (answer, { issuer }) => answer.set('iss', `${issuer}/`)],
    ['iss is in capitals', (answer, { issuer }) => answer.set('iss', issuer.toUpperCase())],
    ['iss comes twice', (answer, { issuer }) => answer.append('iss', issuer)],
    ['iss is right and wrong', (answer) => answer.append('iss', 'https://evil.example')],
    [
      'an error of another server',
      (answer) => replace(answer, { error: 'access_denied', iss: 'https://evil.example' }),
    ],
  ])('%s: no token request', async (_what, change) => {
    const stage = await startStage()
    const browser = openBrowser()
    const callback = new URL(await stage.pending(browser))
    change(callback.searchParams, stage.server)
    const page = await browser.visit(callback.href, { follow: false })
    expect(page.status).toBe(400)
    expect(setsSession(page)).toBe(false)
    expect(stage.server.counts.token).toBe(0)
  })

  it('a login of one client does not end at another with the same secret', async () => {
    const secrets = ['Zp3vKq8sXw1yB5nM7tRc2dFg4hJk6lQa']
    const one = await startStage({ options: { secrets } })
    const other = await startStage({ options: { secrets } })
    const browser = openBrowser()
    const callback = new URL(await one.pending(browser))
    const cookie = await cookieHeader(browser, one.app.url)
    callback.searchParams.set('iss', other.server.issuer)
    const page = await bare(other.app.callbackUrl + callback.search, { ...typed, cookie })
    expect([302, 400]).toContain(page.status)
    expect(setsSession(page)).toBe(false)
    expect(other.server.counts.token).toBe(0)
  })

  it('nor at another redirect URI of the same client', async () => {
    const secrets = ['Zp3vKq8sXw1yB5nM7tRc2dFg4hJk6lQa']
    const one = await startStage({ options: { secrets } })
    const other = await startStage({ options: { secrets, ...registration(one.server) } })
    const browser = openBrowser()
    const { search } = new URL(await one.pending(browser))
    const cookie = await cookieHeader(browser, one.app.url)
    expect((await bare(other.app.callbackUrl + search, { ...typed, cookie })).status).toBe(400)
    expect(one.server.counts.token).toBe(0)
  })
})

describe('T19 the address of the callback', () => {
  const silent = { 'referrer-policy': 'no-referrer', 'cache-control': 'no-store' }
  const branches: Readonly<
    Record<string, (stage: Stage, browser: Browser, callback: string) => Promise<Page>>
  > = {
    success: async (_stage, browser, callback) => browser.visit(callback, { follow: false }),
    'second use': async (_stage, browser, callback) => {
      await browser.visit(callback, { follow: false })
      return browser.visit(callback, { follow: false })
    },
    restart: async (_stage, _browser, callback) => openBrowser().visit(callback, { follow: false }),
    'no state': async ({ app }, browser) => browser.visit(`${app.callbackUrl}?code=a`, { follow: false }),
    'restarted before': async ({ app }, browser) => browser.visit(`${app.callbackUrl}?code=a&state=r.a`),
    'error of the server': async (_stage, browser, callback) =>
      browser.visit(`${callback}&error=access_denied`),
    'refused code': async (_stage, browser, callback) => browser.visit(callback.replace('code=', 'code=x')),
    'wrong method': async (_stage, browser, callback) =>
      bare(callback, { ...typed, cookie: await cookieHeader(browser, callback) }, { method: 'POST' }),
    'a script': async (_stage, browser, callback) => {
      await browser.visit(callback, { follow: false })
      return browser.fetch(callback)
    },
  }

  it.each(Object.entries(branches))('is told to nobody: %s', async (_what, answer) => {
    const stage = await startStage()
    const browser = openBrowser()
    const page = await answer(stage, browser, await stage.pending(browser))
    expect(page.headers).toMatchObject(silent)
    expect(page.headers['location'] ?? '').not.toContain('code=')
    expect(page.body).not.toMatch(/<(?:script|img|link|iframe)/)
  })

  it('is told to nobody when the application answers errors itself', async () => {
    const { app } = await startStage({ options: { onError: 'next' } })
    expect((await bare(`${app.callbackUrl}?code=a`, typed)).headers).toMatchObject(silent)
  })
})

describe('T20 markup in an error', () => {
  const payloads = [
    '<script>alert(1)</script>',
    '"><svg/onload=alert(1)>',
    "'><img src=x onerror=alert(1)>",
    '</p></style></title><script>alert(1)</script>',
    '<!--<img src="--><img src=x onerror=alert(1)//">',
    '&lt;script&gt;alert(1)&lt;/script&gt;',
    '&#60;script&#62;alert(1)&#60;/script&#62;',
    '+ADw-script+AD4-alert(1)+ADw-/script+AD4-',
    '\u2028<script>\u2029',
    '\u0000<script>\u0000',
    '\ufffe<\u0000s\u0000c\u0000r',
    '\r\nContent-Type: text/html\r\n\r\n<script>alert(1)</script>',
    `${'x'.repeat(6_000)}<script>alert(1)</script>`,
    '{{constructor.constructor("alert(1)")()}}',
    '__proto__',
    'constructor',
  ]
  const names = ['error', 'error_description', 'error_uri'] as const
  const cases = names.flatMap((name) => payloads.map((payload) => [name, payload] as const))

  it.each(cases)('%s = %j', async (name, payload) => {
    const { pending } = await startStage()
    const browser = openBrowser()
    const callback = new URL(await pending(browser))
    callback.searchParams.set('error', 'access_denied')
    callback.searchParams.set(name, payload)
    const { status, headers, body } = await browser.visit(callback.href, { follow: false })
    expect([400, 403]).toContain(status)
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'x-content-type-options': 'nosniff',
      'content-security-policy': expect.stringContaining("default-src 'none'"),
    })
    expect([...body.matchAll(/<\/?\w+/g)].map(([tag]) => tag).filter((tag) => !ours.has(tag))).toEqual([])
    expect(body.length).toBeLessThan(6_000)
  })

  const ours = new Set(
    ['html', 'meta', 'title', 'style', 'main', 'h1', 'p', 'a', 'code', 'aside'].flatMap((tag) => [
      `<${tag}`,
      `</${tag}`,
    ]),
  )
})

describe('T21 parameters that come twice, as arrays or as objects', () => {
  const names = ['code', 'state', 'iss', 'error', 'error_description', 'session_state', 'response']

  it.each(names)('%s twice in the query', async (name) => {
    expect(await answerTo((callback) => repeat(callback, name))).toEqual(refusedUnasked)
  })

  it.each(
    ['code', 'state', 'iss'].flatMap((name) =>
      ['[]', '[0]', '[a]', '.0', '%00', ' '].map((form) => name + form),
    ),
  )('%s in place of the parameter', async (name) => {
    const [, plain = ''] = /^(\w+)/.exec(name) ?? []
    expect(await answerTo((callback) => rename(callback, plain, name))).toEqual(refusedUnasked)
  })

  it.each(names)('%s twice in a posted form', async (name) => {
    expect(await answerToForm((callback) => repeat(callback, name))).toEqual(refusedUnasked)
  })

  describe.each([true, false])('in a form that the application has parsed, extended %s', (extended) => {
    it.each(names)('%s twice', async (name) => {
      const parsed = express.urlencoded({ extended }) as unknown as Handler
      expect(await answerToForm((callback) => repeat(callback, name), [parsed])).toEqual(refusedUnasked)
    })
  })

  it.each(['code', 'state', 'iss'])('%s as an object in a parsed form', async (name) => {
    const parsed = express.urlencoded({ extended: true }) as unknown as Handler
    const change = (callback: URLSearchParams) => rename(callback, name, `${name}[a]`)
    expect(await answerToForm(change, [parsed])).toEqual(refusedUnasked)
  })

  it.each(['code', 'state', 'iss'])('%s as an array of one in a parsed form', async (name) => {
    const parsed = express.urlencoded({ extended: true }) as unknown as Handler
    const change = (callback: URLSearchParams) => rename(callback, name, `${name}[]`)
    expect(await answerToForm(change, [parsed])).toEqual(refusedUnasked)
  })

  const refusedUnasked = { status: 400, session: false, tokenRequests: 0 }

  async function answerTo(change: (parameters: URLSearchParams) => void) {
    const { server, pending } = await startStage()
    const browser = openBrowser()
    const callback = new URL(await pending(browser))
    change(callback.searchParams)
    const page = await browser.visit(callback.href, { follow: false })
    return { status: page.status, session: setsSession(page), tokenRequests: server.counts.token }
  }

  async function answerToForm(
    change: (parameters: URLSearchParams) => void,
    before: readonly Handler[] = [],
  ) {
    const { app, server } = await startStage({
      before,
      options: { responseMode: 'form_post' },
      server: { fault: redirected },
    })
    const browser = openBrowser()
    const login = await browser.visit(`${app.url}/login`, { follow: false })
    const { search } = new URL(location(await browser.visit(location(login), { follow: false })))
    const parameters = new URLSearchParams(search)
    change(parameters)
    const headers = {
      ...typed,
      'content-type': 'application/x-www-form-urlencoded',
      cookie: await cookieHeader(browser, app.url),
    }
    const page = await bare(app.callbackUrl, headers, { method: 'POST', body: parameters.toString() })
    return { status: page.status, session: setsSession(page), tokenRequests: server.counts.token }
  }

  const redirected: Fault = {
    answerAuthorization: ({ redirectUri }, response) => ({
      status: 302,
      headers: { location: `${redirectUri}?${response.toString()}` },
      body: '',
    }),
  }
})

describe('T23 logins that never end', () => {
  it.each(storages)('a browser without cookies sees a page after two rounds, storage %s', async (storage) => {
    const { app, server } = await startStage({ storage })
    const browser = openBrowser({ blocksCookies: true })
    const page = await browser.visit(`${app.url}/private`)
    expect(page).toMatchObject({ status: 400, headers: { 'content-type': 'text/html; charset=utf-8' } })
    expect(server.counts).toMatchObject({ authorize: 2, token: 0 })
  })

  it('a server that changes the state sees no third round', async () => {
    const fault: Fault = {
      authorizationResponse: (op, authorization) => {
        const response = authorizationResponse(op, authorization)
        response.set('state', randomBytes(16).toString('base64url'))
        return response
      },
    }
    const { app, server } = await startStage({ server: { fault } })
    expect(await openBrowser().visit(`${app.url}/private`)).toMatchObject({ status: 400 })
    expect(server.counts.authorize).toBe(2)
  })

  it.each<[FaultName, number]>([
    ['token-500', 503],
    ['discovery-down', 503],
    ['id-token-expired', 400],
    ['error-login-required', 400],
    ['error-temporarily-unavailable', 503],
  ])('%s ends on a page at once', async (fault, status) => {
    const { app, server } = await startStage({ server: { fault } })
    expect(await openBrowser().visit(`${app.url}/private`)).toMatchObject({ status })
    expect(server.counts.authorize).toBeLessThan(2)
  })

  it('a browser that drops the session cookie alone sees a page', async () => {
    const { app } = await startStage()
    const browser = openBrowser()
    const { setCookie } = browser.jar
    browser.jar.setCookie = (async (cookie: { key: string }, ...rest: unknown[]) =>
      cookie.key === 'oauth' ? undefined : Reflect.apply(setCookie, browser.jar, [cookie, ...rest])) as never
    expect((await browser.visit(`${app.url}/private`)).status).toBeGreaterThanOrEqual(400)
  })
})

describe('T24 what was asked of the authentication', () => {
  const hourOld = withClaims(() => ({ auth_time: now() - 3_600 }))
  it.each<[string, Record<string, string | number>, Fault]>([
    ['max_age 60, signed in an hour ago', { max_age: 60 }, hourOld],
    ['max_age 0, signed in an hour ago', { max_age: 0 }, hourOld],
    ['max_age 60, no auth_time', { max_age: 60 }, withClaims(() => ({ auth_time: undefined }))],
    ['max_age 60, signed in tomorrow', { max_age: 60 }, withClaims(() => ({ auth_time: now() + 86_400 }))],
    ['acr_values gold, acr silver', { acr_values: 'gold' }, withClaims(() => ({ acr: 'silver' }))],
    ['acr_values gold, no acr', { acr_values: 'gold' }, withClaims(() => ({ acr: undefined }))],
    ['acr_values gold, acr an array', { acr_values: 'gold' }, withClaims(() => ({ acr: ['gold'] }))],
    ['acr_values gold, acr gol', { acr_values: 'gold' }, withClaims(() => ({ acr: 'gol' }))],
  ])('%s', async (_what, authorizationParameters, fault) => {
    const stage = await startStage({ server: { fault }, options: { authorizationParameters } })
    expect(await endOf(stage)).toEqual(refused)
    expect(stage.app.events).toContainEqual(
      expect.objectContaining({ type: 'login_failed', code: 'insufficient_user_authentication' }),
    )
  })

  it('an auth_time that is a text makes the ID token none', async () => {
    const fault = withClaims(() => ({ auth_time: String(now()) }))
    const options = { authorizationParameters: { max_age: 60 } }
    expect(await endOf(await startStage({ server: { fault }, options }))).toEqual(refused)
  })

  it('is what the query asked for, too', async () => {
    const stage = await startStage({ server: { fault: hourOld }, options: { queryParameters: ['max_age'] } })
    expect(await endOf(stage, '/login?max_age=60')).toEqual(refused)
  })
})

/** How a login ends whose answer came, and whose tokens will not do. */
async function endOf({ app, server, pending }: Stage, path?: string) {
  const browser = openBrowser()
  const page = await browser.visit(await pending(browser, path), { follow: false })
  return {
    status: page.status,
    session: setsSession(page),
    signedIn: await isSignedIn(browser, app.url),
    tokenRequests: server.counts.token,
  }
}

const refused = { status: 400, session: false, signedIn: false, tokenRequests: 1 }

async function isSignedIn(browser: Browser, url: string): Promise<boolean> {
  return (await browser.visit(`${url}/private`, { follow: false })).status === 200
}

/** The request of the first visit, with the cookies that it had. */
async function callbackPage(browser: Browser, callback: string): Promise<Page> {
  return browser.visit(callback, { follow: false })
}

function stateOf(callback: string): string {
  return new URL(callback).searchParams.get('state') ?? ''
}

function repeat(parameters: URLSearchParams, name: string): void {
  if (!parameters.has(name)) parameters.append(name, 'a')
  parameters.append(name, parameters.get(name) ?? '')
}

function rename(parameters: URLSearchParams, from: string, to: string): void {
  const value = parameters.get(from) ?? ''
  parameters.delete(from)
  parameters.append(to, value)
}

function replace(parameters: URLSearchParams, values: Readonly<Record<string, string>>): void {
  parameters.delete('code')
  for (const [name, value] of Object.entries(values)) parameters.set(name, value)
}
