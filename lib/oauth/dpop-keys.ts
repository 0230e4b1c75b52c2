/** The keys that a client has its tokens bound to: which one new tokens get, and which one a token has (RFC 9449 §5). */

import { createECDH, createPrivateKey } from 'node:crypto'
import type { Configuration, DPoPOptions } from 'openid-client'
import { OAuthError } from '../errors.js'
import { derivedBytes } from '../seal.js'
import { dpopKey, proofAlgorithm, type DPoPKey } from './dpop-key.js'
import type { ServerMetadata } from './server-metadata.js'

export interface DPoPKeys {
  /** The key of new tokens; nothing when they are to be bearer tokens. */
  readonly current: DPoPKey | undefined
  /** The key that a token names as its own (`jkt`), as far as it is still one of ours. */
  named(thumbprint: string | undefined): DPoPKey | undefined
}

/** Of a client that wants bearer tokens and has no others. */
export const noDPoPKeys: DPoPKeys = { current: undefined, named: () => undefined }

/** One key for all tokens. */
export function oneDPoPKey(key: DPoPKey): DPoPKeys {
  return { current: key, named: (thumbprint) => (thumbprint === key.thumbprint ? key : undefined) }
}

export interface DerivedDPoPKeysOptions {
  /** What the keys are for, so that the same secrets give others elsewhere. */
  purpose: string
  /** Whether new tokens are to be bound. Those that are stay so, also when the app has changed its mind. */
  isWanted: boolean
  now: () => number
}

/**
 * One key per secret: the first is the key of new tokens, the others serve tokens from before. They are computed from the
 * secrets and kept nowhere, so all instances have them, and a stolen cookie or store has none of them. A key for each
 * session would have to be kept beside its tokens, sealed by the very same secrets: whoever can open those tokens could use
 * them, too, and whoever copies a cookie would have the key in it.
 */
export function derivedDPoPKeys(
  secrets: readonly string[],
  { purpose, isWanted, now }: DerivedDPoPKeysOptions,
): DPoPKeys {
  let derived: readonly DPoPKey[] | undefined
  const keys = () => (derived ??= secrets.map((secret) => derivedKey(secret, purpose, now)))
  return {
    current: isWanted ? keys()[0] : undefined,
    named(thumbprint) {
      if (thumbprint === undefined) return undefined
      return keys().find((key) => key.thumbprint === thumbprint)
    },
  }
}

/** The order of P-256 (SP 800-186 §3.2.1.3). */
const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
/** 64 bits more than the order has, so that the remainder prefers no key (FIPS 186-5 §A.2.1). */
const seedLength = 40

function derivedKey(secret: string, purpose: string, now: () => number): DPoPKey {
  const seed = BigInt(`0x${derivedBytes(secret, purpose, seedLength).toString('hex')}`)
  const scalar = Buffer.from(((seed % (order - 1n)) + 1n).toString(16).padStart(64, '0'), 'hex')
  const curve = createECDH('prime256v1')
  curve.setPrivateKey(scalar)
  const point = curve.getPublicKey() // 0x04, x, y
  const jwk = {
    kty: 'EC',
    crv: 'P-256',
    d: scalar.toString('base64url'),
    x: point.subarray(1, 33).toString('base64url'),
    y: point.subarray(33).toString('base64url'),
  }
  return dpopKey(createPrivateKey({ key: jwk, format: 'jwk' }), now)
}

/** openid-client's option for a request that proves this key. Throws as {@link checkProofsAreTaken}. */
export async function proving(
  key: DPoPKey | undefined,
  metadata: ServerMetadata,
  configuration: Configuration,
): Promise<DPoPOptions | undefined> {
  if (!key) return undefined
  checkProofsAreTaken(metadata)
  return { DPoP: await key.handle(configuration) }
}

/** Throws `invalid_server_metadata` when the server says that it takes no proofs like ours. Many say nothing. */
export function checkProofsAreTaken({ issuer, dpop_signing_alg_values_supported }: ServerMetadata): void {
  const supported: unknown = dpop_signing_alg_values_supported
  if (supported === undefined || (Array.isArray(supported) && supported.includes(proofAlgorithm))) return
  throw new OAuthError('invalid_server_metadata', {
    message: `the metadata of ${issuer} does not have ${proofAlgorithm} in "dpop_signing_alg_values_supported"`,
    reason: 'dpop_algorithm',
    hint: `Allow DPoP proofs with ${proofAlgorithm} at the server, or leave the option "dpop" out.`,
  })
}
