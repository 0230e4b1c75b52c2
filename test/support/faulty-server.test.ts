/** The faulty server itself: without a fault a correct client finds nothing wrong, and each fault is seen. */
import * as openidClient from 'openid-client'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openBrowser } from './browser.js'
import { startFaultyServer, type FaultyServer, type FaultyServerOptions } from './faulty-server.js'
import { clientCredentialsFaults } from './faulty-server/faults/client-credentials.js'
import { introspectionFaults } from './faulty-server/faults/introspection.js'
import { faults, type Fault, type FaultName } from './faulty-server/faults.js'
import { logoutTokenFaults } from './faulty-server/faults/logout-token.js'
import { logoutModules } from './faulty-server/faults/modules-logout.js'

const redirectUri = 'http://localhost:9/callback'

describe('a correct server', () => {
  it('lets a correct client finish without a complaint', async () => {
    const server = await started()
    const { tokens, claims } = await login(server)
    expect(claims).toMatchObject({ sub: 'subject-1', name: 'Demo User' })
    expect(tokens.claims()).toMatchObject({ iss: server.issuer, aud: server.clientId })
    expect(server.complaints).toEqual([])
    expect(server.counts).toEqual({
      discovery: 1,
      jwks: 1,
      authorize: 1,
      token: 1,
      revocation: 0,
      introspection: 0,
      userinfo: 1,
      endSession: 0,
      unknown: 0,
    })
  })

  it('uses another path for its keys in each run', async () => {
    const paths = await Promise.all(
      [await started(), await started()].map(async (server) => {
        await login(server)
        return server.requests.find(({ endpoint }) => endpoint === 'jwks')?.path
      }),
    )
    expect(new Set(paths).size).toBe(2)
  })

  it('answers by form when asked to', async () => {
    const server = await started()
    const { url } = await authorizationRequest(server, { response_mode: 'form_post' })
    const page = await openBrowser().visit(url, { follow: false })
    expect(page).toMatchObject({ status: 200, body: expect.stringContaining(`action="${redirectUri}"`) })
  })

  it('ends the session and returns with the state', async () => {
    const server = await started({ postLogoutRedirectUri: 'http://localhost:9/' })
    const { tokens, configuration } = await login(server)
    const url = openidClient.buildEndSessionUrl(configuration, {
      id_token_hint: tokens.id_token ?? '',
      post_logout_redirect_uri: 'http://localhost:9/',
      state: 'a-state',
    })
    const page = await openBrowser().visit(url.href, { follow: false })
    expect(page.headers.location).toBe('http://localhost:9/?state=a-state')
    expect(server.complaints).toEqual([])
  })
})

describe('a client that does something wrong', () => {
  it.each([
    ['scope lacks openid', { scope: 'profile' }],
    ['redirect_uri is not registered', { redirect_uri: 'http://localhost:9/other' }],
    ['response_type is not code', { response_type: 'token' }],
    ['no state', { state: '' }],
    ['no nonce', { nonce: '' }],
    ['no code_challenge with S256', { code_challenge_method: 'plain' }],
    ['max_age=0 together with prompt=none', { max_age: '0', prompt: 'none' }],
  ])('gets the complaint "%s" for its authorization request', async (complaint, change) => {
    const server = await started()
    const { url } = await authorizationRequest(server, change)
    await openBrowser().visit(url, { follow: false })
    expect(server.complaints).toEqual([`authorization request: ${complaint}`])
  })

  it('gets a complaint for a repeated parameter', async () => {
    const server = await started()
    const { url } = await authorizationRequest(server)
    await openBrowser().visit(`${url}&scope=openid`, { follow: false })
    expect(server.complaints).toEqual(['authorization request: repeated parameter scope'])
  })

  it.each([
    ['code_verifier does not match', { code_verifier: 'x'.repeat(43) }],
    ['redirect_uri differs from the authorization request', { redirect_uri: 'http://localhost:9/other' }],
    ['unknown code', { code: 'another' }],
    ['unsupported grant_type', { grant_type: 'password' }],
  ])('gets the complaint "%s" for its token request', async (complaint, change) => {
    const server = await started()
    const response = await tokenRequest(server, change)
    expect(response.status).toBe(400)
    expect(server.complaints).toEqual([`token request: ${complaint}`])
  })

  it('cannot use a code twice', async () => {
    const server = await started()
    const request = await codeRequest(server)
    await postForm(server, request)
    expect((await postForm(server, request)).status).toBe(400)
    expect(server.complaints).toEqual(['token request: code used again'])
  })

  it.each([
    ['wrong client id or secret', basic('client-1', 'wrong')],
    ['Basic credentials encode unreserved characters', basic('client%2D1', 'secret')],
    ['client authentication is none, not client_secret_basic', {}],
  ])('gets the complaint "%s" for its credentials', async (complaint, headers) => {
    const server = await started({ clientSecret: 'secret' })
    const response = await postForm(server, await codeRequest(server), headers)
    expect(response.status).toBe(401)
    expect(server.complaints).toEqual([`token request: ${complaint}`])
  })

  it('gets a complaint for an access token in the query, and one for not asking for the keys', async () => {
    const server = await started()
    const response = await fetch(`${server.issuer}/userinfo?access_token=x`)
    expect(response.status).toBe(401)
    expect(server.complaints).toEqual([
      'userinfo request: access token in the query',
      'userinfo request: came before the keys were fetched',
    ])
  })
})

