/** Whose token a proxied request takes along: the user's, the app's or none. */

import { isOAuthError } from '../errors.js'
import type { OptionChecks } from '../options.js'
import type { ApiToken, ApiTokens } from '../tokens/api-token.js'
import { insideOf } from '../tokens/client-credentials.js'
import type { BrowserSource } from './auth.js'
import type { ProxySettings } from './oauth-proxy-options.js'

/** The tokens of one request. */
export interface RequestTokens {
  token(): Promise<ApiToken>
  /** Another one for one that the API refused, or nothing when there is none that is worth a try. */
  inPlaceOf(refused: ApiToken): Promise<ApiToken | undefined>
}

/**
 * Makes sure of the user where the token is theirs, and gives nothing where no token is wanted. Throws `login_required`,
 * or why it cannot be known who asks.
 */
export type ProxyTokens = (source: BrowserSource) => Promise<RequestTokens | undefined>

export function proxyTokens(settings: ProxySettings, check: OptionChecks): ProxyTokens {
  const { token, access } = settings
  const ofApp = settings.client && tokensOfApp(settings.client, settings, check)
  const ofUser: ProxyTokens = async (source) => {
    await source.confirm()
    return only(source.apiTokens(), access)
  }
  if (token === 'user') return ofUser
  if (token === 'client' || token === 'none') return async () => ofApp
  return async (source) => {
    try {
      return await ofUser(source)
    } catch (error) {
      // Nobody is known to be signed in. What cannot be known just now makes no one nobody.
      if (isOAuthError(error) && error.code === 'login_required') return ofApp
      throw error
    }
  }
}

function tokensOfApp(
  client: NonNullable<ProxySettings['client']>,
  { access }: ProxySettings,
  check: OptionChecks,
): RequestTokens {
  const inside = insideOf(client)
  if (!inside) return check.refuse('client', 'is not ours', 'give the result of clientCredentials()')
  return only(inside.apiTokens, inside.access(access, check))
}

function only<T>(tokens: ApiTokens<T>, wanted: T): RequestTokens {
  return { token: () => tokens.token(wanted), inPlaceOf: (refused) => tokens.inPlaceOf(refused, wanted) }
}
