/** The document that tells clients where to get tokens (RFC 9728), and guards that are made from the same options. */
import { createServer, type IncomingHttpHeaders } from 'node:http'
import connect from 'connect'
import express, { type Express } from 'express'
import express4 from 'express4'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  createVerifier,
  getAuth,
  isOAuthError,
  oauthBearer,
  protectedResource,
  requireScope,
  type OAuthBearerOptions,
  type OAuthBearerSettings,
  type ProtectedResource,
  type ProtectedResourceOptions,
} from '../../lib/index.js'
import { listening, stopped } from '../support/listening.js'
import { guardedApi, startApi } from '../threats/guard/api.js'
import { startIssuer, type Members } from '../threats/guard/issuer.js'

const wellKnown = '/.well-known/oauth-protected-resource'
const good: ProtectedResourceOptions = {
  resource: 'https://api.example.com/mcp',
  issuer: 'https://auth.example.com',
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

type Ask = (path: string, method?: string, headers?: Readonly<Record<string, string>>) => Promise<Answer>

async function served(...resources: ProtectedResource[]): Promise<Ask> {
  return appWith((app) => {
    for (const one of resources) app.use(one)
    app.use((_req, res) => void res.status(401).send('the next one'))
  })
}

async function appWith(build: (app: Express) => void): Promise<Ask> {
  const app = express()
  build(app)
  return asking(app)
}

async function asking(app: Parameters<typeof createServer>[1]): Promise<Ask> {
  const server = createServer(app)
  const url = await listening(server)
  onTestFinished(() => stopped(server))
  return async (path, method = 'GET', headers = {}) => {
    const answer = await fetch(url + path, { method, headers, redirect: 'manual' })
    return {
      status: answer.status,
      headers: Object.fromEntries(answer.headers),
      body: await answer.text(),
    }
  }
}

function documentOf({ body }: Answer): unknown {
  return JSON.parse(body)
}

function messageOf(run: () => unknown): string {
  try {
    run()
    return 'nothing was thrown'
  } catch (error) {
    if (!isOAuthError(error) || error.code !== 'invalid_configuration') throw error
    return error.message
  }
}

describe('the document', () => {
  test('says what clients need, and is open to pages of any site', async () => {
    const ask = await served(protectedResource({ ...good, scopes: ['mcp:read'], name: 'Projects' }))
    const answer = await ask(`${wellKnown}/mcp`)
    expect(answer.status).toBe(200)
    expect(documentOf(answer)).toEqual({
      resource: 'https://api.example.com/mcp',
      authorization_servers: ['https://auth.example.com'],
      scopes_supported: ['mcp:read'],
      bearer_methods_supported: ['header'],
      resource_name: 'Projects',
    })
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'public, max-age=300',
      'access-control-allow-origin': '*',
      'x-content-type-options': 'nosniff',
    })
  })

  test('has every member that was given, and none that says nothing', async () => {
    const pages = {
      documentation: 'https://docs.example.com/mcp#auth',
      policy: 'https://example.com/policy',
      termsOfService: 'https://example.com/terms?lang=en',
    }
    const metadata = {
      jwks_uri: 'https://api.example.com/keys',
      dpop_signing_alg_values_supported: ['ES256'],
      dpop_bound_access_tokens_required: true,
      tls_client_certificate_bound_access_tokens: false,
      authorization_details_types_supported: [],
    }
    const issuer = ['https://auth.example.com/', 'https://login.example.org/realms/a']
    const ask = await served(protectedResource({ ...good, ...pages, metadata, issuer, scopes: [] }))
    expect(documentOf(await ask(`${wellKnown}/mcp`))).toEqual({
      resource: 'https://api.example.com/mcp',
      authorization_servers: issuer,
      bearer_methods_supported: ['header'],
      resource_documentation: pages.documentation,
      resource_policy_uri: pages.policy,
      resource_tos_uri: pages.termsOfService,
      jwks_uri: 'https://api.example.com/keys',
      dpop_signing_alg_values_supported: ['ES256'],
      dpop_bound_access_tokens_required: true,
    })
  })

  test('does not follow the Host or the proxy headers of a request', async () => {
    const ask = await served(protectedResource(good))
    const forged = {
      'x-forwarded-host': 'evil.example',
      'x-forwarded-proto': 'http',
      forwarded: 'host=evil.example',
    }
    expect((await ask(`${wellKnown}/mcp`, 'GET', forged)).body).toBe((await ask(`${wellKnown}/mcp`)).body)
    expect((await ask(`${wellKnown}/mcp`, 'GET', forged)).body).not.toMatch(/evil|127\.0\.0\.1/)
  })
})