/** openid-client as the judge: it cannot finish a login, but for the modules and faults that allow it. */
describe('a fault', () => {
  const allowing = new Set<string>([
    'oidcc-client-test',
    'oidcc-client-test-kid-absent-single-jwks',
    'oidcc-client-test-idtoken-sig-rs256',
    'oidcc-client-test-client-secret-basic',
    'oidcc-client-test-discovery-openid-config',
    'oidcc-client-test-discovery-jwks-uri-keys',
    'oidcc-client-test-signing-key-rotation',
    'oidcc-client-test-signing-key-rotation-just-before-signing',
    // It matters only to a client that asked for more than this one.
    'oidcc-client-test-scope-userinfo-claims',
    'auth-time-old',
    'auth-time-missing',
    ...(Object.keys({ ...clientCredentialsFaults, ...introspectionFaults }) as FaultName[]),
    'acr-wrong',
    // It has no limit for an answer.
    'token-huge',
    // They come after the login.
    ...(Object.keys({ ...logoutModules, ...logoutTokenFaults }) as FaultName[]),
  ] satisfies FaultName[])

  it.each(Object.entries<Fault>(faults))('%s', async (name, fault) => {
    const server = await started({ fault })
    expect(await finishes(server)).toBe(allowing.has(name))
    expect(server.complaints.filter((complaint) => complaint.startsWith('the server failed'))).toEqual([])
  })

  it('can begin and end while the server runs', async () => {
    const server = await started()
    server.misbehave('token-500')
    expect(await finishes(server)).toBe(false)
    server.misbehave()
    expect(await finishes(server)).toBe(true)
  })
})

async function started(options: FaultyServerOptions = {}): Promise<FaultyServer> {
  const server = await startFaultyServer({ redirectUri, ...options })
  onTestFinished(() => server.close())
  return server
}

async function discovered({ issuer, clientId, clientSecret }: FaultyServer) {
  const configuration = await openidClient.discovery(
    new URL(issuer),
    clientId,
    undefined,
    // openid-client encodes the dash of the id, which this server does not take for granted.
    (_as, _client, _body, headers) =>
      headers.set('authorization', basic(clientId, encodeURIComponent(clientSecret)).authorization),
    { execute: [openidClient.allowInsecureRequests], timeout: 1 },
  )
  openidClient.enableNonRepudiationChecks(configuration)
  return configuration
}

async function authorizationRequest(server: FaultyServer, change: Record<string, string> = {}) {
  const verifier = openidClient.randomPKCECodeVerifier()
  const [state, nonce] = [openidClient.randomState(), openidClient.randomNonce()]
  const parameters = new URLSearchParams({
    client_id: server.clientId,
    response_type: 'code',
    redirect_uri: redirectUri,
    scope: 'openid profile',
    state,
    nonce,
    code_challenge: await openidClient.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...change,
  })
  return { url: `${server.issuer}/authorize?${parameters.toString()}`, verifier, state, nonce }
}

async function login(server: FaultyServer) {
  const configuration = await discovered(server)
  const { url, verifier, state, nonce } = await authorizationRequest(server)
  const { headers } = await openBrowser().visit(url, { follow: false })
  const tokens = await openidClient.authorizationCodeGrant(configuration, new URL(headers.location ?? ''), {
    pkceCodeVerifier: verifier,
    expectedState: state,
    expectedNonce: nonce,
    idTokenExpected: true,
  })
  const claims = await openidClient.fetchUserInfo(
    configuration,
    tokens.access_token,
    tokens.claims()?.sub ?? openidClient.skipSubjectCheck,
  )
  return { configuration, tokens, claims }
}

async function finishes(server: FaultyServer): Promise<boolean> {
  try {
    await login(server)
    return true
  } catch {
    return false
  }
}

async function codeRequest(server: FaultyServer): Promise<Record<string, string>> {
  const { url, verifier } = await authorizationRequest(server)
  const { headers } = await openBrowser().visit(url, { follow: false })
  const code = new URL(headers.location ?? '').searchParams.get('code') ?? ''
  return { grant_type: 'authorization_code', code, redirect_uri: redirectUri, code_verifier: verifier }
}

async function tokenRequest(server: FaultyServer, change: Record<string, string>): Promise<Response> {
  return postForm(server, { ...(await codeRequest(server)), ...change })
}

async function postForm(
  server: FaultyServer,
  form: Record<string, string>,
  headers: Record<string, string> = basic(server.clientId, encodeURIComponent(server.clientSecret)),
): Promise<Response> {
  return fetch(`${server.issuer}/token`, { method: 'POST', headers, body: new URLSearchParams(form) })
}

function basic(id: string, secret: string): { authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` }
}
