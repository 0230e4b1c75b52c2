import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  isOAuthError,
  memoryConnectionStore,
  oauthConnections,
  type ConnectionEnvironment,
  type ConnectionProvider,
  type OAuthConnectionsOptions,
} from '../../lib/index.js'
import { canary, everythingIn, leaks } from '../support/canaries.js'

const secret = 'the-client-secret'
const projects = {
  issuer: 'https://auth.service.example',
  clientId: 'app',
  clientSecret: secret,
  scope: 'read:projects',
  test: { url: 'https://api.service.example/me' },
  accountId: (me: { id: string }) => me.id,
  allow: ['https://api.service.example/'],
} satisfies ConnectionProvider
const good: OAuthConnectionsOptions = {
  baseUrl: 'https://yourapp.com',
  secrets: [randomBytes(32).toString('base64url')],
  store: memoryConnectionStore(),
  providers: { projects },
}
const endpoints = {
  authorization: 'https://service.example/oauth/authorize',
  token: 'https://service.example/oauth/token',
}
const regions = { region: { label: 'Region', choices: ['eu', 'us'] } }

function thrownBy(run: () => unknown): string {
  try {
    run()
    return 'nothing was thrown'
  } catch (error) {
    if (!isOAuthError(error)) return `no OAuthError: ${String(error)}`
    const isForDevelopers = error.code === 'invalid_configuration' && error.status === 500 && !error.expose
    return isForDevelopers ? error.message : `${error.code}: ${error.message}`
  }
}

const all = (changes: object) => thrownBy(() => oauthConnections({ ...good, ...changes }))
const one = (changes: object) => all({ providers: { projects: { ...projects, ...changes } } })
const withEnvironments = (environments: unknown, changes: object = {}) => {
  const { issuer: _issuer, clientId: _id, clientSecret: _secret, ...others } = projects
  return all({ providers: { projects: { ...others, environments, ...changes } } })
}
const production = { issuer: 'https://auth.service.example', clientId: 'app', clientSecret: secret }
const sandbox = { ...production, issuer: 'https://sandbox.service.example' }

test('the least that works, and everything', () => {
  expect(all({})).toBe('nothing was thrown')
  const environment: Required<Omit<ConnectionEnvironment, 'privateKey'>> = {
    ...production,
    endpoints: {
      ...endpoints,
      revocation: 'https://service.example/{region}/revoke',
      jwks: 'https://service.example/keys',
    },
    tokenEndpointAuthMethod: 'client_secret_post',
    name: 'The real one',
    test: { url: 'https://api.{region}.service.example/me?fields=id,name', judge: () => 'good' },
    allow: ['https://api.{region}.service.example/v1'],
    parameters: {
      query: { api_version: 2 },
      headers: { accept: 'application/json' },
      body: { version: 2, test: true },
    },
  }
  const provider = {
    name: 'Projects',
    environments: { production: environment, sandbox },
    fields: { ...regions, environment: { label: 'Which one', help: 'Ask your teacher.' } },
    scope: 'openid read:projects',
    resource: 'https://api.service.example',
    authorizationParameters: { access_type: 'offline', max_age: 60, acr_values: 'high' },
    tokenResponse: (response) => response,
    revokeToken: async () => undefined,
    test: { url: 'https://api.service.example/me' },
    accountId: () => 'x',
    emailAsAccountId: true,
    label: () => 'x',
    allow: ['https://api.service.example/'],
    parameters: {},
    sharedAccounts: true,
    dpop: true,
  } satisfies ConnectionProvider
  const options: Required<OAuthConnectionsOptions> = {
    ...good,
    providers: { projects: provider },
    path: '/linked',
    owner: () => 'team',
    page: true,
    returnTo: '/settings',
    header: 'x-own',
    name: 'own',
    transactionLifetime: 60,
    clockTolerance: 0,
    timeout: 1,
    storeTimeout: 1,
    fetch,
    onEvent: () => undefined,
  }
  expect(all(options)).toBe('nothing was thrown')
})

