/** The request around the token: scopes, repeated and malformed headers, odd paths, clients that go away. */
import { IncomingMessage } from 'node:http'
import { connect, Socket } from 'node:net'
import type { Express, Request, Response } from 'express'
import { assert, property, string } from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { credentialsOf } from '../../../lib/resource/credentials.js'
import {
  getAuth,
  isOAuthError,
  requireLogin,
  requireScope,
  type OAuthError,
  type OAuthBearerOptions,
} from '../../../lib/index.js'
import { unhandledRejections } from '../../support/unhandled-rejections.js'
import { guardedApi, type Api } from './api.js'
import type { Members } from './issuer.js'

describe('T97 scopes are whole words', () => {
  const claims: [claims: Members, status: number][] = [
    [{ scope: 'read:projects' }, 200],
    [{ scope: 'openid read:projects write:projects' }, 200],
    [{ scope: ' read:projects  openid ' }, 200],
    [{ scope: ['openid', 'read:projects'] }, 200],
    [{ scp: 'read:projects' }, 200],
    [{ scp: ['read:projects'] }, 200],
    [{ scope: 'read' }, 403],
    [{ scope: 'read:' }, 403],
    [{ scope: 'read:project' }, 403],
    [{ scope: 'read:projectsX' }, 403],
    [{ scope: 'Xread:projects' }, 403],
    [{ scope: 'READ:projects' }, 403],
    [{ scope: 'read:projects,openid' }, 403],
    [{ scope: 'openid\tread:projects' }, 403],
    [{ scope: 'openid\nread:projects' }, 403],
    [{ scope: 'read: projects' }, 403],
    [{ scope: ['openid read:projects'] }, 403],
    [{ scope: [['read:projects']] }, 403],
    [{ scope: { 'read:projects': true } }, 403],
    [{ scope: 7 }, 403],
    [{ scope: true }, 403],
    [{ scope: '' }, 403],
    [{ scope: '*' }, 403],
    [{}, 403],
    [{ permissions: ['read:projects'] }, 403],
    [{ constructor: 'read:projects' }, 403],
    [{ scope: 'constructor __proto__ toString' }, 403],
  ]

  test.each(claims)('T97 %j: %i', async (given, status) => {
    const { api, issuer } = await guardedApi()
    const token = issuer.token({ scope: undefined, ...given })
    expect((await api.present(token)).status).toBe(200)
    expect((await api.present(token, '/projects')).status).toBe(status)
  })

  test('T97 all of the scopes are needed, in whatever order they were granted', async () => {
    const { api, issuer } = await guardedApi()
    const both = ['write:projects read:projects', 'read:projects x write:projects']
    for (const scope of both) expect((await api.present(issuer.token({ scope }), '/both')).status).toBe(200)
    for (const scope of ['read:projects', 'write:projects', '']) {
      expect((await api.present(issuer.token({ scope }), '/both')).status).toBe(403)
    }
  })

  const wrong: unknown[][] = [
    [],
    [[]],
    [''],
    [[''] as const],
    ['read write'],
    ['read', ''],
    ['read', undefined],
    [undefined],
    [null],
    [7],
    [{}],
    [['read'], ['write']],
    ['read', ['write']],
    [['read', ['write']]],
    ['rea"d'],
    ['rea\\d'],
    ['lesen\u00e4'],
    ['read\n'],
  ]

  test.each(wrong.map((scopes) => [scopes]))(
    'T97 requireScope(...%j) throws when it is mounted',
    (scopes) => {
      const require = requireScope as (...values: unknown[]) => unknown
      expect(() => require(...scopes)).toThrow('requireScope')
    },
  )

  test('T97 a list that is changed later changes nothing', async () => {
    const scopes = ['read:projects', 'write:projects']
    const guard = requireScope(scopes)
    scopes.length = 0
    const { api, issuer } = await guardedApi({
      routes: (app, bearer) => app.get('/me', bearer, guard, (_req, res) => void res.send('open')),
    })
    expect((await api.present(issuer.token())).status).toBe(403)
  })

  test('T97 nothing that an app does to an error changes what the next request needs', async () => {
    const { api, issuer } = await guardedApi({
      options: { mode: 'attempt', scope: 'admin' },
      routes(app, guard) {
        app.use(guard).get('/me', (req, res) => {
          const { auth, authError } = req as { auth?: unknown; authError?: OAuthError }
          if (Array.isArray(authError?.scope)) authError.scope.length = 0
          res.json(auth ?? 'nobody')
        })
      },
    })
    const answers = [await api.present(issuer.token()), await api.present(issuer.token())]
    expect(answers.map(({ body }) => body.includes('user-1'))).toEqual([false, false])
  })
})

