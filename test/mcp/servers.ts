/** The same two tools as an MCP server of each generation of the SDK, mounted as the documentation says. */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { NodeStreamableHTTPServerTransport, toNodeHandler } from '@modelcontextprotocol/node'
import { McpServer as McpServer1 } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { createMcpHandler, McpServer as McpServer2, requireScopes } from '@modelcontextprotocol/server'
import express, { type Express } from 'express'
import { requireScope, type Middleware } from '../../lib/index.js'
import type { Generation } from './clients.js'

/** What a handler saw of who asks. */
export type Seen = Record<string, unknown>
export type Serve = (app: Express, guard: Middleware) => void

/** A request of its own for every message, with no session. */
export function stateless(generation: Generation, seen: Seen[] = [], path = '/mcp'): Serve {
  const { server1, server2 } = projects(seen)
  if (generation === '2.x') {
    const handler = toNodeHandler(createMcpHandler(server2))
    // Its own types do not fit Node's where optional members are exact.
    return (app, guard) => app.all(path, guard, (req: object, res) => handler(req as NodeRequest, res))
  }
  return (app, guard) => {
    app.post(path, guard, express.json({ type: () => true }), requireToolScope, async (req: Parsed, res) => {
      const transport = new StreamableHTTPServerTransport()
      await server1().connect(transport)
      await transport.handleRequest(req, res, req.body)
    })
    app.all(path, guard, (_req, res) => void res.set('allow', 'POST').sendStatus(405))
  }
}

/** One transport per session. */
export function sessions(generation: Generation, seen: Seen[] = []): Serve {
  const { server1, server2 } = projects(seen)
  type Transport = StreamableHTTPServerTransport | NodeStreamableHTTPServerTransport
  const transports = new Map<string, Transport>()
  const options = (transport: () => Transport) => ({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id: string) => void transports.set(id, transport()),
  })
  const begin = async (): Promise<Transport> => {
    if (generation === '2.x') {
      const transport: NodeStreamableHTTPServerTransport = new NodeStreamableHTTPServerTransport(
        options(() => transport),
      )
      await server2().connect(transport)
      return transport
    }
    const transport: StreamableHTTPServerTransport = new StreamableHTTPServerTransport(
      options(() => transport),
    )
    await server1().connect(transport)
    return transport
  }
  return (app, guard) => {
    app.all('/mcp', guard, async (req: IncomingMessage, res: ServerResponse) => {
      const known = transports.get(String(req.headers['mcp-session-id']))
      await (known ?? (await begin())).handleRequest(req, res)
    })
  }
}

function projects(seen: Seen[]) {
  const tool =
    (text: string) =>
    (auth: object | undefined): { content: { type: 'text'; text: string }[] } => {
      // One by one, as a handler asks: some are accessors.
      const { token, clientId, scopes, expiresAt, resource, resourceMetadataUrl, extra } = auth as Seen
      seen.push({ token, clientId, scopes, expiresAt, resource, resourceMetadataUrl, extra })
      return { content: [{ type: 'text', text }] }
    }
  const list = tool('two projects')
  const remove = tool('removed')
  return {
    server1() {
      const server = new McpServer1({ name: 'projects', version: '1.0.0' })
      server.registerTool('list', {}, ({ authInfo }) => list(authInfo))
      server.registerTool('remove', {}, ({ authInfo }) => remove(authInfo))
      return server
    },
    server2() {
      const server = new McpServer2({ name: 'projects', version: '1.0.0' })
      const scopeChallenge = requireScopes('mcp:read', 'mcp:admin')
      server.registerTool('list', {}, ({ http }) => list(http?.authInfo))
      server.registerTool('remove', { scopeChallenge }, ({ http }) => remove(http?.authInfo))
      return server
    },
  }
}

type NodeRequest = Parameters<ReturnType<typeof toNodeHandler>>[0]
type Parsed = IncomingMessage & { body?: unknown }

const scopeOf = new Map([['remove', 'mcp:admin']])

/** For version 1, whose tools have no scopes of their own. */
const requireToolScope: express.RequestHandler = (req: Parsed, res, next) => {
  const messages = [req.body].flat() as ({ method?: unknown; params?: { name: string } } | null)[]
  const needed = messages.flatMap((one) =>
    one?.method === 'tools/call' ? (scopeOf.get(one.params?.name ?? '') ?? []) : [],
  )
  if (needed.length > 0) requireScope(needed)(req, res, next)
  else next()
}
