/** Access tokens as servers make them, in any number, and what is sent in their place to waste a guard's time. */
import {
  createPrivateKey,
  generateKeyPairSync,
  randomBytes,
  randomUUID,
  sign,
  type KeyObject,
} from 'node:crypto'

export const algorithms = ['RS256', 'ES256', 'EdDSA'] as const
export type Algorithm = (typeof algorithms)[number]

/** The private key of each algorithm as JWK, so that it can be handed to another process. */
export type Keys = Readonly<Record<Algorithm, Readonly<Record<string, unknown>>>>

export const audience = 'https://api.example.com'
export const scope = 'read:projects'

export function newKeys(): Keys {
  return {
    RS256: jwk('RS256', generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey),
    ES256: jwk('ES256', generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey),
    EdDSA: jwk('EdDSA', generateKeyPairSync('ed25519').privateKey),
  }
}

function jwk(alg: Algorithm, key: KeyObject): Record<string, unknown> {
  return { ...key.export({ format: 'jwk' }), kid: `${alg}-${randomUUID()}`, alg, use: 'sig' }
}

/** What the authorization server publishes. */
export function publicJwks(keys: Keys): { keys: Record<string, unknown>[] } {
  const isPublic = ([member]: [string, unknown]) => !['d', 'p', 'q', 'dp', 'dq', 'qi'].includes(member)
  return { keys: Object.values(keys).map((key) => Object.fromEntries(Object.entries(key).filter(isPublic))) }
}

export interface TokenMaker {
  /** One more good token, of another user than those before. */
  next(): string
}

const day = 86_400

export function tokenMaker(issuer: string, algorithm: Algorithm, keys: Keys): TokenMaker {
  const { kid } = keys[algorithm]
  const key = createPrivateKey({ key: keys[algorithm], format: 'jwk' })
  const header = segment({ alg: algorithm, typ: 'at+jwt', kid })
  const now = Math.floor(Date.now() / 1_000)
  return {
    next() {
      const claims = {
        iss: issuer,
        sub: `auth0|${randomUUID()}`,
        aud: [audience, `${issuer}/userinfo`],
        iat: now,
        exp: now + day,
        scope: `openid profile email ${scope} write:projects`,
        client_id: 'kZ2f8mVtqY0x5b7NnRwLcA1sJd4hGe9u',
        jti: randomUUID(),
        roles: ['editor', 'billing'],
        tenant: 'tenant-4711',
      }
      const input = `${header}.${segment(claims)}`
      const hash = algorithm === 'EdDSA' ? null : 'sha256'
      const signature = sign(hash, Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' })
      return `${input}.${signature.toString('base64url')}`
    },
  }
}

/** By name; each makes a new one. All but the DPoP proof and the wrong signature can be refused without a key. */
export function junkMakers(issuer: string, keys: Keys): Record<string, () => string> {
  const good = tokenMaker(issuer, 'RS256', keys)
  const { kid } = keys.RS256
  const noise = (bytes: number) => randomBytes(bytes).toString('base64url')
  const token = (header: object, claims: object) =>
    `${segment({ alg: 'RS256', typ: 'at+jwt', kid, ...header })}.${segment({ ...claimsOf(good.next()), ...claims })}.${noise(256)}`
  const deep = `${'['.repeat(1_500)}${']'.repeat(1_500)}`
  return {
    'random kid': () => token({ kid: randomUUID() }, {}),
    '8 KB of noise': () => noise(6_100),
    'deep JSON': () =>
      `${segment({ alg: 'RS256', kid })}.${segment(`{"n":${Math.random()},"a":${deep}}`)}.${noise(256)}`,
    'alg none': () => `${token({ alg: 'none' }, {}).split('.').slice(0, 2).join('.')}.`,
    'wrong issuer': () => token({}, { iss: `https://${randomUUID()}.example` }),
    'DPoP proof': () => token({ typ: 'dpop+jwt', jwk: { kty: 'EC' } }, { htm: 'GET', htu: audience }),
  }
}

function segment(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
}

function claimsOf(token: string): object {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as object
}
