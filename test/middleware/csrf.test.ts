/** The judgement about forged requests, over everything a request can say, and `csrfProtection` on an app's own routes. */
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import express from 'express'
import { describe, expect, test } from 'vitest'
import {
  csrfProtection,
  getAuth,
  isOAuthError,
  oauthBearer,
  requirementsOf,
  type Auth,
  type CsrfProtectionOptions,
} from '../../lib/index.js'
import { csrfFault, type CsrfRule } from '../../lib/middleware/csrf.js'
import type { AppOptions } from '../support/app.js'
import { bare, cookieHeader, ownForm, typed } from '../support/requests.js'
import { chain, serve, type Handler } from '../support/serve.js'
import { startStage } from '../support/stage.js'
import { audience, startIssuer } from '../threats/guard/issuer.js'

const ownOrigin = 'https://app.example'
const token = 'the-token-of-the-session'

describe('the judgement', () => {
  const values = {
    method: ['GET', 'HEAD', 'OPTIONS', 'POST', 'DELETE', 'get'],
    site: [
      undefined,
      'same-origin',
      'same-site',
      'cross-site',
      'none',
      '',
      'Same-Origin',
      'same-origin, same-origin',
    ],
    mode: [undefined, 'navigate', 'cors', 'no-cors', 'websocket'],
    origin: [
      undefined,
      ownOrigin,
      'null',
      'https://evil.example',
      `${ownOrigin}.evil.example`,
      'http://app.example',
    ],
    header: [undefined, '1', ''],
    proof: [
      'none',
      'right header',
      'wrong header',
      'right field',
      'wrong field',
      'field twice',
      'no session',
    ],
  } as const
  type Request = { [K in keyof typeof values]: (typeof values)[K][number] }

  const requests: readonly Request[] = Object.entries(values).reduce<readonly object[]>(
    (all, [name, list]) => all.flatMap((request) => list.map((value) => ({ ...request, [name]: value }))),
    [{}],
  ) as readonly Request[]

  const rules: readonly CsrfRule[] = [
    {},
    { header: 'x-csrf' },
    { header: 'x-csrf', forms: true },
    { forms: true, safeMethods: true },
    { header: 'x-csrf', safeMethods: true },
    { header: 'x-csrf', forms: true, safeMethods: true },
  ]

  /** The rule as a table: the first line that fits decides. */
  type Line = [when: (request: Request, rule: CsrfRule) => boolean, verdict: string]
  const lines: readonly Line[] = [
    [({ method }, rule) => !rule.safeMethods && ['GET', 'HEAD', 'OPTIONS'].includes(method), 'passes'],
    [({ proof }) => proof === 'right header', 'passes'],
    [({ site }) => site === 'same-site' || site === 'cross-site', 'cross_site'],
    [({ site }) => site === '' || site === 'Same-Origin' || site?.includes(',') === true, 'cross_site'],
    [({ site, mode }) => site === 'none' && mode !== 'navigate', 'cross_site'],
    [
      ({ site, origin }) => site === undefined && origin !== undefined && /evil|^http:/.test(origin),
      'cross_site',
    ],
    [({ proof }, rule) => rule.forms === true && proof === 'right field', 'passes'],
    [
      ({ site, origin }) => site === undefined && (origin === undefined || origin === 'null'),
      'origin_unknown',
    ],
    [({ header }, rule) => rule.header !== undefined && header !== undefined, 'passes'],
    [(_request, rule) => rule.header === undefined, 'passes'],
    [({ mode }, rule) => rule.forms === true && mode === 'navigate', 'passes'],
    [() => true, 'header_missing'],
  ]

  test.each(rules)(`%j, over ${requests.length} requests`, (rule) => {
    const wrong: unknown[] = []
    const seen = new Set<string>()
    for (const request of requests) {
      const expected = lines.find(([fits]) => fits(request, rule))?.[1] ?? ''
      seen.add(expected)
      const verdict = judged(request, rule)
      if (verdict !== expected) wrong.push({ ...request, verdict, expected })
    }
    expect(wrong.slice(0, 5)).toEqual([])
    expect(seen).toContain('passes')
    expect(seen).toContain('cross_site')
    expect(seen).toContain('origin_unknown')
    expect(seen.has('header_missing')).toBe(rule.header !== undefined)
  })

  test('asks for the token of the session only where a request brings one', () => {
    let asked = 0
    const ask = (headers: Record<string, string>, field?: string) => {
      const proof = { origin: ownOrigin, csrfToken: () => ((asked += 1), token), field }
      return csrfFault(message('POST', headers), { forms: true }, proof)
    }
    expect(ask({ 'sec-fetch-site': 'same-origin' })).toBeUndefined()
    expect(ask({ 'sec-fetch-site': 'cross-site' }, token)).toBe('cross_site')
    expect(asked).toBe(0)
    expect(ask({ 'x-csrf-token': token })).toBeUndefined()
    expect(ask({}, token)).toBeUndefined()
    expect(asked).toBe(2)
  })

  function judged({ method, site: from, mode, origin, header, proof }: Request, rule: CsrfRule): string {
    const headers = {
      ...(from !== undefined && { 'sec-fetch-site': from }),
      ...(mode !== undefined && { 'sec-fetch-mode': mode }),
      ...(origin !== undefined && { origin }),
      ...(header !== undefined && { 'x-csrf': header }),
      ...(proof === 'right header' && { 'x-csrf-token': token }),
      ...(proof === 'wrong header' && { 'x-csrf-token': token.slice(1) }),
      ...(proof === 'no session' && { 'x-csrf-token': 'undefined' }),
    }
    const fields: Partial<Record<Request['proof'], unknown>> = {
      'right field': token,
      'wrong field': `${token}x`,
      'field twice': [token, token],
      'no session': 'undefined',
    }
    const fault = csrfFault(message(method, headers), rule, {
      origin: ownOrigin,
      csrfToken: () => (proof === 'no session' ? undefined : token),
      field: fields[proof],
    })
    return fault ?? 'passes'
  }

  function message(method: string, headers: Record<string, string>): IncomingMessage {
    const req = new IncomingMessage(socket)
    req.method = method
    for (const [name, value] of Object.entries(headers)) req.headers[name] = value
    return req
  }
})