describe('T98 one token, one way', () => {
  type Send = (token: string) => Parameters<Api['send']>[0]
  const form = ['content-type', 'application/x-www-form-urlencoded']
  const bearer = (token: string) => ['authorization', `Bearer ${token}`]

  const cases: [what: string, send: Send, verdict: string][] = [
    ['the header once', (token) => ({ headers: bearer(token) }), '200'],
    [
      'the header twice',
      (token) => ({ headers: [...bearer(token), ...bearer(token)] }),
      '400 repeated_header',
    ],
    [
      'a good one after a bad one',
      (token) => ({ headers: [...bearer('x.y.z'), ...bearer(token)] }),
      '400 repeated_header',
    ],
    [
      'a good one before a bad one',
      (token) => ({ headers: [...bearer(token), ...bearer('x.y.z')] }),
      '400 repeated_header',
    ],
    [
      'Basic beside Bearer',
      (token) => ({ headers: ['authorization', 'Basic eDp5', 'Authorization', `Bearer ${token}`] }),
      '400 repeated_header',
    ],
    ['the query alone', (token) => ({ path: `/me?access_token=${token}` }), '401'],
    ['the form alone', (token) => ({ method: 'POST', headers: form, body: `access_token=${token}` }), '401'],
    ['a cookie alone', (token) => ({ headers: ['cookie', `access_token=${token}`] }), '401'],
    ['another header alone', (token) => ({ headers: ['x-access-token', token] }), '401'],
    ['the proxy header alone', (token) => ({ headers: ['proxy-authorization', `Bearer ${token}`] }), '401'],
    // What is in the query or the body is never looked at, so it cannot change the verdict either.
    ['a bad one in the query', (token) => ({ path: '/me?access_token=x', headers: bearer(token) }), '200'],
    [
      'a good one in the query beside a bad header',
      (token) => ({ path: `/me?access_token=${token}`, headers: bearer('x.y.z') }),
      '401 encoding',
    ],
  ]

  test.each(cases)('T98 %s', async (_what, send, verdict) => {
    const { api, issuer } = await guardedApi()
    expect(await sent(api, send(issuer.token()))).toBe(verdict)
  })
})

