/** A JWT access token at the API that it was issued for (RFC 9068 §4, RFC 8725). */

import { checkTimes } from '../jose/time.js'
import { invalidToken, type Claims, type UnverifiedJwt } from '../jose/jwt.js'
import { scopesIn } from './scope.js'

export interface AccessTokenRules {
  /** The `iss` that a token must have, to the letter. */
  readonly issuer: string
  /** A token must be for one of these. */
  readonly audience: readonly string[]
  /** Seconds that clocks may differ. */
  readonly clockTolerance: number
  readonly now: () => number
}

export interface AccessToken {
  readonly claims: Claims
  readonly subject: string | undefined
  readonly clientId: string | undefined
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
  if (claims['iss'] !== rules.issuer) throw invalidToken('issuer')
  if (typ !== 'at+jwt') refuseOtherKinds(typ, claims)
  if (!isFor(claims['aud'], rules.audience)) throw invalidToken('audience')
  const { exp } = checkTimes(claims, rules.now(), rules.clockTolerance)
  const subject = text(claims['sub'])
  if (claims['sub'] !== undefined && subject === undefined) throw invalidToken('sub')
  return {
    claims,
    subject,
    // The client's id by the names that servers give it.
    clientId:
      text(claims['client_id']) ?? text(claims['azp']) ?? text(claims['appid']) ?? text(claims['cid']),
    scopes: scopesIn(claims['scope'] ?? claims['scp']),
    expiresAt: exp,
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
function refuseOtherKinds(typ: string | undefined, claims: Claims): void {
  const has = (name: string) => Object.hasOwn(claims, name)
  if (typ !== undefined && typ !== 'jwt') throw invalidToken('typ')
  if (claimsOfOtherKinds.some(has)) throw invalidToken('not_an_access_token')
  const kinds = [claims['token_use'], claims['typ']].map((kind) => String(kind).toLowerCase())
  if (kinds.some((kind) => ['id', 'refresh', 'logout', 'offline'].includes(kind)))
    throw invalidToken('not_an_access_token')
  const isNamed = kinds.some((kind) => ['access', 'bearer'].includes(kind))
  if (!isNamed && claimsOfSignIn.some(has) && !claimsOfAccess.some(has))
    throw invalidToken('not_an_access_token')
}

function isFor(aud: unknown, audience: readonly string[]): boolean {
  const presented: unknown[] = Array.isArray(aud) ? aud : [aud]
  return presented.some((one) => typeof one === 'string' && audience.includes(one))
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
