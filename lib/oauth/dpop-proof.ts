/** A DPoP proof: whoever sends this request has the private key that its access token is bound to (RFC 9449 §4.3). */

import { createHash } from 'node:crypto'
import {
  calculateJwkThumbprint,
  compactVerify,
  decodeProtectedHeader,
  importJWK,
  type JWK,
  type ProtectedHeaderParameters,
} from 'jose'
import { isOAuthError, OAuthError } from '../errors.js'
import { invalidToken, parseJwt, type Algorithm, type UnverifiedJwt } from '../jose/jwt.js'
import { isTime } from '../jose/time.js'
import { targetUri } from './target-uri.js'

export interface DPoPProofRules {
  readonly algorithms: readonly Algorithm[]
  /** Seconds that a proof may be old. */
  readonly lifetime: number
  /** Seconds that clocks may differ. */
  readonly clockTolerance: number
  readonly now: () => number
}

/** What a proof must be about. */
export interface ProvenRequest {
  readonly method: string
  /** As {@link targetUri} spells it. Nothing when it cannot be spelled so: then no proof is about it. */
  readonly uri: string | undefined
  readonly token: string
  /** Of the key that the token is bound to: `jkt` in its `cnf` (RFC 7638). */
  readonly thumbprint: string
}

export interface DPoPProof {
  readonly jti: string
  readonly nonce: string | undefined
  /** Seconds for which this proof would be accepted again, also by a server whose clock differs. */
  readonly replayable: number
}

const longestJti = 256

/**
 * Everything about a proof but its nonce and its first use, which only a server's memory can tell. Throws
 * `invalid_dpop_proof` with the reason, and `invalid_token` when the token is bound to another key. No signature is
 * verified by a key that the token does not name.
 */
export async function verifyDPoPProof(
  proof: string,
  request: ProvenRequest,
  rules: DPoPProofRules,
): Promise<DPoPProof> {
  const { jwt, header } = parsed(proof, rules.algorithms)
  if (header.typ !== 'dpop+jwt') throw invalidProof('typ')
  const key = publicKey(header.jwk, jwt.algorithm)
  // RFC 9449 §7.1 has this as a fault of the token: with this key it will never be good.
  if ((await calculateJwkThumbprint(key)) !== request.thumbprint) throw invalidToken('key_binding')
  const verified = judged(jwt, request, rules)
  await verifySignature(proof, key, jwt.algorithm)
  return verified
}

export function invalidProof(reason: string): OAuthError {
  return new OAuthError('invalid_dpop_proof', { reason })
}

function parsed(
  proof: string,
  algorithms: readonly Algorithm[],
): { jwt: UnverifiedJwt; header: ProtectedHeaderParameters } {
  try {
    return { jwt: parseJwt(proof, algorithms), header: decodeProtectedHeader(proof) }
  } catch (error) {
    throw invalidProof((isOAuthError(error) && error.reason) || 'not_a_jwt')
  }
}

function judged(
  { claims }: UnverifiedJwt,
  request: ProvenRequest,
  { lifetime, clockTolerance, now }: DPoPProofRules,
): DPoPProof {
  const { htm, htu, ath, jti, iat, exp, nbf, nonce } = claims
  if (htm !== request.method) throw invalidProof('htm')
  if (typeof htu !== 'string' || request.uri === undefined || targetUri(htu) !== request.uri)
    throw invalidProof('htu')
  if (ath !== createHash('sha256').update(request.token).digest('base64url')) throw invalidProof('ath')
  if (typeof jti !== 'string' || jti === '' || jti.length > longestJti) throw invalidProof('jti')
  const left = isTime(iat) ? iat + lifetime + clockTolerance - now() : -1
  if (!isTime(iat) || left < 0 || iat > now() + clockTolerance) throw invalidProof('iat')
  // Proofs need neither, but whoever writes one means it (RFC 7519 §4.1.4 and §4.1.5).
  if (exp !== undefined && !(isTime(exp) && exp + clockTolerance > now())) throw invalidProof('exp')
  if (nbf !== undefined && !(isTime(nbf) && nbf - clockTolerance <= now())) throw invalidProof('nbf')
  // One second more, because the clock is read in whole ones.
  return { jti, nonce: typeof nonce === 'string' ? nonce : undefined, replayable: left + clockTolerance + 1 }
}

const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']
const curves: Partial<Record<Algorithm, { kty: string; crv: string }>> = {
  ES256: { kty: 'EC', crv: 'P-256' },
  ES384: { kty: 'EC', crv: 'P-384' },
  ES512: { kty: 'EC', crv: 'P-521' },
  EdDSA: { kty: 'OKP', crv: 'Ed25519' },
  Ed25519: { kty: 'OKP', crv: 'Ed25519' },
}
/** Bits of an RSA modulus (RFC 7518 §3.3); larger ones cost time and prove no more. */
const modulus = { least: 2048, most: 8192 }
/** Bytes of an RSA exponent. */
const longestExponent = 4

/** The members that make the key, and nothing else that the header says of it. */
function publicKey(jwk: JWK | undefined, algorithm: Algorithm): JWK {
  if (jwk === null || typeof jwk !== 'object') throw invalidProof('jwk')
  // RFC 9449 §4.3: a client that sends its private key along has proved nothing, ever.
  if (privateMembers.some((name) => Object.hasOwn(jwk, name))) throw invalidProof('private_key')
  const { kty, crv, x, y, n, e } = jwk
  const curve = curves[algorithm]
  if (curve) {
    if (kty !== curve.kty || crv !== curve.crv || !isBase64url(x)) throw invalidProof('jwk')
    if (kty === 'OKP') return { kty, crv, x }
    if (!isBase64url(y)) throw invalidProof('jwk')
    return { kty, crv, x, y }
  }
  if (kty !== 'RSA' || !isBase64url(n) || !isBase64url(e)) throw invalidProof('jwk')
  const bits = bitLength(n)
  if (bits < modulus.least || bits > modulus.most) throw invalidProof('key_size')
  if (Buffer.byteLength(e, 'base64url') > longestExponent) throw invalidProof('key_size')
  return { kty, n, e }
}

function isBase64url(value: unknown): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9_-]+$/.test(value)
}

function bitLength(value: string): number {
  const hex = Buffer.from(value, 'base64url').toString('hex').replace(/^0+/, '')
  return hex === '' ? 0 : (hex.length - 1) * 4 + Number.parseInt(hex.slice(0, 1), 16).toString(2).length
}

async function verifySignature(proof: string, key: JWK, algorithm: Algorithm): Promise<void> {
  try {
    await compactVerify(proof, await importJWK(key, algorithm), { algorithms: [algorithm] })
  } catch {
    throw invalidProof('signature')
  }
}
