/** A JWT access token at the API that it was issued for (RFC 9068 §4, RFC 8725). */

import { checkTimes } from '../jose/time.js'
import { invalidToken, shownClaim, type Claims, type UnverifiedJwt } from '../jose/jwt.js'
import { sharedScopesIn } from './scope.js'

/** What says that a token is for this API. */
export interface AudienceRule {
  /** `aud`, but for servers that send none. The others play no part. */
  readonly claim: string
  /** A token must be for one of these. */
  readonly values: readonly string[]
}

export const accessTokenProfiles = ['any', 'rfc9068'] as const

/** How much tokens have to say: what is needed to judge them, or all that RFC 9068 wants of them. */
export type AccessTokenProfile = (typeof accessTokenProfiles)[number]

export interface AccessTokenRules {
  /** The `iss` that a token must have, to the letter. */
  readonly issuer: string
  readonly audience: AudienceRule
  readonly profile: AccessTokenProfile
  /** Seconds that clocks may differ. */
  readonly clockTolerance: number
  readonly now: () => number
}

export interface AccessToken {
  readonly claims: Claims
  readonly subject: string | undefined
  readonly clientId: string | undefined
  /** They cannot be changed. */
  readonly scopes: readonly string[]
  /** Seconds since the epoch. */
  readonly expiresAt: number
}

/**
 * Everything about an access token that can be judged without keys: whoever calls this verifies the signature, and whether
 * it is bound to a key (`cnf`). Throws `invalid_token` with the reason.
 */
export function judgeAccessToken(
  { typ, claims }: Pick<UnverifiedJwt, 'typ' | 'claims'>,
  rules: AccessTokenRules,
): AccessToken {
  const { issuer, audience, profile } = rules
  if (claims['iss'] !== issuer) throw unexpected('issuer', 'iss', claims['iss'], [issuer])
  if (typ !== 'at+jwt') refuseOtherKinds(typ, claims, profile)
  const aud = Object.hasOwn(claims, audience.claim) ? claims[audience.claim] : undefined
  if (!isFor(aud, audience.values)) throw unexpected('audience', audience.claim, aud, audience.values)
  const { exp } = checkTimes(claims, rules.now(), rules.clockTolerance)
  const subject = text(claims['sub'])
  if (claims['sub'] !== undefined && subject === undefined) throw missing('sub', claims)
  if (profile === 'rfc9068') refuseIncomplete(claims)
  return {
    claims,
    subject,
    // The client's id by the names that servers give it.
    clientId:
      text(claims['client_id']) ?? text(claims['azp']) ?? text(claims['appid']) ?? text(claims['cid']),
    expiresAt: exp,
    // Not before somebody asks, who has verified the token: to read thousands of words takes longer than a signature does.
    get scopes() {
      // The registered claim (RFC 8693 §4.2) is the last word, also where it is empty: both together could only add up to more.
      return sharedScopesIn(claims['scope'] ?? claims['scp'])
    },
  }
}

/** Claims that ID tokens, logout tokens and DPoP proofs have, and access tokens never. */
const claimsOfOtherKinds = ['nonce', 'at_hash', 'c_hash', 's_hash', 'events', 'htm', 'htu']
/** Claims about a sign-in. ID tokens have them; access tokens may, but those say what they allow, too. */
const claimsOfSignIn = ['auth_time', 'acr', 'amr']
const claimsOfAccess = ['scope', 'scp', 'client_id', 'cid', 'appid', 'roles', 'permissions', 'gty']

/**
 * Many servers sign every kind of JWT with the same key and leave `typ` at `JWT`: an ID token must not open an API
 * (RFC 8725 §3.12). Keycloak and Cognito name the kind in a claim.
 */
function refuseOtherKinds(typ: string | undefined, claims: Claims, profile: AccessTokenProfile): void {
  const has = (name: string) => Object.hasOwn(claims, name)
  const isPlain = typ === undefined || typ === 'jwt'
  if (!isPlain || profile === 'rfc9068') throw unexpected('typ', 'typ', typ, ['at+jwt'])
  const telltale = claimsOfOtherKinds.find(has)
  if (telltale !== undefined) throw otherKind(`it has "${telltale}"`)
  const kinds = [claims['token_use'], claims['typ']].map((kind) => text(kind)?.toLowerCase() ?? '')
  const other = kinds.find((kind) => ['id', 'refresh', 'logout', 'offline'].includes(kind))
  if (other !== undefined) throw otherKind(`it names its kind "${other}"`)
  const isNamed = kinds.some((kind) => ['access', 'bearer'].includes(kind))
  if (!isNamed && claimsOfSignIn.some(has) && !claimsOfAccess.some(has))
    throw otherKind('it tells of a sign-in and of nothing that it allows')
}

function otherKind(because: string) {
  return invalidToken(
    'not_an_access_token',
    `It is an ID token or the like: ${because}. Send the access token.`,
  )
}

/** What RFC 9068 §2.2 wants, apart from `iss`, `aud` and `exp`, without which no token passes. */
function refuseIncomplete(claims: Claims): void {
  for (const name of ['sub', 'client_id', 'jti'])
    if (text(claims[name]) === undefined) throw missing(name, claims)
  if (claims['iat'] === undefined) throw missing('iat', claims)
}

function missing(name: string, claims: Claims) {
  return invalidToken(name, `"${name}" is ${shownClaim(claims[name])}`)
}

function unexpected(reason: string, name: string, value: unknown, expected: readonly string[]) {
  return invalidToken(reason, `"${name}" is ${shownClaim(value)}, expected is one of ${shownClaim(expected)}`)
}

function isFor(aud: unknown, audience: readonly string[]): boolean {
  const presented: unknown[] = Array.isArray(aud) ? aud : [aud]
  return presented.some((one) => typeof one === 'string' && audience.includes(one))
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
