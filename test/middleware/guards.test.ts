/** Route guards: what lets through, what is refused, and what they tell of themselves. */
import express, { type Request, type Response } from 'express'
import express4 from 'express4'
import { describe, expect, test } from 'vitest'
import {
  getAuth,
  isOAuthError,
  oauthBearer,
  optionalLogin,
  requireAnyScope,
  requireClaim,
  requireLogin,
  requirementsOf,
  requireScope,
  requireStepUp,
  type Middleware,
  type OAuthBearerOptions,
} from '../../lib/index.js'
import { openApiPaths } from '../support/openapi.js'
import { unhandledRejections } from '../support/unhandled-rejections.js'
import { guardedApi } from '../threats/guard/api.js'
import { seconds, type Members } from '../threats/guard/issuer.js'

type Outcome = [status: number, challenge: string | undefined]

/** What requests with these claims get behind this guard. */
async function outcomes(
  guard: Middleware,
  claims: readonly Members[],
  options: Partial<OAuthBearerOptions> = {},
): Promise<Outcome[]> {
  const { api, issuer } = await guardedApi({
    options,
    routes: (app, bearer) => app.get('/me', bearer, guard, (_req, res) => void res.send('open')),
  })
  const answers = await Promise.all(claims.map((one) => api.present(issuer.token(one))))
  return answers.map(({ status, challenge }) => [status, challenge])
}

async function statuses(...given: Parameters<typeof outcomes>): Promise<number[]> {
  return (await outcomes(...given)).map(([status]) => status)
}

function mistake(make: () => unknown): string {
  try {
    make()
    return 'nothing was thrown'
  } catch (error) {
    return isOAuthError(error) && error.code === 'invalid_configuration' ? error.message : String(error)
  }
}

describe('requireAnyScope', () => {
  test('one of them is enough, as a whole word; others get a 403 that names them all', async () => {
    const scopes = ['write:projects', 'x admin', 'admin write:projects', 'read:projects', 'admi', 'ADMIN', '']
    const found = await outcomes(
      requireAnyScope('admin', 'write:projects'),
      scopes.map((scope) => ({ scope })),
    )
    expect(found.map(([status]) => status)).toEqual([200, 200, 200, 403, 403, 403, 403])
    expect(found[3]?.[1]).toBe(
      'Bearer error="insufficient_scope", scope="admin write:projects", error_description="More scope is needed than the access token has"',
    )
  })

  test.each([[[]], [[[]]], [['a b']], [[['a'], ['b']]], [['a', '']], [[undefined]]])(
    'requireAnyScope(...%j) throws',
    (scopes) => {
      const make = requireAnyScope as (...values: unknown[]) => unknown
      expect(mistake(() => make(...scopes))).toMatch(/^requireAnyScope: .* is not a list of scopes/)
    },
  )

  test('a list that is changed later changes nothing', async () => {
    const scopes = ['admin']
    const guard = requireAnyScope(scopes)
    scopes.push('read:projects')
    expect(await statuses(guard, [{}])).toEqual([403])
  })
})

