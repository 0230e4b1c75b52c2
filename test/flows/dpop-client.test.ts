import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import express from 'express'
import { decodeJwt, decodeProtectedHeader, calculateJwkThumbprint } from 'jose'
import type { ClientMetadata } from 'oidc-provider'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  clientCredentials,
  getAuth,
  oauthBearer,
  requireLogin,
  requireScope,
  type ClientCredentialsOptions,
} from '../../lib/index.js'
import { startApp, storages, type App, type LoginOptions, type Storage } from '../support/app.js'
import { openBrowser, type Browser } from '../support/browser.js'
import { signIn, startDPoPProvider } from '../support/dpop-provider.js'
import { listening, stopped } from '../support/listening.js'
import { sentParameter } from '../support/requests.js'
import { travel } from '../support/time.js'
import { ellipticKey, proofFor } from '../threats/guard/proof.js'

const clientSecret = 'the secret of this client'
const secret = () => randomBytes(32).toString('base64url')

/** An API that takes bound tokens only, with its newest nonce, and remembers how it answered. */
async function startProjectsApi(issuer: string) {
  const server = createServer()
  const url = await listening(server, 'localhost')
  onTestFinished(() => stopped(server))
  const statuses: number[] = []
  const api = express()
  api.use((_req, res, next) => {
    res.on('finish', () => statuses.push(res.statusCode))
    next()
  })
  api.use(
    oauthBearer({
      issuer,
      audience: url,
      dpop: { baseUrl: url, nonceSecrets: [secret()], required: true },
    }),
  )
  for (const path of ['/v1/projects', '/v1/narrow/projects'])
    api.all(path, requireScope('read:projects'), (req, res) => {
      res.json({ for: getAuth(req).subject })
    })
  server.on('request', api)
  return { url, statuses }
}

interface WorldOptions {
  readonly storage?: Storage
  readonly options?: Partial<LoginOptions>
  readonly client?: Partial<ClientMetadata>
  readonly withoutResource?: boolean
}

async function world({ storage = 'cookie', options, client, withoutResource }: WorldOptions = {}) {
  const provider = await startDPoPProvider()
  const api = await startProjectsApi(provider.issuer)
  const secrets = [secret()]
  /** Another instance, or the same after a change; browsers bring its cookies to all of them. */
  const instance = async (changes: Partial<LoginOptions> = {}): Promise<App> => {
    const app = await startApp({
      storage,
      options: {
        issuer: provider.issuer,
        clientId: 'app',
        clientSecret,
        scope: 'openid offline_access read:projects write:projects',
        authorizationParameters: { prompt: 'consent' },
        ...(!withoutResource && { resource: api.url }),
        apis: [`${api.url}/v1/`, { url: `${api.url}/v1/narrow/`, scope: 'read:projects' }],
        secrets,
        dpop: true,
        ...options,
        ...changes,
      },
      routes: ({ get }) => {
        for (const path of ['/projects', '/narrow/projects'])
          get(path, requireLogin(), async (req, res) => {
            const response = await getAuth(req).fetch(`${api.url}/v1${path}?page=2`)
            res.statusCode = response.status
            res.end(await response.text())
          })
        get('/token', requireLogin(), async (req, res) => {
          const forceRefresh = (req.url ?? '').includes('refresh')
          const auth = getAuth(req)
          res.end(auth.kind === 'session' ? await auth.accessToken({ forceRefresh }) : '')
        })
      },
    })
    onTestFinished(() => app.close())
    return app
  }
  const app = await instance()
  provider.serve(
    [
      {
        client_id: 'app',
        client_secret: clientSecret,
        redirect_uris: [app.callbackUrl],
        grant_types: ['authorization_code', 'refresh_token'],
        ...client,
      },
      {
        client_id: 'service',
        client_secret: clientSecret,
        redirect_uris: [],
        response_types: [],
        grant_types: ['client_credentials'],
      },
    ],
    api.url,
  )
  const service = (changes: Partial<ClientCredentialsOptions> = {}) =>
    clientCredentials({
      issuer: provider.issuer,
      clientId: 'service',
      clientSecret,
      scope: 'read:projects',
      resource: api.url,
      apis: [`${api.url}/v1/`],
      ...changes,
    })
  return { app, api, provider, instance, service, secrets, browser: openBrowser() }
}

async function token(browser: Browser, app: App, query = ''): Promise<string> {
  return (await browser.visit(`${app.url}/token${query}`)).body
}