describe('its location', () => {
  test.each<[resource: string, metadataUrl: string]>([
    ['https://api.example.com', `https://api.example.com${wellKnown}`],
    ['https://api.example.com/', `https://api.example.com${wellKnown}`],
    ['https://api.example.com/mcp', `https://api.example.com${wellKnown}/mcp`],
    ['https://api.example.com/mcp/', `https://api.example.com${wellKnown}/mcp/`],
    ['https://api.example.com:8443/a/b%20c', `https://api.example.com:8443${wellKnown}/a/b%20c`],
    ['http://localhost:3000/mcp', `http://localhost:3000${wellKnown}/mcp`],
  ])('of %s is put in before the path', async (resource, metadataUrl) => {
    const one = protectedResource({ ...good, resource })
    expect(one.metadataUrl).toBe(metadataUrl)
    const ask = await served(one)
    const path = new URL(metadataUrl).pathname
    const other = path.endsWith('/') ? path.slice(0, -1) : `${path}/`
    for (const location of [path, other, wellKnown, `${wellKnown}/`, `${path}?x=1`])
      expect(documentOf(await ask(location))).toMatchObject({ resource })
  })

  test.each([
    '/mcp',
    `/mcp${wellKnown}`,
    `/mcp${wellKnown}/mcp`,
    `${wellKnown}/mcp/mcp`,
    `${wellKnown}/mc`,
    `${wellKnown}/MCP`,
    `${wellKnown}mcp`,
    `${wellKnown}//mcp`,
    `/.well-known/oauth-authorization-server`,
    `/?${wellKnown}/mcp`,
  ])('is not %s', async (path) => {
    const ask = await served(protectedResource(good))
    expect(await ask(path)).toMatchObject({ status: 401, body: 'the next one' })
  })

  test('is one for each of two resources, and the first one answers for the host', async () => {
    const [one, two] = ['one', 'two'].map((name) =>
      protectedResource({ ...good, resource: `https://api.example.com/${name}` }),
    )
    const ask = await served(one as ProtectedResource, two as ProtectedResource)
    const resources = ['/one', '/two', ''].map(async (path) => documentOf(await ask(wellKnown + path)))
    expect(await Promise.all(resources)).toMatchObject([
      { resource: 'https://api.example.com/one' },
      { resource: 'https://api.example.com/two' },
      { resource: 'https://api.example.com/one' },
    ])
  })

  test.each<[string, () => Express]>([
    ['Express 5', express],
    ['Express 4', express4],
  ])('cannot be below a path of %s, which is said at once', async (_name, framework) => {
    const errors: unknown[] = []
    const app = framework()
    app.use('/api', protectedResource(good))
    app.use((error: unknown, _req: unknown, res: express.Response, _next: unknown) => {
      errors.push(error)
      res.status(500).send()
    })
    const ask = await asking(app)
    expect((await ask('/api/projects')).status).toBe(500)
    expect(errors).toMatchObject([
      { code: 'invalid_configuration', message: expect.stringContaining('below a path') },
    ])
  })

  test('is found in routers at the root, in Connect and in plain Node', async () => {
    const one = protectedResource(good)
    const app = connect()
    app.use(one)
    const asks = [
      await appWith((parent) => void parent.use(express.Router().use(one))),
      await asking(app),
      await asking((req, res) => one(req, res, () => res.end())),
    ]
    for (const ask of asks)
      expect(documentOf(await ask(`${wellKnown}/mcp`))).toMatchObject({ resource: good.resource })
  })
})

