/** Revoking tokens that nobody will use any more, without anybody having to wait for it or to mind when it fails. */

import { isOAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import type { Client } from '../oauth/client.js'
import { revoke } from '../oauth/revocation.js'
import type { TokenSet } from '../oauth/token-set.js'

/** Never throws; a failure is an event. */
export type Revoke = (tokens: TokenSet) => Promise<void>

export function createRevoke(client: Client, emit: Emit): Revoke {
  return async (tokens) => {
    try {
      await revoke(client, tokens)
    } catch (error) {
      if (isOAuthError(error)) emit({ type: 'revocation_failed', code: error.code, error })
    }
  }
}
