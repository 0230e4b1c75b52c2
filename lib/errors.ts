/** The one error class of the package, and the table of everything that can go wrong. */

import type { OutgoingHttpHeaders } from 'node:http'

/** Status and public sentence per code. The sentence is all that a user or a client is ever told. */
const table = {
  // The authorization server's answers: RFC 6749 §4.1.2.1 and §5.2, OpenID Connect Core §3.1.2.6.
  invalid_request: [400, 'The request was malformed.'],
  unauthorized_client: [400, 'This application may not sign people in this way.'],
  access_denied: [403, 'Access was denied.'],
  unsupported_response_type: [400, 'The authorization server does not support this way of signing in.'],
  invalid_scope: [400, 'The application asked for access that the authorization server does not know.'],
  server_error: [502, 'The authorization server had an error.'],
  temporarily_unavailable: [503, 'The service is temporarily unavailable.'],
  interaction_required: [400, 'The authorization server needs to ask you something first.'],
  login_required: [401, 'You need to sign in.'],
  account_selection_required: [400, 'You need to choose an account first.'],
  consent_required: [403, 'Access was not agreed to.'],
  invalid_client: [500, 'The application is not set up correctly.'],
  invalid_target: [400, 'The application asked for an API that the authorization server does not know.'],
  invalid_grant: [400, 'This sign-in is no longer valid.'],
  unsupported_grant_type: [500, 'The authorization server does not support this kind of request.'],
  /** Any other error code of the authorization server; `serverError.error` has it. */
  server_refused: [400, 'The authorization server refused the request.'],

  // The way to and from the authorization server.
  server_unavailable: [503, 'The authorization server cannot be reached.'],
  invalid_server_metadata: [502, 'The authorization server described itself wrongly.'],
  invalid_server_response: [502, 'The authorization server gave an unusable answer.'],
  key_set_unavailable: [503, 'The keys of the authorization server cannot be had.'],

  // A login that cannot be finished.
  invalid_callback: [400, 'This is not a valid answer of the authorization server.'],
  unknown_state: [400, 'This was begun too long ago, or is over already, or did not begin here.'],
  issuer_mismatch: [400, 'The answer came from another authorization server.'],
  invalid_id_token: [400, 'The authorization server vouched for the user in a way that cannot be trusted.'],
  subject_mismatch: [400, 'The authorization server gave the profile of another user.'],
  login_refused: [403, 'You may not sign in here.'],

  // Sessions.
  session_not_kept: [400, 'Your browser did not keep the sign-in.'],
  session_too_large: [500, 'The session does not fit into cookies.'],
  store_unavailable: [503, 'The session store cannot be reached.'],
  csrf_rejected: [403, 'The request did not prove that it comes from this site.'],
  method_not_allowed: [405, 'This method is not allowed here.'],

  // Connections: accounts that a signed-in user linked at other providers.
  connection_not_found: [404, 'There is no such connection.'],
  provider_not_found: [404, 'There is nothing of this name to connect.'],
  invalid_fields: [400, 'Something is missing, or is not possible.'],
  /** The connection has no token that is good, and only its user can bring one; `reason` says why. */
  needs_reconnect: [409, 'This connection has to be made again.'],
  /** Whoever came back from the provider is not signed in as they were when they went; `reason` says what has changed. */
  other_user: [409, 'The sign-in here ended or changed on the way, so nothing was connected.'],
  /** A connection was to be made again, and another account of the provider came back. */
  other_account: [409, 'This is another account than the one that was connected.'],
  account_taken: [409, 'This account is connected by somebody else already.'],
  /** The test call went through, and gave nothing that names the account; `reason` says why. */
  account_unknown: [502, 'It is not known whose account this is.'],

  // Bearer tokens: RFC 6750 §3.1, RFC 9470 §3.
  missing_credentials: [401, 'An access token is needed.'],
  invalid_token: [401, 'The access token is not valid.'],
  insufficient_scope: [403, 'More access is needed than was granted.'],
  insufficient_user_authentication: [401, 'A stronger or more recent sign-in is needed.'],

  // Proofs that a token's key is at hand: RFC 9449 §7.1 and §9.
  invalid_dpop_proof: [401, 'The DPoP proof is not valid.'],
  use_dpop_nonce: [401, 'The DPoP proof needs a nonce of this server.'],

  /** An access token was to be sent where it must not go; `reason` says why not. */
  url_not_allowed: [500, 'The application is not set up correctly.'],

  // The API behind `oauthProxy`.
  upstream_unavailable: [502, 'The API cannot be reached.'],
  upstream_timeout: [504, 'The API did not answer in time.'],
  upstream_redirected: [502, 'The API sent the request on to somewhere else.'],

  /** A mistake in the application's own configuration. The message says which and what to do. */
  invalid_configuration: [500, 'The application is not set up correctly.'],
} as const satisfies Record<string, readonly [number, string]>

/** Every code an {@link OAuthError} can have. */
export type OAuthErrorCode = keyof typeof table