describe('methods', () => {
  test('HEAD has the headers alone', async () => {
    const ask = await served(protectedResource(good))
    const { body, headers } = await ask(`${wellKnown}/mcp`)
    const head = await ask(`${wellKnown}/mcp`, 'HEAD')
    expect(head).toMatchObject({ status: 200, body: '' })
    expect(head.headers['content-length']).toBe(String(Buffer.byteLength(body)))
    expect(head.headers['content-type']).toBe(headers['content-type'])
  })

  test('a preflight is let through with what clients send', async () => {
    const ask = await served(protectedResource(good))
    const answer = await ask(`${wellKnown}/mcp`, 'OPTIONS', {
      origin: 'https://inspector.example',
      'access-control-request-method': 'GET',
      'access-control-request-headers': 'mcp-protocol-version, x-any',
    })
    expect(answer).toMatchObject({ status: 204, body: '' })
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-methods': 'GET, HEAD, OPTIONS',
      'access-control-allow-headers': 'Authorization, Content-Type, MCP-Protocol-Version, *',
    })
    expect(answer.headers['access-control-allow-credentials']).toBeUndefined()
  })

  test.each(['POST', 'PUT', 'DELETE', 'PATCH'])('%s is refused', async (method) => {
    const ask = await served(protectedResource(good))
    const answer = await ask(wellKnown, method)
    expect(answer.status).toBe(405)
    expect(answer.headers).toMatchObject({ allow: 'GET, HEAD, OPTIONS', 'cache-control': 'no-store' })
    expect(documentOf(answer)).toMatchObject({ error: 'method_not_allowed' })
  })
})

