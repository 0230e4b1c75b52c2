/** Revoking what connections were granted: where it was granted, and only what nobody lives by any more. */

import { isOAuthError, OAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import type { TokenSet } from '../oauth/token-set.js'
import type { Outcomes } from '../tokens/outcomes.js'
import { nameOf, type ConnectionChanges } from './connection-changes.js'
import type { ConnectionPlaces } from './connection-places.js'
import type { ConnectionRecord, ProviderAccount } from './connection-record.js'
import type { ConnectionStore } from './connection-store.js'
import type { GrantSeal } from './grant.js'
import type { Provider } from './provider.js'
import type { ProviderServer } from './provider-server.js'

export interface ConnectionRevocation {
  /**
   * Revokes tokens that were just granted, unless another connection lives by the same account: many servers end all that
   * they granted to it. Whether nothing is left to do.
   */
  revokeUnlinked(account: ProviderAccount, server: ProviderServer, tokens: TokenSet): Promise<boolean>
  /**
   * Revokes tokens of a connection, and the newest that took their place, unless another one lives by them. Whether nothing
   * is left to do. Never throws: what cannot be known now is not revoked now, and told.
   */
  revoke(record: ConnectionRecord, tokens: TokenSet): Promise<boolean>
  /**
   * Revokes what is left of the tokens of a connection that was ended, and forgets them when that is done. They go nowhere
   * but to the server that it was made with. What could not be revoked stays sealed in the row.
   */
  giveUp(ended: ConnectionRecord): Promise<ConnectionRecord>
}

export interface ConnectionRevocationOptions {
  store: ConnectionStore
  changes: ConnectionChanges
  providers: ReadonlyMap<string, Provider>
  places: ConnectionPlaces
  seal: GrantSeal
  outcomes: Outcomes
  emit: Emit
}

export function createConnectionRevocation(options: ConnectionRevocationOptions): ConnectionRevocation {
  const { store, changes, providers, places, seal, outcomes, emit } = options

  async function giveUp(ended: ConnectionRecord): Promise<ConnectionRecord> {
    const grant = seal.open(ended)
    if (grant && !(await revoke(ended, grant.tokens))) return ended
    return changes.change(ended.id, (current) => {
      const { tokens, ...others } = current
      // Those of a refresh that ended meanwhile are others, and still to be revoked.
      const isSame = current.status === 'disconnected' && tokens === ended.tokens
      return isSame && tokens !== undefined ? others : undefined
    })
  }

  async function isShared(account: ProviderAccount, clientId: string): Promise<boolean> {
    // Whatever the app calls the provider: the grant is that of a client and an account.
    const names = new Set([account.provider, ...providers.keys()])
    const others = await Promise.all([...names].map((provider) => store.linked({ ...account, provider })))
    return others.flat().some((other) => livesBy(other, clientId))
  }

  async function revoke(record: ConnectionRecord, tokens: TokenSet): Promise<boolean> {
    try {
      const server = places.server(record)
      // At a server other than that which issued them they are not revoked but given away. The right one may come back.
      if (!server) return false
      if (await isShared(record, record.clientId)) return true
      return await server.revoke(await outcomes.newest(tokens), {
        tokenOrigin: record.tokenOrigin,
        connection: nameOf(record),
      })
    } catch (thrown) {
      // Some have nobody who waits for them, and what they throw would end the process.
      const error = isOAuthError(thrown)
        ? thrown
        : new OAuthError('invalid_configuration', { reason: 'threw', cause: thrown })
      emit({ type: 'revocation_failed', code: error.code, error, connection: nameOf(record) })
      return false
    }
  }

  return {
    revoke,
    giveUp,
    revokeUnlinked: async (account, server, tokens) =>
      (await isShared(account, server.client.clientId)) || server.revoke(tokens),
  }
}

/** Whether what was granted to this client is in use there. Many servers end all of it when they revoke a part. */
export function livesBy({ status, tokens, clientId }: ConnectionRecord, client: string): boolean {
  return status !== 'disconnected' && tokens !== undefined && clientId === client
}
