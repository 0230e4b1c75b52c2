/** Threats to tokens that are bound to our key: that they are not, that proofs go round in circles, that nonces get about. */
import { decodeJwt, decodeProtectedHeader, calculateJwkThumbprint } from 'jose'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  clientCredentials,
  getAuth,
  memoryStore,
  requireLogin,
  type ClientCredentialsOptions,
} from '../../lib/index.js'
import { startApi, type Api } from '../support/api.js'
import { startApp, type LoginOptions, type Router } from '../support/app.js'
import { openBrowser } from '../support/browser.js'
import { startFaultyServer, type Fault, type FaultyServer } from '../support/faulty-server.js'
import { json, type Answer } from '../support/faulty-server/answer.js'
import { metadata } from '../support/faulty-server/discovery.js'
import { sentParameter } from '../support/requests.js'
import { startStage } from '../support/stage.js'

/** Gives bound tokens, and looks at no proof. */
const dpop: Fault = { answerToken: (_op, response) => json({ ...response, token_type: 'DPoP' }) }

type Headers = Readonly<Record<string, string | readonly string[] | undefined>>

function nonceIn(headers: Headers): unknown {
  return decodeJwt(String(headers['dpop']))['nonce']
}

function demand(nonce: string, challenge = 'DPoP error="use_dpop_nonce"'): Answer {
  return json({}, 401, { 'dpop-nonce': nonce, 'www-authenticate': challenge })
}

function tokenRequests({ requests }: FaultyServer) {
  return requests.filter(({ endpoint }) => endpoint === 'token')
}

async function userStage(fault: Fault = dpop, options: Partial<LoginOptions> = {}) {
  return startStage({
    server: { fault },
    options: { dpop: true, ...options },
    routes: forcedRefresh,
  })
}

function forcedRefresh({ get }: Router): void {
  get('/token', requireLogin(), async (req, res) => {
    const auth = getAuth(req)
    res.end(auth.kind === 'session' ? await auth.accessToken({ forceRefresh: true }) : '')
  })
}

async function service(options: Partial<ClientCredentialsOptions> = {}, fault: Fault = dpop) {
  const server = await startFaultyServer({ fault })
  onTestFinished(() => server.close())
  const api = await startApi()
  const { issuer, clientId, clientSecret } = server
  const client = clientCredentials({
    issuer,
    clientId,
    clientSecret,
    dpop: true,
    apis: [`${api.url}/`, `${issuer}/api/`],
    ...options,
  })
  return { server, api, client }
}

function nonces({ requests }: Api): unknown[] {
  return requests.map(({ headers }) => nonceIn(headers))
}