/** Nothing for what is no JWT. */
function keyIn(accessToken: string): unknown {
  if (accessToken.split('.').length !== 3) return undefined
  return (decodeJwt(accessToken)['cnf'] as { jkt: unknown } | undefined)?.jkt
}

async function keyOf(proof: string | undefined): Promise<string | undefined> {
  const jwk = proof === undefined ? undefined : decodeProtectedHeader(proof).jwk
  return jwk && calculateJwkThumbprint(jwk)
}

describe.each(storages)('with storage "%s"', (storage) => {
  test('a user signs in, and the app reads their projects with proofs, before and after a refresh', async () => {
    const { app, api, provider, browser } = await world({ storage })
    expect((await signIn(browser, `${app.url}/projects`)).body).toBe('{"for":"alice"}')
    expect((await browser.visit(`${app.url}/projects`)).status).toBe(200)
    // The nonce of each server is learnt once.
    expect(api.statuses).toEqual([401, 200, 200])
    expect(provider.proven.map(({ status }) => status)).toEqual([400, 200])

    const before = await token(browser, app)
    const after = await token(browser, app, '?refresh')
    expect(after).not.toBe(before)
    expect(keyIn(after)).toBe(keyIn(before))
    expect(await keyOf(provider.proven.at(-1)?.proof)).toBe(keyIn(before))
    expect((await browser.visit(`${app.url}/projects`)).status).toBe(200)
    expect(api.statuses).toEqual([401, 200, 200, 200])
    expect(app.errors).toEqual([])
  })

  test('a token for less scope is bound as well, and shown with proofs', async () => {
    const { app, api, browser } = await world({ storage })
    await signIn(browser, `${app.url}/private`)
    expect((await browser.visit(`${app.url}/narrow/projects`)).status).toBe(200)
    expect((await browser.visit(`${app.url}/narrow/projects`)).status).toBe(200)
    // The session's own is there as before.
    expect((await browser.visit(`${app.url}/projects`)).status).toBe(200)
    expect(api.statuses).toEqual([401, 200, 200, 200])
  })
})

test('the code is bound to the key from the beginning of the login', async () => {
  const { app, provider, browser } = await world()
  await signIn(browser, `${app.url}/private`)
  const sent = browser.responses.find(({ url }) => url.startsWith(`${provider.issuer}/auth`))
  const promised = new URL(sent?.url ?? '').searchParams.get('dpop_jkt')
  expect(promised).toMatch(/^[\w-]{43}$/)
  expect(await keyOf(provider.proven.at(-1)?.proof)).toBe(promised)
})

test('T77 a stolen token is of no use, neither alone nor with another key', async () => {
  const { app, api, browser } = await world()
  await signIn(browser, `${app.url}/projects`)
  const stolen = await token(browser, app)
  const url = `${api.url}/v1/projects`
  const alone = await fetch(url, { headers: { authorization: `Bearer ${stolen}` } })
  const thief = proofFor({ htu: url, token: stolen }, ellipticKey())
  const withAKey = await fetch(url, { headers: { authorization: `DPoP ${stolen}`, dpop: thief } })
  expect([alone.status, withAKey.status]).toEqual([401, 401])
  expect(withAKey.headers.get('www-authenticate')).toContain('error="invalid_token"')
})

