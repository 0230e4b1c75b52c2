/** The authorization endpoint: OpenID Connect Core §3.1.2, without anybody to ask. */
import { randomUUID } from 'node:crypto'
import { urlSafeCanary } from '../canaries.js'
import { html, json, redirect, type Answer } from './answer.js'
import { keepSecret, now, type Authorization, type Provider } from './provider.js'
import { repeatedNames, type RecordedRequest } from './recorded-request.js'

export async function authorize(op: Provider, request: RecordedRequest): Promise<Answer> {
  const parameters = request.method === 'POST' ? request.body : request.query
  op.complaints.push(...op.steps.authorizationComplaints(op, parameters))
  const redirectUri = parameters.get('redirect_uri') ?? ''
  if (!op.client.redirectUris.includes(redirectUri)) return json({ error: 'invalid_request' }, 400)
  const authorization = newAuthorization(op, parameters, redirectUri)
  return op.steps.answerAuthorization(authorization, await op.steps.authorizationResponse(op, authorization))
}

export function authorizationComplaints(op: Provider, parameters: URLSearchParams): string[] {
  const redirectUri = parameters.get('redirect_uri') ?? ''
  const broken: Record<string, boolean> = {
    'response_type is not code': parameters.get('response_type') !== 'code',
    'unknown client_id': parameters.get('client_id') !== op.client.id,
    'scope lacks openid': !scopes(parameters).includes('openid'),
    'redirect_uri is not registered': !op.client.redirectUris.includes(redirectUri),
    'redirect_uri has a fragment': redirectUri.includes('#'),
    'no state': !parameters.get('state'),
    'no nonce': !parameters.get('nonce'),
    'no code_challenge with S256':
      parameters.get('code_challenge_method') !== 'S256' ||
      !/^[\w-]{43}$/.test(parameters.get('code_challenge') ?? ''),
    'max_age=0 together with prompt=none': isForcedSilentLogin(parameters),
  }
  return [
    ...Object.keys(broken).filter((rule) => broken[rule]),
    ...repeatedNames(parameters).map((name) => `repeated parameter ${name}`),
  ].map((rule) => `authorization request: ${rule}`)
}

export function authorizationResponse(op: Provider, authorization: Authorization): URLSearchParams {
  return new URLSearchParams({
    code: authorization.code,
    ...stateOf(authorization),
    iss: op.issuer,
    session_state: 'of no meaning to the client',
  })
}

/** An error response, which carries `state` and `iss` like a good one: RFC 6749 §4.1.2.1, RFC 9207 §2. */
export function authorizationError(
  op: Provider,
  authorization: Authorization,
  error: string,
  description: string,
): URLSearchParams {
  return new URLSearchParams({
    error,
    error_description: description,
    ...stateOf(authorization),
    iss: op.issuer,
  })
}

export function answerAuthorization(authorization: Authorization, response: URLSearchParams): Answer {
  return authorization.parameters.get('response_mode') === 'form_post'
    ? autoSubmitForm(authorization.redirectUri, response)
    : redirect(withParameters(authorization.redirectUri, response))
}

export function isForcedSilentLogin(parameters: URLSearchParams): boolean {
  return parameters.get('max_age') === '0' && parameters.get('prompt') === 'none'
}

export function scopes(parameters: URLSearchParams): string[] {
  return (parameters.get('scope') ?? '').split(' ')
}

function newAuthorization(op: Provider, parameters: URLSearchParams, redirectUri: string): Authorization {
  const code = urlSafeCanary('code')
  const authorization: Authorization = {
    code,
    parameters,
    redirectUri,
    subject: 'subject-1',
    sid: randomUUID(),
    authenticatedAt: now(),
    codeUses: 0,
    isRevoked: false,
  }
  op.authorizations.set(code, authorization)
  keepSecret(op, 'code', code)
  keepSecret(op, 'state', parameters.get('state'))
  keepSecret(op, 'nonce', parameters.get('nonce'))
  return authorization
}

function stateOf(authorization: Authorization): { state?: string } {
  const state = authorization.parameters.get('state')
  return state === null ? {} : { state }
}

function withParameters(url: string, parameters: URLSearchParams): string {
  return `${url}${url.includes('?') ? '&' : '?'}${parameters.toString()}`
}

/** OAuth 2.0 Form Post Response Mode §2. */
function autoSubmitForm(action: string, fields: URLSearchParams): Answer {
  const inputs = [...fields].map(
    ([name, value]) => `<input type="hidden" name="${escaped(name)}" value="${escaped(value)}">`,
  )
  return html(
    `<!doctype html><title>Signing in</title><body onload="document.forms[0].submit()">` +
      `<form method="post" action="${escaped(action)}">${inputs.join('')}</form>`,
  )
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('"', '&quot;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
}
