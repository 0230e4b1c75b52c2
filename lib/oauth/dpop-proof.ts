/** A DPoP proof: whoever sends this request has the private key that its access token is bound to (RFC 9449 §4.3). */

import { createHash } from 'node:crypto'
import { decodeProtectedHeader, type ProtectedHeaderParameters } from 'jose'
import { isOAuthError, OAuthError } from '../errors.js'
import { invalidToken, parseJwt, type Algorithm, type UnverifiedJwt } from '../jose/jwt.js'
import { isTime } from '../jose/time.js'
import { keyFromJwk, UnusableKey, type VerificationKey } from '../jose/verification-key.js'
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
 * `invalid_dpop_proof` with the reason, and `invalid_token` when the token is bound to another key. A key that the token
 * does not name is not even read: for P-521 that takes a millisecond, and whoever sends junk has none to give.
 */
export async function verifyDPoPProof(
  proof: string,
  request: ProvenRequest,
  rules: DPoPProofRules,
): Promise<DPoPProof> {
  const { jwt, header } = parsed(proof, rules.algorithms)
  if (header.typ !== 'dpop+jwt') throw invalidProof('typ')
  // RFC 9449 §7.1 has this as a fault of the token: with this key it will never be good.
  if (thumbprintOf(header.jwk) !== request.thumbprint) throw invalidToken('key_binding')
  const verified = judged(jwt, request, rules)
  const key = publicKey(header.jwk)
  if (!key.fits(jwt.algorithm)) throw invalidProof('jwk')
  if (!(await key.verifies(jwt))) throw invalidProof('signature')
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

/** In the order of their names (RFC 7638 §3.2, RFC 8037 §2). */
const thumbprintMembers: ReadonlyMap<unknown, string[]> = new Map([
  ['EC', ['crv', 'kty', 'x', 'y']],
  ['OKP', ['crv', 'kty', 'x']],
  ['RSA', ['e', 'kty', 'n']],
  ['oct', ['k', 'kty']],
])

function thumbprintOf(jwk: Readonly<Record<string, unknown>> | null | undefined): string {
  const members = thumbprintMembers.get(jwk?.['kty'])
  if (!jwk || !members?.every((member) => typeof jwk[member] === 'string')) throw invalidProof('jwk')
  return createHash('sha256').update(JSON.stringify(jwk, members)).digest('base64url')
}

function publicKey(jwk: object | undefined): VerificationKey {
  try {
    // What clients say of their key besides is often what they export it with: "key_ops" of a pair for signing is empty.
    return keyFromJwk({ ...jwk, use: undefined, key_ops: undefined, alg: undefined, kid: undefined })
  } catch (error) {
    if (!(error instanceof UnusableKey)) throw error
    throw invalidProof(error.reason ?? 'jwk')
  }
}
