/** The server: the client it knows, its keys, what it issued, what it complains about, the steps it takes. */
import { randomUUID } from 'node:crypto'
import type { JWK, JWTHeaderParameters, JWTPayload } from 'jose'
import type { Secret } from '../canaries.js'
import type { Answer } from './answer.js'
import type { RecordedRequest } from './recorded-request.js'
import { newSigningKey, type SigningKey } from './signing-key.js'

export type ClientAuthentication = 'client_secret_basic' | 'client_secret_post' | 'none'

export interface Client {
  readonly id: string
  /** Can change while the server runs. */
  secret: string
  readonly authentication: ClientAuthentication
  readonly redirectUris: string[]
  readonly postLogoutRedirectUris: string[]
  /** Where it wants to hear of sign-outs. */
  backchannelLogoutUri: string | undefined
  frontchannelLogoutUri: string | undefined
}

/** One sign-in, from the authorization request to the tokens. */
export interface Authorization {
  readonly code: string
  readonly parameters: URLSearchParams
  readonly redirectUri: string
  readonly subject: string
  /** The server's session that it belongs to. */
  readonly sid: string
  readonly authenticatedAt: number
  codeUses: number
  /** A code or refresh token was used twice: nothing that was issued is good any more. */
  isRevoked: boolean
  /** For the client itself, without a user: no refresh token, no ID token (RFC 6749 §4.4.3). */
  readonly isForClient?: boolean
}

export interface RefreshToken {
  readonly authorization: Authorization
  isSpent: boolean
}

export interface Provider {
  readonly issuer: string
  /** Another origin, to which nothing may ever be sent. */
  readonly elsewhere: string
  readonly client: Client
  /** Fresh in every run, so that it cannot be guessed. */
  readonly jwksPath: string
  readonly requests: RecordedRequest[]
  readonly complaints: string[]
  readonly secrets: Secret[]
  readonly authorizations: Map<string, Authorization>
  readonly accessTokens: Map<string, Authorization>
  /** Each is good once. */
  readonly refreshTokens: Map<string, RefreshToken>
  /** Every ID token that was issued, good or bad. */
  readonly idTokens: Set<string>
  /** What the client answered to logout tokens. */
  readonly logoutAnswers: LogoutAnswer[]
  /** The ones in the JWKS; the first signs. */
  keys: readonly SigningKey[]
  steps: Steps
}

export interface LogoutAnswer {
  readonly status: number
  readonly cacheControl: string | null
  readonly body: string
}

/** What a server does, step by step. A fault replaces a few; each finds the others through `op.steps`. */
export interface Steps {
  metadata(op: Provider): Awaitable<Record<string, unknown>>
  answerDiscovery(op: Provider): Awaitable<Answer>

  jwks(op: Provider): Awaitable<JWK[]>
  answerJwks(op: Provider): Awaitable<Answer>

  /** What is wrong with an authorization request, one line each. */
  authorizationComplaints(op: Provider, parameters: URLSearchParams): string[]
  /** The parameters that go back to the client. */
  authorizationResponse(op: Provider, authorization: Authorization): Awaitable<URLSearchParams>
  /** How they go back: by redirect or by form. */
  answerAuthorization(authorization: Authorization, response: URLSearchParams): Awaitable<Answer>

  /** What is wrong with the client's credentials, one line each. */
  clientComplaints(op: Provider, request: RecordedRequest): string[]
  /** The grants of the token endpoint, by `grant_type`. */
  readonly grants: Readonly<Record<string, Grant>>
  /** What is said to a token request whose DPoP proof is not taken. */
  proofRefusal(op: Provider, request: RecordedRequest): Answer | undefined
  tokenResponse(op: Provider, authorization: Authorization): Awaitable<Record<string, unknown>>
  answerToken(op: Provider, response: Record<string, unknown>): Awaitable<Answer>

  idTokenHeader(op: Provider): Awaitable<JWTHeaderParameters>
  idTokenClaims(op: Provider, authorization: Authorization): Awaitable<JWTPayload>
  idToken(op: Provider, authorization: Authorization): Awaitable<string>

  /** Takes a token back. */
  answerRevocation(op: Provider, request: RecordedRequest): Awaitable<Answer>

  /** What is said of a token that is good. */
  introspection(op: Provider, authorization: Authorization, token: string): Awaitable<Record<string, unknown>>
  answerIntrospection(op: Provider, response: Record<string, unknown>): Awaitable<Answer>

  userinfo(op: Provider, authorization: Authorization): Awaitable<Record<string, unknown>>
  answerUserinfo(op: Provider, claims: Record<string, unknown>): Awaitable<Answer>

  /** What is wrong with a logout request, one line each. */
  endSessionComplaints(op: Provider, parameters: URLSearchParams): string[]
  logoutTokenHeader(op: Provider): Awaitable<JWTHeaderParameters>
  logoutTokenClaims(op: Provider, authorization: Authorization): Awaitable<Record<string, unknown>>
  logoutToken(op: Provider, authorization: Authorization): Awaitable<string>
  answerEndSession(op: Provider, parameters: URLSearchParams): Awaitable<Answer>
}

/** A grant: what is wrong with the request, and the sign-in it continues. */
export interface Grant {
  complaints(op: Provider, request: RecordedRequest): string[]
  authorization(op: Provider, request: RecordedRequest): Authorization | undefined
}

type Awaitable<T> = T | Promise<T>

export async function newProvider(
  issuer: string,
  elsewhere: string,
  client: Client,
  steps: Steps,
): Promise<Provider> {
  return {
    issuer,
    elsewhere,
    client,
    jwksPath: `/keys/${randomUUID()}`,
    requests: [],
    complaints: [],
    secrets: [{ role: 'client secret', value: client.secret }],
    authorizations: new Map(),
    accessTokens: new Map(),
    refreshTokens: new Map(),
    idTokens: new Set(),
    logoutAnswers: [],
    keys: [await newSigningKey()],
    steps,
  }
}

/** Replaces all keys by one new one. */
export async function rotateKeys(op: Provider): Promise<void> {
  op.keys = [await newSigningKey()]
}

/** From now on only this secret lets the client in. */
export function changeSecret(op: Provider, secret: string): void {
  op.client.secret = secret
  keepSecret(op, 'client secret', secret)
}

export function signingKey(op: Provider): SigningKey {
  const [key] = op.keys
  if (!key) throw new Error('the server has no key to sign with')
  return key
}

/** Remembers a value that must not show up anywhere else. */
export function keepSecret(op: Provider, role: string, value: string | null): void {
  if (value) op.secrets.push({ role, value })
}

/** Seconds since 1970, as tokens count them. */
export function now(): number {
  return Math.floor(Date.now() / 1000)
}