describe('options', () => {
  const refused = (changes: object) => messageOf(() => protectedResource({ ...good, ...changes }))

  test('can be read from what was made', () => {
    const one = protectedResource({ ...good, scopes: ['b', 'a', 'b'] })
    expect({ ...one }).toEqual({
      resource: 'https://api.example.com/mcp',
      issuers: ['https://auth.example.com'],
      scopes: ['b', 'a'],
      metadataUrl: `https://api.example.com${wellKnown}/mcp`,
    })
  })

  test.each<[object, string]>([
    [{ resource: undefined }, 'option "resource" is missing'],
    [{ resource: 'api' }, 'option "resource" is "api"; give an https URL'],
    [{ resource: 7 }, 'option "resource"'],
    [{ resource: 'http://api.example.com/mcp' }, 'give an https URL'],
    [{ resource: 'urn:example:api' }, 'give an https URL'],
    [{ resource: 'https://api.example.com/mcp ' }, 'option "resource"'],
    [{ resource: 'https://api.example.com/mcp#x' }, 'remove the query and the fragment'],
    [{ resource: 'https://api.example.com/mcp?tenant=1' }, 'remove the query and the fragment'],
    [{ resource: 'https://user:pass@api.example.com/mcp' }, 'remove what stands before the "@"'],
    [{ resource: 'https://API.example.com/mcp' }, 'write it as clients do: "https://api.example.com/mcp"'],
    [{ resource: 'https://api.example.com:443/mcp' }, 'write it as clients do'],
    [{ resource: 'https://api.example.com/a/../mcp' }, 'write it as clients do'],
    [{ resource: 'https://api.example.com/"mcp"' }, 'write it as clients do'],
    [{ resource: 'https://api.example.com\\mcp' }, 'write it as clients do'],
    [{ issuer: undefined }, 'option "issuer" is missing'],
    [{ issuer: null }, 'option "issuer"'],
    [{ issuer: 7 }, 'option "issuer"'],
    [{ issuer: [] }, 'option "issuer" is missing'],
    [{ issuer: 'http://auth.example.com' }, 'option "issuer"'],
    [{ issuer: 'javascript:alert(1)' }, 'option "issuer"'],
    [{ issuer: ['https://auth.example.com', ''] }, 'option "issuer"'],
    [{ issuer: ['https://auth.example.com', 'https://auth.example.com'] }, 'names one twice'],
    [{ scopes: 'mcp:read mcp:admin' }, 'option "scopes" is "mcp:read mcp:admin"; give an array'],
    [{ scopes: ['mcp:read mcp:admin'] }, 'option "scopes"'],
    [{ scopes: [7] }, 'option "scopes"'],
    [{ scopes: ['mcp:read', 'offline_access'] }, 'option "scopes" has "offline_access"; leave it out'],
    [{ name: '' }, 'option "name"'],
    [{ documentation: '/docs' }, 'option "documentation"'],
    [{ policy: 'javascript:alert(1)' }, 'option "policy"'],
    [{ termsOfService: 7 }, 'option "termsOfService"'],
    [{ metadata: { jwks_url: 'x' } }, 'did you mean "jwks_uri"?'],
    [{ metadata: { resource: 'https://evil.example' } }, 'option "resource" is not known'],
    [{ metadata: { jwks_uri: 'keys' } }, 'option "metadata.jwks_uri"'],
    [
      { metadata: { dpop_bound_access_tokens_required: 'yes' } },
      'option "metadata.dpop_bound_access_tokens_required"',
    ],
    [
      { metadata: { dpop_signing_alg_values_supported: 'ES256' } },
      'option "metadata.dpop_signing_alg_values_supported"',
    ],
    [{ audience: 'x' }, 'option "audience" is not known'],
    [{ scope: 'x' }, 'did you mean "scopes"?'],
  ])('%j is refused', (changes, message) => {
    expect(refused(changes)).toContain(message)
    expect(refused(changes)).toMatch(/^protectedResource: /)
    expect(refused(changes)).not.toContain('user:pass')
  })
})

const resource = 'https://api.example.com/mcp'
const metadataUrl = `https://api.example.com${wellKnown}/mcp`
const told = `resource_metadata="${metadataUrl}"`

/** An API whose guard is made from a protected resource. */
async function described(settings: Partial<OAuthBearerSettings> = {}, at = resource) {
  const issuer = await startIssuer()
  const mcp = protectedResource({ resource: at, issuer: issuer.url })
  const guard = oauthBearer({ protectedResource: mcp, ...settings } as OAuthBearerOptions)
  const api = await startApi(issuer, {
    routes: (app) => {
      app.use(mcp, guard)
      app.get('/me', (req, res) => {
        const auth = getAuth(req)
        if (auth.kind === 'bearer')
          res.json({ resource: auth.resource, metadata: auth.resourceMetadataUrl, extra: auth.extra })
      })
      app.get('/admin', requireScope('mcp:admin'), (_req, res) => void res.send('admin'))
      app.get('/read', requireScope('mcp:read', 'a'), (_req, res) => void res.send('read'))
    },
  })
  return {
    api,
    mcp,
    issuer,
    token: (claims: Members = {}) => issuer.token({ aud: at, scope: 'mcp:read', ...claims }),
  }
}

