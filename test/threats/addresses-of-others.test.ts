/** Threats by addresses that users, tokens and documents bring: nobody is asked because somebody says so. */
import { createServer } from 'node:http'
import { describe, expect, onTestFinished, test } from 'vitest'
import { clientCredentials, createVerifier, isOAuthError, type Fetch } from '../../lib/index.js'
import { openBrowser } from '../support/browser.js'
import { connections } from '../support/connections.js'
import { json } from '../support/faulty-server/answer.js'
import { idTokenClaims, idTokenHeader } from '../support/faulty-server/id-token.js'
import { metadata } from '../support/faulty-server/discovery.js'
import type { Steps } from '../support/faulty-server/provider.js'
import { listening, stopped } from '../support/listening.js'
import { bare, typed } from '../support/requests.js'
import { startStage } from '../support/stage.js'
import { startApi } from './guard/api.js'
import { startIssuer } from './guard/issuer.js'

/** Whatever a host may be called that is this machine, its neighbours, or changes its mind. */
const oddHosts: readonly string[] = String.raw`
  127.0.0.1 127.1 127.0.1 127.000.000.001 127.0.0.2 127.127.127.127 127.0.0.1. 127.0.0.1%00
  0x7f.1 0x7f.0.0.1 0x7f000001 2130706433 017700000001 0177.0.0.1 0177.1 0 0.0.0.0
  ①②⑦.⓪.⓪.① １２７.0.0.1 127。0。0。1 ⓛⓞⓒⓐⓛⓗⓞⓢⓣ localhost%2e xn--n3h.example
  localhost localhost. LOCALHOST a.localhost ip6-localhost localhost.localdomain broadcasthost
  [::1] [::] [0:0:0:0:0:0:0:1] [0000::1] [::1%25lo] [::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1]
  [64:ff9b::7f00:1] [fe80::1] [fc00::1] [fd00:ec2::254] [::ffff:169.254.169.254]
  169.254.169.254 2852039166 0xa9fea9fe metadata.google.internal kubernetes.default.svc
  10.0.0.1 172.16.0.1 192.168.0.1 100.64.0.1 198.18.0.1 192.0.2.1 224.0.0.1 255.255.255.255
  localtest.me 127.0.0.1.nip.io 7f000001.c0a80001.rbndr.us rebind.example
  user@127.0.0.1 auth.example.com@127.0.0.1 127.0.0.1\@auth.example.com
`
  .trim()
  .split(/\s+/)

/** A server on this machine, of which nobody should hear. */
async function startTrap(): Promise<{ url: string; port: string; hits: readonly string[] }> {
  const hits: string[] = []
  const server = createServer((request, response) => {
    hits.push(`${request.method} ${request.url}`)
    response.end('{}')
  })
  server.on('connection', () => hits.push('a connection'))
  const url = await listening(server, '0.0.0.0')
  onTestFinished(() => stopped(server))
  return { url, port: new URL(url).port, hits }
}

/** An issuer at each odd host, with the port of the trap and without. */
const oddIssuers = (port: string): string[] =>
  oddHosts.flatMap((host) => [`http://${host}:${port}`, `https://${host}/tenant`])

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'done',
    (error: unknown) => (isOAuthError(error) ? error.code : String(error)),
  )
}

test('T116 there are sixty odd hosts', () => {
  expect(new Set(oddHosts).size).toBeGreaterThanOrEqual(60)
})

test('T116 the record of connections shows what it should', async () => {
  const hosts = connections()
  const { url } = await startTrap()
  await fetch(url)
  await fetch('http://rebind.invalid:4321/').catch(() => undefined)
  expect(hosts).toEqual([new URL(url).host, 'rebind.invalid:4321'])
})

describe('T116 an issuer that a token names', () => {
  type Trust = (url: string) => object
  const ways: [what: string, trust: Trust][] = [
    ['one issuer', (url) => ({ issuer: url })],
    ['a list', (url) => ({ issuers: [url, 'https://auth.example.com'] })],
    ['a function', (url) => ({ issuers: (iss: string) => (iss === url ? url : undefined) })],
    ['tenants', (url) => ({ issuer: `${url}/{tid}`, tenants: () => true })],
  ]

  test.each(ways)('is not asked where %s is trusted', async (_what, trust) => {
    const hosts = connections()
    const [issuer, trap] = await Promise.all([startIssuer(), startTrap()])
    const verifier = createVerifier({ audience: 'https://api.example.com', ...trust(issuer.url) } as never)
    const claimed = [
      ...oddIssuers(trap.port).map((iss) => ({ iss })),
      ...oddHosts.map((host) => ({ iss: `${issuer.url}/${host}/`, tid: `${host}/` })),
      ...oddHosts.map((host) => ({ iss: `http://${host}:${trap.port}/one`, tid: 'one' })),
    ]
    for (const claims of claimed)
      expect([claims, await codeOf(verifier.verify(issuer.token(claims)))]).toEqual([claims, 'invalid_token'])
    expect([hosts, trap.hits, issuer.requests]).toEqual([[], [], []])
  })
})

