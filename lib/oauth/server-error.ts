/**
 * The errors of an authorization server as ours, with what each means for the developer
 * (RFC 6749 §4.1.2.1 and §5.2, OpenID Connect Core §3.1.2.6).
 */

import { ResponseBodyError } from 'openid-client'
import { isErrorCode, OAuthError, type ServerError } from '../errors.js'

/** What to do about an error of the authorization endpoint, which came back to the callback. */
const authorizationHints = {
  invalid_request:
    'A parameter is missing, repeated or malformed. Check that "clientId" exists at the server and that it knows every parameter in "authorizationParameters".',
  unauthorized_client:
    'This client may not use the authorization code flow, or its redirect URI is not registered. Register the redirect URI exactly as it is sent, and allow the grant "authorization_code" for the client.',
  access_denied:
    'The user or the authorization server said no. Offer another try; nothing is wrong with the set-up.',
  unsupported_response_type:
    'The server does not issue authorization codes for this client. Allow "response_type=code" there.',
  invalid_scope:
    'A scope is unknown, malformed or not allowed for this client. Compare "scope" with what is registered; scopes are case-sensitive and separated by one space.',
  server_error: 'The authorization server failed. Its logs say why; another try may succeed.',
  temporarily_unavailable: 'The authorization server is overloaded or in maintenance. Try again later.',
  interaction_required:
    'The server must show the user a page, and "prompt=none" forbids it. Start a login without "prompt=none".',
  login_required:
    'Nobody is signed in at the server, and "prompt=none" forbids asking. Start a login without "prompt=none".',
  account_selection_required:
    'The user must choose an account, and "prompt=none" forbids asking. Start a login without "prompt=none".',
  consent_required:
    'The user has not agreed to the scopes, or "prompt=none" forbids asking. Start a login without "prompt=none".',
  invalid_target:
    'The server does not know the API in "resource", or does not allow it for this client (RFC 8707).',
  invalid_request_uri: 'The server refused a "request_uri"; this package sends none.',
  invalid_request_object: 'The server refused a request object; this package sends none.',
  request_not_supported: 'The server takes no "request" parameter; remove it from what you add.',
  request_uri_not_supported: 'The server takes no "request_uri" parameter; remove it from what you add.',
  registration_not_supported:
    'The server takes no "registration" parameter; remove it from "authorizationParameters".',
  unmet_authentication_requirements:
    'The server cannot meet the "acr_values" that were asked for. Ask for others, or for none.',
} as const satisfies Record<string, string>

/** What to do about an error of the token endpoint. */
const tokenHints = {
  invalid_request:
    'The token request was refused as malformed: a parameter repeated, missing or not supported, or more than one way of authenticating the client. Check "tokenEndpointAuthMethod" and "resource".',
  invalid_client:
    'The server does not know this client or refuses its credentials. Check "clientId" and "clientSecret" (of this environment?) and "tokenEndpointAuthMethod"; a secret with reserved characters may need "client_secret_post". Without "clientSecret" (an environment variable that is not set?) the app signs in as a public client.',
  invalid_grant:
    'The authorization code or refresh token is expired, used before, revoked, or was issued for another client or redirect URI.',
  unauthorized_client:
    'This client may not use this grant. Allow "authorization_code" and, for refreshing, "refresh_token" for the client at the server; for a service "client_credentials".',
  unsupported_grant_type: 'The server does not support this grant type.',
  invalid_scope:
    'The scope is unknown, malformed, or more than was granted. Compare "scope" with what is registered.',
  invalid_target:
    'The server does not know the API in "resource", or does not allow it for this client (RFC 8707).',
  access_denied: 'The authorization server refused the request. Its logs say why.',
  use_dpop_nonce:
    'The server wants DPoP proofs (RFC 9449): set the option "dpop". If it is set, the server did not take its own nonce.',
  invalid_dpop_proof:
    'The server wants DPoP proofs (RFC 9449): set the option "dpop". If it is set, compare the clocks, and see whether a proxy lets the header "DPoP" through and the server knows its token endpoint by the URL in its metadata.',
  server_error: 'The authorization server failed. Its logs say why; another try may succeed.',
  temporarily_unavailable: 'The authorization server is overloaded or in maintenance. Try again later.',
} as const satisfies Record<string, string>

/** What a server says that wants DPoP. As a code of ours it is what a resource server says to its clients. */
const dpopDemands = ['use_dpop_nonce', 'invalid_dpop_proof']

/** Spelled so in one server's documentation. */
const misspelled = new Map([['unsupported_responce_type', 'unsupported_response_type']])

/** An error response at the callback, from its parameters. */
export function authorizationError(response: ServerError): OAuthError {
  return serverError(response, authorizationHints)
}

/**
 * Whatever openid-client threw at the token or userinfo endpoint. `secrets` are taken out of what the server said:
 * some descriptions repeat the code or the client's credentials.
 */
