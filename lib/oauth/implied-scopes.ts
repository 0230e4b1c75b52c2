/** Scopes that contain others, as an application says. Servers know nothing of it: a token has what it was granted. */

import type { OptionChecks } from '../options.js'
import { isScopeToken } from './scope.js'

/** By scope, the scopes that whoever has it has as well: `{ admin: ['read:projects', 'write:projects'] }`. */
export type ImpliedScopes = Readonly<Record<string, readonly string[]>>

/** Whether one of the granted scopes is this one, or implies it. */
export type CoversScope = (granted: readonly string[], scope: string) => boolean

export function checkedImpliedScopes(implied: ImpliedScopes | undefined, check: OptionChecks): CoversScope {
  if (implied === undefined) return (granted, scope) => granted.includes(scope)
  const scopes = new Map(impliedIn(implied, check))
  /** Worked out once and the other way round, as it is asked for. */
  const implying = new Map<string, Set<string>>()
  for (const scope of scopes.keys()) {
    for (const one of closure(scope, scopes)) implying.set(one, (implying.get(one) ?? new Set()).add(scope))
  }
  return (granted, scope) => {
    if (granted.includes(scope)) return true
    const others = implying.get(scope)
    return others !== undefined && granted.some((one) => others.has(one))
  }
}

function impliedIn(implied: unknown, check: OptionChecks): [string, readonly string[]][] {
  const isObject = implied !== null && typeof implied === 'object' && !Array.isArray(implied)
  const entries = isObject ? Object.entries(implied as Record<string, unknown>) : []
  const advice = 'give lists of scopes by scope, such as { admin: ["read:projects", "write:projects"] }'
  if (entries.length === 0) check.refuse('impliedScopes', 'names no scope', advice)
  return entries.map(([scope, others]) => {
    const name = `impliedScopes.${scope}`
    if (!isScopeToken(scope)) check.refuse(name, 'is not a scope', advice)
    if (!Array.isArray(others) || others.length === 0 || !others.every(isScopeToken))
      return check.refuse(name, 'is not a list of scopes', advice)
    if (others.includes(scope)) check.refuse(name, 'has the scope itself in it', 'remove it there')
    return [scope, [...others]]
  })
}

/** Whatever follows from a scope, over as many steps as there are; a circle is no harm. */
function closure(scope: string, implied: ReadonlyMap<string, readonly string[]>): Set<string> {
  const found = new Set<string>()
  const pending = [scope]
  for (let one = pending.pop(); one !== undefined; one = pending.pop()) {
    for (const next of implied.get(one) ?? []) {
      if (found.has(next)) continue
      found.add(next)
      pending.push(next)
    }
  }
  return found
}
