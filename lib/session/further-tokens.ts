/**
 * Access tokens of a session beyond its own: for another API, or with fewer scopes. They can be had again for a refresh,
 * so they are kept apart from the session, each until its end, and take up no room in a cookie.
 */

import { createHash } from 'node:crypto'
import type { AccessToken } from '../oauth/token-set.js'
import type { Seal } from '../seal.js'
import type { Store } from '../stores/store.js'
import type { Session } from './session.js'

/** Both throw `store_unavailable`. `name` tells the tokens of one session apart. */
export interface FurtherTokens {
  find(session: Session, name: string): Promise<AccessToken | undefined>
  keep(session: Session, name: string, token: AccessToken): Promise<void>
}

export interface FurtherTokensOptions {
  store: Store
  seal: Seal<AccessToken>
  now: () => number
}

/** Seconds that a token is kept when the server does not say how long it is good for. */
const unknownLifetime = 300

export function createFurtherTokens({ store, seal, now }: FurtherTokensOptions): FurtherTokens {
  return {
    async find(session, name) {
      const key = keyOf(session, name)
      const [sealed] = await store.get([key])
      return sealed === undefined ? undefined : seal.open(sealed, key)
    },
    async keep(session, name, token) {
      const key = keyOf(session, name)
      const lifetime = token.expires_at === undefined ? unknownLifetime : token.expires_at - now()
      await store.set(key, seal.seal(token, key), Math.max(1, lifetime))
    },
  }
}

function keyOf(session: Session, name: string): string {
  return `access:${createHash('sha256')
    .update(JSON.stringify([session.id, name]))
    .digest('base64url')}`
}