describe('implied scopes', () => {
  test('count as granted, over several steps and not the other way round', async () => {
    const all = requireScope('read:projects', 'write:projects')
    const given = [
      'owner',
      'admin x',
      'read:projects',
      'read:projects write:projects',
      'admi',
      'toString',
      '',
    ]
    const claims = given.map((scope) => ({ scope }))
    const options = { impliedScopes: { owner: ['admin'], admin: ['read:projects', 'write:projects'] } }
    expect(await statuses(all, claims, options)).toEqual([200, 200, 403, 200, 403, 403, 403])
    expect(await statuses(requireAnyScope('write:projects', 'x:y'), claims, options)).toEqual([
      200, 200, 403, 200, 403, 403, 403,
    ])
    expect(await statuses(requireScope('admin'), claims, options)).toEqual([
      200, 200, 403, 403, 403, 403, 403,
    ])
    expect(await statuses(all, claims)).toEqual([403, 403, 403, 200, 403, 403, 403])
  })

  test('a circle is no harm', async () => {
    const options = { impliedScopes: { a: ['b'], b: ['c'], c: ['a'] } }
    const claims = ['a', 'b', 'c', 'd'].map((scope) => ({ scope }))
    expect(await statuses(requireScope('a', 'b', 'c'), claims, options)).toEqual([200, 200, 200, 403])
  })

  test('auth.scopes shows what was granted, and the 403 what is needed', async () => {
    const { api, issuer } = await guardedApi({
      options: { impliedScopes: { admin: ['read:projects'] } },
      routes: (app, bearer) => {
        app.use(bearer)
        app.get('/me', requireScope('read:projects'), (req, res) => void res.json(getAuth(req).scopes))
        app.get('/more', requireScope('read:projects', 'x:y'))
      },
    })
    const token = issuer.token({ scope: 'admin' })
    expect((await api.present(token)).body).toBe('["admin"]')
    expect((await api.present(token, '/more')).challenge).toContain('scope="read:projects x:y"')
  })

  test('what is changed later changes nothing', async () => {
    const implied = { admin: ['read:projects'] }
    const { api, issuer } = await guardedApi({ options: { impliedScopes: implied } })
    implied.admin.push('write:projects')
    expect((await api.present(issuer.token({ scope: 'admin' }), '/projects')).status).toBe(200)
    expect((await api.present(issuer.token({ scope: 'admin' }), '/both')).status).toBe(403)
  })

  test.each<[unknown]>([
    [{}],
    [[]],
    [null],
    ['admin'],
    [{ admin: [] }],
    [{ admin: 'read' }],
    [{ admin: ['read write'] }],
    [{ admin: [7] }],
    [{ admin: ['admin', 'read'] }],
    [{ 'a b': ['read'] }],
    [{ admin: ['read'], other: undefined }],
  ])('%j throws', async (implied) => {
    const options = { impliedScopes: implied as never }
    await expect(guardedApi({ options })).rejects.toThrow(/option "impliedScopes/)
  })
})

describe('requireClaim', () => {
  const url = 'https://example.com/roles'
  const cases: [what: string, path: never, expected: never, claims: Members, status: number][] = (
    [
      ['a string that is it', 'role', 'admin', { role: 'admin' }, 200],
      ['a part of a string', 'role', 'admin', { role: 'superadmin' }, 403],
      ['a word of a string', 'role', 'admin', { role: 'user admin' }, 403],
      ['another case', 'role', 'admin', { role: 'Admin' }, 403],
      ['a list that has it', 'roles', 'admin', { roles: ['user', 'admin'] }, 200],
      ['a list that has it not', 'roles', 'admin', { roles: ['user', 'admins'] }, 403],
      ['a list in a list', 'roles', 'admin', { roles: [['admin']] }, 403],
      ['an object with that name', 'roles', 'admin', { roles: { admin: true } }, 403],
      ['no such claim', 'roles', 'admin', {}, 403],
      ['null', 'roles', 'admin', { roles: null }, 403],
      ['an empty list', 'roles', 'admin', { roles: [] }, 403],
      ['a name that all objects have', 'constructor.name', 'Object', {}, 403],
      ['a prototype', '__proto__', 'x', {}, 403],
      ['the length of a list', 'roles.length', 1, { roles: ['user'] }, 403],
      ['a place in a list', 'roles.0', 'user', { roles: ['user'] }, 403],
      ['a number', 'level', 3, { level: 3 }, 200],
      ['a number as a text', 'level', 3, { level: '3' }, 403],
      ['a text as a number', 'level', '3', { level: 3 }, 403],
      ['true', 'verified', true, { verified: true }, 200],
      ['true as a text', 'verified', true, { verified: 'true' }, 403],
      ['false', 'verified', false, { verified: false }, 200],
      ['false that is missing', 'verified', false, {}, 403],
      ['one of several', 'role', ['admin', 'owner'], { role: 'owner' }, 200],
      ['none of several', 'role', ['admin', 'owner'], { role: 'user' }, 403],
      ['one of several in a list', 'role', ['admin', 'owner'], { role: ['user', 'owner'] }, 200],
      ['a path', 'realm_access.roles', 'admin', { realm_access: { roles: ['admin'] } }, 200],
      ['half a path', 'realm_access.roles', 'admin', { realm_access: ['admin'] }, 403],
      ['the end of a path', 'realm_access.roles', 'admin', { roles: ['admin'] }, 403],
      ['a name with a dot', 'a.b', 'x', { 'a.b': 'x', a: { b: 'y' } }, 200],
      ['a name with a dot before a path', 'a.b', 'y', { 'a.b': 'x', a: { b: 'y' } }, 403],
      ['a URL', url, 'admin', { [url]: ['admin'] }, 200],
      ['a list of names', ['a', 'b.c', 'd'], 'x', { a: { 'b.c': { d: 'x' } } }, 200],
      ['a list of names, not a path', ['a', 'b.c'], 'x', { a: { b: { c: 'x' } } }, 403],
      ['a list with one name, not a path', ['a.b'], 'x', { a: { b: 'x' } }, 403],
      ['a function that says yes', 'level', (level: unknown) => Number(level) > 2, { level: 3 }, 200],
      ['a function that says no', 'level', (level: unknown) => Number(level) > 2, { level: 2 }, 403],
      ['a function about what is missing', 'level', () => true, {}, 403],
      ['a function about null', 'level', () => true, { level: null }, 403],
      ['a function about what all objects have', 'toString', () => true, {}, 403],
      ['a function about a prototype', 'a.__proto__', () => true, { a: {} }, 403],
      ['a function that says 1', 'level', () => 1, { level: 3 }, 403],
      ['a function that says nothing', 'level', () => undefined, { level: 3 }, 403],
    ] as const
  ).map((one) => one as never)

  test('T97 claims are compared as a whole', async () => {
    const { api, issuer } = await guardedApi({
      routes: (app, bearer) => {
        app.use(bearer)
        cases.forEach(([, path, expected], index) =>
          app.get(`/${index}`, requireClaim(path, expected), (_req, res) => void res.send('open')),
        )
      },
    })
    const found = await Promise.all(
      cases.map(async ([what, , , claims], index) => [
        what,
        (await api.present(issuer.token(claims), `/${index}`)).status,
      ]),
    )
    expect(found).toEqual(cases.map(([what, , , , status]) => [what, status]))
  })

  test('T100 who lacks it gets insufficient_scope without a scope', async () => {
    expect(await outcomes(requireClaim('roles', 'admin'), [{}])).toEqual([
      [403, 'Bearer error="insufficient_scope", error_description="The access token does not allow this"'],
    ])
  })

  test('a function judges all claims, and only true lets through', async () => {
    const isInternal = requireClaim(
      ({ tenant, email }) => tenant === 'a' && String(email).endsWith('@a.example'),
    )
    expect(await statuses(isInternal, [{ tenant: 'a', email: 'x@a.example' }, { tenant: 'a' }, {}])).toEqual([
      200, 403, 403,
    ])
    for (const said of [1, 'yes', {}, [], undefined, null, NaN]) {
      expect([said, ...(await statuses(requireClaim((() => said) as never), [{}]))]).toEqual([said, 403])
    }
  })

  test.each<[string, () => unknown]>([
    ['a promise', async () => true],
    ['a promise that fails', async () => Promise.reject(new Error('the database is down'))],
    // oxlint-disable-next-line unicorn/no-thenable -- a function of an app may return one, and it must let nobody through
    ['something like a promise', () => ({ then: (done: (value: boolean) => void) => done(true) })],
  ])('a function that gives %s is a mistake that lets nobody through', async (_what, judge) => {
    for (const guard of [requireClaim(judge as never), requireClaim('sub', judge as never)]) {
      const { result, rejections } = await unhandledRejections(async () => {
        const { api, issuer } = await guardedApi({
          options: { onError: 'next' },
          routes: (app, bearer) => app.get('/me', bearer, guard, (_req, res) => void res.send('open')),
        })
        return { status: (await api.present(issuer.token())).status, errors: api.errors }
      })
      expect(result).toMatchObject({ status: 500, errors: [{ code: 'invalid_configuration' }] })
      expect(rejections).toEqual([])
    }
  })

  test.each([
    [new Error('a mistake'), new Error('a mistake')],
    [undefined, expect.any(Error)],
    [null, expect.any(Error)],
    [0, expect.any(Error)],
    ['text', expect.any(Error)],
    ['route', expect.any(Error)],
    ['router', expect.any(Error)],
  ])(
    'T104 a function that throws %s lets nobody through, and the app hears of it',
    async (thrown: unknown, heard: unknown) => {
      const judge = () => {
        throw thrown
      }
      for (const framework of ['4', '5'] as const) {
        const { api, issuer } = await guardedApi({
          framework,
          routes: (app, bearer) =>
            app.use(bearer, requireClaim(judge)).get('/me', (_req, res) => void res.send('open')),
        })
        expect((await api.present(issuer.token())).status).toBe(500)
        expect(api.errors).toEqual([heard])
      }
    },
  )

  test.each<[unknown[]]>([
    [[]],
    [['roles']],
    [['', 'admin']],
    [['roles', '']],
    [['roles', undefined]],
    [['roles', null]],
    [['roles', NaN]],
    [['roles', Infinity]],
    [['roles', {}]],
    [['roles', []]],
    [['roles', ['admin', '']]],
    [['roles', ['admin', ['owner']]]],
    [['roles', 'admin', 'owner']],
    [[[], 'admin']],
    [[['a', ''], 'admin']],
    [[7, 'admin']],
    [[undefined, 'admin']],
    [[() => true, 'admin']],
    [[{ role: 'admin' }]],
  ])('requireClaim(...%j) throws', (options) => {
    const make = requireClaim as (...values: unknown[]) => unknown
    expect(mistake(() => make(...options))).toMatch(/^requireClaim: /)
  })

  test('what is changed later changes nothing', async () => {
    const [path, expected] = [['a', 'b'], ['x']]
    const guard = requireClaim(path, expected)
    path.pop()
    expected.push('y')
    expect(await statuses(guard, [{ a: { b: 'x' } }, { a: { b: 'y' } }, { a: 'x' }])).toEqual([200, 403, 403])
  })
})

describe('requireStepUp with a token', () => {
  const description = 'error_description="A stronger or more recent sign-in is needed"'
  const begin = 'Bearer error="insufficient_user_authentication"'

  test('T100 the challenge says what is needed, all of it', async () => {
    const needs: [Middleware, string][] = [
      [requireStepUp({ acr: 'gold' }), 'acr_values="gold"'],
      [requireStepUp({ maxAge: 60 }), 'max_age="60"'],
      [requireStepUp({ acr: ['gold', 'silver'], maxAge: 300 }), 'acr_values="gold silver", max_age="300"'],
    ]
    for (const [guard, parameters] of needs)
      expect(await outcomes(guard, [{}])).toEqual([[401, `${begin}, ${parameters}, ${description}`]])
  })

  test('acr is compared as a whole, and one that is missing refuses', async () => {
    const claims = ['gold', 'silver', 'gol', 'gold silver', 'GOLD', '', 3, null, ['gold'], undefined]
    expect(
      await statuses(
        requireStepUp({ acr: ['gold', 'silver'] }),
        claims.map((acr) => ({ acr })),
      ),
    ).toEqual([200, 200, 401, 401, 401, 401, 401, 401, 401, 401])
  })

  test('the sign-in may be so old and the tolerance older, and does not lie ahead', async () => {
    const ages = [0, 60, 89, 95, 3_600, -25, -60, -86_400]
    const claims = ages.map((age) => ({ auth_time: seconds() - age }))
    expect(await statuses(requireStepUp({ maxAge: 60 }), claims)).toEqual([
      200, 200, 200, 401, 401, 200, 401, 401,
    ])
    expect(await statuses(requireStepUp({ maxAge: 60 }), claims.slice(1, 4), { clockTolerance: 5 })).toEqual([
      200, 401, 401,
    ])
    const wrong = [undefined, null, String(seconds()), -1, 1e300, [seconds()], true, {}]
    expect(
      await statuses(
        requireStepUp({ maxAge: 60 }),
        wrong.map((auth_time) => ({ auth_time })),
      ),
    ).toEqual(wrong.map(() => 401))
  })

  test('both are needed where both are asked for', async () => {
    const [acr, auth_time] = ['gold', seconds()]
    expect(
      await statuses(requireStepUp({ acr: 'gold', maxAge: 60 }), [
        { acr, auth_time },
        { acr },
        { auth_time },
        {},
      ]),
    ).toEqual([200, 401, 401, 401])
  })

  test.each<[unknown, string]>([
    [undefined, 'pass an object with options'],
    [{}, 'option "maxAge" is missing'],
    [{ acr: undefined, maxAge: undefined }, 'option "maxAge" is missing'],
    [{ acr: '' }, 'option "acr"'],
    [{ acr: [] }, 'option "acr"'],
    [{ acr: 'a b' }, 'option "acr"'],
    [{ acr: ['a', 'b"'] }, 'option "acr"'],
    [{ acr: 7 }, 'option "acr"'],
    [{ acr: null, maxAge: 60 }, 'option "acr"'],
    [{ maxAge: 0 }, 'option "maxAge" is 0'],
    [{ maxAge: -1 }, 'option "maxAge"'],
    [{ maxAge: 1.5 }, 'option "maxAge"'],
    [{ maxAge: '60' }, 'option "maxAge"'],
    [{ maxAge: Infinity }, 'option "maxAge"'],
    [{ max_age: 60 }, 'did you mean "maxAge"?'],
    [{ acr_values: 'gold' }, 'option "acr_values" is not known'],
  ])('requireStepUp(%j) throws', (options, message) => {
    expect(mistake(() => requireStepUp(options as never))).toContain(message)
  })
})

describe('a guard behind oauthBearer', () => {
  test('goes on at once: nobody waits for a promise', async () => {
    const guards = [
      requireLogin(),
      optionalLogin(),
      requireScope('read:projects'),
      requireAnyScope('read:projects', 'x:y'),
      requireClaim('sub', 'user-1'),
      requireStepUp({ acr: 'gold' }),
    ]
    const { api, issuer } = await guardedApi({
      routes: (app, bearer) =>
        app.get('/me', bearer, (req, res) => {
          const isThrough = guards.map((guard) => {
            let passed = false
            guard(req, res, () => (passed = true))
            return passed
          })
          res.json(isThrough)
        }),
    })
    expect((await api.present(issuer.token({ acr: 'gold' }))).body).toBe(
      JSON.stringify(guards.map(() => true)),
    )
  })

  test('refuses at once, too', async () => {
    const { api, issuer } = await guardedApi({
      routes: (app, bearer) =>
        app.get('/me', bearer, (req, res) => {
          requireScope('x:y')(req, res, () => undefined)
          if (!res.writableEnded) res.send('not answered yet')
        }),
    })
    expect((await api.present(issuer.token())).status).toBe(403)
  })
})

describe('requirements', () => {
  test('each guard tells what it needs, and nothing else does', () => {
    const scopes = ['a', 'b']
    const guards = [
      requireLogin(),
      optionalLogin(),
      requireScope(scopes),
      requireAnyScope('a', 'b'),
      requireClaim('realm_access.roles', 'admin'),
      requireClaim(['a', 'b.c'], [1, true]),
      requireClaim('level', () => true),
      requireClaim(() => true),
      requireStepUp({ acr: 'gold', maxAge: 60 }),
    ]
    expect(guards.map(({ requirement }) => requirement)).toEqual([
      { kind: 'login' },
      { kind: 'optionalLogin' },
      { kind: 'scope', all: ['a', 'b'] },
      { kind: 'anyScope', any: ['a', 'b'] },
      { kind: 'claim', path: 'realm_access.roles', any: ['admin'] },
      { kind: 'claim', path: ['a', 'b.c'], any: [1, true] },
      { kind: 'claim', path: 'level' },
      { kind: 'claim' },
      { kind: 'stepUp', acr: ['gold'], maxAge: 60 },
    ])
    const bearer = (mode?: 'required' | 'optional' | 'attempt') =>
      oauthBearer({ issuer: 'https://auth.example.com', audience: 'a', ...(mode && { mode }) })
    expect(requirementsOf(bearer(), bearer('optional'), bearer('attempt'))).toEqual([
      { kind: 'login' },
      { kind: 'optionalLogin' },
      { kind: 'optionalLogin' },
    ])
    const strangers = [
      () => undefined,
      Object.assign(() => undefined, { requirement: { kind: 'login' } }),
      {},
    ]
    expect(requirementsOf(guards, strangers, undefined, 'text', [[guards[0]]])).toHaveLength(10)
  })

  test('nobody changes what a guard needs by what it tells', async () => {
    const guard = requireScope('a')
    const requirement = guard.requirement as unknown as { all: string[] }
    expect(() => requirement.all.pop()).toThrow(TypeError)
    expect(() => Object.assign(guard, { requirement: { kind: 'login' } })).toThrow(TypeError)
    expect(() => Object.assign(guard.requirement, { all: [] })).toThrow(TypeError)
    expect(await statuses(guard, [{}])).toEqual([403])
  })

  test.each([
    ['5', express],
    ['4', express4],
  ])('an OpenAPI document is made from the routes of Express %s', (_version, framework) => {
    const handler = (_req: Request, res: Response) => void res.end()
    const router = framework.Router()
    router.use(requireLogin())
    router.get('/projects', requireScope('read:projects'), handler)
    router.post('/projects/:id', [requireLogin(), requireScope('a')], requireAnyScope('b', 'c'), handler)
    router.get('/open', optionalLogin(), handler)
    router.get('/everybody', handler)
    router.route('/x').get(requireScope('r'), handler).put(requireScope('r', 'w'), handler)
    const app = framework()
    app.get('/me', requireLogin(), handler)
    const own: unknown = Reflect.get(app, framework === express ? 'router' : '_router')
    expect(openApiPaths(router as never, '/v1')).toEqual({
      '/v1/projects': { get: { security: [{ oauth: ['read:projects'] }] } },
      '/v1/projects/{id}': { post: { security: [{ oauth: ['a', 'b'] }, { oauth: ['a', 'c'] }] } },
      '/v1/open': { get: { security: [{}, { oauth: [] }] } },
      '/v1/everybody': { get: { security: [] } },
      '/v1/x': { get: { security: [{ oauth: ['r'] }] }, put: { security: [{ oauth: ['r', 'w'] }] } },
    })
    expect(openApiPaths(own as never)).toEqual({ '/me': { get: { security: [{ oauth: [] }] } } })
  })
})
