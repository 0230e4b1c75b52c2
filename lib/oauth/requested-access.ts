/** What access is asked for: the scope (RFC 6749 §3.3) and the API (RFC 8707), as options give them. */

import type { OptionChecks } from '../options.js'
import { parseScope } from './scope.js'

export function checkedScope(scope: unknown, check: OptionChecks): readonly string[] {
  if (scope === '') return []
  return (
    (typeof scope === 'string' ? parseScope(scope) : undefined) ??
    check.refuse(
      'scope',
      `is "${String(scope)}"`,
      'separate scopes by one space each, such as "openid profile read:projects"',
    )
  )
}

/** RFC 8707 §2: an absolute URI without a fragment. */
export function isResource(value: string): boolean {
  return URL.canParse(value) && !value.includes('#')
}

export function checkedResource(resource: string | undefined, check: OptionChecks): string | undefined {
  if (resource === undefined || isResource(resource)) return resource
  return check.refuse('resource', `is "${resource}"`, 'give the URL of the API, without "#"')
}
