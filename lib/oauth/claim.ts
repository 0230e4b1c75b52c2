/** One claim of a token or a session: found by its name or its path, and compared with what is wanted. */

import type { Claims } from '../jose/jwt.js'

/**
 * The name of a claim, or the way to one inside another: `'realm_access.roles'`. A list is such a way, too, and needed
 * where a name on it has a dot: `['resource_access', 'my.api', 'roles']`.
 */
export type ClaimPath = string | readonly string[]

export type ClaimValue = string | number | boolean

/**
 * The value; nothing when the claim is missing or `null`. A claim of exactly this name goes before a path: names are
 * often URLs, which have dots. Only what the claims themselves hold is found, never what all objects have.
 */
export function claimAt(claims: Claims, path: ClaimPath): unknown {
  if (typeof path !== 'string') return valueAlong(claims, path)
  return memberOf(claims, path) ?? valueAlong(claims, path.split('.'))
}

function valueAlong(claims: Claims, names: readonly string[]): unknown {
  let value: unknown = claims
  for (const name of names) value = memberOf(value, name)
  return value
}

function memberOf(value: unknown, name: string): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined
  return Object.hasOwn(value, name) ? ((value as Claims)[name] ?? undefined) : undefined
}

/** Whether a claim is one of these values, or a list with one of them. A string is never looked into. */
export function hasClaimValue(claim: unknown, expected: readonly ClaimValue[]): boolean {
  const values: readonly unknown[] = Array.isArray(claim) ? claim : [claim]
  return values.some((value) => expected.some((one) => one === value))
}