describe('T116 what users bring', () => {
  test('to the login: an issuer, a target, a host', async () => {
    const trap = await startTrap()
    const { app, server } = await startStage()
    await openBrowser().visit(`${app.url}/private`)
    const hosts = connections()
    const issuers = oddIssuers(trap.port)
    for (const iss of issuers) {
      const form = new URLSearchParams({ iss, target_link_uri: `${iss}/x`, login_hint: iss }).toString()
      const headers = { ...typed, 'content-type': 'application/x-www-form-urlencoded' }
      expect((await bare(`${app.url}/login?${form}`, headers)).status).toBe(400)
      expect((await bare(`${app.url}/login`, headers, { method: 'POST', body: form })).status).toBe(400)
    }
    for (const host of oddHosts.filter((one) => /^[\x21-\x7e]+$/.test(one))) {
      const spoofed = { 'x-forwarded-host': host, 'x-forwarded-proto': 'http', forwarded: `host="${host}"` }
      const { headers } = await bare(`${app.url}/login`, { ...typed, host, ...spoofed })
      expect(headers.location).toContain(`${server.issuer}/authorize?`)
      expect(new URL(headers.location ?? '').searchParams.get('redirect_uri')).toBe(app.callbackUrl)
    }
    expect([hosts, trap.hits]).toEqual([[], []])
  })

  test('to the callback and the logout paths: an issuer', async () => {
    const trap = await startTrap()
    let iss = ''
    const { app, server, signedIn, pending } = await startStage({
      options: {
        paths: { backchannelLogout: '/backchannel-logout', frontchannelLogout: '/frontchannel-logout' },
      },
      server: {
        fault: {
          logoutTokenClaims: () => ({ iss, aud: 'client-1', sub: 'x', iat: 1, jti: 'x', events: {} }),
        },
      },
    })
    await signedIn()
    const hosts = connections()
    for (iss of oddHosts.map((host) => `http://${host}:${trap.port}`)) {
      const browser = openBrowser()
      const callback = new URL(await pending(browser))
      callback.searchParams.set('iss', iss)
      const { status, body } = await browser.visit(callback.href)
      expect([iss, status, body]).toEqual([iss, 400, expect.stringContaining('another authorization server')])
    }
    for (iss of oddIssuers(trap.port)) {
      const logout = new URLSearchParams({ iss, sid: 'x' }).toString()
      await bare(`${app.url}/frontchannel-logout?${logout}`, typed)
      const body = new URLSearchParams({ logout_token: await server.logoutToken() }).toString()
      const type = { 'content-type': 'application/x-www-form-urlencoded' }
      expect((await bare(`${app.url}/backchannel-logout`, type, { method: 'POST', body })).status).toBe(400)
    }
    const known = new URL(server.issuer).host
    expect([hosts.filter((host) => host !== known), trap.hits]).toEqual([[], []])
  })
})

describe('T116 a document that points to somebody else', () => {
  const issuer = 'https://auth.example.com'
  /** The server as it describes itself; all that is asked is noted, and nothing else is answered. */
  const describedAs = (document: object): { fetch: Fetch; asked: string[] } => {
    const asked: string[] = []
    return {
      asked,
      async fetch(url) {
        asked.push(new Request(url).url)
        return asked.at(-1)?.includes('/.well-known/') === true ? Response.json(document) : Response.error()
      },
    }
  }
  const client = { issuer, clientId: 'a', clientSecret: 'b' }
  const good = { issuer, token_endpoint: `${issuer}/token`, jwks_uri: `${issuer}/keys` }
  const unsafe = oddHosts.map((host) => `http://${host}`)

  test.each<[string, (url: string) => object]>([
    ['keys', (jwks_uri) => ({ ...good, jwks_uri })],
    ['another name', (name) => ({ ...good, issuer: name })],
  ])('by %s is not followed there', async (_what, document) => {
    for (const url of unsafe) {
      const { fetch, asked } = describedAs(document(url))
      const ready = createVerifier({ issuer, audience: 'api', fetch }).ready()
      expect([url, await codeOf(ready)]).toEqual([url, 'key_set_unavailable'])
      expect(asked.filter((one) => !one.startsWith(`${issuer}/.well-known/`))).toEqual([])
    }
  })

  test('by a token endpoint is given no secret there', async () => {
    for (const url of [...unsafe, 'ftp://auth.example.com/', `https://auth.example.com@127.0.0.1/`]) {
      const { fetch, asked } = describedAs({ ...good, token_endpoint: url })
      const service = clientCredentials({ ...client, fetch })
      expect([url, await codeOf(service.accessToken())]).toEqual([url, 'invalid_server_metadata'])
      expect(asked.filter((one) => !one.startsWith(`${issuer}/.well-known/`))).toEqual([])
    }
  })

  test('by a redirect is not followed', async () => {
    const hosts = connections()
    const trap = await startTrap()
    for (const status of [301, 302, 307, 308]) {
      const fault: Partial<Steps> = {
        answerDiscovery: () => ({ status, headers: { location: trap.url }, body: '' }),
      }
      const { server } = await startStage({ server: { fault } })
      const service = clientCredentials({ ...client, issuer: server.issuer })
      expect(await codeOf(service.accessToken())).toBe('invalid_server_response')
    }
    expect([trap.hits, hosts.filter((host) => host === new URL(trap.url).host)]).toEqual([[], []])
  })
})

