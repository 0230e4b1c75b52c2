/** An authorization server as a guard sees it: metadata, keys, and whatever tokens somebody makes in its name. */
import { constants, createHmac, KeyObject, sign, type SignKeyObjectInput } from 'node:crypto'
import type { JWK } from 'jose'
import { json, type Answer } from '../../support/faulty-server/answer.js'
import { newSigningKey, type SigningKey } from '../../support/faulty-server/signing-key.js'
import { startLocalServer } from '../../oauth/local-server.js'

export const audience = 'https://api.example.com'

/** What is put into a header or a payload; `undefined` leaves a member out. */
export type Members = Readonly<Record<string, unknown>>
export type Signer = (input: string) => Buffer

export interface Issuer {
  readonly url: string
  /** Its keys; the first signs. */
  keys: SigningKey[]
  /** What it publishes. Default: the public halves of its keys. */
  publishes(): readonly unknown[]
  metadata(): Members
  answerKeys(): Answer
  /** Method and path of each request. */
  readonly requests: readonly string[]
  /** How often the key set was asked for. */
  readonly keyFetches: number
  /** A good token, but for these members. */
  token(claims?: Members, header?: Members, signer?: Signer): string
}

export async function startIssuer(): Promise<Issuer> {
  const server = await startLocalServer((path) =>
    path === '/keys' ? issuer.answerKeys() : path === discoveryPath ? json(issuer.metadata()) : json({}, 404),
  )
  const issuer: Issuer = {
    url: server.url,
    keys: [await newSigningKey()],
    publishes: () => issuer.keys.map(({ publicJwk }) => publicJwk),
    metadata: () => ({ issuer: server.url, jwks_uri: `${server.url}/keys` }),
    answerKeys: () => json({ keys: issuer.publishes() }, 200, { 'cache-control': 'max-age=600' }),
    requests: server.requests,
    get keyFetches() {
      return server.requests.filter((request) => request === 'GET /keys').length
    },
    token: (claims = {}, header = {}, signer = rs256(firstKey(issuer))) =>
      compactJws(
        { alg: 'RS256', kid: firstKey(issuer).kid, typ: 'at+jwt', ...header },
        {
          iss: server.url,
          sub: 'user-1',
          aud: audience,
          client_id: 'client-1',
          scope: 'read:projects',
          iat: seconds(),
          exp: seconds() + 300,
          ...claims,
        },
        signer,
      ),
  }
  return issuer
}

const discoveryPath = '/.well-known/openid-configuration'

export function firstKey({ keys }: Issuer): SigningKey {
  const [key] = keys
  if (!key) throw new Error('the issuer has no key')
  return key
}

/** Now, as tokens count. */
export function seconds(): number {
  return Math.floor(Date.now() / 1000)
}

/** By hand, because libraries refuse to make what an attacker makes. */
export function compactJws(header: unknown, payload: unknown, signer: Signer): string {
  const input = `${segment(header)}.${segment(payload)}`
  return `${input}.${signer(input).toString('base64url')}`
}

export function segment(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
}

export function privateKeyOf(key: SigningKey): KeyObject {
  return KeyObject.from(key.privateKey)
}

export function rs256(key: SigningKey | KeyObject): Signer {
  const privateKey = key instanceof KeyObject ? key : privateKeyOf(key)
  return (input) => sign('sha256', Buffer.from(input), privateKey)
}

export function ps256(key: SigningKey): Signer {
  const options: SignKeyObjectInput = {
    key: privateKeyOf(key),
    padding: constants.RSA_PKCS1_PSS_PADDING,
    saltLength: 32,
  }
  return (input) => sign('sha256', Buffer.from(input), options)
}

export function ecdsa(hash: string, key: KeyObject): Signer {
  return (input) => sign(hash, Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' })
}

export function hmac(hash: string, secret: string | Buffer): Signer {
  return (input) => createHmac(hash, secret).update(input).digest()
}

export const unsigned: Signer = () => Buffer.alloc(0)

export function jwkOf(key: KeyObject, members: Members = {}): JWK {
  return { ...(key.export({ format: 'jwk' }) as JWK), ...members }
}
