/** Revoking tokens that nobody will use any more, without anybody having to wait for it or to mind when it fails. */

import { isOAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import type { TokenClient } from '../oauth/client.js'
import { revoke } from '../oauth/revocation.js'
import type { TokenSet } from '../oauth/token-set.js'

/** Never throws, and takes two seconds at most; a failure is an event, also one that comes later. */
export type Revoke = (tokens: TokenSet) => Promise<void>

/** Milliseconds that somebody waits for a slow server. */
const deadline = 2_000

export function createRevoke(client: TokenClient, emit: Emit): Revoke {
  async function attempt(tokens: TokenSet): Promise<void> {
    try {
      await revoke(client, tokens)
    } catch (error) {
      if (isOAuthError(error)) emit({ type: 'revocation_failed', code: error.code, error })
    }
  }

  return async (tokens) => {
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, deadline)
    })
    await Promise.race([attempt(tokens), patience])
    clearTimeout(timer)
  }
}