describe('T99 the Authorization header', () => {
  const cases: [header: (token: string) => string, verdict: string][] = [
    [(token) => `Bearer ${token}`, '200'],
    [(token) => `bearer ${token}`, '200'],
    [(token) => `BEARER ${token}`, '200'],
    [(token) => `Bearer    ${token}`, '200'],
    [() => '', '401'],
    [(token) => token, '401'],
    [(token) => `Token ${token}`, '401'],
    [(token) => `Basic ${token}`, '401'],
    [(token) => `DPoP ${token}`, '401'],
    [(token) => `Bearer${token}`, '401'],
    [(token) => `BearerX ${token}`, '401'],
    [(token) => `Bearer-Token ${token}`, '401'],
    [(token) => `Basic eDp5, Bearer ${token}`, '401'],
    [() => 'Bearer', '400 malformed_header'],
    [(token) => `Bearer\t${token}`, '400 malformed_header'],
    [(token) => `Bearer \t${token}`, '400 malformed_header'],
    [(token) => `Bearer ${token} x`, '400 malformed_header'],
    [(token) => `Bearer x ${token}`, '400 malformed_header'],
    [(token) => `Bearer ${token},`, '400 malformed_header'],
    [(token) => `Bearer ${token}, Basic eDp5`, '400 malformed_header'],
    [(token) => `Bearer ${token}, Bearer ${token}`, '400 malformed_header'],
    [(token) => `Bearer, ${token}`, '400 malformed_header'],
    [(token) => `Bearer "${token}"`, '400 malformed_header'],
    [(token) => `Bearer token=${token}`, '400 malformed_header'],
    [(token) => `Bearer ${token}\u00e4`, '400 malformed_header'],
    [(token) => `Bearer =${token}`, '400 malformed_header'],
    [() => 'Bearer undefined', '401 not_a_jwt'],
    [() => 'Bearer null', '401 not_a_jwt'],
    [() => 'Bearer ..', '401 encoding'],
    [() => 'Bearer opaque~token+/==', '401 not_a_jwt'],
  ]

  test.each(cases.map(([header, verdict]) => [header('<token>'), header, verdict] as const))(
    'T99 %j',
    async (_shown, header, verdict) => {
      const { api, issuer } = await guardedApi()
      expect(await sent(api, { headers: ['authorization', header(issuer.token())] })).toBe(verdict)
    },
  )

  // Adapters for serverless platforms make requests of their own, and fill in `headers` alone.
  test('T99 a request without raw headers has its header where everybody looks', () => {
    const request = Object.assign(new IncomingMessage(new Socket()), {
      headers: { authorization: 'Bearer token' },
    })
    expect(credentialsOf(request).token).toBe('token')
  })

  test('T99 whatever comes is answered by a token or by an error, at once', () => {
    const anything = string({ unit: 'binary-ascii', maxLength: 200 })
    assert(
      property(anything, anything, (start, end) => {
        for (const header of [start, `Bearer ${start}`, `Bearer ${start}${end}=`, `bearer${start} ${end}`]) {
          const verdict = credentials(header)
          expect(verdict instanceof Error ? isOAuthError(verdict) : /^[\w\-.~+/]+=*$/.test(verdict)).toBe(
            true,
          )
        }
      }),
      { numRuns: 2_000 },
    )
  })

  test.each(['Bearer ' + '='.repeat(16_000), 'Bearer' + ' '.repeat(16_000), `Bearer ${'a+'.repeat(8_000)}!`])(
    'T99 a long header takes no long time',
    (header) => {
      const start = performance.now()
      for (let index = 0; index < 20; index++) expect(credentials(header)).toBeInstanceOf(Error)
      expect((performance.now() - start) / 20).toBeLessThan(5)
    },
  )
})

describe.each(['4', '5'] as const)('T104 paths on Express %s', (framework) => {
  const spellings = [
    '/secret',
    '/secret/',
    '/secret//',
    '//secret',
    '///secret',
    '/./secret',
    '/x/../secret',
    '/Secret',
    '/SECRET',
    '/secret?',
    '/secret?x=/open',
    '/secret#x',
    '/secret;x=1',
    '/secret.',
    '/secret%20',
    '/secret%00',
    '/secret%2f',
    '/secret%2F',
    '/%73ecret',
    '/%2fsecret',
    '/%2e/secret',
    '/open/../secret',
    '/open/..%2fsecret',
    '/open%2f..%2fsecret',
    '/open/%2e%2e/secret',
    String.raw`/\secret`,
    String.raw`/open\..\secret`,
    '/api/secret',
    '/api//secret',
    '/API/Secret',
    '/api/./secret',
    '/%61pi/secret',
    '/api%2fsecret',
    '/api/secret.json',
    '/api/secret%2e',
    '/api/secret/..',
    '/apisecret',
    'http://other.example/secret',
    'http://other.example/api/secret',
    '*',
  ]
  const methods = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PROPFIND']

  test('T104 none of forty spellings opens what a guard protects', async () => {
    const opened: string[] = []
    const handler = (req: Request, res: Response) => {
      opened.push(`${req.method} ${req.originalUrl}`)
      res.send('secret')
    }
    const { api, issuer } = await guardedApi({
      framework,
      routes: (app, guard) => {
        app.get('/open', (_req, res) => void res.send('open'))
        app.all('/secret', guard, requireScope('read:projects'), handler)
        app.use('/api', guard)
        app.all('/api/secret', handler)
      },
    })
    for (const path of spellings) {
      for (const method of methods) {
        const answer = await api.send({ path, method })
        expect([path, method, answer.status === 401 || answer.status === 404]).toEqual([path, method, true])
      }
    }
    expect(opened).toEqual([])
    expect((await api.present(issuer.token(), '/secret')).body).toBe('secret')
    expect((await api.present(issuer.token(), '/api/secret')).body).toBe('secret')
  })
})

