/** An MCP server behind the guard, its authorization server, and a record of what came to them. All of it is real. */
import { createServer, type RequestListener, type Server } from 'node:http'
import express, { type Express } from 'express'
import { onTestFinished } from 'vitest'
import {
  oauthBearer,
  protectedResource,
  type OAuthBearerOptions,
  type OAuthBearerSettings,
  type OAuthEvent,
  type ProtectedResource,
} from '../../lib/index.js'
import { listening, stopped } from '../support/listening.js'
import { authorizationServer } from './authorization-server.js'

export interface World {
  /** Where the MCP server is. */
  readonly url: string
  readonly mcp: ProtectedResource
  readonly issuer: string
  readonly events: readonly OAuthEvent[]
  /** Method, path and status of all requests to both, in the order of their answers. */
  readonly trace: string[]
  /** The `WWW-Authenticate` of each refusal. */
  readonly challenges: readonly string[]
}

export interface WorldOptions {
  readonly refreshTokens?: boolean
  /** Where the MCP server is. Default: `/mcp`. */
  readonly path?: string
  readonly guard?: Partial<OAuthBearerSettings>
  /** Mounts the MCP server. Default of `guard`: the one of the resource. */
  readonly serve: (app: Express, guard: ReturnType<typeof oauthBearer>, mcp: ProtectedResource) => void
}

export async function startWorld({
  refreshTokens = false,
  path = '/mcp',
  guard = {},
  serve,
}: WorldOptions): Promise<World> {
  const trace: string[] = []
  const challenges: string[] = []
  const events: OAuthEvent[] = []
  const [servers, origins] = await twoServers()
  const [origin, issuer] = origins
  const url = origin + path
  const mcp = protectedResource({
    resource: url,
    issuer,
    scopes: ['mcp:read', 'mcp:admin'],
    name: 'Projects',
  })
  const app = express()
  app.use(mcp)
  serve(
    app,
    oauthBearer({
      protectedResource: mcp,
      scope: 'mcp:read',
      onEvent: (one) => events.push(one),
      ...guard,
    } as OAuthBearerOptions),
    mcp,
  )
  const traced =
    (listener: RequestListener): RequestListener =>
    (req, res) => {
      const asked = (req.url ?? '').split('?', 1)[0]?.replace(/\/(auth|interaction)\/[\w-]+/, '/$1/…')
      res.once('finish', () => {
        trace.push(`${req.method} ${asked} ${res.statusCode}`)
        const challenge = res.getHeader('www-authenticate')
        if (challenge !== undefined) challenges.push(String(challenge))
      })
      listener(req, res)
    }
  servers[0].on('request', traced(app))
  // A bare origin is the same with and without a slash, to clients and to good servers.
  const spellings = path === '' ? [url, `${url}/`] : [url]
  const resources = new Map(spellings.map((one) => [one, 'mcp:read mcp:admin']))
  servers[1].on('request', traced(authorizationServer({ issuer, resources, refreshTokens })))
  return { url, mcp, issuer, events, trace, challenges }
}

async function twoServers(): Promise<[[Server, Server], [string, string]]> {
  const servers: [Server, Server] = [createServer(), createServer()]
  const [first, second] = servers
  onTestFinished(async () => {
    await stopped(first)
    await stopped(second)
  })
  return [servers, [await listening(first, 'localhost'), await listening(second, 'localhost')]]
}
