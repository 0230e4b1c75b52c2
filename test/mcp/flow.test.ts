/** Real MCP clients find their way through a guarded MCP server and a real authorization server. */
import { describe, expect, test } from 'vitest'
import { generations, mcpClient } from './clients.js'
import { sessions, stateless, type Seen } from './servers.js'
import { startWorld, type World } from './world.js'

const signIn = ['GET /auth 303', 'GET /interaction/… 303', 'GET /auth/… 303', 'POST /token 200']
/** The order in which clients of both generations look for what they need. */
const wayIn = [
  'POST /mcp 401',
  'GET /.well-known/oauth-protected-resource/mcp 200',
  'GET /.well-known/oauth-authorization-server 404',
  'GET /.well-known/openid-configuration 200',
  'POST /reg 201',
  ...signIn,
]
const keysOfTheGuard = ['GET /.well-known/openid-configuration 200', 'GET /jwks 200']

/** The stream that clients open by themselves comes when it comes. */
function traceOf({ trace }: World): string[] {
  return trace.filter((one) => one !== 'GET /mcp 405')
}

describe.each(generations)('a server of version %s', (serverGeneration) => {
  describe.each(generations)('a client of version %s', (clientGeneration) => {
    test('signs in, calls a tool, and signs in once more when a tool needs more scope', async () => {
      const seen: Seen[] = []
      const world = await startWorld({ serve: stateless(serverGeneration, seen) })
      const client = await mcpClient(clientGeneration, world.url)
      await client.connect()
      expect(await client.call('list')).toBe('two projects')
      expect(await client.callSigningIn('remove')).toBe('removed')

      const [initialize, initialized, tool] = ['POST /mcp 200', 'POST /mcp 202', 'POST /mcp 200']
      expect(traceOf(world)).toEqual([
        ...wayIn,
        ...keysOfTheGuard,
        initialize,
        initialized,
        tool,
        'POST /mcp 403',
        ...signIn,
        tool,
      ])
      expect(world.trace).toContain('GET /mcp 405')

      const asked = client.authorizations.map((query) => [
        query.get('scope')?.replace(' offline_access', ''),
        query.get('resource'),
        query.get('code_challenge_method'),
      ])
      expect(asked).toEqual([
        ['mcp:read', world.url, 'S256'],
        ['mcp:read mcp:admin', world.url, 'S256'],
      ])
      const [first, second] = world.challenges
      expect(first).toBe(`Bearer scope="mcp:read", resource_metadata="${world.mcp.metadataUrl}"`)
      expect(second).toMatch(/^Bearer error="insufficient_scope", /)
      expect(second).toContain('scope="mcp:read mcp:admin"')
      expect(second).toContain(`resource_metadata="${world.mcp.metadataUrl}"`)

      expect(seen.map(({ scopes }) => scopes)).toEqual([['mcp:read'], ['mcp:read', 'mcp:admin']])
      const [auth] = seen
      expect(auth).toEqual({
        token: expect.stringMatching(/^ey/),
        clientId: client.authorizations[0]?.get('client_id'),
        scopes: ['mcp:read'],
        expiresAt: expect.any(Number),
        resource: new URL(world.url),
        resourceMetadataUrl: world.mcp.metadataUrl,
        extra: expect.objectContaining({ sub: 'alice', aud: world.url, iss: world.issuer }),
      })
    })

    test('keeps a session, with a token on each of its requests', async () => {
      const seen: Seen[] = []
      const world = await startWorld({ serve: sessions(serverGeneration, seen) })
      const client = await mcpClient(clientGeneration, world.url)
      await client.connect()
      for (let call = 0; call < 3; call++) expect(await client.call('list')).toBe('two projects')
      expect(seen.map(({ extra }) => extra)).toMatchObject(seen.map(() => ({ sub: 'alice' })))
      await client.terminate()
      expect(traceOf(world).filter((one) => one.startsWith('DELETE'))).toEqual(['DELETE /mcp 200'])
      expect(world.challenges).toHaveLength(1)
    })
  })
})

describe('with a refresh token', () => {
  test('a client of version 2.x signs in for more scope all the same', async () => {
    const world = await startWorld({ refreshTokens: true, serve: stateless('2.x') })
    const client = await mcpClient('2.x', world.url)
    await client.connect()
    expect(await client.callSigningIn('remove')).toBe('removed')
    expect(client.authorizations).toHaveLength(2)
  })

  test('one of version 1.x only refreshes and gives up, and its app asks for the scope by itself', async () => {
    const world = await startWorld({ refreshTokens: true, serve: stateless('1.x') })
    const client = await mcpClient('1.x', world.url)
    await client.connect()
    await expect(client.callSigningIn('remove')).rejects.toThrow('403 after trying upscoping')
    expect(client.authorizations).toHaveLength(1)
    expect(world.trace.slice(-3)).toEqual(['POST /mcp 403', 'POST /token 200', 'POST /mcp 403'])

    await client.authorize('mcp:read mcp:admin')
    expect(await client.call('remove')).toBe('removed')
  })
})

test.each(generations)('a server at the root of its host, for a client of version %s', async (generation) => {
  const world = await startWorld({ path: '', serve: stateless('2.x', [], '/') })
  const client = await mcpClient(generation, world.url)
  await client.connect()
  expect(await client.call('list')).toBe('two projects')
  expect(world.trace).toContain('GET /.well-known/oauth-protected-resource 200')
})

test('no way of writing a call hides the tool from the guard of version 1', async () => {
  const world = await startWorld({ serve: stateless('1.x') })
  const client = await mcpClient('1.x', world.url)
  await client.connect()
  const authorization = `Bearer ${client.token()}`
  const call = (name: string) => ({ jsonrpc: '2.0', id: name, method: 'tools/call', params: { name } })
  const send = async (body: unknown, type = 'application/json') => {
    const headers = { authorization, 'content-type': type, accept: 'application/json, text/event-stream' }
    return (await fetch(world.url, { method: 'POST', headers, body: JSON.stringify(body) })).status
  }
  expect(await send([call('list')])).toBe(200)
  expect(await send([call('list'), call('remove')])).toBe(403)
  expect(await send([null, call('remove')])).toBe(403)
  // The parser of Express and that of the SDK need not agree about these.
  for (const type of ['application/json; x', 'application/json;;', 'Application/JSON;charset', 'text/plain'])
    expect(await send(call('remove'), type)).toBe(403)
})
