/** MCP clients that are pages of another site: what a browser lets them send and read (CORS). */
import type { RequestHandler } from 'express'
import { expect, test } from 'vitest'
import { reset } from '../support/faulty-server/answer.js'
import { startApi } from '../threats/guard/api.js'
import { startIssuer } from '../threats/guard/issuer.js'
import { protectedResource, oauthBearer, requireScope } from '../../lib/index.js'

/** As the documentation has it. */
const forPages: RequestHandler = (req, res, next) => {
  res.set('Access-Control-Allow-Origin', '*')
  res.set('Access-Control-Expose-Headers', 'WWW-Authenticate, Mcp-Session-Id, Mcp-Protocol-Version')
  if (req.method !== 'OPTIONS') {
    next()
    return
  }
  res.set('Access-Control-Allow-Methods', 'GET, POST, DELETE')
  res.set(
    'Access-Control-Allow-Headers',
    'Authorization, Content-Type, MCP-Protocol-Version, Mcp-Session-Id, Last-Event-ID, Mcp-Method, Mcp-Name, DPoP',
  )
  res.sendStatus(204)
}

test('a page may ask, send what MCP needs, and read each refusal', async () => {
  const issuer = await startIssuer()
  const mcp = protectedResource({ resource: 'https://api.example.com/mcp', issuer: issuer.url })
  const api = await startApi(issuer, {
    routes: (app) => {
      app.use(mcp)
      app.use(
        '/mcp',
        forPages,
        oauthBearer({ protectedResource: mcp, rememberedTokens: 0, onEvent: () => undefined }),
      )
      app.post('/mcp', requireScope('mcp:read'), (_req, res) => void res.send('in'))
    },
  })
  const origin = ['origin', 'https://inspector.example']
  const ask = [
    ...origin,
    'access-control-request-method',
    'POST',
    'access-control-request-headers',
    'authorization,content-type,mcp-protocol-version,mcp-session-id',
  ]
  const preflight = await api.send({ path: '/mcp', method: 'OPTIONS', headers: ask })
  expect(preflight).toMatchObject({ status: 204, challenge: undefined })
  const allowed = String(preflight.headers['access-control-allow-headers']).toLowerCase().split(', ')
  expect(allowed).toEqual(expect.arrayContaining(ask.at(-1)?.split(',') ?? []))
  expect(preflight.headers['access-control-allow-methods']).toContain('POST')

  const post = async (token?: string) => {
    const authorization = token === undefined ? [] : ['authorization', `Bearer ${token}`]
    return api.send({ path: '/mcp', method: 'POST', headers: [...origin, ...authorization] })
  }
  const good = { aud: mcp.resource, scope: 'mcp:read' }
  const answers = [
    await post(),
    await post('a b'),
    await post('junk'),
    await post(issuer.token({ ...good, scope: '' })),
    await post(issuer.token(good)),
  ]
  issuer.answerKeys = () => reset()
  const unknownKey = issuer.token(good, { kid: 'new' })
  answers.push(await post(unknownKey))
  expect(answers.map(({ status }) => status)).toEqual([401, 400, 401, 403, 200, 503])
  for (const { headers } of answers) {
    expect(headers['access-control-allow-origin']).toBe('*')
    expect(headers['access-control-expose-headers']).toContain('WWW-Authenticate')
  }
})
