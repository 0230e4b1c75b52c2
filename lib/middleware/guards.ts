/** Route guards: the same for a user with a session and for a request with a bearer token. */

import { OAuthError } from '../errors.js'
import type { Claims } from '../jose/jwt.js'
import { claimAt, hasClaimValue, type ClaimPath, type ClaimValue } from '../oauth/claim.js'
import { insufficientScope, isScopeToken } from '../oauth/scope.js'
import { guard } from './guard.js'
import type { Guard } from './requirement.js'

/** Lets signed-in users and valid tokens through. A page visit goes to the login and back, anything else gets a 401. */
export function requireLogin(): Guard {
  return guard({ kind: 'login' }, () => undefined)
}

/**
 * Lets everybody through, and makes sure of those who are signed in: behind it, `req.auth` is of nobody whose session
 * was ended elsewhere. Where that cannot be known the answer is a 503.
 */
export function optionalLogin(): Guard {
  return guard({ kind: 'optionalLogin' }, () => undefined, true)
}

type Scopes = [string, ...string[]] | [readonly string[]]

/**
 * Lets through who was granted all of these scopes; others get a 403 that names them all (RFC 6750 §3.1). Scopes are
 * whole words: `read` is not `read:projects`. Give them one by one or as an array.
 * Throws `invalid_configuration` for no scope, or for something that is not one.
 */
export function requireScope(...scopes: Scopes): Guard {
  const all = checkedScopes('requireScope', scopes)
  return guard({ kind: 'scope', all }, ({ scopes: granted }, { covers }) =>
    all.every((scope) => covers(granted, scope)) ? undefined : insufficientScope(all, granted),
  )
}

/** The same for who was granted at least one of these scopes. The 403 names them all. */
export function requireAnyScope(...scopes: Scopes): Guard {
  const any = checkedScopes('requireAnyScope', scopes)
  return guard({ kind: 'anyScope', any }, ({ scopes: granted }, { covers }) =>
    any.some((scope) => covers(granted, scope)) ? undefined : insufficientScope(any, granted),
  )
}

function checkedScopes(name: string, scopes: Scopes): readonly string[] {
  const list: readonly unknown[] = scopes.length === 1 && Array.isArray(scopes[0]) ? scopes[0] : scopes
  if (isListOf(list, isScopeToken)) return [...list] // the caller's array may change later
  throw new OAuthError('invalid_configuration', {
    message: `${name}: ${JSON.stringify(scopes)} is not a list of scopes; give each as a string of its own, such as ${name}("read:projects", "write:projects")`,
  })
}

type ClaimJudge = (value: unknown) => boolean
type ClaimsJudge = (claims: Claims) => boolean

/**
 * Lets through whose claim has this value, or one of these; a claim that is a list must have it among its values. A
 * string is compared as a whole, `admin` is not in `"admin user"`. A function gets the value and says `true`; it is not
 * asked about a claim that is missing, which refuses. The path is the name of a claim, or the way to one inside another:
 * `'realm_access.roles'`, `['resource_access', 'my.api', 'roles']`. With a function alone, that judges all claims.
 *
 * Others get a 403 (RFC 6750 §3.1). A function's error goes to the app's error handler; `true` alone lets through.
 * Throws `invalid_configuration` for values that could never be met.
 */
export function requireClaim(
  path: ClaimPath,
  expected: ClaimValue | readonly ClaimValue[] | ClaimJudge,
): Guard
export function requireClaim(judge: ClaimsJudge): Guard
export function requireClaim(...options: readonly unknown[]): Guard {
  const [path, expected] = options
  if (options.length === 1 && typeof path === 'function') {
    const judge = path as ClaimsJudge
    return guard({ kind: 'claim' }, ({ claims }) =>
      verdict(judge(claims)) ? undefined : insufficientClaim('requireClaim(judge) said no.'),
    )
  }
  if (options.length !== 2 || !isClaimPath(path)) throw noClaim()
  const name: ClaimPath = typeof path === 'string' ? path : [...path]
  const hint = `Needed: the right value of the claim ${JSON.stringify(name)}.`
  if (typeof expected === 'function') {
    const judge = expected as ClaimJudge
    return guard({ kind: 'claim', path: name }, ({ claims }) => {
      const value = claimAt(claims, name)
      return value !== undefined && verdict(judge(value)) ? undefined : insufficientClaim(hint)
    })
  }
  const values: unknown = Array.isArray(expected) ? [...(expected as unknown[])] : [expected]
  if (!isListOf(values, isClaimValue)) throw noClaim()
  return guard({ kind: 'claim', path: name, any: values }, ({ claims }) =>
    hasClaimValue(claimAt(claims, name), values) ? undefined : insufficientClaim(hint),
  )
}

/** What a function of the app said. A promise would be a yes to whoever asks for truth, and its answer comes too late. */
function verdict(said: unknown): boolean {
  if (!(said instanceof Object && 'then' in said)) return said === true
  if (said instanceof Promise) said.catch(() => undefined)
  throw new OAuthError('invalid_configuration', {
    message:
      'requireClaim: the function gave a promise, which nobody waits for; look up what it needs in a middleware before',
  })
}

function insufficientClaim(hint: string): OAuthError {
  return new OAuthError('insufficient_scope', { reason: 'claim', hint })
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function isClaimPath(value: unknown): value is ClaimPath {
  return isName(value) || isListOf(value, isName)
}

function isClaimValue(value: unknown): value is ClaimValue {
  return isName(value) || typeof value === 'boolean' || Number.isFinite(value)
}

function isListOf<T>(values: unknown, isOne: (value: unknown) => value is T): values is readonly T[] {
  return Array.isArray(values) && values.length > 0 && values.every(isOne)
}

function noClaim(): OAuthError {
  return new OAuthError('invalid_configuration', {
    message:
      'requireClaim: give a claim and what it must be, such as requireClaim("roles", "admin"), a list of such values, or a function; or one function of all claims',
  })
}
