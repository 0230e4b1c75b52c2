/** The signature of a JWT against an issuer's keys (RFC 7515 §5.2). */

import { compactVerify } from 'jose'
import { invalidToken, type UnverifiedJwt } from './jwt.js'
import type { KeySet } from './key-set.js'

/** Throws `invalid_token` unless one of the set's keys signed the token, `key_set_unavailable` without keys to ask. */
export async function verifySignature(keySet: KeySet, jwt: UnverifiedJwt): Promise<void> {
  const keys = await keySet.keysFor(jwt)
  if (keys.length === 0) throw invalidToken('unknown_key')
  for (const key of keys) {
    try {
      await compactVerify(jwt.token, key, { algorithms: [jwt.algorithm] })
      return
    } catch {
      // The next key may fit: a token without `kid` names none.
    }
  }
  throw invalidToken('signature')
}
