/** The signature of a JWT against an issuer's keys (RFC 7515 §5.2). */

import { invalidToken, type UnverifiedJwt } from './jwt.js'
import type { KeySet } from './key-set.js'
import type { VerificationKey } from './verification-key.js'

type Awaitable<T> = T | Promise<T>

/**
 * The key that signed the token; at once where the key is at hand and quick, which is the usual case. Throws
 * `invalid_token` unless it is one of the set's, `key_set_unavailable` without keys to ask.
 */
export function verifySignature(keySet: KeySet, jwt: UnverifiedJwt): Awaitable<VerificationKey> {
  const keys = keySet.keysFor(jwt)
  const signer = keys instanceof Promise ? keys.then((all) => signerAmong(all, jwt)) : signerAmong(keys, jwt)
  return signer && !(signer instanceof Promise) ? signer : signerInNewest(keySet, jwt, keys, signer)
}

async function signerInNewest(
  keySet: KeySet,
  jwt: UnverifiedJwt,
  keys: Awaitable<readonly VerificationKey[]>,
  signer: Awaitable<VerificationKey | undefined>,
): Promise<VerificationKey> {
  const found = await signer
  if (found) return found
  const tried = await keys
  // Only a token that names no key may be of a key that was published since.
  const newer = jwt.kid === undefined ? await keySet.newKeysFor(jwt, tried) : []
  const newSigner = await signerAmong(newer, jwt)
  if (newSigner) return newSigner
  throw invalidToken(tried.length + newer.length > 0 ? 'signature' : 'unknown_key')
}

function signerAmong(
  [key, ...others]: readonly VerificationKey[],
  jwt: UnverifiedJwt,
): Awaitable<VerificationKey | undefined> {
  if (!key) return undefined
  const verdict = key.verifies(jwt)
  if (verdict instanceof Promise)
    return verdict.then((isSigner) => (isSigner ? key : signerAmong(others, jwt)))
  return verdict ? key : signerAmong(others, jwt)
}