test.each<[object, string]>([
  [{ provider: {} }, 'option "provider" is not known; did you mean "providers"?'],
  [{ baseUrl: undefined }, 'option "baseUrl" is missing; give the public URL'],
  [{ baseUrl: '/app' }, 'option "baseUrl" "/app" is not an absolute URL'],
  [{ baseUrl: 'http://yourapp.com' }, 'is not https'],
  [{ baseUrl: 'https://yourapp.com?' }, 'option "baseUrl" has a query'],
  [{ baseUrl: 'https://yourapp.com#x' }, 'has a fragment'],
  [{ baseUrl: 'https://user:hidden@yourapp.com' }, 'option "baseUrl" has a user name or password in it'],
  [{ path: 'linked' }, 'option "path" is "linked"'],
  [{ path: '/' }, 'option "path" is "/"'],
  [{ path: '/linked/' }, 'option "path" is "/linked/"'],
  [{ path: '/a/../b' }, 'option "path" is "/a/../b"'],
  [{ path: '//evil.example' }, 'option "path" is "//evil.example"'],
  [{ path: '/a?b' }, 'option "path" is "/a?b"'],
  [{ path: 7 }, 'option "path" is "7"'],
  [{ returnTo: 'https://evil.example' }, 'option "returnTo" is "https://evil.example"'],
  [{ secrets: ['short'] }, 'option "secrets[0]" is shorter than 32 bytes'],
  [{ store: undefined }, 'option "store" is missing'],
  [{ store: {} }, 'option "store" is not a store of connections'],
  [{ providers: undefined }, 'option "providers" is missing; give each a name'],
  [{ providers: null }, 'option "providers" is not an object'],
  [{ providers: [projects] }, 'option "providers" is not an object'],
  [{ providers: 'github' }, 'option "providers" is not an object'],
  [{ providers: {} }, 'option "providers" names none'],
  [{ providers: { projects: undefined } }, 'option "providers.projects" is undefined; give an object'],
  [{ providers: { projects: null } }, 'option "providers.projects" is null; give an object'],
  [{ providers: { 'a b': projects } }, 'option "providers.a b" has a name that cannot be part of a path'],
  [{ providers: { 'a/b': projects } }, 'has a name that cannot be part of a path'],
  [{ providers: { '..': projects } }, 'has a name that cannot be part of a path'],
  [{ providers: { ['__proto__']: projects } }, 'has a name that cannot be part of a path'],
  [
    { providers: { projects, Projects: projects } },
    'option "providers.Projects" differs from another by capitals only',
  ],
  [{ owner: 'me' }, 'option "owner" is "me"; give a function'],
  [{ page: 'yes' }, 'option "page" is "yes"; give an object with title'],
  [{ name: 'a b' }, 'option "name" is "a b"'],
  [{ header: 'a b' }, 'option "header"'],
  [{ transactionLifetime: 1 }, 'option "transactionLifetime" is 1'],
  [{ clockTolerance: 301 }, 'option "clockTolerance" is 301'],
  [{ timeout: 0 }, 'option "timeout" is 0'],
  [{ storeTimeout: 0 }, 'option "storeTimeout" is 0'],
  [{ fetch: 'x' }, 'option "fetch" is "x"'],
  [{ onEvent: 'x' }, 'option "onEvent" is "x"'],
])('%j is refused', (changes, message) => {
  expect(all(changes)).toContain(message)
  expect(all(changes)).toMatch(/^oauthConnections: /)
  expect(all(changes)).not.toContain('hidden')
})

