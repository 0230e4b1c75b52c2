/** What a route needs of those who call it, as its guards tell it: for OpenAPI documents and the like. */

import type { ClaimPath, ClaimValue } from '../oauth/claim.js'
import type { Middleware } from './request.js'

export type Requirement =
  /** Somebody who is known; `optionalLogin` lets nobody pass as well. */
  | { readonly kind: 'login' }
  | { readonly kind: 'optionalLogin' }
  | { readonly kind: 'scope'; readonly all: readonly string[] }
  | { readonly kind: 'anyScope'; readonly any: readonly string[] }
  /** Without `path`, a function of the app judges all claims; without `any`, it judges the value. */
  | { readonly kind: 'claim'; readonly path?: ClaimPath; readonly any?: readonly ClaimValue[] }
  /** `maxAge` in seconds. */
  | { readonly kind: 'stepUp'; readonly acr?: readonly string[]; readonly maxAge?: number }

/** A middleware that tells what it needs. */
export interface Guard extends Middleware {
  readonly requirement: Requirement
}

// For all copies of this package in one process; the name alone is one that handlers of other packages may use.
const brand = Symbol.for('express-oauth-kit.guard')

/** Puts a requirement on a middleware, for good. */
export function withRequirement<T extends Middleware>(middleware: T, requirement: Requirement): T & Guard {
  for (const value of Object.values(requirement)) if (Array.isArray(value)) Object.freeze(value)
  Object.defineProperty(middleware, brand, { value: true })
  return Object.defineProperty(middleware, 'requirement', {
    value: Object.freeze(requirement),
    enumerable: true,
  }) as T & Guard
}

/** What these handlers need, lists of handlers included: none for those that are no guards of this package. */
export function requirementsOf(...handlers: readonly unknown[]): Requirement[] {
  const all: readonly unknown[] = handlers.flat(Infinity)
  return all.filter(isGuard).map(({ requirement }) => requirement)
}

function isGuard(handler: unknown): handler is Guard {
  return typeof handler === 'function' && brand in handler
}