describe('T105 exceptions', () => {
  const preflight = ['origin', 'https://app.example', 'access-control-request-method', 'GET']
  /** A handler that tells who reaches it, behind a guard for all routes. */
  const open = async (mode: NonNullable<OAuthBearerOptions['mode']>) =>
    guardedApi({
      options: { mode },
      routes: (app, guard) => {
        app.use(guard)
        app.all('/open', (req, res) => void res.json({ auth: (req as { auth?: unknown }).auth ?? null }))
        app.all('/asks', (req, res) => void res.json(getAuth(req)))
        app.all('/guarded', requireLogin(), (_req, res) => void res.send('secret'))
      },
    })

  test.each(['required', 'optional', 'attempt'] as const)(
    'T105 a preflight reaches what comes next, and is nobody there (%s)',
    async (mode) => {
      const { api } = await open(mode)
      const send = async (path: string) => api.send({ path, method: 'OPTIONS', headers: preflight })
      expect(await send('/open')).toMatchObject({ status: 200, body: '{"auth":null}', challenge: undefined })
      expect(await send('/asks')).toMatchObject({ status: 401, body: 'the application had an error' })
      expect(api.errors).toMatchObject([{ code: 'login_required' }])
      expect(await send('/guarded')).toMatchObject({ status: 401, challenge: 'Bearer' })
    },
  )

  const others: [what: string, request: Parameters<Api['send']>[0]][] = [
    ['OPTIONS without a method', { method: 'OPTIONS', headers: ['origin', 'https://app.example'] }],
    ['OPTIONS without an origin', { method: 'OPTIONS', headers: preflight.slice(2) }],
    ['OPTIONS with a cookie', { method: 'OPTIONS', headers: ['cookie', 'oauth=a; access_token=b'] }],
    ['GET with the headers of a preflight', { method: 'GET', headers: preflight }],
    ['POST with the headers of a preflight', { method: 'POST', headers: preflight }],
    ['HEAD', { method: 'HEAD' }],
    ['a probe', { headers: ['user-agent', 'kube-probe/1.30'] }],
    ['a load balancer', { headers: ['user-agent', 'GoogleHC/1.0'] }],
    ['a browser', { headers: ['accept', 'text/html', 'sec-fetch-mode', 'navigate'] }],
    ['a method in a header', { headers: ['x-http-method-override', 'OPTIONS', ...preflight] }],
  ]
  test.each(others)('T105 %s is no exception', async (_what, request) => {
    const { api } = await open('required')
    expect((await api.send({ path: '/open', ...request })).status).toBe(401)
  })

  test('T105 a preflight with a token is judged by it', async () => {
    const { api, issuer } = await open('required')
    const send = async (token: string) =>
      api.send({
        path: '/guarded',
        method: 'OPTIONS',
        headers: [...preflight, 'authorization', `Bearer ${token}`],
      })
    expect((await send('junk')).status).toBe(401)
    expect((await send(issuer.token())).status).toBe(200)
  })
})

