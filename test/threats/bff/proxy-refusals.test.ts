/** Threats to a proxy whose user cannot be known, or that was not mounted as it must be: nothing passes by mistake. */
import { describe, expect, it, onTestFinished } from 'vitest'
import { clientCredentials, oauthProxy } from '../../../lib/index.js'
import { storages } from '../../support/app.js'
import { startApi } from '../../support/api.js'
import { startFaultyServer } from '../../support/faulty-server.js'
import { json, reset } from '../../support/faulty-server/answer.js'
import { grants } from '../../support/faulty-server/token.js'
import { breakableStore } from '../../support/open-store.js'
import { bare } from '../../support/requests.js'
import { chain, serve } from '../../support/serve.js'
import { travel } from '../../support/time.js'
import { exchange, ownScript, proxiedApi, type Answer } from '../../proxy/proxied.js'

const errorOf = ({ status, body }: Answer) => [status, (JSON.parse(body) as { error: string }).error]

/** Grants that leave refresh tokens as they are: an authorization server that is away spends none. */
const unspent = Object.fromEntries(
  Object.entries(grants).map(([type, grant]) => [type, { ...grant, complaints: () => [] }]),
)

async function service() {
  const server = await startFaultyServer()
  onTestFinished(() => server.close())
  const { issuer, clientId, clientSecret } = server
  return { server, client: clientCredentials({ issuer, clientId, clientSecret }) }
}

describe('what cannot be known just now', () => {
  const tokens = ['user', 'user-or-none', 'user-or-client'] as const

  it.each(tokens)('a store that is away makes nobody of no user: %s', async (token) => {
    for (const storage of storages) {
      const { store, breaks } = breakableStore()
      const { client } = await service()
      const options = token === 'user-or-client' ? { token, client } : { token }
      const { send, api, app } = await proxiedApi(options, { storage, options: { store } })
      breaks(() => true)
      const answer = await send('/api/x')
      expect(errorOf(answer)).toEqual([503, 'store_unavailable'])
      expect(answer.headers['set-cookie'], 'nobody is signed out').toBeUndefined()
      expect(api.requests).toEqual([])
      expect(app.events.at(-1)).toMatchObject({ type: 'request_failed', code: 'store_unavailable' })
      breaks(() => false)
      expect((await send('/api/x')).status).toBe(200)
      expect(api.tokens).not.toContain('')
    }
  })

  it.each(tokens)('an authorization server that is away sends nobody to the login: %s', async (token) => {
    const { client, server: itsServer } = await service()
    const options = token === 'user-or-client' ? { token, client } : { token }
    const { send, api, server } = await proxiedApi(options)
    travel(3_601)
    server.misbehave({ grants: unspent, answerToken: () => reset() })
    const answer = await send('/api/x')
    expect(errorOf(answer)).toEqual([503, 'server_unavailable'])
    expect(answer.body).not.toContain('login_url')
    expect([api.requests, itsServer.counts.token]).toEqual([[], 0])
    server.misbehave()
    travel(6)
    expect((await send('/api/x')).status).toBe(200)
    expect(itsServer.counts.token).toBe(0)
  })

  it('the same with the token of the app', async () => {
    const { client, server } = await service()
    const { send, api } = await proxiedApi({ token: 'client', client })
    server.misbehave({ answerToken: () => json({}, 503) })
    expect(errorOf(await send('/api/x'))).toEqual([503, 'server_unavailable'])
    expect(api.requests).toEqual([])
  })
})

describe('with "onError" at "next"', () => {
  it('each refusal reaches the error handler of the app, and nothing else does', async () => {
    const { send, api, app } = await proxiedApi({ methods: ['GET'] }, { options: { onError: 'next' } })
    const refused: readonly (readonly [code: string, status: number, () => Promise<Answer>])[] = [
      ['login_required', 401, async () => send('/api/x', { headers: { cookie: '' } })],
      ['csrf_rejected', 403, async () => send('/api/x', { headers: { 'sec-fetch-site': 'cross-site' } })],
      ['invalid_request', 400, async () => send('/api/../x')],
      ['method_not_allowed', 405, async () => send('/api/x', { method: 'DELETE' })],
    ]
    for (const [code, status, call] of refused) {
      expect(await call()).toMatchObject({ status, body: 'the application had an error' })
      expect(app.errors.at(-1)).toMatchObject({ code })
    }
    expect(api.requests).toEqual([])
    api.answer = () => reset()
    expect((await send('/api/x')).status).toBe(502)
    expect(app.errors.at(-1)).toMatchObject({ code: 'upstream_unavailable' })
    api.answer = () => json({ from: 'the API' }, 500)
    expect((await send('/api/x')).body).toBe('{"from":"the API"}')
    expect(app.errors).toHaveLength(refused.length + 1)
  })
})

describe('T108: without oauthLogin before it', () => {
  it.each(['none', 'user', 'user-or-none'] as const)('T108: no request passes: %s', async (token) => {
    const api = await startApi()
    const errors: unknown[] = []
    const proxy = oauthProxy({ prefix: '/api', target: api.url, token })
    const app = await serve(() =>
      chain(
        (request, response, next) =>
          proxy(request, response, (error) => {
            if (error !== undefined) errors.push(error)
            next(error)
          }),
        (_request, response) => response.end('the app'),
      ),
    )
    for (const path of ['/api', '/api/x', '/api/%2e%2e/x'])
      expect(
        (await exchange(app, path, { method: 'GET', headers: ownScript })).status,
      ).toBeGreaterThanOrEqual(400)
    expect(errors[0]).toMatchObject({
      code: 'invalid_configuration',
      status: 500,
      message: expect.stringContaining('mount it with app.use() before the proxy'),
    })
    expect(api.requests).toEqual([])
    expect((await bare(`${app}/apix`)).body).toBe('the app')
  })
})
