/** A function for the option `tokenResponse` that puts right what servers off the standard have in common. */

import type { TokenResponseHook } from './token-response.js'

/** No life of a token in seconds, but a time since the epoch. */
const leastTime = 1_000_000_000

/**
 * For servers that answer with a form, leave `token_type` out, separate scopes by commas, give the lifetime as a text, or
 * call it `expires`, which may also be the time of the end in seconds since the epoch. An error stays one.
 */
export const lenientTokenResponse: TokenResponseHook = (answer) => {
  if (typeof answer['access_token'] !== 'string') return answer
  const { expires, ...others } = answer
  const life = seconds(answer['expires_in']) ?? seconds(expires)
  const left = life === undefined || life < leastTime ? life : Math.max(0, life - Date.now() / 1_000)
  const { expires_in: _life, scope, token_type: type = 'Bearer', ...rest } = others
  return {
    ...rest,
    token_type: type === '' || type === null ? 'Bearer' : type,
    ...(left !== undefined && { expires_in: Math.floor(left) }),
    ...(scope !== undefined && { scope: spaced(scope) }),
  }
}

/** Scopes with one space between (RFC 6749 §3.3); what is no list of them stays as it is. */
export function spaced(scope: unknown): unknown {
  const text = Array.isArray(scope) ? scope.join(' ') : scope
  return typeof text === 'string'
    ? text
        .split(/[\s,]+/)
        .filter(Boolean)
        .join(' ')
    : scope
}

/** Nothing for what is no number: a lifetime that nobody can read is none. */
function seconds(value: unknown): number | undefined {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  return typeof number === 'number' && Number.isFinite(number) && number >= 0 ? number : undefined
}
