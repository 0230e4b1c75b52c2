/** A login that may show no page (`prompt=none`, OpenID Connect Core §3.1.2.1): what it ends in where a page is needed. */

import { isOAuthError, type OAuthError, type OAuthErrorCode } from '../errors.js'
import type { AuthorizationParameters } from '../oauth/authorization-request.js'

/** Whether a login was asked for as a silent one. An option for all logins does not count: nobody would look at the answer. */
export function isSilent(parameters: AuthorizationParameters = {}): boolean {
  return parameters['prompt'] === 'none'
}

/** By which a server says that it would have to show a page (OpenID Connect Core §3.1.2.6). */
const codes: readonly OAuthErrorCode[] = [
  'login_required',
  'interaction_required',
  'consent_required',
  'account_selection_required',
]

/** Whether all that is wrong is that the server has to ask the user something. */
export function needsPage(error: unknown): error is OAuthError {
  return isOAuthError(error) && codes.includes(error.code)
}

/**
 * A path of this site with `error` in its query, or without one: what it has of that name is taken out, so that an
 * `error` after a silent login is never somebody else's. The rest stays as it was written.
 */
export function withError(path: string, error?: OAuthErrorCode): string {
  const [, pathname = '', query = '', fragment = ''] = /^([^?#]*)\??([^#]*)(.*)$/.exec(path) ?? []
  const others = query.split('&').filter((pair) => pair !== '' && !isError(pair))
  const all = error === undefined ? others : [...others, `error=${error}`]
  return `${pathname}${all.length > 0 ? '?' : ''}${all.join('&')}${fragment}`
}

/** Under any name that a parser of queries makes `error` of: Express 4 reads `error[0]` and `[error]` as that. */
function isError(pair: string): boolean {
  const [name = ''] = new URLSearchParams(pair).keys()
  return /^\[?error(?:$|[[\]])/.test(name)
}