describe('T76 an API', () => {
  it('that always answers with a new nonce gets two requests and no other token', async () => {
    const { api, server, client } = await service()
    let count = 0
    api.answer = () => demand(`nonce-${++count}`)
    expect((await client.fetch(`${api.url}/a`)).status).toBe(401)
    expect(nonces(api)).toEqual([undefined, 'nonce-1'])
    expect(new Set(api.requests.map(({ headers }) => decodeJwt(String(headers['dpop'])).jti)).size).toBe(2)
    // The answer to the second was noted, too.
    expect((await client.fetch(`${api.url}/a`)).status).toBe(401)
    expect(nonces(api)).toEqual([undefined, 'nonce-1', 'nonce-2', 'nonce-3'])
    expect(server.counts.token).toBe(1)
  })

  it('that always does so costs the user no refresh either', async () => {
    const api = await startApi()
    api.answer = () => demand('a-nonce')
    const { server, app, signedIn } = await startStage({
      server: { fault: dpop },
      options: { dpop: true, apis: [`${api.url}/`] },
      routes: ({ get }) =>
        get('/api', requireLogin(), async (req, res) => {
          res.statusCode = (await getAuth(req).fetch(`${api.url}/a`)).status
          res.end()
        }),
    })
    const browser = await signedIn()
    expect((await browser.visit(`${app.url}/api`)).status).toBe(401)
    expect(nonces(api)).toEqual([undefined, 'a-nonce'])
    expect(server.counts.token).toBe(1)
  })

  it.each([
    ['DPoP error="use_dpop_nonce"', 2],
    ['dPoP error="use_dpop_nonce", error_description="x"', 2],
    ['Bearer error="invalid_token", DPoP algs="ES256",error=use_dpop_nonce', 2],
    ['DPOP ERROR = "USE_DPOP_NONCE"', 2],
  ])('asks for a nonce by %s', async (challenge, requests) => {
    const { api, client, server } = await service()
    api.answer = ({ headers }) => (nonceIn(headers) === 'n' ? json({}) : demand('n', challenge))
    expect((await client.fetch(`${api.url}/a`)).status).toBe(200)
    expect([api.requests.length, server.counts.token]).toEqual([requests, 1])
  })

  it.each([
    ['that is refused', 'DPoP error="invalid_token"'],
    ['whose refusal says nothing', ''],
  ])('is shown another token in place of one %s, however new its nonce is', async (_what, challenge) => {
    const { api, client, server } = await service()
    let count = 0
    api.answer = () => demand(`nonce-${++count}`, challenge)
    expect((await client.fetch(`${api.url}/a`)).status).toBe(401)
    expect(nonces(api)).toEqual([undefined, 'nonce-1'])
    expect(new Set(api.requests.map(({ headers }) => headers.authorization)).size).toBe(2)
    expect(server.counts.token).toBe(2)
  })

  it('that asks many requests at once for the same nonce gets it from each of them', async () => {
    const { api, client, server } = await service()
    api.answer = ({ headers }) => (nonceIn(headers) === 'n' ? json({}) : demand('n'))
    await client.accessToken()
    const answers = await Promise.all([1, 2, 3, 4, 5].map(async (n) => client.fetch(`${api.url}/${n}`)))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
    expect([api.requests.length, server.counts.token]).toEqual([10, 1])
  })

  it('tells its next nonce with any answer', async () => {
    const { api, client } = await service()
    let count = 0
    api.answer = () => json({}, 200, { 'dpop-nonce': `nonce-${++count}` })
    for (let n = 0; n < 3; n++) await client.fetch(`${api.url}/a`)
    expect(nonces(api)).toEqual([undefined, 'nonce-1', 'nonce-2'])
  })

  it('gets no stream twice, and its nonce with the next request', async () => {
    const { api, client, server } = await service()
    api.answer = ({ headers }) => (nonceIn(headers) === 'n' ? json({}) : demand('n'))
    const upload = () => ({
      method: 'POST',
      body: new Blob(['x']).stream(),
      duplex: 'half' as const,
    })
    expect((await client.fetch(`${api.url}/a`, upload())).status).toBe(401)
    expect((await client.fetch(`${api.url}/a`, upload())).status).toBe(200)
    expect([api.requests.length, server.counts.token]).toEqual([2, 1])
  })

  it.each([['two, nonces'], ['a"quote'], ['a\\b'], ['x'.repeat(1_025)]])(
    'that sends %s as its nonce is sent none',
    async (nonce) => {
      const { api, client } = await service()
      api.answer = () => demand(nonce)
      await client.fetch(`${api.url}/a`)
      expect(nonces(api).every((sent) => sent === undefined)).toBe(true)
    },
  )

  it('gets no nonce of another, nor of an authorization server at the same origin, and that none of its', async () => {
    const proofRefusal: Fault['proofRefusal'] = (_op, { headers }) =>
      nonceIn(headers) === 'of-the-server'
        ? undefined
        : json({ error: 'use_dpop_nonce' }, 400, { 'dpop-nonce': 'of-the-server' })
    const { api, server, client } = await service({}, { ...dpop, proofRefusal })
    api.answer = () => json({}, 200, { 'dpop-nonce': 'of-the-api' })
    await client.fetch(`${api.url}/a`)
    await client.fetch(`${server.issuer}/api/b`)
    await client.accessToken({ forceRefresh: true })
    await client.fetch(`${api.url}/a`)
    expect(nonces(api)).toEqual([undefined, 'of-the-api'])
    const atServer = server.requests.find(({ path }) => path === '/api/b')
    expect(nonceIn(atServer?.headers ?? {})).toBeUndefined()
    expect(tokenRequests(server).map(({ headers }) => nonceIn(headers))).toEqual([
      undefined,
      'of-the-server',
      'of-the-server',
    ])
  })
})

