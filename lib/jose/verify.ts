/** The signature of a JWT against an issuer's keys (RFC 7515 §5.2). */

import { compactVerify } from 'jose'
import { invalidToken, type UnverifiedJwt } from './jwt.js'
import type { KeySet, VerificationKey } from './key-set.js'

/**
 * The key that signed the token. Throws `invalid_token` unless it is one of the set's, `key_set_unavailable` without keys
 * to ask.
 */
export async function verifySignature(keySet: KeySet, jwt: UnverifiedJwt): Promise<VerificationKey> {
  const keys = await keySet.keysFor(jwt)
  let isKnown = false
  for (const key of keys) {
    try {
      const imported = await key.for(jwt.algorithm)
      if (!imported) continue
      isKnown = true
      await compactVerify(jwt.token, imported, { algorithms: [jwt.algorithm] })
      return key
    } catch {
      // The next key may fit: a token without `kid` names none.
    }
  }
  throw invalidToken(isKnown ? 'signature' : 'unknown_key')
}
