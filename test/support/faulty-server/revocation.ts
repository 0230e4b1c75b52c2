/** The revocation endpoint: RFC 7009 §2. */
import { json, type Answer } from './answer.js'
import type { Provider } from './provider.js'
import type { RecordedRequest } from './recorded-request.js'

export async function revocation(op: Provider, request: RecordedRequest): Promise<Answer> {
  const complaints = op.steps.clientComplaints(op, request)
  op.complaints.push(...complaints.map((complaint) => `revocation request: ${complaint}`))
  if (complaints.length > 0) return json({ error: 'invalid_client' }, 401)
  return op.steps.answerRevocation(op, request)
}

/** A refresh token takes its access tokens along. A token that is not known is as good as revoked. */
export function answerRevocation(op: Provider, { body }: RecordedRequest): Answer {
  const token = body.get('token') ?? ''
  const refreshToken = op.refreshTokens.get(token)
  if (refreshToken) refreshToken.authorization.isRevoked = true
  op.accessTokens.delete(token)
  return { status: 200, headers: {}, body: '' }
}