describe('T76 an authorization server', () => {
  const refusing: Fault = {
    ...dpop,
    proofRefusal: () => json({ error: 'use_dpop_nonce' }, 400, { 'dpop-nonce': 'a-nonce' }),
  }

  it('that never has enough of nonces is asked twice at the login', async () => {
    const { server, signedIn } = await userStage(refusing)
    await expect(signedIn()).rejects.toThrow('the login ended with 400')
    expect(tokenRequests(server).map(({ headers }) => nonceIn(headers))).toEqual([undefined, 'a-nonce'])
  })

  it('and at a refresh, which ends no session', async () => {
    const { server, app, signedIn } = await userStage()
    const browser = await signedIn()
    server.misbehave(refusing)
    expect((await browser.visit(`${app.url}/token`)).status).toBe(400)
    expect(server.counts.token).toBe(3)
    expect((await browser.visit(`${app.url}/private`)).status).toBe(200)
  })

  it('and by a service', async () => {
    const { server, client } = await service({}, refusing)
    await expect(client.accessToken()).rejects.toMatchObject({
      code: 'server_refused',
      hint: expect.stringContaining('did not take its own nonce'),
    })
    expect(server.counts.token).toBe(2)
  })
})

describe('a server that gives bearer tokens although it was shown a proof', () => {
  const notBound = { code: 'invalid_server_response', reason: 'not_bound' }

  it('is refused at the login', async () => {
    const { app, signedIn } = await userStage({})
    await expect(signedIn()).rejects.toThrow('the login ended with 502')
    expect(app.events.find(({ type }) => type === 'login_failed')).toMatchObject({ error: notBound })
  })

  it('is refused at a refresh', async () => {
    const { server, app, signedIn } = await userStage()
    const browser = await signedIn()
    server.misbehave({})
    expect((await browser.visit(`${app.url}/token`)).status).toBe(502)
    expect(app.errors.at(-1)).toMatchObject(notBound)
  })

  it('is refused by a service', async () => {
    const { client } = await service({}, {})
    await expect(client.accessToken()).rejects.toMatchObject({
      ...notBound,
      hint: expect.stringContaining('"dpop_bound_access_tokens"'),
    })
  })

  it('is no such server for writing the type in its own way', async () => {
    const { client } = await service(
      {},
      { answerToken: (_op, said) => json({ ...said, token_type: 'dPoP' }) },
    )
    await expect(client.accessToken()).resolves.toContain('access-token')
  })
})

describe('a server whose metadata has no algorithm of ours', () => {
  const withAlgorithms = (algorithms: unknown): Fault => ({
    ...dpop,
    metadata: (op) => ({ ...metadata(op), dpop_signing_alg_values_supported: algorithms }),
  })

  it.each([[['RS256', 'EdDSA']], [[]], ['ES256'], [null]])(
    '%j: no user is sent there',
    async (algorithms) => {
      const { server, app } = await userStage(withAlgorithms(algorithms))
      const page = await openBrowser().visit(`${app.url}/login`, { follow: false })
      expect([page.status, server.counts.authorize]).toEqual([502, 0])
      expect(app.events.find(({ type }) => type === 'login_failed')).toMatchObject({
        code: 'invalid_server_metadata',
        error: { reason: 'dpop_algorithm', message: expect.stringContaining('does not have ES256') },
      })
    },
  )

  it('gets no request of a service', async () => {
    const { server, client } = await service({}, withAlgorithms(['RS256']))
    await expect(client.accessToken()).rejects.toMatchObject({ code: 'invalid_server_metadata' })
    expect(server.counts.token).toBe(0)
  })

  it('gets no refresh token either, of sessions from before', async () => {
    const secrets = ['an old secret '.padEnd(40, 'abcdefghij')]
    const store = memoryStore()
    const { server, app, signedIn } = await userStage(withAlgorithms(['RS256']), {
      secrets,
      store,
      dpop: false,
    })
    const { issuer, clientId, clientSecret } = server
    const changed = await startApp({
      options: { issuer, clientId, clientSecret, secrets, store, dpop: true, baseUrl: app.url },
      routes: forcedRefresh,
    })
    onTestFinished(() => changed.close())
    server.misbehave({ ...withAlgorithms(['RS256']), answerToken: (_op, response) => json(response) })
    const browser = await signedIn()
    expect((await browser.visit(`${changed.url}/token`)).status).toBe(502)
    expect(changed.errors.at(-1)).toMatchObject({ code: 'invalid_server_metadata' })
    expect(server.counts.token).toBe(1)
  })

  it('may have others beside ours', async () => {
    const { client } = await service({}, withAlgorithms(['RS256', 'ES256']))
    await expect(client.accessToken()).resolves.toContain('access-token')
  })
})

