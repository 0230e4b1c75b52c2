/** The public keys of an issuer: fetched, kept, and picked by what a token's header says (RFC 7517). */

import { importJWK, type CryptoKey, type JWK } from 'jose'
import { OAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import { documentLimit, jsonObject, type HttpClient } from '../http.js'
import { remoteDocument } from '../remote-document.js'
import { tokenBucket } from '../token-bucket.js'
import type { Algorithm, UnverifiedJwt } from './jwt.js'

export interface KeySet {
  /** The keys that may have signed the token. Throws `key_set_unavailable` when they cannot be had. */
  keysFor(jwt: UnverifiedJwt): Promise<readonly VerificationKey[]>
  /**
   * Whether a key is one of the set still, known without waiting. False also when the set has to be fetched first.
   * Asked of each request: it starts the renewal of a set that is due.
   */
  trusts(key: VerificationKey): boolean
  /** Waits for the keys. Throws `key_set_unavailable`. */
  ready(): Promise<void>
}

/** A public key of a set; the same object for as long as the set has it. */
export interface VerificationKey {
  readonly jwk: JWK
  /** Whose tokens it may sign, where a set of several issuers says so: the `issuer` member that Entra ID adds. */
  readonly issuer?: string
  /** For WebCrypto, which ties a key to one algorithm. Nothing for a key that is malformed. */
  for(algorithm: Algorithm): Promise<CryptoKey | undefined>
}

export interface RemoteKeySetOptions {
  /** Where the set is; asked before each fetch, because metadata can change. */
  uri: () => Promise<string>
  http: HttpClient
  emit: Emit
  /** Seconds since the epoch. */
  now: () => number
}

const mostKeys = 100
const mostKeysTried = 8

/**
 * A token with an unknown `kid` has the set fetched at once, so that a rotation is seen when it happens; a bucket of
 * three, refilled by one each 30 s, keeps a flood of such tokens from becoming a flood of fetches.
 */
export function remoteKeySet({ uri, http, emit, now }: RemoteKeySetOptions): KeySet {
  let url = ''
  let loads = 0
  let refetching: Promise<KeysByText> | undefined
  let keys: KeysByText = new Map()
  const refetches = tokenBucket({ burst: 3, refillSeconds: 30, now })
  const set = remoteDocument({
    async load() {
      loads += 1
      url = await uri()
      const response = await http(url, {
        headers: { accept: 'application/jwk-set+json, application/json' },
        limit: documentLimit,
      })
      const { keys: published } = await jsonObject(response, `the key set at ${url}`)
      if (!Array.isArray(published) || published.length > mostKeys) {
        throw new OAuthError('invalid_server_response', {
          message: `${url} is not a key set of at most ${mostKeys} keys`,
        })
      }
      const usable = published.filter(isUsable)
      if (usable.length === 0) {
        throw new OAuthError('invalid_server_response', { message: `${url} holds no public signing key` })
      }
      emit({ type: 'jwks_fetched', url })
      const kept = keys
      keys = new Map(
        usable.map((jwk) => {
          const text = JSON.stringify(jwk)
          return [text, kept.get(text) ?? verificationKey(jwk)]
        }),
      )
      return keys
    },
    onFailure: (error, stale) => emit({ type: 'jwks_failed', url, stale, error }),
    now,
  })

  /** One fetch, and one place in the bucket, for all who miss a key at the same time. */
  function refetch(): Promise<KeysByText> | undefined {
    if (!refetching && refetches.take()) {
      refetching = set.refetch().finally(() => {
        refetching = undefined
      })
    }
    return refetching
  }

  return {
    async keysFor(jwt) {
      try {
        const loadsBefore = loads
        const current = await set.current()
        const isFresh = loads !== loadsBefore
        const known = candidates(current, jwt)
        if (known.length > 0 || isFresh) return known
        const newer = await refetch()
        if (newer) return candidates(newer, jwt)
        if (set.isFailing()) throw new Error('the key may be in a set that cannot be fetched')
        return []
      } catch (cause) {
        throw unavailable(cause)
      }
    },
    trusts: (key) => set.peek()?.get(JSON.stringify(key.jwk)) === key,
    async ready() {
      await set.current().catch((cause: unknown) => Promise.reject(unavailable(cause)))
    },
  }
}

function unavailable(cause: unknown): OAuthError {
  return new OAuthError('key_set_unavailable', {
    message: `the keys of the authorization server cannot be had: ${cause instanceof Error ? cause.message : 'no answer'}`,
    cause,
  })
}

type KeysByText = ReadonlyMap<string, VerificationKey>

function verificationKey(jwk: JWK): VerificationKey {
  const imported = new Map<Algorithm, Promise<CryptoKey | undefined>>()
  return {
    jwk,
    ...('issuer' in jwk && typeof jwk.issuer === 'string' && { issuer: jwk.issuer }),
    for(algorithm) {
      const key = imported.get(algorithm) ?? importPublicKey(jwk, algorithm)
      imported.set(algorithm, key)
      return key
    },
  }
}

function candidates(keys: KeysByText, { algorithm, kid }: UnverifiedJwt): VerificationKey[] {
  const fitting = [...keys.values()].filter(
    ({ jwk }) => fits(jwk, algorithm) && (kid === undefined || jwk.kid === kid),
  )
  // Two keys under one name say that somebody is confused; a token without a name may belong to any of a few.
  return fitting.length > (kid === undefined ? mostKeysTried : 1) ? [] : fitting
}

/** Nothing for a key that is malformed: it must not keep the sound ones of the set from being used. */
async function importPublicKey(jwk: JWK, algorithm: Algorithm): Promise<CryptoKey | undefined> {
  try {
    // Some servers list `sign` for a public key, which WebCrypto refuses to import.
    const { key_ops: _, ...publicKey } = jwk
    return (await importJWK(publicKey, algorithm)) as CryptoKey // bytes come of `oct` keys alone, which are never usable
  } catch {
    return undefined
  }
}

const curves: Partial<Record<Algorithm, string>> = {
  ES256: 'P-256',
  ES384: 'P-384',
  ES512: 'P-521',
  EdDSA: 'Ed25519',
  Ed25519: 'Ed25519',
}

/** Key type and curve decide which algorithms a key may verify; the token's header never does (RFC 8725 §3.1). */
function fits(jwk: JWK, algorithm: Algorithm): boolean {
  if (jwk.alg !== undefined && jwk.alg !== algorithm) return false
  const curve = curves[algorithm]
  return curve === undefined
    ? jwk.kty === 'RSA'
    : jwk.crv === curve && jwk.kty === (curve === 'Ed25519' ? 'OKP' : 'EC')
}

const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/** A public key for signatures, and no key that is known to be worthless. */
function isUsable(value: unknown): value is JWK {
  if (value === null || typeof value !== 'object') return false
  const jwk = value as JWK
  if (privateMembers.some((member) => Object.hasOwn(jwk, member))) return false
  if (jwk.use !== undefined && jwk.use !== 'sig') return false
  if (jwk.key_ops !== undefined && !(Array.isArray(jwk.key_ops) && jwk.key_ops.includes('verify')))
    return false
  return jwk.kty === 'RSA' ? isSoundRsa(jwk) : jwk.kty === 'EC' || jwk.kty === 'OKP'
}

/** 2048 to 8192 bits; an exponent of 1 would make every signature forgeable, and jose lets it pass. */
function isSoundRsa({ n, e }: JWK): boolean {
  if (typeof n !== 'string' || typeof e !== 'string') return false
  const modulus = unsigned(n)
  const exponent = unsigned(e)
  return (
    modulus >= 2n ** 2047n &&
    modulus < 2n ** 8192n &&
    exponent >= 3n &&
    exponent < 2n ** 64n &&
    exponent % 2n === 1n
  )
}

function unsigned(base64url: string): bigint {
  const bytes = Buffer.from(base64url, 'base64url').subarray(0, 2_048)
  return bytes.length === 0 ? 0n : BigInt(`0x${bytes.toString('hex')}`)
}