describe('of a provider,', () => {
  test.each<[object, string]>([
    [{ isuer: 'x' }, 'isuer" is not known; did you mean "issuer"?'],
    [{ client_id: 'x' }, 'client_id" is not known; did you mean "clientId"?'],
    [{ redirectUri: 'x' }, 'redirectUri" is not known'],
    [{ name: 7 }, 'name" is not a string with content'],
    [
      { issuer: undefined },
      'issuer" is missing; give the URL of the authorization server, or its "endpoints"',
    ],
    [{ issuer: 'http://service.example' }, 'issuer" is "http://service.example"; give an https URL'],
    [{ issuer: 7 }, 'issuer" is not a string with content'],
    [{ endpoints: {} }, 'endpoints.authorization" is missing'],
    [
      { endpoints: 'https://x.example' },
      'endpoints" is "https://x.example"; give an object with authorization',
    ],
    [
      { endpoints: { authorisation: 'https://x.example' } },
      'endpoints.authorisation" is not known; did you mean "authorization"?',
    ],
    [
      { endpoints: { ...endpoints, token: 'http://x.example' } },
      'endpoints.token" "http://x.example" is not https',
    ],
    [{ endpoints: { ...endpoints, revocation: 7 } }, 'endpoints.revocation" is not a string'],
    [{ endpoints, issuer: undefined, scope: 'openid' }, 'issuer" is missing; ID tokens are checked'],
    [{ endpoints, scope: 'openid' }, 'endpoints.jwks" is missing'],
    [{ clientId: undefined }, 'clientId" is missing; give the client id'],
    [{ clientSecret: '' }, 'clientSecret" is not a string with content'],
    [{ clientSecret: [] }, 'clientSecret" is an empty list'],
    [{ clientSecret: ['x', ''] }, 'clientSecret" has an entry that is not a string'],
    [{ clientSecret: null }, 'clientSecret" is not a string with content'],
    [{ privateKey: { key: 'x' } }, 'privateKey" is given beside "clientSecret"'],
    [{ clientSecret: undefined, privateKey: { key: 'x' } }, 'privateKey" cannot be read'],
    [{ tokenEndpointAuthMethod: 'basic' }, 'tokenEndpointAuthMethod" is "basic"; set it to'],
    [{ tokenEndpointAuthMethod: 'none' }, 'tokenEndpointAuthMethod" is "none" beside credentials'],
    [{ scope: 'a  b' }, 'scope" is "a  b"; separate scopes by one space'],
    [{ resource: 'projects' }, 'resource" is "projects"'],
    [{ fields: regions, resource: 'https://{region}.example' }, 'resource" has a place for "region"'],
    [{ authorizationParameters: 'prompt' }, 'authorizationParameters" is not an object'],
    [{ authorizationParameters: null }, 'authorizationParameters" is not an object'],
    [{ authorizationParameters: { state: 'x' } }, 'authorizationParameters.state" is not yours to set'],
    [{ authorizationParameters: { scope: 'x' } }, 'authorizationParameters.scope" is not yours to set'],
    [
      { authorizationParameters: { redirect_uri: 'x' } },
      'authorizationParameters.redirect_uri" is not yours',
    ],
    [{ authorizationParameters: { resource: 'x' } }, 'authorizationParameters.resource" is not yours'],
    [
      { authorizationParameters: { prompt: undefined } },
      'authorizationParameters.prompt" is undefined; give a text',
    ],
    [{ authorizationParameters: { prompt: true } }, 'authorizationParameters.prompt" is not a text'],
    [
      { authorizationParameters: { max_age: 60 } },
      'authorizationParameters.max_age" is set without "openid"',
    ],
    [
      { authorizationParameters: { acr_values: 'x' } },
      'authorizationParameters.acr_values" is set without "openid"',
    ],
    [
      { scope: 'openid', authorizationParameters: { max_age: 'soon' } },
      'authorizationParameters.max_age" is "soon"; give a whole number',
    ],
    [
      { fields: regions, authorizationParameters: { tenant: '{region}' } },
      'authorizationParameters.tenant" has a place for "region"',
    ],
    [{ tokenResponse: {} }, 'tokenResponse" is [object Object]; give a function'],
    [{ revokeToken: true }, 'revokeToken" is true; give a function'],
    [{ accountId: 'id' }, 'accountId" is "id"; give a function'],
    [{ accountId: undefined }, 'accountId" is missing; say what of the test call names the account'],
    [{ label: 'x' }, 'label" is "x"; give a function'],
    [{ emailAsAccountId: 'yes' }, 'emailAsAccountId" is "yes"; set it to true or false'],
    [{ sharedAccounts: 1 }, 'sharedAccounts" is 1; set it to true or false'],
    [{ dpop: 'yes' }, 'dpop" is "yes"; set it to true or false'],
    [
      { test: undefined },
      'test" is missing; give a call that tells whose account it is, or ask for "openid"',
    ],
    [{ test: 'https://x.example' }, 'test" is "https://x.example"; give an object with url, judge'],
    [{ test: {} }, 'test.url" is missing'],
    [{ test: { url: '/me' } }, 'test.url" is "/me"; give an absolute https URL'],
    [{ test: { url: 'http://x.example/me' } }, 'test.url" is "http://x.example/me"'],
    [
      { test: { url: 'https://x.example/me#x' } },
      'test.url" is "https://x.example/me"; remove the query and',
    ],
    [{ test: { url: 'https://x.example/me?a#x' } }, 'test.url" has a fragment'],
    [{ test: { url: 'https://x.example/me', judge: 'x' } }, 'test.judge" is "x"; give a function'],
    [{ test: { uri: 'https://x.example/me' } }, 'test.uri" is not known; did you mean "url"?'],
    [{ allow: 'https://x.example/' }, 'allow" is not a list; give a list of URLs'],
    [{ allow: ['https://x.example/', '/api'] }, 'allow[1]" is "/api"; give an absolute https URL'],
    [{ allow: ['https://*.x.example/'] }, 'allow[0]" is "https://*.x.example/"'],
    [{ allow: ['https://x.example/?a'] }, 'allow[0]" is "https://x.example/?a"; remove the query'],
    [{ allow: [7] }, 'allow[0]" is not a string with content'],
    [{ parameters: [] }, 'parameters" is ; give an object with query, headers, body'],
    [{ parameters: { querry: {} } }, 'parameters.querry" is not known; did you mean "query"?'],
    [{ parameters: { query: { access_token: 'x' } } }, 'parameters.query.access_token" is not yours to set'],
    [{ parameters: { query: { a: {} } } }, 'parameters.query.a" is not a text'],
    [
      { parameters: { headers: { authorization: 'x' } } },
      'parameters.headers.authorization" is not yours to set',
    ],
    [{ parameters: { headers: { 'a b': 'x' } } }, 'parameters.headers.a b" is no header'],
    [{ parameters: { body: 'x' } }, 'parameters.body" is not an object'],
    [{ parameters: { body: { access_token: 'x' } } }, 'parameters.body.access_token" is not yours to set'],
    [{ parameters: { body: { a: {} } } }, 'parameters.body.a" is no plain value'],
    [{ fields: [] }, 'fields" is not an object'],
    [{ fields: null }, 'fields" is not an object'],
    [{ fields: { region: { label: 'Region', choices: [] } } }, 'fields.region.choices" is no list of texts'],
    [
      { fields: regions, issuer: 'https://{Region}.service.example' },
      'issuer" has a place for "Region"; make "Region" one of "fields"',
    ],
    [{ issuer: 'https://{constructor}.service.example' }, 'issuer" has a place for "constructor"'],
    [{ issuer: 'https://{}.service.example' }, 'issuer" has a place for ""'],
    [
      {
        fields: { region: { label: 'Region', required: false } },
        issuer: 'https://{region}.service.example',
      },
      'issuer" has a place for "region"; make "region" one of "fields", required or with a default',
    ],
    [
      { fields: { region: { label: 'Region' } }, issuer: 'https://{region}.example' },
      'issuer" is "https://{region}.example"; give the domain itself',
    ],
    [
      {
        fields: { region: { label: 'Region', choices: ['eu', 'U S'] } },
        allow: ['https://{region}.service.example/'],
      },
      'allow[0]" is "https://{region}.service.example/"; the choices and defaults of its fields must fit in there',
    ],
    [
      {
        fields: { region: { label: 'Region', default: 'E.U' } },
        test: { url: 'https://{region}.service.example/' },
      },
      'test.url" is "https://{region}.service.example/"; the choices and defaults',
    ],
    [
      { fields: regions, endpoints: { ...endpoints, token: 'https://service.example/token?r={region}' } },
      'endpoints.token" is "https://service.example/token?r={region}"; fields can stand',
    ],
    [
      { fields: regions, test: { url: 'https://x.example/me?r={region}' } },
      'test.url" is "https://x.example/me?r={region}"; fields can stand',
    ],
  ])('%j is refused', (changes, message) => {
    expect(one(changes)).toContain(`oauthConnections: option "providers.projects.${message}`)
    expect(
      leaks([{ where: 'the message', text: one(changes) }], [{ role: 'secret', value: secret }]),
    ).toEqual([])
  })

  test.each<[object]>([
    [
      {
        fields: { region: { label: 'Region', default: 'eu', required: false } },
        issuer: 'https://{region}.service.example',
      },
    ],
    [{ fields: { environment: { label: 'Environment', required: false } } }],
    [{ test: undefined, accountId: undefined, scope: 'openid' }],
    [{ test: undefined, scope: 'openid' }],
    [{ issuer: undefined, endpoints: { ...endpoints, userinfo: undefined } }],
    [
      {
        fields: { host: { label: 'Site', choices: ['service.example', 'service.com.au'] } },
        issuer: 'https://auth.{host}',
      },
    ],
    [{ tokenEndpointAuthMethod: 'client_secret_post' }],
    [{ clientSecret: [secret, 'another'] }],
    [{ clientSecret: async () => secret }],
  ])('%j is good', (changes) => {
    expect(one(changes)).toBe('nothing was thrown')
  })
})

