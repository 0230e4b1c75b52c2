/** The keys of an issuer that signs with everything, and those of somebody who would like to be it. */
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'

export interface RingKey {
  readonly kid: string
  /** The algorithm it usually signs with. */
  readonly algorithm: Algorithm
  readonly privateKey: KeyObject
  /** As it is published. */
  readonly jwk: Readonly<Record<string, unknown>>
  /** Its signatures, by how and what it signed: what is not in here, it never signed. */
  readonly signatures: Map<string, Buffer>
}

export type Algorithm = 'RS256' | 'PS256' | 'ES256' | 'ES384' | 'EdDSA'

export const algorithms: readonly Algorithm[] = ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA']

export interface KeyRing {
  /** One for each algorithm, under its name in lower case. */
  readonly keys: Readonly<Record<Algorithm, RingKey>>
  /** Published, but two of them have one name, and one is for encryption. */
  readonly dubious: readonly RingKey[]
  /** Never published, under the names of those that are. */
  readonly foreign: Readonly<Record<Algorithm, RingKey>>
  /** All that is published. */
  readonly published: readonly RingKey['jwk'][]
}

export function newKeyRing(): KeyRing {
  // Some keys are published for one algorithm, and some without one, as servers do.
  const keys = keyPerAlgorithm({ RS256: { alg: 'RS256' }, ES256: { alg: 'ES256', key_ops: ['verify'] } })
  const dubious = [
    newKey('ES256', 'twin'),
    newKey('ES256', 'twin'),
    newKey('ES256', 'encryption', { use: 'enc' }),
  ]
  return {
    keys,
    dubious,
    foreign: keyPerAlgorithm({}),
    published: [...Object.values(keys), ...dubious].map(({ jwk }) => jwk),
  }
}

function keyPerAlgorithm(members: Partial<Record<Algorithm, object>>): Record<Algorithm, RingKey> {
  const key = (algorithm: Algorithm) => newKey(algorithm, algorithm.toLowerCase(), members[algorithm])
  return {
    RS256: key('RS256'),
    PS256: key('PS256'),
    ES256: key('ES256'),
    ES384: key('ES384'),
    EdDSA: key('EdDSA'),
  }
}

function newKey(algorithm: Algorithm, kid: string, members: object = {}): RingKey {
  const privateKey = newPrivateKey(algorithm)
  const jwk = { ...createPublicKey(privateKey).export({ format: 'jwk' }), kid, use: 'sig', ...members }
  return { kid, algorithm, privateKey, jwk, signatures: new Map() }
}

function newPrivateKey(algorithm: Algorithm): KeyObject {
  switch (algorithm) {
    case 'RS256':
    case 'PS256':
      return generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey
    case 'ES256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    case 'ES384':
      return generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey
    case 'EdDSA':
      return generateKeyPairSync('ed25519').privateKey
  }
}
