/** Scopes: space-delimited, case-sensitive tokens (RFC 6749 §3.3). */

import { OAuthError } from '../errors.js'
import { keptInUse } from '../kept-in-use.js'

const scopeToken = /^[\x21\x23-\x5b\x5d-\x7e]+$/

export function isScopeToken(value: unknown): value is string {
  return typeof value === 'string' && scopeToken.test(value)
}

/** The tokens in their order, each once; nothing when the text is not a list of legal tokens with one space between. */
export function parseScope(text: string): string[] | undefined {
  const tokens = text.split(' ')
  return tokens.every(isScopeToken) ? [...new Set(tokens)] : undefined
}

/** Scopes as tokens and servers send them: a string or an array, illegal words left out because they can match nothing. */
export function scopesIn(value: unknown): string[] {
  const words: unknown[] = typeof value === 'string' ? value.split(' ') : Array.isArray(value) ? value : []
  return [...new Set(words.filter(isScopeToken))]
}

const lists = keptInUse<readonly string[]>({ most: 1_000 })
const longestListKept = 1_000

/**
 * The same for those that last. Few lists go round among many tokens: each is read once, and is one object for all of them,
 * which nobody can change.
 */
export function sharedScopesIn(value: unknown): readonly string[] {
  const read = () => Object.freeze(scopesIn(value))
  return typeof value === 'string' && value.length <= longestListKept ? lists.get(value, read) : read()
}

/** Says which scopes were needed, and to the developer which were there. */
export function insufficientScope(needed: readonly string[], granted: readonly string[]): OAuthError {
  return new OAuthError('insufficient_scope', {
    scope: needed,
    reason: 'scope',
    hint: `Needed: ${needed.join(' ')}. Granted: ${granted.join(' ') || 'nothing'}.`,
  })
}
