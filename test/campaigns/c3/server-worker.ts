/**
 * oidc-provider in a process of its own. It rotates refresh tokens, and ends the family of one that it sees twice. Whoever
 * is named in `login_hint` is signed in without a word.
 */
import '../../../example-app/src/authorization-server/warnings.js' // works by being loaded first

import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { Provider, type Configuration, type KoaContextWithOIDC } from 'oidc-provider'
import { listening } from '../../support/listening.js'
import { noteStalls, type Stall } from '../support/stalls.js'
import { serveCommands } from '../support/worker.js'
import { createMemory, type Issued, type Memory } from './memory.js'

export interface ServerWorker {
  readonly args: ServerSetup
  /** Its issuer. */
  readonly ready: string
  readonly commands: ServerCommands
}

interface ServerSetup {
  readonly clients: readonly string[]
  readonly clientSecret: string
  /** Seconds. */
  readonly accessTokenLifetime: number
  /** Milliseconds that the token endpoint takes at least. */
  readonly latency: number
  /** Milliseconds beyond which a stretch without running is noted. */
  readonly longestStall: number
}

interface ServerCommands {
  /** Begins to answer; applications are known by these from then on. */
  serve(redirectUris: readonly string[]): void
  /** Refresh requests so far, by client. */
  refreshes(): Readonly<Record<string, number>>
  /** How many families were revoked so far. */
  revoked(): number
  issued(tokens: readonly string[]): (Issued | null)[]
  stalls(): readonly Stall[]
}

void serveCommands<ServerWorker>(async (setup) => {
  const server = createServer()
  const issuer = await listening(server, 'localhost')
  const memory = createMemory()
  const refreshes: Record<string, number> = {}
  const { stalls } = noteStalls(setup.longestStall)

  function count({ oidc }: KoaContextWithOIDC): void {
    const client = oidc.client?.clientId ?? ''
    if (oidc.params?.['grant_type'] === 'refresh_token') refreshes[client] = (refreshes[client] ?? 0) + 1
  }

  return {
    ready: issuer,
    commands: {
      serve(redirectUris) {
        const provider = new Provider(issuer, configuration(setup, redirectUris, memory))
        provider.on('grant.success', count).on('grant.error', count)
        const answer = provider.callback()
        server.on('request', (req, res) => {
          if (req.url?.startsWith('/interaction/')) void agree(provider, req, res)
          else if (req.url === '/token') setTimeout(() => void answer(req, res), setup.latency)
          else void answer(req, res)
        })
      },
      refreshes: () => refreshes,
      revoked: () => memory.revoked.size,
      issued: (tokens) => tokens.map((token) => memory.issued(token) ?? null),
      stalls: () => stalls,
    },
  }
})

function configuration(setup: ServerSetup, redirectUris: readonly string[], memory: Memory): Configuration {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const hour = 3_600
  return {
    adapter: memory.adapter,
    clients: setup.clients.map((client) => ({
      client_id: client,
      client_secret: setup.clientSecret,
      redirect_uris: [...redirectUris],
      grant_types: ['authorization_code', 'refresh_token'],
      id_token_signed_response_alg: 'ES256',
    })),
    scopes: ['openid', 'offline_access'],
    findAccount: (_ctx, subject) => ({ accountId: subject, claims: () => ({ sub: subject }) }),
    pkce: { required: () => true },
    rotateRefreshToken: true,
    ttl: {
      AccessToken: setup.accessTokenLifetime,
      AuthorizationCode: 60,
      IdToken: hour,
      RefreshToken: hour,
      Interaction: hour,
      Session: hour,
      Grant: hour,
    },
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig' }] },
    cookies: { keys: [randomBytes(32).toString('base64url')], names: { session: 'server_session' } },
    clientBasedCORS: () => false,
    interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
    features: { devInteractions: { enabled: false } },
  }
}

async function agree(provider: Provider, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const { params } = await provider.interactionDetails(req, res)
  const accountId = String(params['login_hint'])
  const grant = new provider.Grant({ accountId, clientId: String(params['client_id']) })
  grant.addOIDCScope('openid offline_access')
  const grantId = await grant.save()
  await provider.interactionFinished(req, res, { login: { accountId }, consent: { grantId } })
}