describe('when a secret is put in front of the old one', () => {
  test('tokens keep the key that they are bound to', async () => {
    const { app, instance, secrets, browser } = await world()
    await signIn(browser, `${app.url}/private`)
    const before = await token(browser, app)
    const rotated = await instance({ secrets: [secret(), ...secrets] })
    expect((await browser.visit(`${rotated.url}/projects`)).status).toBe(200)
    const after = await token(browser, rotated, '?refresh')
    expect(after).not.toBe(before)
    expect(keyIn(after)).toBe(keyIn(before))
    expect((await browser.visit(`${rotated.url}/projects`)).status).toBe(200)
  })

  test('new logins are bound to the new key', async () => {
    const { app, instance, secrets, browser } = await world()
    await signIn(browser, `${app.url}/private`)
    const before = await token(browser, app)
    const rotated = await instance({ secrets: [secret(), ...secrets] })
    const promised = sentParameter(await browser.visit(`${rotated.url}/login`, { follow: false }), 'dpop_jkt')
    expect(promised).toMatch(/^[\w-]{43}$/)
    expect(promised).not.toBe(keyIn(before))
  })

  const publicClient = {
    options: { clientSecret: undefined } as unknown as Partial<LoginOptions>,
    client: { token_endpoint_auth_method: 'none', client_secret: undefined } as Partial<ClientMetadata>,
  }
  test.each([
    ['a confidential client has its next tokens bound to the new key', {}, 200],
    ['the refresh token of a public client has ended with its key', publicClient, 401],
  ])('and the old one is gone: %s', async (_what, client, status) => {
    const idleLifetime = 60
    const { app, api, instance, secrets, browser } = await world({
      ...client,
      options: { ...('options' in client && client.options), idleLifetime },
    })
    await signIn(browser, `${app.url}/private`)
    const before = await token(browser, app)
    const next = secret()
    const between = await instance({ secrets: [next, ...secrets] })
    travel(idleLifetime / 2)
    // Sealed with the new secret from now on.
    expect((await browser.visit(`${between.url}/private`)).status).toBe(200)
    const after = await instance({ secrets: [next] })
    expect((await browser.visit(`${after.url}/projects`)).status).toBe(status)
    // The token whose key is gone is not even tried: the first 401 asks for a nonce.
    expect(api.statuses).toEqual(status === 200 ? [401, 200] : [])
    expect(keyIn(before)).toMatch(/^[\w-]{43}$/)
    expect(keyIn(await token(browser, after))).not.toBe(keyIn(before))
  })
})

describe('when the option is changed', () => {
  test('bound tokens stay bound, and are shown with proofs', async () => {
    const { app, instance, browser } = await world()
    await signIn(browser, `${app.url}/private`)
    const before = await token(browser, app)
    const changed = await instance({ dpop: false })
    expect((await browser.visit(`${changed.url}/projects`)).status).toBe(200)
    expect(keyIn(await token(browser, changed, '?refresh'))).toBe(keyIn(before))
  })

  test('bearer tokens are shown as such, and their next ones are bound', async () => {
    const { app, api, instance, browser } = await world({ options: { dpop: false } })
    await signIn(browser, `${app.url}/private`)
    expect(keyIn(await token(browser, app))).toBeUndefined()
    const changed = await instance({ dpop: true })
    expect((await browser.visit(`${changed.url}/projects`)).status).toBe(200)
    // Refused as a bearer token; then the new one, without a nonce and with one.
    expect(api.statuses).toEqual([401, 401, 200])
  })
})

test('userinfo takes a bound token with a proof and a nonce', async () => {
  const { app, provider, browser } = await world({
    withoutResource: true,
    options: { userinfo: true, scope: 'openid' },
  })
  await signIn(browser, `${app.url}/private`)
  expect(browser.page.body).toContain('"name":"the name of alice"')
  // Userinfo is a resource server: it does not get the nonce of the token endpoint, though the two are one.
  const asked = provider.proven.map(({ path, status }) => `${path} ${status}`)
  expect(asked).toEqual(['/token 400', '/token 200', '/me 401', '/me 200'])
})

describe('a service', () => {
  test('reads projects with tokens that are bound to its key, and learns each nonce once', async () => {
    const { api, provider, service } = await world()
    const { fetch: fetchApi, accessToken } = service({ dpop: true })
    const projects = await fetchApi(`${api.url}/v1/projects`)
    expect([projects.status, await projects.json()]).toEqual([200, { for: 'service' }])
    const posted = await fetchApi(`${api.url}/v1/projects?page=2`, { method: 'post', body: 'x' })
    expect(posted.status).toBe(200)
    await accessToken({ forceRefresh: true })
    expect(api.statuses).toEqual([401, 200, 200])
    expect(provider.proven.map(({ status }) => status)).toEqual([400, 200, 200])
  })

  test('has a key of its own in each process', async () => {
    const { service } = await world()
    const tokens = await Promise.all([1, 2].map(async () => service({ dpop: true }).accessToken()))
    const keys = tokens.map(keyIn)
    expect(keys).toEqual([expect.stringMatching(/^[\w-]{43}$/), expect.stringMatching(/^[\w-]{43}$/)])
    expect(new Set(keys).size).toBe(2)
  })

  test('without the option it has bearer tokens, which this API refuses', async () => {
    const { api, service } = await world()
    expect((await service().fetch(`${api.url}/v1/projects`)).status).toBe(401)
  })
})
