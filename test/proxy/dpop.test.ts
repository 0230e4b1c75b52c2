/** Tokens that are bound to a key, through the proxy: the API's nonces are learnt here, and no browser hears of them. */
import { decodeJwt } from 'jose'
import type { IncomingHttpHeaders } from 'node:http'
import { describe, expect, it } from 'vitest'
import { json, type Answer } from '../support/faulty-server/answer.js'
import type { Fault } from '../support/faulty-server/faults.js'
import { handshake } from '../support/web-socket.js'
import { proxiedApi } from './proxied.js'
import { socketProxy, startSocketApi } from './socket-api.js'

/** Gives bound tokens, and looks at no proof. */
const bound: Fault = { answerToken: (_op, response) => json({ ...response, token_type: 'DPoP' }) }
const stage = { server: { fault: bound }, options: { dpop: true } } as const

const proofIn = (headers: IncomingHttpHeaders) => decodeJwt(String(headers['dpop']))

const challenge = 'DPoP error="use_dpop_nonce"'
const demand = (nonce: string): Answer =>
  json({ why: 'nonce' }, 401, { 'dpop-nonce': nonce, 'www-authenticate': challenge })

describe('a request with a bound token', () => {
  it('names the API in its proof, and is sent again with the nonce that the API asks for', async () => {
    const { send, api, server } = await proxiedApi({}, stage)
    api.answer = ({ headers }) =>
      proofIn(headers)['nonce'] === 'n' ? json({}, 200, { 'dpop-nonce': 'n2' }) : demand('n')
    const answer = await send('/api/x?a=1')
    expect(answer.status).toBe(200)
    expect(answer.headers).not.toHaveProperty('dpop-nonce')
    const proofs = api.requests.map(({ headers }) => proofIn(headers))
    expect(proofs).toMatchObject([
      { htm: 'GET', htu: `${api.url}/v1/x` },
      { htm: 'GET', htu: `${api.url}/v1/x`, nonce: 'n' },
    ])
    expect(proofs[0]?.['jti']).not.toBe(proofs[1]?.['jti'])
    expect(new Set(api.requests.map(({ headers }) => headers.authorization)).size).toBe(1)
    expect(api.requests[0]?.headers.authorization).toMatch(/^DPoP /)
    await send('/api/x', { method: 'DELETE' })
    expect(proofIn(api.requests[2]!.headers)).toMatchObject({ htm: 'DELETE', nonce: 'n2' })
    expect(server.counts.token).toBe(1)
  })

  it('that was a stream is not sent again, and the next one has the nonce', async () => {
    const { send, api, server } = await proxiedApi({}, stage)
    api.answer = ({ headers }) => (proofIn(headers)['nonce'] === 'n' ? json({}) : demand('n'))
    const upload = { method: 'POST', body: 'streamed' }
    const refused = await send('/api/x', upload)
    expect([refused.status, refused.body]).toEqual([401, '{"why":"nonce"}'])
    for (const name of ['dpop-nonce', 'www-authenticate']) expect(refused.headers).not.toHaveProperty(name)
    expect((await send('/api/x', upload)).status).toBe(200)
    expect([api.requests.length, server.counts.token]).toEqual([2, 1])
  })

  it('T114: costs two requests and no other token where the API never has enough of nonces', async () => {
    const { send, api, server } = await proxiedApi({}, stage)
    let count = 0
    api.answer = () => demand(`nonce-${++count}`)
    expect((await send('/api/x')).status).toBe(401)
    expect(api.requests.map(({ headers }) => proofIn(headers)['nonce'])).toEqual([undefined, 'nonce-1'])
    // What the second answer said was heard, too.
    await send('/api/x')
    expect(proofIn(api.requests[2]!.headers)['nonce']).toBe('nonce-2')
    expect(server.counts.token).toBe(1)
  })
})

describe('a WebSocket with a bound token', () => {
  const refusal = (nonce: string) =>
    `HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: ${challenge}\r\nDPoP-Nonce: ${nonce}\r\nContent-Length: 2\r\n\r\nno`

  it('is asked for again with the nonce of the API', async () => {
    const api = await startSocketApi()
    api.answer = (request, socket, head) => {
      if (proofIn(request.headers)['nonce'] === 'n') api.accept(request, socket, head)
      else socket.end(refusal('n'))
    }
    const { server, socketUrl, ownPage } = await socketProxy(`${api.url}/v1`, {}, stage)
    expect((await handshake(socketUrl, ownPage)).status).toBe(101)
    const proofs = api.handshakes.map(({ headers }) => proofIn(headers))
    expect(proofs).toMatchObject([{ htm: 'GET', htu: `${api.url}/v1/feed` }, { nonce: 'n' }])
    expect(new Set(api.handshakes.map(({ headers }) => headers.authorization)).size).toBe(1)
    expect(server.counts.token).toBe(1)
  })

  it('and once only, without another token', async () => {
    const api = await startSocketApi()
    let count = 0
    api.answer = (_request, socket) => socket.end(refusal(`nonce-${++count}`))
    const { server, socketUrl, ownPage } = await socketProxy(api.url, {}, stage)
    const { status, headers } = await handshake(socketUrl, ownPage)
    expect([status, headers['dpop-nonce'], headers['www-authenticate']]).toEqual([401, undefined, undefined])
    expect([api.handshakes.length, server.counts.token]).toEqual([2, 1])
  })
})
