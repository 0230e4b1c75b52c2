/** A public key that verifies signatures, and what makes one good enough (RFC 7517, RFC 7518, RFC 8037). */

import {
  constants,
  createPublicKey,
  verify as verifyBytes,
  type JsonWebKey,
  type KeyObject,
  type VerifyKeyObjectInput,
} from 'node:crypto'
import type { Algorithm, UnverifiedJwt } from './jwt.js'

export interface VerificationKey {
  readonly kid: string | undefined
  /** Whose tokens it may sign, where a set of several issuers says so: the `issuer` member that Entra ID adds. */
  readonly issuer?: string
  /** Key type and curve decide which algorithms a key may verify; the token's header never does (RFC 8725 §3.1). */
  fits(algorithm: Algorithm): boolean
  /** Whether the key signed it, at once where that is quick. False, and never an error, for whatever is no signature. */
  verifies(jwt: Pick<UnverifiedJwt, 'token' | 'algorithm'>): boolean | Promise<boolean>
}

/** A key that must not verify anything. The message completes the sentence "this key …". */
export class UnusableKey extends Error {
  /** What it is in a word, where events have one for it. */
  readonly reason: 'private_key' | 'key_size' | undefined

  constructor(message: string, reason?: UnusableKey['reason']) {
    super(message)
    this.reason = reason
  }
}

const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/** Throws {@link UnusableKey} for a key that is not public, not for signatures, malformed, or known to be worthless. */
export function keyFromJwk(jwk: unknown): VerificationKey {
  if (jwk === null || typeof jwk !== 'object') throw new UnusableKey('is no object')
  const { kty, use, key_ops: operations, alg, kid } = jwk as JsonWebKey
  if (kty === 'oct')
    throw new UnusableKey('is a shared secret: whoever can verify with it can also sign', 'private_key')
  if (privateMembers.some((member) => Object.hasOwn(jwk, member)))
    throw new UnusableKey('is private: give its public half alone', 'private_key')
  if (kty !== 'RSA' && kty !== 'EC' && kty !== 'OKP')
    throw new UnusableKey('has no type ("kty") that is known')
  if (use !== undefined && use !== 'sig') throw new UnusableKey('is not for signatures ("use")')
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify')))
    throw new UnusableKey('is not for verifying ("key_ops")')
  if (kid !== undefined && typeof kid !== 'string') throw new UnusableKey('has a "kid" that is no text')
  const key = keyFromObject(publicKey(jwk as JsonWebKey), { kid, alg })
  return 'issuer' in jwk && typeof jwk.issuer === 'string' ? { ...key, issuer: jwk.issuer } : key
}

function publicKey(jwk: JsonWebKey): KeyObject {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' })
  } catch {
    throw new UnusableKey('is malformed')
  }
}

/** The same for a key that was read already. `alg` is the one algorithm that its owner has it for, if he says so. */
export function keyFromObject(
  key: KeyObject,
  { kid, alg }: { kid?: string | undefined; alg?: unknown } = {},
): VerificationKey {
  const ways = new Map(waysOf(key).filter(([algorithm]) => alg === undefined || alg === algorithm))
  if (ways.size === 0) throw new UnusableKey('is for another algorithm ("alg") than keys of its type have')
  return {
    kid,
    fits: (algorithm) => ways.has(algorithm),
    verifies({ token, algorithm }) {
      const way = ways.get(algorithm)
      const end = token.lastIndexOf('.')
      const signature = Buffer.from(token.slice(end + 1), 'base64url')
      if (!way || signature.length !== way.signatureLength) return false
      const input = Buffer.from(token.slice(0, end), 'latin1')
      return way.isQuick
        ? verifyBytes(way.hash, input, way.key, signature)
        : verifyOnThreadPool(way, input, signature)
    },
  }
}

function verifyOnThreadPool({ hash, key }: Way, input: Buffer, signature: Buffer): Promise<boolean> {
  return new Promise((resolve, reject) => {
    verifyBytes(hash, input, key, signature, (error, isGood) => (error ? reject(error) : resolve(isGood)))
  })
}

