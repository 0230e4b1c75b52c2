/** DPoP proofs made by hand, because libraries refuse to make what an attacker makes. */
import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import type { JWK } from 'jose'
import { compactJws, ecdsa, jwkOf, rs256, seconds, type Members, type Signer } from './issuer.js'

export interface ProofKey {
  readonly alg: string
  readonly privateKey: KeyObject
  readonly publicJwk: JWK
  /** What a token that is bound to it has in `cnf` (RFC 7638). */
  readonly thumbprint: string
  readonly signer: Signer
}

export function ellipticKey(alg = 'ES256', namedCurve = 'P-256', hash = 'sha256'): ProofKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve })
  return keyOf(alg, privateKey, publicKey, ecdsa(hash, privateKey))
}

export function edwardsKey(alg = 'Ed25519'): ProofKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  return keyOf(alg, privateKey, publicKey, (input) => sign(null, Buffer.from(input), privateKey))
}

export function rsaKey(modulusLength: number): ProofKey {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength })
  return keyOf('RS256', privateKey, publicKey, rs256(privateKey))
}

function keyOf(alg: string, privateKey: KeyObject, publicKey: KeyObject, signer: Signer): ProofKey {
  const publicJwk = jwkOf(publicKey)
  return { alg, privateKey, publicJwk, thumbprint: thumbprintOf(publicJwk), signer }
}

export function thumbprintOf({ crv, e, k, kty, n, x, y }: Members): string {
  return digest(JSON.stringify({ crv, e, k, kty, n, x, y }))
}

/** SHA-256 in base64url. */
export function digest(value: string | Buffer): string {
  return createHash('sha256').update(value).digest('base64url')
}

let made = 0

/** A good proof for `GET`, but for these members. */
export function proofFor(
  { htu, token }: { htu: string; token: string },
  key: ProofKey,
  claims: Members = {},
  header: Members = {},
  signer = key.signer,
): string {
  made += 1
  const payload = { htm: 'GET', htu, iat: seconds(), jti: `proof-${made}`, ath: digest(token) }
  return compactJws(
    { typ: 'dpop+jwt', alg: key.alg, jwk: key.publicJwk, ...header },
    { ...payload, ...claims },
    signer,
  )
}
