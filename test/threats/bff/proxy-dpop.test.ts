/** Threats to bound tokens on their way through the proxy: proofs that are not of this request, nonces without an end. */
import { createHash } from 'node:crypto'
import { decodeJwt } from 'jose'
import { describe, expect, it, onTestFinished } from 'vitest'
import { clientCredentials } from '../../../lib/index.js'
import { ownScript, proxiedApi, type Sent } from '../../proxy/proxied.js'
import { socketProxy, startSocketApi } from '../../proxy/socket-api.js'
import { startFaultyServer, type Fault } from '../../support/faulty-server.js'
import { json, type Answer } from '../../support/faulty-server/answer.js'
import { handshake } from '../../support/web-socket.js'

/** Gives bound tokens, and looks at no proof. */
const fault: Fault = { answerToken: (_op, response) => json({ ...response, token_type: 'DPoP' }) }

const bound = {
  server: { fault },
  options: { dpop: true, scope: 'openid offline_access' },
} as const

/** What an API says to one request after the other: wants a nonce, refuses the token, or takes it. */
type Script = readonly ('nonce' | 'refuse' | 'take')[]

const challenges = {
  nonce: 'DPoP error="use_dpop_nonce"',
  refuse: 'DPoP error="invalid_token"',
} as const

function told(script: Script): () => Answer {
  let count = 0
  return () => {
    const word = script[Math.min(count, script.length - 1)] ?? 'take'
    count += 1
    return word === 'take'
      ? json({ ok: true }, 200, { 'dpop-nonce': `nonce-${count}` })
      : json({}, 401, { 'dpop-nonce': `nonce-${count}`, 'www-authenticate': challenges[word] })
  }
}

/** The last word stands for all that follow. */
const scripts: readonly [script: Script, status: number, requests: number, refreshes: number][] = [
  [['take'], 200, 1, 0],
  [['nonce', 'take'], 200, 2, 0],
  [['nonce'], 401, 2, 0],
  [['refuse', 'take'], 200, 2, 1],
  [['refuse', 'nonce', 'take'], 200, 3, 1],
  [['nonce', 'refuse', 'take'], 200, 3, 1],
  [['nonce', 'refuse', 'nonce', 'take'], 200, 4, 1],
  [['nonce', 'refuse', 'nonce'], 401, 4, 1],
  [['refuse'], 401, 2, 1],
]

describe('T76: a request through the proxy', () => {
  it.each(scripts)('T76: to an API that says %j is %i after %i requests and %i refreshes', async (...row) => {
    const [script, status, requests, refreshes] = row
    const { send, api, server } = await proxiedApi({}, bound)
    api.answer = told(script)
    const before = server.counts.token
    const { status: answered, headers } = await send('/api/a/b?c=d', { headers: { dpop: 'of the browser' } })
    expect([answered, api.requests.length, server.counts.token - before]).toEqual([
      status,
      requests,
      refreshes,
    ])
    expect(headers).not.toHaveProperty('dpop-nonce')
    expect(headers).not.toHaveProperty('www-authenticate')

    const proofs = api.requests.map((request) => decodeJwt(String(request.headers['dpop'])))
    expect(new Set(proofs.map(({ jti }) => jti)).size).toBe(requests)
    for (const [index, proof] of proofs.entries()) {
      const [scheme, token = ''] = api.requests[index]?.headers.authorization?.split(' ') ?? []
      expect(scheme).toBe('DPoP')
      expect(proof).toMatchObject({
        htm: 'GET',
        htu: `${api.url}/v1/a/b`,
        ath: createHash('sha256').update(token).digest('base64url'),
      })
      expect(proof['nonce']).toBe(index === 0 ? undefined : `nonce-${index}`)
    }
  })

  it.each([
    ['nonce', 0],
    ['refuse', 1],
  ] as const)(
    'T76: with a body that is spent is sent once, and the next one has what "%s" asks for',
    async (...row) => {
      const [word, refreshes] = row
      const { send, api, server } = await proxiedApi({}, bound)
      api.answer = told([word, 'take'])
      const before = server.counts.token
      const upload: Sent = { method: 'POST', body: 'a body' }
      expect((await send('/api/x', upload)).status).toBe(401)
      expect([api.requests.length, server.counts.token - before]).toEqual([1, refreshes])
      expect((await send('/api/x', upload)).status).toBe(200)
      expect(decodeJwt(String(api.requests[1]?.headers['dpop']))).toMatchObject({
        htm: 'POST',
        nonce: 'nonce-1',
      })
      expect(server.counts.token - before).toBe(refreshes)
    },
  )

  it('T76: takes the token of the app along with its own proof', async () => {
    const server = await startFaultyServer({ fault })
    onTestFinished(() => server.close())
    const { issuer, clientId, clientSecret } = server
    const client = clientCredentials({ issuer, clientId, clientSecret, dpop: true })
    const { send, api } = await proxiedApi({ token: 'client', client })
    api.answer = told(['nonce', 'refuse', 'nonce'])
    expect((await send('/api/x', { headers: ownScript })).status).toBe(401)
    expect([api.requests.length, server.counts.token]).toEqual([4, 2])
  })
})

describe('T76: a WebSocket through the proxy', () => {
  it.each(scripts)('T76: to an API that says %j is %i after %i requests and %i refreshes', async (...row) => {
    const [script, status, requests, refreshes] = row
    const api = await startSocketApi()
    const answer = told(script)
    api.answer = (request, socket, head) => {
      const { status: said, headers = {} } = answer() as { status: number; headers?: Record<string, string> }
      if (said === 200) {
        api.accept(request, socket, head)
        return
      }
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
      socket.end(`HTTP/1.1 401 Unauthorized\r\n${lines.join('')}content-length: 0\r\n\r\n`)
    }
    const { server, socketUrl, ownPage } = await socketProxy(api.url, {}, bound)
    const before = server.counts.token
    const opened = await handshake(socketUrl, ownPage)
    expect([opened.status, api.handshakes.length, server.counts.token - before]).toEqual([
      status === 200 ? 101 : 401,
      requests,
      refreshes,
    ])
    expect(opened.headers).not.toHaveProperty('dpop-nonce')
    const proofs = api.handshakes.map(({ headers }) => decodeJwt(String(headers['dpop'])))
    expect(new Set(proofs.map(({ jti }) => jti)).size).toBe(requests)
    for (const [index, proof] of proofs.entries()) {
      expect(proof).toMatchObject({ htm: 'GET', htu: `${api.url}/feed` })
      expect(proof['nonce']).toBe(index === 0 ? undefined : `nonce-${index}`)
    }
  })
})
