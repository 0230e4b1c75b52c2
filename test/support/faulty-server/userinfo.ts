/** The userinfo endpoint: OpenID Connect Core §5.3, with the claims of each scope from §5.4. */
import { json, type Answer } from './answer.js'
import { scopes } from './authorization.js'
import type { Authorization, Provider } from './provider.js'
import type { RecordedRequest } from './recorded-request.js'

const claimsOfScope: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  profile: { name: 'Demo User', given_name: 'Demo', family_name: 'User', preferred_username: 'demo' },
  email: { email: 'demo@example.com', email_verified: true },
  phone: { phone_number: '+1 555 0100', phone_number_verified: false },
  address: { address: { country: 'Nowhere', locality: 'Demo Town' } },
}

export async function answerUserinfoRequest(op: Provider, request: RecordedRequest): Promise<Answer> {
  op.complaints.push(...complaints(op, request).map((complaint) => `userinfo request: ${complaint}`))
  const authorization = op.accessTokens.get(bearerToken(request))
  if (!authorization || authorization.isRevoked)
    return json({ error: 'invalid_token' }, 401, { 'www-authenticate': 'Bearer' })
  return op.steps.answerUserinfo(op, await op.steps.userinfo(op, authorization))
}

export function userinfo(_op: Provider, authorization: Authorization): Record<string, unknown> {
  const claims = scopes(authorization.parameters).flatMap((scope) =>
    Object.entries(claimsOfScope[scope] ?? {}),
  )
  return { sub: authorization.subject, ...Object.fromEntries(claims) }
}

export function answerUserinfo(_op: Provider, claims: Record<string, unknown>): Answer {
  return json(claims)
}

function complaints(op: Provider, { query, headers, body }: RecordedRequest): string[] {
  const broken: Record<string, boolean> = {
    'access token in the query': query.has('access_token'),
    'access token in the header and in the body':
      headers.authorization !== undefined && body.has('access_token'),
    'came before the keys were fetched': !op.requests.some(({ endpoint }) => endpoint === 'jwks'),
  }
  return Object.keys(broken).filter((rule) => broken[rule])
}

function bearerToken({ headers, body }: RecordedRequest): string {
  return /^(?:Bearer|DPoP) (\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? body.get('access_token') ?? ''
}