const socket = new Socket()

/** What passes the protection: the method that the route sees, and who it is from. */
const reached: Handler = (req, res) => {
  const { auth } = req as { auth?: Auth }
  res.end(`${req.method} by ${auth?.subject ?? 'nobody'}`)
}

const tellToken: Handler = (req, res, next) => {
  if (req.url === '/token') res.end(String(getAuth(req).csrfToken))
  else next()
}

interface ProtectedOptions extends Pick<AppOptions, 'framework' | 'storage'> {
  readonly options?: CsrfProtectionOptions
  readonly between?: readonly Handler[]
}

/** An application whose every route is protected, and one user of it. */
async function protectedApp({ options, between = [], ...app }: ProtectedOptions = {}) {
  const stage = await startStage({
    ...app,
    routes({ use }) {
      use(tellToken)
      for (const handler of between) use(handler)
      use(csrfProtection(options))
      use(reached)
    },
    options: { onError: 'next' },
  })
  const { url, errors } = stage.app
  const cookie = await cookieHeader(await stage.signedIn(), url)
  const csrfToken = (await bare(`${url}/token`, { cookie })).body
  /** What was reached, or the reason why nothing was. */
  const send = async (method: string, headers: Record<string, string>, path = '/own', body?: string) => {
    const count = errors.length
    const page = await bare(url + path, headers, { method, ...(body !== undefined && { body }) })
    if (errors.length === count) return page.status === 200 ? page.body : page.status
    const error = errors.at(-1)
    return isOAuthError(error) ? `${error.status} ${error.code} ${error.reason}` : error
  }
  return { ...stage, url, cookie, csrfToken, send }
}