describe('T117 addresses that are only data', () => {
  const pointing = (url: string, names: string): Record<string, string> =>
    Object.fromEntries(names.split(' ').map((name) => [name, `${url}/${name}`]))
  const ofKeys = (url: string) => ({
    jku: `${url}/jku`,
    x5u: `${url}/x5u`,
    kid: `${url}/kid`,
  })
  /** OpenID Connect Core §5.6.2. */
  const distributed = (url: string) => ({
    _claim_names: { roles: 'a', address: 'b' },
    _claim_sources: {
      a: { endpoint: `${url}/claims`, access_token: 'x' },
      b: { JWT: `${url}/jwt` },
    },
  })
  const ofPeople = 'picture profile website sub_jwk_uri logo_uri'

  test('T117 in an ID token, userinfo and metadata: the login goes on, and nobody is asked', async () => {
    const { app, server, signedIn } = await startStage({
      options: { userinfo: true },
      server: {
        fault: {
          idTokenClaims: (op, authorization) => ({
            ...idTokenClaims(op, authorization),
            ...distributed(op.elsewhere),
            ...pointing(op.elsewhere, ofPeople),
          }),
          idTokenHeader: (op) => {
            const { jku, x5u } = ofKeys(op.elsewhere)
            return { ...idTokenHeader(op), jku, x5u }
          },
          userinfo: (op, { subject }) => ({
            sub: subject,
            ...distributed(op.elsewhere),
            ...pointing(op.elsewhere, ofPeople),
          }),
          metadata: (op) => ({
            ...metadata(op),
            ...pointing(
              op.elsewhere,
              'logo_uri op_policy_uri op_tos_uri service_documentation registration_endpoint check_session_iframe signed_metadata request_uri',
            ),
          }),
        },
      },
    })
    const hosts = connections()
    const browser = await signedIn()
    const claims: unknown = JSON.parse((await browser.visit(`${app.url}/private`)).body)
    expect(claims).toMatchObject({ _claim_sources: { a: { access_token: 'x' } } })
    expect([server.elsewhere, server.complaints]).toEqual([[], []])
    expect(new Set(hosts)).toEqual(new Set([new URL(server.issuer).host]))
  })

  test('T117 in the query of the login: neither asked nor passed on', async () => {
    const trap = await startTrap()
    const { app } = await startStage({ options: { queryParameters: ['login_hint'] } })
    const names =
      'request_uri request registration logo_uri jwks_uri sector_identifier_uri initiate_login_uri resource claims'
    const query = new URLSearchParams(pointing(trap.url, names)).toString()
    const { headers } = await bare(`${app.url}/login?${query}`, typed)
    expect(decodeURIComponent(headers.location ?? '')).toContain('/authorize?')
    expect(decodeURIComponent(headers.location ?? '')).not.toContain(trap.url)
    expect(trap.hits).toEqual([])
  })

  test('T117 in what the token endpoint says of an error', async () => {
    const trap = await startTrap()
    const { server } = await startStage()
    server.misbehave({
      answerToken: () => json({ error: 'invalid_scope', error_uri: `${trap.url}/error` }, 400),
    })
    const { issuer, clientId, clientSecret } = server
    const service = clientCredentials({ issuer, clientId, clientSecret })
    expect(await codeOf(service.accessToken())).toBe('invalid_scope')
    expect(trap.hits).toEqual([])
  })

  test('T117 in the header and the claims of an access token', async () => {
    const trap = await startTrap()
    const issuer = await startIssuer()
    const api = await startApi(issuer)
    const { jku, x5u } = ofKeys(trap.url)
    const claims = { ...distributed(trap.url), ...pointing(trap.url, ofPeople) }
    expect(await api.verdict(issuer.token(claims, { jku, x5u }))).toBe('200')
    expect(await api.verdict(issuer.token(claims, { ...ofKeys(trap.url), x5c: [trap.url] }))).toMatch(/^401 /)
    const asked = issuer.requests.length
    expect(trap.hits).toEqual([])
    expect(asked).toBeLessThanOrEqual(3)
  })
})
