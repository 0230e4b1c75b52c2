/** A word at the first rotation: with several instances, refresh tokens that rotate need a store that all of them share. */

import type { TokenSet } from '../oauth/token-set.js'

/** Looks at each refresh, and warns once. */
export type RotationWarning = (before: TokenSet, after: TokenSet) => void

export function rotationWarning(): RotationWarning {
  let wasGiven = false
  return (before, after) => {
    if (wasGiven || before.refresh_token === after.refresh_token) return
    wasGiven = true
    process.emitWarning(
      'oauthLogin: the authorization server rotates refresh tokens, and no "store" was given. Two instances of this app that refresh the same token would sign the user out. Give them a store that they share, such as redisStore(client), or say that there is one instance only: store: memoryStore().',
      { code: 'OAUTH_ROTATION_WITHOUT_STORE' },
    )
  }
}
