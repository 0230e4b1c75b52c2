/** How the client proves who it is at the token endpoint (RFC 6749 §2.3, OpenID Connect Core §9). */

import { createPrivateKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { importJWK, type CryptoKey } from 'jose'
import { None, PrivateKeyJwt, type ClientAuth } from 'openid-client'
import { OAuthError } from '../errors.js'
import type { Algorithm } from '../jose/jwt.js'
import type { ClientSecret } from './client-secret.js'
import type { ServerMetadata } from './server-metadata.js'

export const tokenEndpointAuthMethods = [
  'client_secret_basic',
  'client_secret_post',
  'private_key_jwt',
  'none',
] as const

/** By its name in the registry of RFC 7591 §2. */
export type TokenEndpointAuthMethod = (typeof tokenEndpointAuthMethods)[number]

/** A signing key for `private_key_jwt`. */
export interface ClientKey {
  /** PEM (PKCS #8), a JWK, or a `KeyObject`. */
  key: string | JsonWebKey | KeyObject
  /** The name of the public key in the set registered at the server. Default: the JWK's own. */
  kid?: string
  /** Default: what fits the key (RS256, ES256, ES384, ES512, EdDSA). */
  alg?: Algorithm
}

export interface ClientCredentials {
  clientSecret?: ClientSecret
  privateKey?: ClientKey
  method?: TokenEndpointAuthMethod
}

/**
 * The method configured, else the first that fits both the credentials and the server's metadata. It is never changed
 * after a refusal: a server that refuses one method would otherwise be sent the secret in another.
 */
export function clientAuthMethod(
  credentials: ClientCredentials,
  metadata: ServerMetadata,
): TokenEndpointAuthMethod {
  if (credentials.method) return credentials.method
  if (credentials.privateKey) return 'private_key_jwt'
  if (credentials.clientSecret === undefined) return 'none'
  // OpenID Connect Discovery §3: a server that names no method supports client_secret_basic.
  const supported = metadata.token_endpoint_auth_methods_supported ?? ['client_secret_basic']
  const method = (['client_secret_basic', 'client_secret_post'] as const).find((one) =>
    supported.includes(one),
  )
  if (method) return method
  throw new OAuthError('invalid_configuration', {
    message: `the server takes a client secret by none of the supported ways; it names ${supported.join(', ')}`,
    hint: 'Set the option "tokenEndpointAuthMethod", or use "privateKey" where the server asks for private_key_jwt.',
  })
}

/** openid-client's strategy for a method. */
export function clientAuthentication(
  method: TokenEndpointAuthMethod,
  { secret = '', privateKey }: { secret?: string | undefined; privateKey?: ClientKey | undefined },
): ClientAuth {
  switch (method) {
    case 'none':
      return None()
    case 'client_secret_basic':
      return clientSecretBasic(secret)
    case 'client_secret_post':
      return (_server, client, body) => {
        body.set('client_id', client.client_id)
        body.set('client_secret', secret)
      }
    case 'private_key_jwt':
      return privateKeyJwt(privateKey)
  }
}

/**
 * RFC 6749 §2.3.1 has both values form-encoded. `-._~` are left alone: many servers compare undecoded, and with
 * openid-client's own method every client id with a dash fails there.
 */
function clientSecretBasic(secret: string): ClientAuth {
  return (_server, client, _body, headers) => {
    const credentials = `${formEncoded(client.client_id)}:${formEncoded(secret)}`
    headers.set('authorization', `Basic ${Buffer.from(credentials).toString('base64')}`)
  }
}

function formEncoded(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+')
}

/** The assertion's `aud` is the issuer as one string, so that no other server can use it (oauth4webapi's default). */
function privateKeyJwt(clientKey: ClientKey | undefined): ClientAuth {
  if (!clientKey) throw new TypeError('a private key is needed')
  const { key, alg, kid } = signingKey(clientKey)
  // oxlint-disable-next-line typescript/no-misused-promises -- typed as void, and awaited by openid-client
  return async (...request) => {
    const imported = (await importJWK(key.export({ format: 'jwk' }), alg)) as CryptoKey // a private key is never bytes
    // oxlint-disable-next-line typescript/await-thenable -- typed as void, and a promise for this method of authentication
    await PrivateKeyJwt({ key: imported, ...(kid !== undefined && { kid }) })(...request)
  }
}

/** Reads the key; throws a `TypeError` or Node's own error when it is none or serves no known algorithm. */
export function signingKey(clientKey: ClientKey): { key: KeyObject; alg: Algorithm; kid?: string } {
  const key = keyObject(clientKey.key)
  const fitting = algorithmsOf(key)
  const [byDefault] = fitting
  const alg = clientKey.alg ?? byDefault
  if (key.type !== 'private' || alg === undefined || !fitting.includes(alg)) {
    throw new TypeError(`a ${key.type} key of type ${key.asymmetricKeyType} does not sign with ${alg}`)
  }
  const kid = clientKey.kid ?? kidOf(clientKey.key)
  return { key, alg, ...(kid !== undefined && { kid }) }
}

function keyObject(key: ClientKey['key']): KeyObject {
  if (typeof key === 'string') return createPrivateKey(key)
  return 'kty' in key ? createPrivateKey({ key, format: 'jwk' }) : (key as KeyObject)
}

function kidOf(key: ClientKey['key']): string | undefined {
  const kid = typeof key === 'object' && 'kid' in key ? key.kid : undefined
  return typeof kid === 'string' ? kid : undefined
}

/** The default first. */
function algorithmsOf(key: KeyObject): Algorithm[] {
  const curve = key.asymmetricKeyDetails?.namedCurve
  const byCurve: Record<string, Algorithm> = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' }
  if (key.asymmetricKeyType === 'rsa') return ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
  if (key.asymmetricKeyType === 'ed25519') return ['EdDSA', 'Ed25519']
  const algorithm = curve === undefined ? undefined : byCurve[curve]
  return algorithm === undefined ? [] : [algorithm]
}
