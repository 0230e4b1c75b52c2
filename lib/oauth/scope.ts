/** Scopes: space-delimited, case-sensitive tokens (RFC 6749 §3.3). */

import { OAuthError } from '../errors.js'

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

/** Says which scopes were needed, and to the developer which were there. */
export function insufficientScope(needed: readonly string[], granted: readonly string[]): OAuthError {
  return new OAuthError('insufficient_scope', {
    scope: needed,
    reason: 'scope',
    hint: `Needed: ${needed.join(' ')}. Granted: ${granted.join(' ') || 'nothing'}.`,
  })
}
