/** Keys that the application has, in place of those that an issuer publishes. */

import { createPublicKey, KeyObject, type JsonWebKey } from 'node:crypto'
import { OAuthError } from '../errors.js'
import { candidates, mostKeys, type KeySet } from './key-set.js'
import { keyFromJwk, keyFromObject, UnusableKey, type VerificationKey } from './verification-key.js'

/** A public key: PEM text (SPKI, PKCS #1 or a certificate, whose validity is not looked at), a JWK, or a `KeyObject`. */
export type StaticKey = string | JsonWebKey | KeyObject

/** A key set as servers publish it (RFC 7517 §5). */
export interface JsonWebKeySet {
  readonly keys: readonly JsonWebKey[]
}

/** One key, a key set, or a list of both. */
export type StaticKeys = StaticKey | JsonWebKeySet | readonly (StaticKey | JsonWebKeySet)[]

/**
 * A set that never changes and asks nobody. A key with a `kid` is for tokens that name it; one without may be for any token.
 * Throws `invalid_configuration`, which names the key and what is wrong with it: a key that somebody configured is not
 * passed over in silence.
 */
export function staticKeySet(given: StaticKeys): KeySet {
  const keys = named(given).map(([name, key]) => usable(name, key))
  if (keys.length === 0 || keys.length > mostKeys) {
    throw new OAuthError('invalid_configuration', {
      message: `"keys" holds ${keys.length} keys`,
      hint: `Give from 1 to ${mostKeys} public keys.`,
    })
  }
  const known: ReadonlySet<VerificationKey> = new Set(keys)
  const nameless = keys.filter(({ kid }) => kid === undefined)
  return {
    keysFor(jwt) {
      const { algorithm, kid } = jwt
      const isNamed = kid === undefined || keys.some((key) => key.kid === kid && key.fits(algorithm))
      return isNamed ? candidates(keys, jwt) : candidates(nameless, { algorithm })
    },
    newKeysFor: async () => [],
    trusts: (key) => known.has(key),
    ready: async () => undefined,
  }
}

/** Each key with its place, by which a message can call it. */
function named(given: unknown, name = 'keys'): [name: string, key: unknown][] {
  if (Array.isArray(given)) return given.flatMap((one: unknown, index) => named(one, `${name}[${index}]`))
  const isSet = given !== null && typeof given === 'object' && 'keys' in given && Array.isArray(given.keys)
  return isSet ? named(given.keys, `${name}.keys`) : [[name, given]]
}

function usable(name: string, key: unknown): VerificationKey {
  try {
    if (typeof key === 'string') return keyFromObject(keyFromPem(key))
    if (!(key instanceof KeyObject)) return keyFromJwk(key)
    if (key.type === 'secret')
      throw new UnusableKey('is a shared secret: whoever can verify with it can also sign')
    if (key.type === 'private') throw new UnusableKey('is private: give its public half alone')
    return keyFromObject(key)
  } catch (error) {
    if (!(error instanceof UnusableKey)) throw error
    throw new OAuthError('invalid_configuration', {
      message: `the key at "${name}" ${error.message}`,
      hint: 'Give public keys: as PEM, as a JWK, as a KeyObject, or as a key set.',
    })
  }
}

function keyFromPem(pem: string): KeyObject {
  const labels = [...pem.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----/g)].map(([, label]) => label ?? '')
  // Node would make the public half of it without a word, and the private one would have come along for nothing.
  if (labels.some((label) => label.endsWith('PRIVATE KEY')))
    throw new UnusableKey('is private: give its public half alone')
  if (labels.length !== 1)
    throw new UnusableKey(
      labels.length === 0 ? 'is no PEM' : `is PEM with ${labels.length} parts; give one of them`,
    )
  try {
    return createPublicKey(pem)
  } catch {
    throw new UnusableKey('is PEM that cannot be read')
  }
}
