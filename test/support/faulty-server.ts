/** An OpenID provider on loopback that is correct except for one chosen fault, and remembers every request. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { canary, type Secret } from './canaries.js'
import { json, send, type Answer } from './faulty-server/answer.js'
import { authorize } from './faulty-server/authorization.js'
import { discoveryPath } from './faulty-server/discovery.js'
import { endSession } from './faulty-server/end-session.js'
import { introspection } from './faulty-server/introspection.js'
import { faults, type Fault, type FaultName } from './faulty-server/faults.js'
import {
  changeSecret,
  newProvider,
  type Authorization,
  type ClientAuthentication,
  type LogoutAnswer,
  type Provider,
} from './faulty-server/provider.js'
import { recordedRequest, type Endpoint, type RecordedRequest } from './faulty-server/recorded-request.js'
import { revocation } from './faulty-server/revocation.js'
import { correctSteps } from './faulty-server/steps.js'
import { token } from './faulty-server/token.js'
import { answerUserinfoRequest } from './faulty-server/userinfo.js'
import { listening, stopped } from './listening.js'

export type { Fault, FaultName }

export interface FaultyServerOptions {
  /** What the server does wrong, by name or as steps of its own. Default: nothing. */
  readonly fault?: FaultName | Fault
  /** Default: a plain name with a dash, which must not be encoded. */
  readonly clientId?: string
  /** Default: a canary with characters that must be encoded. */
  readonly clientSecret?: string
  /** The only accepted way. Default: `client_secret_basic`. */
  readonly clientAuthentication?: ClientAuthentication
  /** Can also be registered later. */
  readonly redirectUri?: string
  readonly postLogoutRedirectUri?: string
}

/** Where a client wants to hear of sign-outs. */
export interface LogoutUris {
  readonly backchannel?: string
  readonly frontchannel?: string
}

export interface FaultyServer {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  /** In the order of arrival. */
  readonly requests: readonly RecordedRequest[]
  /** How many requests each endpoint has seen so far. */
  readonly counts: Readonly<Record<Endpoint, number>>
  /** What a client did wrong; a correct one leaves it empty. */
  readonly complaints: readonly string[]
  /** Every secret of client and server that was issued or seen. */
  readonly secrets: readonly Secret[]
  /** Requests to another origin, to which the server may point. */
  readonly elsewhere: readonly string[]
  register(redirectUri: string, postLogoutRedirectUri?: string, logoutUris?: LogoutUris): void
  /** A logout token for the last sign-in. */
  logoutToken(): Promise<string>
  /** What the client answered to logout tokens. */
  readonly logoutAnswers: readonly LogoutAnswer[]
  /** The `sid` of the last sign-in. */
  readonly sid: string
  /** From now on only this secret lets the client in. */
  changeSecret(secret: string): void
  /** From now on does this wrong, or nothing. */
  misbehave(fault?: FaultName | Fault): void
  close(): Promise<void>
}

export async function startFaultyServer(options: FaultyServerOptions = {}): Promise<FaultyServer> {
  const elsewhere: string[] = []
  const elsewhereServer = createServer((request, response) => {
    elsewhere.push(`${request.method} ${request.url}`)
    response.end()
  })
  const server = createServer()
  const [issuer, elsewhereOrigin] = await Promise.all([listening(server), listening(elsewhereServer)])
  const op = await newProvider(issuer, elsewhereOrigin, clientOf(options), stepsWith(options.fault))
  server.on('request', (request, response) => {
    void answerRequest(op, request, response)
  })
  return facade(op, elsewhere, [server, elsewhereServer])
}

function facade(op: Provider, elsewhere: readonly string[], servers: readonly Server[]): FaultyServer {
  return {
    issuer: op.issuer,
    clientId: op.client.id,
    get clientSecret() {
      return op.client.secret
    },
    requests: op.requests,
    complaints: op.complaints,
    secrets: op.secrets,
    elsewhere,
    get counts() {
      return countsOf(op.requests)
    },
    logoutAnswers: op.logoutAnswers,
    get sid() {
      return lastAuthorization(op).sid
    },
    logoutToken: async () => op.steps.logoutToken(op, lastAuthorization(op)),
    register: (redirectUri, postLogoutRedirectUri, { backchannel, frontchannel } = {}) => {
      op.client.backchannelLogoutUri = backchannel
      op.client.frontchannelLogoutUri = frontchannel
      op.client.redirectUris.push(redirectUri)
      if (postLogoutRedirectUri !== undefined) op.client.postLogoutRedirectUris.push(postLogoutRedirectUri)
    },
    changeSecret: (secret) => changeSecret(op, secret),
    misbehave: (fault) => {
      op.steps = stepsWith(fault)
    },
    close: async () => {
      await Promise.all(servers.map((server) => stopped(server)))
    },
  }
}

function lastAuthorization(op: Provider): Authorization {
  const authorization = [...op.authorizations.values()].at(-1)
  if (!authorization) throw new Error('nobody has signed in yet')
  return authorization
}

function clientOf(options: FaultyServerOptions): Provider['client'] {
  const {
    clientId = 'client-1',
    clientSecret = canary('client-secret'),
    clientAuthentication = 'client_secret_basic',
    redirectUri,
    postLogoutRedirectUri,
  } = options
  return {
    id: clientId,
    secret: clientSecret,
    authentication: clientAuthentication,
    redirectUris: redirectUri === undefined ? [] : [redirectUri],
    postLogoutRedirectUris: postLogoutRedirectUri === undefined ? [] : [postLogoutRedirectUri],
    backchannelLogoutUri: undefined,
    frontchannelLogoutUri: undefined,
  }
}

function stepsWith(fault: FaultName | Fault = {}): Provider['steps'] {
  return { ...correctSteps, ...(typeof fault === 'string' ? faults[fault] : fault) }
}

async function answerRequest(
  op: Provider,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const recorded = await recordedRequest(request, (path) => endpointAt(op, path))
    op.requests.push(recorded)
    send(response, await answers[recorded.endpoint](op, recorded))
  } catch (error) {
    op.complaints.push(`the server failed: ${String(error)}`)
    response.destroy()
  }
}

const answers: Readonly<
  Record<Endpoint, (op: Provider, request: RecordedRequest) => Answer | Promise<Answer>>
> = {
  discovery: (op) => op.steps.answerDiscovery(op),
  jwks: (op) => op.steps.answerJwks(op),
  authorize,
  token,
  userinfo: answerUserinfoRequest,
  revocation,
  introspection,
  endSession,
  unknown: () => json({ error: 'not_found' }, 404),
}

function endpointAt(op: Provider, path: string): Endpoint {
  const paths: Readonly<Record<string, Endpoint>> = {
    [discoveryPath]: 'discovery',
    [op.jwksPath]: 'jwks',
    '/authorize': 'authorize',
    '/token': 'token',
    '/revoke': 'revocation',
    '/introspect': 'introspection',
    '/userinfo': 'userinfo',
    '/end-session': 'endSession',
  }
  return paths[path] ?? 'unknown'
}

function countsOf(requests: readonly RecordedRequest[]): Record<Endpoint, number> {
  const counts = {
    discovery: 0,
    jwks: 0,
    authorize: 0,
    token: 0,
    revocation: 0,
    introspection: 0,
    userinfo: 0,
    endSession: 0,
    unknown: 0,
  }
  for (const { endpoint } of requests) counts[endpoint] += 1
  return counts
}