describe('a guard of a protected resource', () => {
  test('takes issuer and audience from it, and tells handlers of it', async () => {
    const { api, token } = await described()
    const answer = await api.present(token())
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.body)).toMatchObject({
      resource,
      metadata: metadataUrl,
      extra: { sub: 'user-1' },
    })
    expect((await api.send({ path: `${wellKnown}/mcp` })).status).toBe(200)
  })

  test.each<[string, Members]>([
    ['another resource of this host', { aud: 'https://api.example.com/other' }],
    ['the host', { aud: 'https://api.example.com' }],
    ['a resource below it', { aud: `${resource}/x` }],
    ['the same with a slash', { aud: `${resource}/` }],
    ['no audience', { aud: undefined }],
    ['another issuer', { iss: 'https://evil.example' }],
  ])('refuses a token for %s', async (_what, claims) => {
    const { api, token } = await described()
    expect(await api.present(token(claims))).toMatchObject({
      status: 401,
      challenge: `Bearer error="invalid_token", ${told}, error_description="The access token is not valid"`,
    })
  })

  test.each(['https://api.example.com', 'https://api.example.com/'])(
    'takes %s with and without the slash that clients add',
    async (at) => {
      const { api, token } = await described({}, at)
      const verdicts = [
        'https://api.example.com',
        'https://api.example.com/',
        'https://api.example.com//',
      ].map(async (aud) => (await api.present(token({ aud }))).status)
      expect(await Promise.all(verdicts)).toEqual([200, 200, 401])
    },
  )

  test('checks another audience instead where the server has its own name for the API', async () => {
    const { api, token } = await described({ audience: 'api://projects' })
    expect((await api.present(token({ aud: 'api://projects' }))).status).toBe(200)
    expect((await api.present(token())).status).toBe(401)
  })

  test('takes tokens of each of its issuers, and of no other', async () => {
    const issuers = [await startIssuer(), await startIssuer(), await startIssuer()] as const
    const mcp = protectedResource({ resource, issuer: [issuers[0].url, issuers[1].url] })
    const verifier = createVerifier({ protectedResource: mcp })
    const verdicts = issuers.map((one) =>
      verifier.verify(one.token({ aud: resource })).then(
        (auth) => [auth.issuer, auth.resource?.href, auth.resourceMetadataUrl],
        (error: unknown) => isOAuthError(error) && error.reason,
      ),
    )
    expect(await Promise.all(verdicts)).toEqual([
      [issuers[0].url, resource, metadataUrl],
      [issuers[1].url, resource, metadataUrl],
      'issuer',
    ])
  })

  test.each<[object, string]>([
    [{ issuer: 'https://other.example' }, 'option "issuer" is given beside "protectedResource"'],
    [
      { protectedResource: good },
      'option "protectedResource" is something else; pass what protectedResource() returned',
    ],
    [{ protectedResource: 'https://api.example.com' }, 'option "protectedResource"'],
    [{ protectedResource: null }, 'option "protectedResource"'],
    [{ protectedResource: undefined }, 'option "issuer" is missing'],
    [{ audience: [] }, 'option "audience"'],
    [{ scope: '' }, 'option "scope"'],
    [{ scope: 'a  b' }, 'option "scope"'],
    [{ scope: ['a', 'b'] }, 'option "scope"'],
    [{ scope: 'a "b"' }, 'option "scope"'],
  ])('is refused with %j', (changes, message) => {
    const mcp = protectedResource(good)
    const options = { protectedResource: mcp, ...changes } as Parameters<typeof oauthBearer>[0]
    expect(messageOf(() => oauthBearer(options))).toContain(message)
  })

  test('cannot have the keys of one issuer for several', () => {
    const mcp = protectedResource({ ...good, issuer: ['https://a.example', 'https://b.example'] })
    const jwksUri = 'https://a.example/keys'
    expect(messageOf(() => createVerifier({ protectedResource: mcp, jwksUri }))).toContain('"jwksUri"')
  })
})