describe('a secret whose environment variable is not set', () => {
  const lost = process.env['NOT_SET_ANYWHERE']
  const message = 'is undefined; is its environment variable set? Leave the option out for a public client'

  test('makes no public client', () => {
    expect(one({ clientSecret: lost })).toContain(`"providers.projects.clientSecret" ${message}`)
    const { clientSecret: _secret, ...publicClient } = projects
    expect(all({ providers: { projects: { ...publicClient, privateKey: lost } } })).toContain(
      `"providers.projects.privateKey" ${message}`,
    )
    expect(withEnvironments({ production, sandbox: { ...sandbox, clientSecret: lost } })).toContain(
      `"providers.projects.environments.sandbox.clientSecret" ${message}`,
    )
  })

  test('is no problem where the app says that there is none', () => {
    const { clientSecret: _secret, ...publicClient } = projects
    expect(all({ providers: { projects: publicClient } })).toBe('nothing was thrown')
    expect(one({ clientSecret: lost, tokenEndpointAuthMethod: 'none' })).toBe('nothing was thrown')
    expect(one({ privateKey: lost })).toBe('nothing was thrown')
  })
})

describe('environments', () => {
  test('are good when each is a server of its own', () => {
    expect(withEnvironments({ production, sandbox })).toBe('nothing was thrown')
    expect(withEnvironments({ production })).toBe('nothing was thrown')
    expect(
      withEnvironments({
        production: { ...production, issuer: 'https://{environment}.service.example' },
        sandbox: { ...sandbox, issuer: 'https://{environment}.service.example' },
      }),
    ).toBe('nothing was thrown')
  })

  test.each<[unknown, object, string]>([
    [null, {}, '" is not an object'],
    [[], {}, '" is not an object'],
    [{}, {}, '" is empty'],
    [{ production: null }, {}, '.production" is null; give an object'],
    [{ production: 'x' }, {}, '.production" is "x"; give an object'],
    [{ production, 'sand box': sandbox }, {}, '.sand box" has a name that cannot be'],
    [{ production, sandbox: { ...sandbox, name: 7 } }, {}, '.sandbox.name" is not a string'],
    [{ production, sandbox: { ...sandbox, scope: 'x' } }, {}, '.sandbox.scope" is not known'],
    [{ production, sandbox: { ...sandbox, clientId: '' } }, {}, '.sandbox.clientId" is not a string'],
    [{ production, sandbox: { ...sandbox, issuer: undefined } }, {}, '.sandbox.issuer" is missing'],
    [{ production, sandbox: production }, {}, '" has the same server twice'],
    [
      { production, sandbox: { ...sandbox, issuer: production.issuer, clientId: 'other' } },
      {},
      '" has the same server twice',
    ],
    [
      {
        production: { ...production, issuer: undefined, endpoints },
        sandbox: {
          ...sandbox,
          issuer: undefined,
          endpoints: { ...endpoints, authorization: 'https://service.example/sandbox/authorize' },
        },
      },
      {},
      '" has the same server twice',
    ],
    [
      { production, sandbox: { ...sandbox, issuer: 'https://{region}.service.example' } },
      { fields: { region: { label: 'Region', choices: ['x', 'auth'] } } },
      '" has the same server twice',
    ],
    [{ production, sandbox: { ...sandbox, allow: ['/x'] } }, {}, '.sandbox.allow[0]" is "/x"'],
    [
      { production, sandbox: { ...sandbox, parameters: { query: { access_token: 'x' } } } },
      {},
      '.sandbox.parameters.query.access_token" is not yours',
    ],
  ])('%j with %j are refused', (environments, changes, message) => {
    expect(withEnvironments(environments, changes)).toContain(
      `oauthConnections: option "providers.projects.environments${message}`,
    )
  })

  test.each(['issuer', 'endpoints', 'clientId', 'clientSecret', 'privateKey', 'tokenEndpointAuthMethod'])(
    '%s stands in them, and not beside them',
    (name) => {
      expect(withEnvironments({ production, sandbox }, { [name]: 'x' })).toContain(
        `option "providers.projects.${name}" is given beside "environments"`,
      )
    },
  )

  test('what they take over from the provider is told of as the provider’s', () => {
    expect(withEnvironments({ production, sandbox }, { allow: ['/x'] })).toContain(
      'option "providers.projects.allow[0]" is "/x"',
    )
    expect(withEnvironments({ production, sandbox }, { test: {} })).toContain(
      'option "providers.projects.test.url" is missing',
    )
  })

  test('are the choices of their field', () => {
    const fields = { environment: { label: 'Which', choices: ['production'] } }
    expect(withEnvironments({ production, sandbox }, { fields })).toContain(
      'option "providers.projects.fields.environment.choices" is given beside "environments"',
    )
  })
})

