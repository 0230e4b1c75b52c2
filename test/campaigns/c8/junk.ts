/** What is sent to a guard to waste its time: six kinds, none of which needs a signature to be checked. */
import type { Random } from '../support/campaign.js'

/** Headers of one request. */
export type Headers = string

/** By name; each makes a new one. */
export type JunkMakers = Readonly<Record<string, () => Headers>>

export interface Target {
  readonly issuer: string
  readonly audience: string
  /** The name of a key that the issuer has. */
  readonly kid: string
}

const hour = 3_600

export function junkMakers({ issuer, audience, kid }: Target, random: Random): JunkMakers {
  const name = () => Math.floor(random() * 2 ** 48).toString(36)
  const noise = (bytes: number) =>
    Buffer.from(Array.from({ length: bytes }, () => Math.floor(random() * 256))).toString('base64url')
  const now = Math.floor(Date.now() / 1_000)
  const claims = { iss: issuer, aud: audience, iat: now, exp: now + hour, scope: 'read', client_id: 'client' }
  const signature = noise(256)
  const token = (header: object, payload: object) =>
    `${segment({ alg: 'RS256', typ: 'at+jwt', kid, ...header })}.${segment({ ...claims, sub: name(), ...payload })}.${signature}`
  const proof = (nonce: string) =>
    `${segment({ alg: 'ES256', typ: 'dpop+jwt', jwk: { kty: 'EC', crv: 'P-256', x: noise(32), y: noise(32) } })}.${segment({ jti: nonce, htm: 'GET', htu: audience, iat: now })}.${signature.slice(0, 86)}`
  const long = noise(6_100)
  const deep = `${'['.repeat(1_500)}${']'.repeat(1_500)}`
  return {
    'random kid': () => bearer(token({ kid: name() }, {})),
    '8 KB of noise': () => bearer(`${name()}${long}`),
    'deep JSON': () =>
      bearer(`${segment({ alg: 'RS256', kid })}.${segment(`{"n":"${name()}","a":${deep}}`)}.${signature}`),
    'alg none': () => bearer(`${token({ alg: 'none' }, {}).split('.', 2).join('.')}.`),
    'wrong issuer': () => bearer(token({}, { iss: `https://${name()}.example` })),
    DPoP: () => `Authorization: DPoP ${token({}, { cnf: { jkt: name() } })}\r\nDPoP: ${proof(name())}\r\n`,
  }
}

export function bearer(token: string): Headers {
  return `Authorization: Bearer ${token}\r\n`
}

function segment(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
}