describe('T100 every challenge of a protected resource', () => {
  const invalid = 'error="invalid_token"'
  const admin = 'error="insufficient_scope", scope="mcp:read mcp:admin"'
  const tooLittle = 'error_description="More scope is needed than the access token has"'

  test('T100 names the metadata, the scopes that every request needs, and all that the operation needs', async () => {
    const { api, token, issuer } = await described({ scope: 'mcp:read' })
    const challenges = await Promise.all([
      api.send({ path: '/me' }),
      api.send({ path: '/me', headers: ['authorization', 'Basic eDp5'] }),
      api.send({ path: '/me', headers: ['authorization', 'Bearer a b'] }),
      api.present('junk'),
      api.present(token({ exp: 1 })),
      api.present(token({ scope: 'mcp:write' })),
      api.present(token(), '/admin'),
      api.present(token(), '/read'),
      api.present(issuer.token({ aud: resource, scope: 'mcp:admin' }), '/admin'),
    ])
    expect(challenges.map(({ status, challenge }) => [status, challenge])).toEqual([
      [401, `Bearer scope="mcp:read", ${told}`],
      [401, `Bearer scope="mcp:read", ${told}`],
      [
        400,
        `Bearer error="invalid_request", ${told}, error_description="The Authorization header is malformed"`,
      ],
      [
        401,
        `Bearer ${invalid}, scope="mcp:read", ${told}, error_description="The access token is not valid"`,
      ],
      [401, `Bearer ${invalid}, scope="mcp:read", ${told}, error_description="The access token expired"`],
      [403, `Bearer error="insufficient_scope", scope="mcp:read", ${told}, ${tooLittle}`],
      [403, `Bearer ${admin}, ${told}, ${tooLittle}`],
      [403, `Bearer error="insufficient_scope", scope="mcp:read a", ${told}, ${tooLittle}`],
      [403, `Bearer error="insufficient_scope", scope="mcp:read", ${told}, ${tooLittle}`],
    ])
  })

  test('T100 begins with Bearer and has the description last', async () => {
    const { api, token } = await described({ scope: 'mcp:read', realm: 'projects' })
    for (const answer of [
      await api.send({ path: '/me' }),
      await api.present('junk'),
      await api.present(token({ scope: '' })),
      await api.present(token(), '/admin'),
    ]) {
      const challenge = answer.challenge ?? ''
      expect(challenge).toMatch(
        /^Bearer realm="projects", (error="\w+", )?scope="[^"]+", resource_metadata="[^"]+"/,
      )
      expect(challenge.replace(/, error_description="[^"\\=]+"$/, '')).not.toContain('error_description')
      expect(challenge).not.toContain('scope=""')
      expect(challenge).not.toContain('\\')
    }
  })

  test('T100 names no scope where none is needed', async () => {
    const { api, token } = await described()
    expect((await api.send({ path: '/me' })).challenge).toBe(`Bearer ${told}`)
    expect((await api.present(token(), '/admin')).challenge).toBe(
      `Bearer error="insufficient_scope", scope="mcp:admin", ${told}, ${tooLittle}`,
    )
  })

  test('T100 of a guard without a protected resource names its scope, too', async () => {
    const { api, issuer } = await guardedApi({ options: { scope: 'read:projects' } })
    expect((await api.send({})).challenge).toBe('Bearer scope="read:projects"')
    expect((await api.present(issuer.token({ scope: '' }))).status).toBe(403)
    expect((await api.present(issuer.token())).status).toBe(200)
    expect((await api.present(issuer.token(), '/both')).challenge).toContain(
      'scope="read:projects write:projects"',
    )
  })
})

test('T97 a token without the scope is refused each time, remembered or not, and is an event', async () => {
  const { api, token } = await described({
    scope: 'mcp:read mcp:list',
    onEvent: (one) => events.push(one.type),
  })
  const events: string[] = []
  const poor = token({ scope: 'mcp:read' })
  for (let time = 0; time < 3; time++)
    expect(await api.present(poor)).toMatchObject({
      status: 403,
      body: expect.stringContaining('insufficient'),
    })
  expect(events.filter((type) => type === 'token_rejected')).toHaveLength(3)
  expect((await api.present(token({ scope: 'mcp:list mcp:read' }))).status).toBe(200)
})
