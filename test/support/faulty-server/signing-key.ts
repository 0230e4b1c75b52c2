/** A key the server signs with, and its public half for the JWKS. */
import { randomUUID } from 'node:crypto'
import { exportJWK, generateKeyPair, type CryptoKey, type JWK } from 'jose'

export interface SigningKey {
  readonly kid: string
  readonly alg: string
  readonly privateKey: CryptoKey
  readonly publicJwk: JWK
}

type KeyPair = Awaited<ReturnType<typeof generateKeyPair>>

const alg = 'RS256'

/** Making a pair takes a tenth of a second, so a process makes a few and deals them in turn, each under a new name. */
const mostPairs = 5
const pairs: Promise<KeyPair>[] = []
let dealt = 0

/** Differs from the last four in its key, and from all in its `kid`. */
export async function newSigningKey(): Promise<SigningKey> {
  const pair = dealt % mostPairs
  dealt += 1
  const { publicKey, privateKey } = await (pairs[pair] ??= generateKeyPair(alg, { extractable: true }))
  const kid = randomUUID()
  return { kid, alg, privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } }
}
