/** Revoking tokens that nobody will use any more, without anybody having to wait for it or to mind when it fails. */

import { isOAuthError } from '../errors.js'
import type { ConnectionName, Emit } from '../events.js'
import type { TokenSet } from '../oauth/token-set.js'

/**
 * Whether they are known to be revoked. Never throws, and takes two seconds at most; a failure is an event, also one that
 * comes later. It names the `connection` that they are of.
 */
export type Revoke = (tokens: TokenSet, connection?: ConnectionName) => Promise<boolean>

/** Milliseconds that somebody waits for a slow server. */
const deadline = 2_000

/** `revoke` tells the server, and throws when that fails. */
export function createRevoke(revoke: (tokens: TokenSet) => Promise<void>, emit: Emit): Revoke {
  async function attempt(tokens: TokenSet, connection?: ConnectionName): Promise<boolean> {
    try {
      await revoke(tokens)
      return true
    } catch (error) {
      if (isOAuthError(error))
        emit({ type: 'revocation_failed', code: error.code, error, ...(connection && { connection }) })
      return false
    }
  }

  return async (tokens, connection) => {
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), deadline)
    })
    const isRevoked = await Promise.race([attempt(tokens, connection), patience])
    clearTimeout(timer)
    return isRevoked
  }
}