export function tokenEndpointError(thrown: unknown, secrets: readonly string[]): OAuthError {
  const own = ownErrorIn(thrown)
  if (own) return own
  if (thrown instanceof ResponseBodyError) {
    const { error, error_description, status } = thrown
    if (isTemporary(status)) return unavailable(thrown.response, thrown)
    const said = { error, ...(error_description !== undefined && { error_description }) }
    return serverError(said, tokenHints, secrets, status)
  }
  const response = responseIn(thrown)
  if (response && isTemporary(response.status)) return unavailable(response, thrown)
  const status = response?.status
  return new OAuthError('invalid_server_response', {
    message: `the token endpoint gave an unusable answer${status === undefined ? '' : ` with status ${status}`}`,
    ...(status !== undefined && { reason: `status_${status}` }),
    hint: 'The server does not follow RFC 6749 §5. Its answer needs status 200, JSON, "access_token" and "token_type".',
    cause: thrown,
  })
}

/**
 * The same for a grant that may bring an ID token. openid-client's errors about its claims look like any other unusable
 * answer; they are told apart by their codes.
 */
export function grantError(thrown: unknown, secrets: readonly string[]): OAuthError {
  const error = tokenEndpointError(thrown, secrets)
  if (error.code !== 'invalid_server_response' || !concernsIdToken(thrown)) return error
  return new OAuthError('invalid_id_token', {
    reason: 'claims',
    hint: 'The ID token is missing, or its issuer, audience, times, nonce or subject are not what they must be. Check "issuer", "clientId" and the clock of this machine.',
    cause: thrown,
  })
}

function concernsIdToken(thrown: unknown): boolean {
  if (!(thrown instanceof Error)) return false
  const code = 'code' in thrown ? thrown.code : undefined
  if (code === 'OAUTH_JWT_CLAIM_COMPARISON_FAILED' || code === 'OAUTH_JWT_TIMESTAMP_CHECK_FAILED') return true
  return /id_token|JWT|ID Token/.test(thrown.message) || concernsIdToken(thrown.cause)
}

function serverError(
  said: ServerError,
  hints: Readonly<Record<string, string>>,
  secrets: readonly string[] = [],
  status?: number,
): OAuthError {
  const name = misspelled.get(said.error) ?? said.error
  const hint = Object.hasOwn(hints, name) ? hints[name] : undefined
  const isKnown = hint !== undefined && isErrorCode(name) && !dpopDemands.includes(name)
  const code = isKnown ? name : 'server_refused'
  return new OAuthError(code, {
    ...(code === 'login_required' && { status: 400 }), // 401 is for our own guards: it asks for credentials
    ...(status !== undefined && { reason: `status_${status}` }),
    hint:
      hint ??
      'The server uses an error code that no specification defines; its documentation says what it means.',
    serverError: cleaned(said, secrets),
  })
}

const longestDescription = 300

/** Printable ASCII of bounded length (RFC 6749 §5.2 allows no more), without the secrets of the exchange. */
function cleaned(
  { error, error_description, error_uri }: ServerError,
  secrets: readonly string[],
): ServerError {
  const longestFirst = secrets.toSorted((a, b) => b.length - a.length) // one may be a part of another
  const clean = (text: string) => {
    let safe = text
    for (const secret of longestFirst) if (secret !== '') safe = safe.replaceAll(secret, '[redacted]')
    return safe.replace(/[^\x20-\x7e]/g, '?').slice(0, longestDescription)
  }
  return {
    error: clean(error),
    ...(error_description !== undefined && { error_description: clean(error_description) }),
    ...(error_uri !== undefined && { error_uri: clean(error_uri) }),
  }
}

function isTemporary(status: number): boolean {
  return status >= 500 || status === 429
}

function unavailable({ status, headers }: Response, cause: unknown): OAuthError {
  const retryAfter = secondsIn(headers.get('retry-after'))
  return new OAuthError('server_unavailable', {
    message: `the authorization server answered with status ${status}`,
    reason: `status_${status}`,
    ...(retryAfter !== undefined && { headers: { 'retry-after': String(retryAfter) } }),
    cause,
  })
}

/** `Retry-After` as seconds, which it has or is a date from (RFC 9110 §10.2.3). */
function secondsIn(retryAfter: string | null): number | undefined {
  if (retryAfter === null) return undefined
  if (/^\d{1,5}$/.test(retryAfter)) return Number(retryAfter)
  const left = Math.ceil((Date.parse(retryAfter) - Date.now()) / 1_000)
  return /^[A-Z][a-z]{2}, /.test(retryAfter) && left >= 0 ? Math.min(left, 99_999) : undefined
}

/** An error of our own HTTP client, which openid-client may have wrapped. */
function ownErrorIn(thrown: unknown): OAuthError | undefined {
  if (thrown instanceof OAuthError) return thrown
  return thrown instanceof Error && thrown.cause !== undefined ? ownErrorIn(thrown.cause) : undefined
}

/** openid-client keeps the answer as the cause of what it throws about its status. */
function responseIn(thrown: unknown): Response | undefined {
  if (!(thrown instanceof Error)) return undefined
  return thrown.cause instanceof Response ? thrown.cause : responseIn(thrown.cause)
}