test('nothing that is looked at shows a secret', () => {
  const secrets = [canary('sealing-secret').padEnd(40, 'x')]
  const connections = oauthConnections({ ...good, secrets })
  const exposed = [{ where: 'what it is', text: everythingIn(connections) + JSON.stringify(connections) }]
  expect(
    leaks(exposed, [
      { role: 'client secret', value: secret },
      { role: 'secret', value: secrets[0] ?? '' },
    ]),
  ).toEqual([])
})

describe('redirectUris()', () => {
  const connections = oauthConnections({
    ...good,
    baseUrl: 'https://yourapp.com/app/',
    path: '/linked',
    providers: { zebra: projects, 'a-1': projects, Constructor: projects, providers: projects },
  })

  test('tells to the letter what to register, in the order of the options', () => {
    expect(connections.redirectUris()).toEqual([
      { provider: 'zebra', redirectUri: 'https://yourapp.com/app/linked/zebra/callback' },
      { provider: 'a-1', redirectUri: 'https://yourapp.com/app/linked/a-1/callback' },
      { provider: 'Constructor', redirectUri: 'https://yourapp.com/app/linked/Constructor/callback' },
      { provider: 'providers', redirectUri: 'https://yourapp.com/app/linked/providers/callback' },
    ])
    expect(connections.redirectUris()).toEqual(connections.redirectUris('https://yourapp.com/app'))
  })

  test('does the same for other environments of the app', () => {
    const uris = oauthConnections(good).redirectUris(
      'http://localhost:3000',
      'https://STAGING.yourapp.com:443/',
    )
    expect(uris).toEqual([
      { provider: 'projects', redirectUri: 'http://localhost:3000/connections/projects/callback' },
      { provider: 'projects', redirectUri: 'https://staging.yourapp.com/connections/projects/callback' },
    ])
  })

  test.each<[unknown, string]>([
    [undefined, 'option "baseUrl" is missing'],
    ['', 'option "baseUrl" is not a string with content'],
    [7, 'option "baseUrl" is not a string with content'],
    ['yourapp.com', 'option "baseUrl" "yourapp.com" is not an absolute URL'],
    ['http://yourapp.com', 'is not https'],
    ['https://yourapp.com/?x', 'has a query'],
    ['https://yourapp.com/#x', 'has a fragment'],
    ['https://a:b@yourapp.com', 'has a user name or password'],
  ])('refuses %j', (baseUrl, message) => {
    const problem = thrownBy(() => connections.redirectUris(baseUrl as string))
    expect(problem).toContain(message)
    expect(problem).toMatch(/^redirectUris: /)
  })
})