const fetched = { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors', accept: '*/*' }
const script = { ...fetched, 'x-csrf': '1' }
const urlencoded = { 'content-type': 'application/x-www-form-urlencoded' }
const form = express.urlencoded() as Handler

const done = 'POST by subject-1'
const crossSite = '403 csrf_rejected cross_site'
const unknown = '403 csrf_rejected origin_unknown'
const headerMissing = '403 csrf_rejected header_missing'

const places = [
  { framework: 'express5', storage: 'cookie' },
  { framework: 'express4', storage: 'cookie' },
  { framework: 'connect', storage: 'session' },
] as const

describe('csrfProtection', () => {
  describe.each(places)('%j', (where) => {
    test('lets pages of this site in, and nobody else', async () => {
      const { url, cookie, csrfToken, send } = await protectedApp({ ...where, between: [form] })
      type Case = [what: string, headers: Record<string, string>, body: string, outcome: string]
      const cases: readonly Case[] = [
        ['a script', script, '', done],
        ['a script without the header', fetched, '', headerMissing],
        ['a form', ownForm, 'a=b', done],
        ['a page that is sent again', { ...ownForm, 'sec-fetch-site': 'none' }, 'a=b', done],
        ['a form of a sibling', { ...ownForm, 'sec-fetch-site': 'same-site' }, 'a=b', crossSite],
        ['a form of another site', { ...ownForm, 'sec-fetch-site': 'cross-site' }, 'a=b', crossSite],
        ['a script of another site', { ...script, 'sec-fetch-site': 'cross-site' }, '', crossSite],
        ['an extension', { ...script, 'sec-fetch-site': 'none' }, '', crossSite],
        ['an older browser', { origin: url, accept: 'text/html' }, 'a=b', done],
        ['an older browser, a script', { origin: url, 'x-csrf': '1' }, '', done],
        ['the same without the header', { origin: url, accept: '*/*' }, '', headerMissing],
        ['the same elsewhere', { origin: 'https://evil.example', 'x-csrf': '1' }, '', crossSite],
        ['no word of the browser', { 'x-csrf': '1' }, '', unknown],
        ['an opaque origin', { origin: 'null', 'x-csrf': '1' }, '', unknown],
        ['the token in a header', { 'x-csrf-token': csrfToken }, '', done],
        ['the token in a form', urlencoded, `csrf_token=${csrfToken}`, done],
        ['half the token in a form', urlencoded, `csrf_token=${csrfToken.slice(1)}`, unknown],
        ['the token twice', urlencoded, `csrf_token=${csrfToken}&csrf_token=${csrfToken}`, unknown],
        [
          'the token in a form of another site',
          { ...ownForm, 'sec-fetch-site': 'cross-site' },
          `csrf_token=${csrfToken}`,
          crossSite,
        ],
      ]
      const outcomes: unknown[] = []
      for (const [what, headers, body] of cases)
        outcomes.push([what, await send('POST', { ...urlencoded, ...headers, cookie }, '/own', body)])
      expect(outcomes).toEqual(cases.map(([what, , , outcome]) => [what, outcome]))
    })
  })

  test('does not look up who a request is from, where its headers tell enough', async () => {
    const { app, signedIn } = await startStage({
      routes({ use }) {
        use(csrfProtection())
        use((_req, res) => res.end())
      },
    })
    const cookie = await cookieHeader(await signedIn(), app.url)
    const read = await bare(app.url, { 'sec-fetch-site': 'cross-site', cookie })
    const write = await bare(app.url, { ...script, cookie }, { method: 'POST' })
    for (const page of [read, write]) expect([page.status, page.headers['vary']]).toEqual([200, undefined])
  })

  test('safeMethods: reads have to prove it as well', async () => {
    const { cookie, send } = await protectedApp({ options: { safeMethods: true } })
    for (const method of ['GET', 'OPTIONS']) {
      expect(await send(method, { ...script, cookie })).toBe(`${method} by subject-1`)
      expect(await send(method, { ...typed, cookie })).toBe(`${method} by subject-1`)
      expect(await send(method, { ...fetched, cookie })).toBe(headerMissing)
      expect(await send(method, { ...typed, 'sec-fetch-site': 'cross-site', cookie })).toBe(crossSite)
      expect(await send(method, { cookie })).toBe(unknown)
    }
  })

  test('header: another name, or none', async () => {
    const named = await protectedApp({ options: { header: 'X-App' } })
    expect(await named.send('POST', { ...fetched, 'x-app': 'a', cookie: named.cookie })).toBe(done)
    expect(await named.send('POST', { ...script, cookie: named.cookie })).toBe(headerMissing)
    const none = await protectedApp({ options: { header: false } })
    expect(await none.send('POST', { ...fetched, cookie: none.cookie })).toBe(done)
    const elsewhere = { ...fetched, 'sec-fetch-site': 'same-site', cookie: none.cookie }
    expect(await none.send('POST', elsewhere)).toBe(crossSite)
  })

  test('nobody is protected all the same: a form of the app may sign somebody in', async () => {
    const { send, csrfToken } = await protectedApp({ between: [form] })
    expect(await send('POST', ownForm)).toBe('POST by nobody')
    expect(await send('POST', { ...ownForm, 'sec-fetch-site': 'cross-site' })).toBe(crossSite)
    expect(await send('POST', {})).toBe(unknown)
    expect(await send('POST', { 'x-csrf-token': csrfToken })).toBe(unknown)
    expect(await send('POST', urlencoded, '/own', 'csrf_token=undefined')).toBe(unknown)
  })

  test('the word of the browser is not about a proxy: X-Forwarded-* and Host change nothing', async () => {
    const { send, cookie } = await protectedApp()
    const lies = { 'x-forwarded-host': 'evil.example', host: 'evil.example', 'x-forwarded-proto': 'https' }
    const evil = { origin: 'https://evil.example', 'x-csrf': '1', cookie }
    expect(await send('POST', { ...evil, ...lies })).toBe(crossSite)
  })

  test.each(['required', 'optional', 'attempt'] as const)(
    'behind oauthBearer, mode %s, a token needs no proof',
    async (mode) => {
      const issuer = await startIssuer()
      const bearer = oauthBearer({ issuer: issuer.url, audience, session: true, mode })
      const { send, cookie } = await protectedApp({ between: [bearer] })
      const authorization = `Bearer ${issuer.token()}`
      expect(await send('POST', { authorization })).toBe('POST by user-1')
      expect(await send('POST', { authorization, cookie, 'sec-fetch-site': 'cross-site' })).toBe(
        'POST by user-1',
      )
      expect(await send('POST', { ...script, cookie })).toBe(done)
      expect(await send('POST', { ...fetched, cookie })).toBe(headerMissing)
      expect(await send('POST', { ...ownForm, 'sec-fetch-site': 'cross-site', cookie })).toBe(crossSite)
      const forged = { 'sec-fetch-site': 'cross-site', cookie }
      expect(await send('POST', { ...forged, authorization: 'Basic eDp5' })).toBe(crossSite)
    },
  )

  test('a bad token is none, where oauthBearer lets it pass', async () => {
    const issuer = await startIssuer()
    const bearer = oauthBearer({ issuer: issuer.url, audience, mode: 'attempt' })
    const { send, cookie } = await protectedApp({ between: [bearer] })
    const forged = { 'sec-fetch-site': 'cross-site', cookie, authorization: 'Bearer junk' }
    expect(await send('POST', forged)).toBe(crossSite)
  })

  test('a method that was overridden before is judged as what routes see', async () => {
    /** As such middlewares do it: by a header or the query, whatever the method was. */
    const override: Handler = (req, _res, next) => {
      const { searchParams } = new URL(req.url ?? '', 'http://localhost')
      const wanted = req.headers['x-http-method-override'] ?? searchParams.get('_method')
      if (typeof wanted === 'string') req.method = wanted.toUpperCase()
      next()
    }
    const link = { ...typed, 'sec-fetch-site': 'cross-site' }
    const { send, cookie } = await protectedApp({ between: [override] })
    expect(await send('GET', { ...link, cookie }, '/own?_method=delete')).toBe(crossSite)
    expect(await send('POST', { ...link, cookie }, '/own?_method=delete')).toBe(crossSite)
    expect(await send('POST', { ...link, cookie, 'x-http-method-override': 'PATCH' })).toBe(crossSite)
    expect(await send('POST', { ...script, cookie }, '/own?_method=delete')).toBe('DELETE by subject-1')
    // No more than a link does: it is a GET to every route.
    expect(await send('POST', { ...link, cookie }, '/own?_method=get')).toBe('GET by subject-1')
  })

  test('tells a developer what was missing, and a client only that it was', async () => {
    const { app, signedIn } = await startStage({
      routes({ use }) {
        use(csrfProtection())
        use(reached)
      },
    })
    const cookie = await cookieHeader(await signedIn(), app.url)
    const answer = await bare(app.url, { ...fetched, cookie }, { method: 'POST' })
    expect([answer.status, answer.headers['cache-control'], JSON.parse(answer.body)]).toEqual([
      403,
      'no-store',
      {
        error: 'csrf_rejected',
        error_description: 'The request did not prove that it comes from this site.',
        hint: `The header "x-csrf" is missing. Let scripts send it with each request: fetch(url, { headers: { 'x-csrf': '1' } }).`,
      },
    ])
    const page = await bare(
      app.url,
      { ...ownForm, 'sec-fetch-site': 'cross-site', cookie },
      { method: 'POST' },
    )
    expect([page.status, page.headers['content-type']]).toEqual([403, 'text/html; charset=utf-8'])
    expect(page.body).toContain('baseUrl')
  })

  test('without oauthLogin before it, that is a mistake of the application', async () => {
    const errors: unknown[] = []
    const url = await serve(() => (req, res) => {
      csrfProtection()(req, res, (error) => {
        errors.push(error)
        res.end()
      })
    })
    await bare(url)
    expect(errors).toMatchObject([{ code: 'invalid_configuration', message: /^csrfProtection: oauthLogin/ }])
    expect((await bare(await serve(() => chain(csrfProtection(), reached)))).status).toBe(500)
  })

  test('tells no requirement: it is not about who somebody is', () => {
    expect(requirementsOf(csrfProtection())).toEqual([])
  })

  test.each<[CsrfProtectionOptions, string]>([
    [{ header: '' }, 'option "header" is not a string with content; give the name of a header'],
    [{ header: 'x csrf' }, 'option "header" is "x csrf"; give the name'],
    [{ header: true as never }, 'option "header" is not a string with content'],
    ...[
      'Accept',
      'content-type',
      'Content-Language',
      'origin',
      'sec-fetch-site',
      'Cookie',
      'authorization',
      'Range',
      'X-Requested-With',
      'user-agent',
    ].map((header): [CsrfProtectionOptions, string] => [
      { header },
      `option "header" is "${header.toLowerCase()}", which pages of other sites can send, too; give`,
    ]),
    [{ safeMethods: 'yes' as never }, 'option "safeMethods" is "yes"; set it to true or false'],
    [{ safeMethod: true } as never, 'option "safeMethod" is not known; did you mean "safeMethods"?'],
  ])('refuses %j', (options, message) => {
    expect(() => csrfProtection(options)).toThrow(`csrfProtection: ${message}`)
  })
})
