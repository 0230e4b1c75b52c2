/**
 * Why verifiers that are right may differ: each class with where it is written. A difference is of a class only when the token
 * itself shows that it is; what a verifier says of it does not suffice.
 */
import { isUtf8 } from 'node:buffer'
import { audience } from './draft.js'
import type { Reading } from './reading.js'
import type { Peer } from './verifiers.js'

interface DifferenceClass {
  readonly name: string
  /** Whether the token is such a one. */
  shows(reading: Reading, situation: Situation): boolean
}

/** We refuse what others accept. */
interface Stricter extends DifferenceClass {
  /** What our refusal says; any other is not explained. */
  readonly reasons: readonly string[]
  /** Some such tokens are good: what shows is not all that is looked at. */
  readonly mayBeGood?: true
}

/** We accept what others refuse. */
interface Milder extends DifferenceClass {
  readonly peers: readonly Peer[]
}

export interface Situation {
  readonly issuer: string
  /** Seconds since the epoch, fractions included. */
  readonly now: number
  readonly clockTolerance: number
}

const accessTypes = ['at+jwt', 'application/at+jwt']

export const stricter: readonly Stricter[] = [
  {
    name: 'a part is not the one spelling of its bytes (RFC 7515 §2, RFC 4648 §3.5)',
    reasons: ['encoding'],
    shows: ({ segments }) =>
      segments.some(
        (one) => one !== Buffer.from(one.replaceAll(/[^\w-]/g, ''), 'base64url').toString('base64url'),
      ),
  },
  {
    name: 'a byte order mark before JSON (RFC 8259 §8.1)',
    reasons: ['not_a_jwt'],
    shows: ({ bytes }) => bytes.some((one) => one.subarray(0, 3).equals(Buffer.from('\uFEFF'))),
  },
  {
    name: 'crit or b64, whatever they say (RFC 7515 §4.1.11, RFC 7797 §6)',
    reasons: ['crit'],
    shows: ({ header }) => header['crit'] !== undefined || header['b64'] !== undefined,
  },
  {
    name: 'a typ of another kind of JWT, or none that is a text (RFC 8725 §3.11)',
    reasons: ['typ'],
    shows: ({ header: { typ } }) =>
      typ !== undefined &&
      !(typeof typ === 'string' && /^(application\/)?(at\+)?jwt$/i.test(typ) && !typ.includes('\u212A')),
  },
  {
    name: 'a name of a key that is no text (RFC 7515 §4.1.4)',
    reasons: ['kid'],
    shows: ({ header: { kid } }) => kid !== undefined && typeof kid !== 'string',
  },
  {
    name: 'bytes that are no UTF-8 (RFC 7515 §5.2, RFC 7519 §7.2)',
    reasons: ['not_a_jwt', 'signature'],
    shows: ({ bytes }) => !bytes.every(isUtf8),
  },
  {
    name: 'more lists and objects than any token has',
    reasons: ['not_a_jwt'],
    mayBeGood: true,
    shows: ({ bytes }) => bytes.some((one) => (one.toString('latin1').match(/[[{]/g)?.length ?? 0) > 1_000),
  },
  {
    name: 'a key for another algorithm (RFC 7517 §4.4)',
    reasons: ['unknown_key'],
    shows: ({ header: { alg, kid } }) =>
      (kid === 'rs256' && alg !== 'RS256') || (kid === 'es256' && alg !== 'ES256'),
  },
  {
    name: 'two keys of the name that the token gives (RFC 7517 §4.5)',
    reasons: ['unknown_key'],
    shows: ({ header: { kid } }) => kid === 'twin',
  },
  {
    name: 'not of the issuer (RFC 9068 §4)',
    reasons: ['issuer'],
    shows: ({ claims: { iss } }, { issuer }) => iss !== issuer,
  },
  {
    name: 'not for this API (RFC 9068 §4)',
    reasons: ['audience'],
    shows: ({ claims: { aud } }) => ![aud].flat().includes(audience),
  },
  {
    name: 'no end that is a time (RFC 9068 §2.2, RFC 7519 §2)',
    reasons: ['exp'],
    shows: ({ claims: { exp } }) => !isTime(exp),
  },
  {
    name: 'a begin that is no time, or to come by less than a second (RFC 7519 §4.1.5)',
    reasons: ['nbf'],
    shows: ({ claims: { nbf } }, { now, clockTolerance }) =>
      nbf !== undefined && !(isTime(nbf) && nbf <= Math.floor(now) + clockTolerance),
  },
  {
    name: 'an issue that is no time, or to come (RFC 7519 §4.1.6)',
    reasons: ['iat'],
    shows: ({ claims: { iat } }, { now, clockTolerance }) =>
      iat !== undefined && !(isTime(iat) && iat <= Math.floor(now) + clockTolerance),
  },
  {
    name: 'a subject that is no text (RFC 7519 §4.1.2)',
    reasons: ['sub'],
    shows: ({ claims: { sub } }) => sub !== undefined && (typeof sub !== 'string' || sub === ''),
  },
  {
    name: 'an ID token, a logout token or a proof (RFC 8725 §3.12)',
    reasons: ['not_an_access_token'],
    mayBeGood: true,
    shows: ({ header: { typ }, claims }) =>
      !accessTypes.includes(String(typ).toLowerCase()) &&
      [
        'nonce',
        'at_hash',
        'c_hash',
        's_hash',
        'events',
        'htm',
        'htu',
        'auth_time',
        'acr',
        'amr',
        'token_use',
        'typ',
      ].some((name) => Object.hasOwn(claims, name)),
  },
  {
    name: 'bound to a key that nobody showed (RFC 9449 §7.1, RFC 8705 §3)',
    reasons: ['sender_constrained'],
    shows: ({ claims }) => claims['cnf'] !== undefined,
  },
]

export const milder: readonly Milder[] = [
  {
    name: 'not all that RFC 9068 wants',
    peers: ['oauth4webapi'],
    shows: ({ header: { typ }, claims }) =>
      !accessTypes.includes(String(typ).toLowerCase()) ||
      ['sub', 'jti', 'client_id'].some((name) => typeof claims[name] !== 'string') ||
      claims['iat'] === undefined,
  },
  {
    name: 'no key is named, and several may have signed (RFC 7515 §4.1.4)',
    peers: ['oauth4webapi', 'express-oauth2-jwt-bearer', 'fast-jwt'],
    shows: ({ header }) => header['kid'] === undefined,
  },
  {
    name: 'the algorithm Ed25519 by its newer name (RFC 9864 §2.2)',
    peers: ['express-oauth2-jwt-bearer', 'fast-jwt'],
    shows: ({ header }) => header['alg'] === 'Ed25519',
  },
  {
    name: 'a claim of RFC 9068 that is no text, and that nobody asked for',
    peers: ['express-oauth2-jwt-bearer'],
    shows: ({ claims }) =>
      ['jti', 'client_id'].some((name) => claims[name] !== undefined && typeof claims[name] !== 'string'),
  },
  {
    name: 'for this API, and for something that is no text',
    peers: ['fast-jwt'],
    shows: ({ claims: { aud } }) => Array.isArray(aud) && aud.some((one) => typeof one !== 'string'),
  },
  {
    name: 'within a second of its end or begin, of which we count whole ones',
    peers: ['fast-jwt'],
    shows: ({ claims: { exp, nbf } }, { now, clockTolerance }) =>
      [Number(exp) + clockTolerance, Number(nbf) - clockTolerance].some((edge) => Math.abs(edge - now) < 1),
  },
]

/** Of which classes a token is that must be refused, whatever others do. */
export function mustBeRefused(reading: Reading, situation: Situation): string[] {
  return stricter.filter((one) => !one.mayBeGood && one.shows(reading, situation)).map(({ name }) => name)
}

export function explained(
  reading: Reading,
  situation: Situation,
  refusal: string | undefined,
  peer: Peer,
): string | undefined {
  const found =
    refusal === undefined
      ? milder.find((one) => one.peers.includes(peer) && one.shows(reading, situation))
      : stricter.find((one) => one.reasons.includes(refusal) && one.shows(reading, situation))
  return found?.name
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER
}
