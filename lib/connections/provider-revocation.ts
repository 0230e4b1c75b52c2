/** Revoking tokens at a provider that wants it otherwise than RFC 7009 has it. */

import { isOAuthError, OAuthError } from '../errors.js'
import { tokenLimit, type HttpClient } from '../http.js'
import { clientSecrets } from '../oauth/client-secret.js'
import type { TokenSet } from '../oauth/token-set.js'
import type { ConnectionServer, TokenRevocation } from './provider-options.js'

/** Hands each token to the app's function, the refresh token first: at many servers the other ends with it. */
export function revokedBy(
  revokeToken: (revocation: TokenRevocation) => Promise<void>,
  { clientId, clientSecret }: Pick<ConnectionServer, 'clientId' | 'clientSecret'>,
  { http, timeout, now }: { http: HttpClient; timeout: number; now: () => number },
): (tokens: TokenSet) => Promise<void> {
  const secrets = clientSecret === undefined ? undefined : clientSecrets(clientSecret, { timeout, now })
  return async (tokens) => {
    for (const kind of ['refresh_token', 'access_token'] as const) {
      const token = tokens[kind]
      if (!token) continue
      const revokeWith = async (secret?: string) =>
        toldByName(async () =>
          revokeToken({
            token,
            tokenTypeHint: kind,
            clientId,
            clientSecret: secret,
            fetch: (url, init = {}) => http(url, { ...init, limit: tokenLimit }),
          }),
        )
      await (secrets ? secrets.authenticated(revokeWith) : revokeWith())
    }
  }
}

/** What the app's function threw may repeat the token; and what is no error of ours would be told to nobody. */
async function toldByName(revoke: () => Promise<void>): Promise<void> {
  try {
    await revoke()
  } catch (thrown) {
    if (isOAuthError(thrown)) throw thrown
    throw new OAuthError('invalid_configuration', {
      message: 'the function "revokeToken" threw an error',
      reason: thrown instanceof Error ? thrown.name : typeof thrown,
      hint: 'It must do nothing for what cannot be revoked, and throw an OAuthError when it fails.',
    })
  }
}
