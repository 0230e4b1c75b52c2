/** The key set at the advertised `jwks_uri`: RFC 7517 §5. */
import type { JWK } from 'jose'
import { json, type Answer } from './answer.js'
import type { Provider } from './provider.js'

export function jwks(op: Provider): JWK[] {
  return op.keys.map((key) => key.publicJwk)
}

export async function answerJwks(op: Provider): Promise<Answer> {
  return json({ keys: await op.steps.jwks(op) })
}