export function isErrorCode(name: string): name is OAuthErrorCode {
  return Object.hasOwn(table, name)
}

/** What an authorization server, or the API of a test call, said about an error, in its own words (RFC 6749 §5.2). Escape it before you show it. */
export interface ServerError {
  readonly error: string
  readonly error_description?: string
  readonly error_uri?: string
}

export interface OAuthErrorOptions {
  /** A sentence for developers instead of the table's; never with a token, code, secret or cookie in it. */
  message?: string
  /** What the developer can do about it. */
  hint?: string
  /** The exact cause as a short fixed word, for logs. */
  reason?: string
  /** The scopes that were needed, for `insufficient_scope`. */
  scope?: readonly string[]
  /** The kinds of sign-in of which one was needed, for `insufficient_user_authentication`. */
  acrValues?: readonly string[]
  /** Seconds that may have passed since the sign-in, for `insufficient_user_authentication`. */
  maxAge?: number
  /** What is wrong with each field, in words for users, for `invalid_fields`. */
  fields?: Readonly<Record<string, string>>
  status?: number
  headers?: OutgoingHttpHeaders
  serverError?: ServerError
  cause?: unknown
}

const brand = Symbol.for('express-oauth-kit.OAuthError')
const retryAfter = '5'

/**
 * Everything this package throws or passes to `next`. It has the shape that Express's error handlers read
 * (`status`, `expose`, `headers`).
 */
export class OAuthError extends Error {
  override readonly name = 'OAuthError'
  readonly code: OAuthErrorCode
  /** HTTP status that fits. */
  readonly status: number
  /** The same, by the name that some error handlers read. */
  readonly statusCode: number
  /** Whether `message` may be shown to users. */
  readonly expose: boolean
  /** Response headers that belong to the answer, such as `WWW-Authenticate` or `Retry-After`. */
  readonly headers: OutgoingHttpHeaders
  /** The sentence a user may see. */
  readonly publicMessage: string
  /** What the developer can do about it. */
  readonly hint?: string
  /** The exact cause as a short fixed word, for logs; never sent to clients. */
  readonly reason?: string
  /** The scopes that were needed, for `insufficient_scope` (RFC 6750 §3). */
  readonly scope?: readonly string[]
  /** The kinds of sign-in of which one was needed, for `insufficient_user_authentication` (RFC 9470 §3). */
  readonly acrValues?: readonly string[]
  /** Seconds that may have passed since the sign-in, for `insufficient_user_authentication` (RFC 9470 §3). */
  readonly maxAge?: number
  /** What is wrong with each field, in words for users, for `invalid_fields`. */
  readonly fields?: Readonly<Record<string, string>>
  /** What the server said, when the error is its answer. */
  readonly serverError?: ServerError

  constructor(code: OAuthErrorCode, options: OAuthErrorOptions = {}) {
    const [status, sentence] = table[code]
    super(options.message ?? sentence, options.cause === undefined ? {} : { cause: harmless(options.cause) })
    this.code = code
    this.status = options.status ?? status
    this.statusCode = this.status
    this.expose = this.status < 500 && options.message === undefined
    this.headers = { ...(this.status === 503 && { 'retry-after': retryAfter }), ...options.headers }
    this.publicMessage = sentence
    if (options.hint !== undefined) this.hint = options.hint
    if (options.reason !== undefined) this.reason = options.reason
    if (options.scope !== undefined) this.scope = options.scope
    if (options.acrValues !== undefined) this.acrValues = options.acrValues
    if (options.maxAge !== undefined) this.maxAge = options.maxAge
    if (options.fields !== undefined) this.fields = options.fields
    if (options.serverError !== undefined) this.serverError = options.serverError
    Object.defineProperty(this, brand, { value: true })
  }

  toJSON(): {
    error: OAuthErrorCode
    error_description: string
    fields?: Readonly<Record<string, string>>
  } {
    const { code, publicMessage, fields } = this
    return { error: code, error_description: publicMessage, ...(fields && { fields }) }
  }
}

/** Whether a value is an {@link OAuthError}, also one of another copy of this package. */
export function isOAuthError(value: unknown): value is OAuthError {
  return value instanceof Error && brand in value
}

/**
 * The part of a cause that is safe to keep. Errors of the libraries below carry response bodies, claims and
 * request parameters, which would reach every log that prints `cause`.
 */
function harmless(cause: unknown): unknown {
  if (isOAuthError(cause)) return cause
  if (!(cause instanceof Error)) return undefined
  // The parser of JSON quotes what it could not read.
  if (cause instanceof SyntaxError) return new Error('not valid JSON')
  const inner = cause.cause === undefined ? undefined : harmless(cause.cause)
  const copy = new Error(cause.message, inner === undefined ? {} : { cause: inner })
  copy.name = cause.name
  if ('code' in cause && typeof cause.code === 'string') Object.assign(copy, { code: cause.code })
  if (cause.stack !== undefined) copy.stack = cause.stack
  return copy
}
