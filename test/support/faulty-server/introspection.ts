/** The introspection endpoint: RFC 7662 §2. */
import { json, type Answer } from './answer.js'
import { now, type Authorization, type Provider } from './provider.js'
import { isForm, repeatedNames, type RecordedRequest } from './recorded-request.js'

export async function introspection(op: Provider, request: RecordedRequest): Promise<Answer> {
  const complaints = [...op.steps.clientComplaints(op, request), ...requestComplaints(request)]
  op.complaints.push(...complaints.map((complaint) => `introspection request: ${complaint}`))
  if (complaints.length > 0) return json({ error: 'invalid_client' }, 401, { 'www-authenticate': 'Basic' })
  const token = request.body.get('token') ?? ''
  const authorization = op.accessTokens.get(token) ?? op.refreshTokens.get(token)?.authorization
  const isActive = authorization !== undefined && !authorization.isRevoked
  return op.steps.answerIntrospection(
    op,
    isActive ? await op.steps.introspection(op, authorization, token) : { active: false },
  )
}

/** Refresh tokens are introspected, too, and have neither type nor audience. */
export function introspectionResponse(
  op: Provider,
  { parameters, subject }: Authorization,
  token: string,
): Record<string, unknown> {
  return {
    active: true,
    iss: op.issuer,
    sub: subject,
    client_id: op.client.id,
    scope: parameters.get('scope') ?? undefined,
    exp: now() + 3600,
    iat: now(),
    ...(op.accessTokens.has(token) && {
      aud: parameters.get('resource') ?? undefined,
      token_type: 'Bearer',
    }),
  }
}

export function answerIntrospection(_op: Provider, response: Record<string, unknown>): Answer {
  return json(response)
}

function requestComplaints({ method, headers, query, body }: RecordedRequest): string[] {
  const broken: Record<string, boolean> = {
    'not POST': method !== 'POST',
    'not a form': !isForm(headers),
    'parameters in the query': query.size > 0,
    'no token': !body.get('token'),
    'another hint than access_token': body.get('token_type_hint') !== 'access_token',
  }
  return [
    ...Object.keys(broken).filter((rule) => broken[rule]),
    ...repeatedNames(body).map((name) => `repeated parameter ${name}`),
  ]
}
