/** The token endpoint: RFC 6749 §4.1.3 and §4.4, RFC 7636 §4.6, OpenID Connect Core §3.1.3. */
import { createHash } from 'node:crypto'
import { canary } from '../canaries.js'
import { json, type Answer } from './answer.js'
import { keepSecret, now, type Authorization, type Grant, type Provider } from './provider.js'
import { isForm, repeatedNames, type RecordedRequest } from './recorded-request.js'

export const grants: Readonly<Record<string, Grant>> = {
  authorization_code: { complaints: codeComplaints, authorization: authorizationOfCode },
  refresh_token: { complaints: refreshComplaints, authorization: authorizationOfRefreshToken },
  client_credentials: { complaints: clientGrantComplaints, authorization: authorizationOfClient },
}

export async function token(op: Provider, request: RecordedRequest): Promise<Answer> {
  keepSecret(op, 'verifier', request.body.get('code_verifier'))
  const unauthenticated = complain(op, op.steps.clientComplaints(op, request))
  const malformed = complain(op, requestComplaints(request))
  const refusal = op.steps.proofRefusal(op, request)
  // Before the grant is looked at: a client that is refused spends no code and no refresh token.
  if (unauthenticated) return json({ error: 'invalid_client' }, 401, { 'www-authenticate': 'Basic' })
  if (refusal) return refusal
  const grant = Object.entries(op.steps.grants).find(([type]) => type === request.body.get('grant_type'))?.[1]
  const ungranted = complain(op, grant ? grant.complaints(op, request) : ['unsupported grant_type'])
  const authorization = grant?.authorization(op, request)
  if (malformed) return json({ error: 'invalid_request' }, 400)
  if (ungranted || !authorization) return json({ error: 'invalid_grant' }, 400)
  return op.steps.answerToken(op, await op.steps.tokenResponse(op, authorization))
}

export async function tokenResponse(
  op: Provider,
  authorization: Authorization,
): Promise<Record<string, unknown>> {
  if (authorization.isForClient) {
    const access_token = issued(op, 'access token', authorization)
    const scope = authorization.parameters.get('scope') ?? undefined
    return { access_token, token_type: 'Bearer', expires_in: 3600, scope }
  }
  const idToken = await op.steps.idToken(op, authorization)
  op.idTokens.add(idToken)
  keepSecret(op, 'ID token', idToken)
  return {
    access_token: issued(op, 'access token', authorization),
    token_type: 'Bearer',
    expires_in: 3600,
    refresh_token: issuedRefreshToken(op, authorization),
    scope: authorization.parameters.get('scope'),
    id_token: idToken,
  }
}

/** A server that knows no DPoP looks at no proof. */
export function proofRefusal(): undefined {
  return undefined
}

export function answerToken(_op: Provider, response: Record<string, unknown>): Answer {
  return json(response)
}

function complain(op: Provider, complaints: readonly string[]): boolean {
  op.complaints.push(...complaints.map((complaint) => `token request: ${complaint}`))
  return complaints.length > 0
}

function requestComplaints({ method, headers, query, body }: RecordedRequest): string[] {
  const broken: Record<string, boolean> = {
    'not POST': method !== 'POST',
    'not a form': !isForm(headers),
    'parameters in the query': query.size > 0,
  }
  return [
    ...Object.keys(broken).filter((rule) => broken[rule]),
    ...repeatedNames(body).map((name) => `repeated parameter ${name}`),
  ]
}

function codeComplaints(op: Provider, { body }: RecordedRequest): string[] {
  const authorization = op.authorizations.get(body.get('code') ?? '')
  if (!authorization) return ['unknown code']
  authorization.codeUses += 1
  const broken: Record<string, boolean> = {
    'code used again': authorization.codeUses > 1,
    'redirect_uri differs from the authorization request':
      body.get('redirect_uri') !== authorization.redirectUri,
    'code_verifier does not match':
      challengeOf(body.get('code_verifier') ?? '') !== authorization.parameters.get('code_challenge'),
    'code_verifier is malformed': !/^[\w.~-]{43,128}$/.test(body.get('code_verifier') ?? ''),
  }
  return Object.keys(broken).filter((rule) => broken[rule])
}

function authorizationOfCode(op: Provider, { body }: RecordedRequest): Authorization | undefined {
  return op.authorizations.get(body.get('code') ?? '')
}

/** RFC 9700 §4.14.2: whoever presents a spent token may have stolen it, so the whole family dies. */
function refreshComplaints(op: Provider, { body }: RecordedRequest): string[] {
  const refreshToken = op.refreshTokens.get(body.get('refresh_token') ?? '')
  if (!refreshToken) return ['unknown refresh_token']
  const { authorization, isSpent } = refreshToken
  if (isSpent) authorization.isRevoked = true
  const broken: Record<string, boolean> = {
    'refresh_token used again': isSpent,
    'refresh_token was revoked': authorization.isRevoked && !isSpent,
  }
  refreshToken.isSpent = true
  return Object.keys(broken).filter((rule) => broken[rule])
}

function authorizationOfRefreshToken(op: Provider, { body }: RecordedRequest): Authorization | undefined {
  return op.refreshTokens.get(body.get('refresh_token') ?? '')?.authorization
}

/** RFC 6749 §4.4: for confidential clients only. */
function clientGrantComplaints(op: Provider, { body }: RecordedRequest): string[] {
  const broken: Record<string, boolean> = {
    'client_credentials of a public client': op.client.authentication === 'none',
    'an empty scope': body.get('scope') === '',
  }
  return Object.keys(broken).filter((rule) => broken[rule])
}

function authorizationOfClient(op: Provider, { body }: RecordedRequest): Authorization {
  return {
    code: '',
    parameters: new URLSearchParams(body),
    redirectUri: '',
    subject: op.client.id,
    sid: '',
    authenticatedAt: now(),
    codeUses: 0,
    isRevoked: false,
    isForClient: true,
  }
}

function challengeOf(verifier: string): string {
  return createHash('sha256').update(verifier).digest('base64url')
}

function issued(op: Provider, role: string, authorization: Authorization): string {
  const accessToken = secretCanary(op, role)
  op.accessTokens.set(accessToken, authorization)
  return accessToken
}

function issuedRefreshToken(op: Provider, authorization: Authorization): string {
  const refreshToken = secretCanary(op, 'refresh token')
  op.refreshTokens.set(refreshToken, { authorization, isSpent: false })
  return refreshToken
}

function secretCanary(op: Provider, role: string): string {
  const value = canary(role.replaceAll(' ', '-'))
  keepSecret(op, role, value)
  return value
}