/**
 * How a key verifies one algorithm. What is quick is done on the spot, because sending it to the thread pool costs as much
 * again; the rest goes there, so that it does not keep other requests waiting. Microseconds for one signature on Node 20
 * (on the spot; by the thread pool, one or sixteen at a time, and what is left of it for the main thread):
 *
 * | | on the spot | thread pool, CPU | main thread |
 * |---|---|---|---|
 * | RS256, 2048 bits | 19 | 36, 22 | 11, 4 |
 * | PS256, 2048 bits | 27 | 40, 27 | 12, 5 |
 * | RS256, 4096 bits | 54 | 73, 64 | 12, 7 |
 * | ES256 | 51 | 79, 57 | 18, 8 |
 * | ES384 | 526 | 535, 518 | 23, 16 |
 * | Ed25519 | 68 | 90, 76 | 14, 8 |
 */
interface Way {
  readonly hash: string | undefined
  readonly key: VerifyKeyObjectInput
  /** Bytes; there is no other length in any of the algorithms. */
  readonly signatureLength: number
  readonly isQuick: boolean
}

/** All that a key can do, by its type and size alone. */
function waysOf(key: KeyObject): (readonly [Algorithm, Way])[] {
  const type = key.asymmetricKeyType
  if (type === 'rsa') return waysOfRsa(key)
  if (type === 'ec') return waysOfEc(key)
  if (type === 'ed25519') return waysOfEd25519(key)
  throw new UnusableKey(`is of the type "${type}"; RSA, P-256, P-384, P-521 and Ed25519 are known`)
}

const hashes = [
  ['256', 'sha256', 32],
  ['384', 'sha384', 48],
  ['512', 'sha512', 64],
] as const

/** 2048 to 8192 bits (RFC 7518 §3.3); with an exponent of 1 whatever looks like a signature would be one. */
function waysOfRsa(key: KeyObject): (readonly [Algorithm, Way])[] {
  const { modulusLength: bits = 0, publicExponent: exponent = 0n } = key.asymmetricKeyDetails ?? {}
  const signatureLength = Math.ceil(bits / 8)
  if (bits < 2_048 || bits > 8_192)
    throw new UnusableKey(`is an RSA key of ${bits} bits; from 2048 to 8192 are good`, 'key_size')
  if (exponent < 3n || exponent >= 2n ** 32n || exponent % 2n === 0n)
    throw new UnusableKey('is an RSA key with an exponent that makes signatures forgeable', 'key_size')
  if (
    Buffer.from(key.export({ format: 'jwk' }).n ?? '', 'base64url').readUInt8(signatureLength - 1) % 2 ===
    0
  )
    throw new UnusableKey('is an RSA key with an even modulus')
  const common = { signatureLength, isQuick: bits <= 3_072 }
  return hashes.flatMap(([size, hash, saltLength]): (readonly [Algorithm, Way])[] => [
    [`RS${size}`, { hash, key: { key, padding: constants.RSA_PKCS1_PADDING }, ...common }],
    [`PS${size}`, { hash, key: { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }, ...common }],
  ])
}

const curves: Partial<Record<string, readonly [Algorithm, hash: string, signatureLength: number]>> = {
  prime256v1: ['ES256', 'sha256', 64],
  secp384r1: ['ES384', 'sha384', 96],
  secp521r1: ['ES512', 'sha512', 132],
}

function waysOfEc(key: KeyObject): (readonly [Algorithm, Way])[] {
  const curve = key.asymmetricKeyDetails?.namedCurve ?? 'unknown'
  const known = curves[curve]
  if (!known) throw new UnusableKey(`is on the curve "${curve}"; P-256, P-384 and P-521 are known`)
  const [algorithm, hash, signatureLength] = known
  return [[algorithm, { hash, key: { key, dsaEncoding: 'ieee-p1363' }, signatureLength, isQuick: false }]]
}

function waysOfEd25519(key: KeyObject): (readonly [Algorithm, Way])[] {
  if (isOfSmallOrder(Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url')))
    throw new UnusableKey('is an Ed25519 key for which signatures can be forged')
  const way: Way = { hash: undefined, key: { key }, signatureLength: 64, isQuick: false }
  return [
    ['EdDSA', way],
    ['Ed25519', way],
  ]
}

const fieldSize = 2n ** 255n - 19n
const eighth = 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n
/** The `y` of the points of order 1, 2, 4 and 8. For such a key one signature can be good for many messages. */
const smallOrders = new Set([0n, 1n, fieldSize - 1n, eighth, fieldSize - eighth])

/** In whatever way the point is written: with a sign that it does not have, or with a `y` beyond the field. */
function isOfSmallOrder(point: Buffer): boolean {
  const bytes = Buffer.from(point.toReversed())
  const y = BigInt(`0x${bytes.toString('hex')}`) % 2n ** 255n
  return smallOrders.has(y % fieldSize)
}
