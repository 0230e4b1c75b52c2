/** Faults of the answer to client credentials: what is granted, and for how long. Logins are spared. */
import type { Steps } from '../provider.js'
import { tokenResponse } from '../token.js'

type TokenResponse = Pick<Steps, 'tokenResponse'>

export const clientCredentialsFaults = {
  'client-scope-narrower': withChanges({ scope: 'read:projects' }),
  'client-scope-empty': withChanges({ scope: '' }),
  'client-scope-absent': withChanges({ scope: undefined }),
  'client-expires-in-absent': withChanges({ expires_in: undefined }),
  'client-expires-in-zero': withChanges({ expires_in: 0 }),
  'client-expires-in-text': withChanges({ expires_in: '3600' }),
  'client-token-type-dpop': withChanges({ token_type: 'DPoP' }),
  'client-token-illegal': withChanges({ access_token: 'a\r\nx-injected: 1' }),
  'client-refresh-token': withChanges({ refresh_token: 'a refresh token that nobody wants' }),
} satisfies Record<string, TokenResponse>

function withChanges(changes: Record<string, unknown>): TokenResponse {
  return {
    tokenResponse: async (op, authorization) => ({
      ...(await tokenResponse(op, authorization)),
      ...(authorization.isForClient && changes),
    }),
  }
}