describe('the key that the login began with', () => {
  it('is the one that the code is redeemed with, though another one is first by now', async () => {
    const old = 'an old secret '.padEnd(40, 'abcdefghij')
    const { server, app, pending } = await userStage(dpop, { secrets: [old] })
    const browser = openBrowser()
    const callback = await pending(browser)
    const promised = server.requests.find(({ endpoint }) => endpoint === 'authorize')?.query.get('dpop_jkt')
    const { issuer, clientId, clientSecret } = server
    const secrets = ['a new secret '.padEnd(40, 'klmnopqrst'), old]
    const rotated = await startApp({
      options: { issuer, clientId, clientSecret, dpop: true, secrets, baseUrl: app.url },
    })
    onTestFinished(() => rotated.close())
    const page = await browser.visit(callback.replace(app.url, rotated.url), { follow: false })
    expect(page.status).toBe(303)
    const [proof] = tokenRequests(server).map(({ headers }) => String(headers['dpop']))
    expect(await calculateJwkThumbprint(decodeProtectedHeader(proof ?? '').jwk ?? {})).toBe(promised)
    // The next one begins with the new key.
    const next = await browser.visit(`${rotated.url}/login`, { follow: false })
    expect(sentParameter(next, 'dpop_jkt')).not.toBe(promised)
  })

  it('is told to no server where bearer tokens are wanted', async () => {
    const { app } = await userStage({}, { dpop: false })
    const login = await openBrowser().visit(`${app.url}/login`, { follow: false })
    expect(sentParameter(login, 'dpop_jkt')).toBeNull()
  })
})

describe('the profile of a server without OpenID Connect', () => {
  const profile = (answerUserinfo: NonNullable<Fault['answerUserinfo']>) =>
    userStage({ ...dpop, answerUserinfo }, { scope: 'profile', userinfo: true })

  it('is shown a proof, and the nonce that it asks for, once', async () => {
    const { server, signedIn } = await profile((op, claims) =>
      nonceIn(op.requests.at(-1)?.headers ?? {}) === 'n' ? json(claims) : demand('n'),
    )
    await signedIn()
    const asked = server.requests.filter(({ endpoint }) => endpoint === 'userinfo')
    expect(asked.map(({ headers }) => nonceIn(headers))).toEqual([undefined, 'n'])
    expect(asked.every(({ headers }) => headers.authorization?.startsWith('DPoP '))).toBe(true)
  })

  it('is given up when it never has enough', async () => {
    const { server, signedIn } = await profile(() => demand('n'))
    await expect(signedIn()).rejects.toThrow('the login ended with 502')
    expect(server.counts.userinfo).toBe(2)
  })
})

it.each([['dpop_jkt']])('%s is not the app’s to set', async (name) => {
  await expect(userStage(dpop, { authorizationParameters: { [name]: 'x' } })).rejects.toThrow(
    'not yours to set',
  )
})

it.each([['true'], [1], [null], [{}]])('the option dpop is not %j', async (value) => {
  await expect(userStage(dpop, { dpop: value as never })).rejects.toThrow('option "dpop" is')
  await expect(service({ dpop: value as never })).rejects.toThrow('option "dpop" is')
})
