/** A service on loopback that stands for one in the world: requests to its documented hosts end here. */
import { createHash, randomUUID } from 'node:crypto'
import { createServer, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import { onTestFinished } from 'vitest'
import { canary, urlSafeCanary } from '../canaries.js'
import { listening, stopped } from '../listening.js'

export interface StandInRequest {
  readonly method: string
  /** Host and path, as the client believes to ask for them: `api.github.com/user`. */
  readonly place: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly form: URLSearchParams
}

export interface StandInAnswer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** Text, or what becomes JSON. */
  readonly body?: unknown
}

export type Route = (request: StandInRequest) => StandInAnswer | Promise<StandInAnswer>

export interface StandIn {
  readonly clientId: string
  readonly clientSecret: string
  /** Like `fetch`, for requests to the documented hosts; any other host is refused. */
  readonly fetch: typeof globalThis.fetch
  readonly requests: readonly StandInRequest[]
  /** Requests to this place so far. */
  at(place: string): readonly StandInRequest[]
  /** What the service leads the browser on to, of somebody who agrees. */
  agree(location: string, account: string): Promise<string>
  readonly grants: Grants
  /** From now on something is answered otherwise. */
  replace(place: string, route: Route): void
}

/** `routes` by method, host and path: `POST github.com/login/oauth/access_token`. */
export async function startStandIn(
  routes: (service: { grants: Grants; clientId: string; clientSecret: string }) => Record<string, Route>,
): Promise<StandIn> {
  const clientId = 'app-1.example'
  const clientSecret = canary('client-secret')
  const grants = newGrants()
  const table = routes({ grants, clientId, clientSecret })
  const hosts = new Set(Object.keys(table).map((key) => key.split(' ')[1]?.split('/')[0]))
  const requests: StandInRequest[] = []
  const server = createServer((incoming, response) => {
    void requestIn(incoming).then(async (request) => {
      requests.push(request)
      const route = table[`${request.method} ${request.place}`]
      const { status = 200, headers, body }: StandInAnswer = (await route?.(request)) ?? { status: 404 }
      const json = body !== undefined && typeof body !== 'string'
      response.writeHead(status, { ...(json && { 'content-type': 'application/json' }), ...headers })
      response.end(json ? JSON.stringify(body) : body)
    })
  })
  const origin = await listening(server)
  onTestFinished(() => stopped(server))
  const local: typeof globalThis.fetch = async (input, init) => {
    const { protocol, host, pathname, search } = new URL(input instanceof Request ? input.url : input)
    if (protocol !== 'https:' || !hosts.has(host)) throw new Error(`nobody stands for ${protocol}//${host}`)
    return fetch(`${origin}/${host}${pathname}${search}`, init)
  }
  return {
    clientId,
    clientSecret,
    fetch: local,
    requests,
    at: (place) => requests.filter((request) => request.place === place),
    async agree(location, account) {
      const response = await local(location, { redirect: 'manual', headers: { 'x-account': account } })
      const next = response.headers.get('location')
      if (next === null) throw new Error(`the authorization request was answered with ${response.status}`)
      return next
    },
    grants,
    replace(place, route) {
      table[place] = route
    },
  }
}

async function requestIn(incoming: IncomingMessage): Promise<StandInRequest> {
  const body = await text(incoming)
  const url = new URL(incoming.url ?? '', 'http://stand-in')
  return {
    method: incoming.method ?? '',
    place: url.pathname.slice(1),
    query: url.searchParams,
    headers: incoming.headers,
    body,
    form: new URLSearchParams(body),
  }
}

export interface Granted {
  readonly id: string
  readonly account: string
  /** The parameters of the authorization request. */
  readonly query: URLSearchParams
}

/** Codes and tokens of a service. */
export interface Grants {
  /** Sends whoever agrees back with a code; without PKCE nobody gets one. */
  authorize(request: StandInRequest): StandInAnswer
  /** What a code or refresh token of a token request stands for; each can be used once, unless the latter are kept. */
  redeem(form: URLSearchParams, options?: { keepsRefreshTokens: boolean }): Granted | undefined
  newAccessToken(grant: Granted): string
  newRefreshToken(grant: Granted): string
  /** Whose access token it is. */
  account(token: string | undefined): string | undefined
  isKnown(token: string): boolean
  /** Ends one token, or all of its grant. */
  revoke(token: string, whole?: boolean): void
  /** What users do in the settings of their account. */
  revokeAll(account: string): void
}

function newGrants(): Grants {
  const codes = new Map<string, Granted>()
  const accessTokens = new Map<string, Granted>()
  const refreshTokens = new Map<string, Granted>()
  const all = [accessTokens, refreshTokens]
  const end = (isEnded: (grant: Granted) => boolean) => {
    for (const tokens of all) for (const [token, grant] of tokens) if (isEnded(grant)) tokens.delete(token)
  }
  const issued = (tokens: Map<string, Granted>, role: string, grant: Granted) => {
    const token = urlSafeCanary(role)
    tokens.set(token, grant)
    return token
  }
  return {
    authorize({ query, headers }) {
      const redirectUri = query.get('redirect_uri')
      const isSafe = query.get('code_challenge_method') === 'S256' && query.get('response_type') === 'code'
      if (redirectUri === null || !isSafe) return { status: 400 }
      const grant = { id: randomUUID(), account: String(headers['x-account']), query }
      const location = new URL(redirectUri)
      location.searchParams.set('code', issued(codes, 'code', grant))
      location.searchParams.set('state', query.get('state') ?? '')
      return { status: 302, headers: { location: location.href } }
    },
    redeem(form, { keepsRefreshTokens } = { keepsRefreshTokens: false }) {
      const tokens = form.get('grant_type') === 'refresh_token' ? refreshTokens : codes
      const value = form.get(tokens === codes ? 'code' : 'refresh_token') ?? ''
      const grant = tokens.get(value)
      if (tokens === codes || !keepsRefreshTokens) tokens.delete(value)
      if (!grant || tokens === refreshTokens) return grant
      const challenge = createHash('sha256')
        .update(form.get('code_verifier') ?? '')
        .digest('base64url')
      const isTheirs =
        challenge === grant.query.get('code_challenge') &&
        form.get('redirect_uri') === grant.query.get('redirect_uri')
      return isTheirs ? grant : undefined
    },
    newAccessToken: (grant) => issued(accessTokens, 'access-token', grant),
    newRefreshToken: (grant) => issued(refreshTokens, 'refresh-token', grant),
    account: (token) => (token === undefined ? undefined : accessTokens.get(token)?.account),
    isKnown: (token) => all.some((tokens) => tokens.has(token)),
    revoke(token, whole = false) {
      const grant = accessTokens.get(token) ?? refreshTokens.get(token)
      if (whole) end(({ id }) => id === grant?.id)
      for (const tokens of all) tokens.delete(token)
    },
    revokeAll: (account) => end((grant) => grant.account === account),
  }
}

export function bearer({ headers }: StandInRequest): string | undefined {
  return /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1]
}

/** Id and secret of a Basic header, decoded as RFC 6749 §2.3.1 has it. */
export function basic({ headers }: StandInRequest): { id: string; secret: string } | undefined {
  const [, credentials] = /^Basic (.+)$/.exec(headers.authorization ?? '') ?? []
  if (credentials === undefined) return undefined
  const [id = '', ...secret] = Buffer.from(credentials, 'base64').toString().split(':')
  return { id: decodeURIComponent(id), secret: decodeURIComponent(secret.join(':').replaceAll('+', ' ')) }
}
