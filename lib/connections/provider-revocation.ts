/** Revoking tokens at a provider that wants it otherwise than RFC 7009 has it. */

import { tokenLimit, type HttpClient } from '../http.js'
import type { TokenSet } from '../oauth/token-set.js'
import type { ConnectionServer, TokenRevocation } from './provider-options.js'

/** Hands each token to the app's function, the refresh token first: at many servers the other ends with it. */
export function revokedBy(
  revokeToken: (revocation: TokenRevocation) => Promise<void>,
  { clientId, clientSecret }: Pick<ConnectionServer, 'clientId' | 'clientSecret'>,
  http: HttpClient,
): (tokens: TokenSet) => Promise<void> {
  const [secret] = typeof clientSecret === 'function' ? [] : [clientSecret ?? []].flat()
  return async (tokens) => {
    for (const kind of ['refresh_token', 'access_token'] as const) {
      const token = tokens[kind]
      if (!token) continue
      await revokeToken({
        token,
        tokenTypeHint: kind,
        clientId,
        clientSecret: secret,
        fetch: (url, init = {}) => http(url, { ...init, limit: tokenLimit }),
      })
    }
  }
}
