/** The signature of a JWT against an issuer's keys (RFC 7515 §5.2). */

import { invalidToken, type UnverifiedJwt } from './jwt.js'
import type { KeySet } from './key-set.js'
import type { VerificationKey } from './verification-key.js'

/**
 * The key that signed the token. Throws `invalid_token` unless it is one of the set's, `key_set_unavailable` without keys
 * to ask.
 */
export async function verifySignature(keySet: KeySet, jwt: UnverifiedJwt): Promise<VerificationKey> {
  const keys = await keySet.keysFor(jwt)
  const signer = await signerAmong(keys, jwt)
  if (signer) return signer
  // Only a token that names no key may be of a key that was published since.
  const newer = jwt.kid === undefined ? await keySet.newKeysFor(jwt, keys) : []
  const newSigner = await signerAmong(newer, jwt)
  if (newSigner) return newSigner
  throw invalidToken(keys.length + newer.length > 0 ? 'signature' : 'unknown_key')
}

async function signerAmong(
  keys: readonly VerificationKey[],
  jwt: UnverifiedJwt,
): Promise<VerificationKey | undefined> {
  for (const key of keys) if (await key.verifies(jwt)) return key
  return undefined
}