describe('T106 size', () => {
  test('T106 a header beyond 16 kB is refused unread', async () => {
    const { api, issuer } = await guardedApi()
    const longest = 16_384 - 'Bearer '.length
    expect(await api.verdict('a'.repeat(longest))).toBe('401 not_a_jwt')
    expect(await api.verdict('a'.repeat(longest + 1))).toBe('400 header_too_long')
    expect(await api.verdict(issuer.token({ filler: 'x'.repeat(20_000) }))).toBe('400 header_too_long')
    expect(await api.verdict(issuer.token({ filler: 'x'.repeat(10_000) }))).toBe('200')
  })

  test('T106 junk costs little and no key is fetched for it', async () => {
    const { api, issuer } = await guardedApi()
    const junk = ['.'.repeat(16_000), 'a.'.repeat(8_000), 'e30.e30.e30', `${'W'.repeat(5_000)}.e30.e30`]
    const start = performance.now()
    for (let round = 0; round < 25; round++) {
      for (const token of junk) expect((await api.present(token)).status).toBe(401)
    }
    expect(performance.now() - start).toBeLessThan(5_000)
    expect(issuer.requests).toEqual([])
  })
})

describe('T107 an answer that is on its way already', () => {
  /** Answers at once, and lets the request go on, as middleware for time limits does. */
  const answered = (app: Express) =>
    app.use((_req, res, next) => {
      res.send('too late')
      next()
    })

  test.each([
    ['a bad token', 'junk', '/me'],
    ['too little scope', undefined, '/both'],
  ])('T107 %s after it does not end the process', async (_what, token, path) => {
    const { api, issuer } = await guardedApi({ before: answered })
    const { result, rejections } = await unhandledRejections(async () =>
      api.present(token ?? issuer.token(), path),
    )
    expect(result.body).toBe('too late')
    await unhandledRejections(async () => undefined)
    expect(rejections).toEqual([])
  })
})

describe('T107 a client that is gone', () => {
  test('T107 every request goes on once at most, however early it is left', async () => {
    const passed: string[] = []
    const { api, issuer } = await guardedApi({
      routes: (app: Express, guard) =>
        app.get('/me', guard, (req, res) => {
          passed.push(String(req.headers['x-number']))
          res.send('ok')
        }),
    })
    const good = issuer.token()
    await Promise.all(Array.from({ length: 200 }, (_, number) => abandoned(api, good, number)))
    await vi.waitFor(async () => expect((await api.present(good)).status).toBe(200), { timeout: 10_000 })
    const numbers = passed.filter((number) => number !== 'undefined')
    expect(new Set(numbers).size).toBe(numbers.length)
  })
})

async function sent(api: Api, request: Parameters<Api['send']>[0]): Promise<string> {
  const before = api.events.length
  const { status } = await api.send(request)
  const event = api.events.slice(before).find(({ type }) => type === 'token_rejected')
  const reason = event?.type === 'token_rejected' ? event.error.reason : undefined
  return reason === undefined ? String(status) : `${status} ${reason}`
}

function credentials(authorization: string): string | Error {
  const request = { rawHeaders: ['authorization', authorization], headers: { authorization } }
  try {
    return credentialsOf(request as unknown as Parameters<typeof credentialsOf>[0]).token
  } catch (error) {
    return error as Error
  }
}

/** Sends a request and breaks the connection after a while that differs from one to the next. */
function abandoned(api: Api, token: string, number: number): Promise<void> {
  return new Promise((resolve) => {
    const { hostname, port } = new URL(api.url)
    const socket = connect(Number(port), hostname, () => {
      socket.write(
        `GET /me HTTP/1.1\r\nhost: ${hostname}\r\nauthorization: Bearer ${token}\r\nx-number: ${number}\r\n\r\n`,
      )
      setTimeout(() => socket.resetAndDestroy(), number % 8)
    })
    socket.on('error', () => undefined)
    socket.on('close', () => resolve())
  })
}
