/** A key of ours that access tokens are bound to, and the proofs that we have it (RFC 9449 §4). */

import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  webcrypto,
  type KeyObject,
} from 'node:crypto'
import { getDPoPHandle, type Configuration, type DPoPHandle } from 'openid-client'

/** The algorithm of all proofs. Servers that know DPoP know it. */
export const proofAlgorithm = 'ES256'

/** A request with an access token, as a proof names it. */
export interface RequestToProve {
  readonly method: string
  readonly url: string
  readonly accessToken: string
  /** The newest nonce of whoever the request is for. */
  readonly nonce: string | undefined
}

export interface DPoPKey {
  /** The name of the public key in tokens that are bound to it: `jkt` (RFC 9449 §6.1, RFC 7638). */
  readonly thumbprint: string
  /** A proof for one request. Synchronous, so that it stands beside the token in one list of headers. */
  proof(request: RequestToProve): string
  /**
   * openid-client's way to the same, which remembers the nonces of an authorization server. Each configuration has its own,
   * so that those of the token endpoint and of userinfo, which is a resource server, are kept apart (RFC 9449 §8.2).
   */
  handle(configuration: Configuration): Promise<DPoPHandle>
}

/** A key that lives as long as this process. */
export function newDPoPKey(now: () => number): DPoPKey {
  return dpopKey(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, now)
}

/** `privateKey` is on P-256; `now` gives seconds since the epoch. */
export function dpopKey(privateKey: KeyObject, now: () => number): DPoPKey {
  const publicKey = createPublicKey(privateKey)
  const { crv, kty, x, y } = publicKey.export({ format: 'jwk' })
  const jwk = { crv, kty, x, y } // in the order of their names, which the thumbprint needs
  const header = encoded({ typ: 'dpop+jwt', alg: proofAlgorithm, jwk })
  const handles = new WeakMap<Configuration, Promise<DPoPHandle>>()
  let pair: Promise<webcrypto.CryptoKeyPair> | undefined

  return {
    thumbprint: digest(JSON.stringify(jwk)),
    proof({ method, url, accessToken, nonce }) {
      // As it is spelled on the wire: some servers compare to the letter, and whoever normalises takes this as well.
      const { origin, pathname } = new URL(url)
      const claims = encoded({
        jti: randomBytes(16).toString('base64url'),
        htm: method,
        htu: origin + pathname,
        iat: now(),
        ath: digest(accessToken),
        nonce,
      })
      const content = `${header}.${claims}`
      const signature = sign('sha256', Buffer.from(content), { key: privateKey, dsaEncoding: 'ieee-p1363' })
      return `${content}.${signature.toString('base64url')}`
    },
    handle(configuration) {
      const known = handles.get(configuration)
      if (known) return known
      pair ??= webCryptoPair(privateKey, publicKey)
      const made = pair.then((keys) => getDPoPHandle(configuration, keys))
      handles.set(configuration, made)
      return made
    },
  }
}

async function webCryptoPair(privateKey: KeyObject, publicKey: KeyObject): Promise<webcrypto.CryptoKeyPair> {
  const { subtle } = webcrypto
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }
  const pkcs8 = privateKey.export({ format: 'der', type: 'pkcs8' })
  const spki = publicKey.export({ format: 'der', type: 'spki' })
  return {
    privateKey: await subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign']),
    publicKey: await subtle.importKey('spki', spki, algorithm, true, ['verify']),
  }
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
