/** Trying a connection: its test call, and what is noted of the answer. */

import { isOAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import { tellStatus, type ConnectionChanges } from './connection-changes.js'
import type { ConnectionRecord } from './connection-record.js'
import type { ConnectionPlaces } from './connection-places.js'
import type { ConnectionTokens } from './connection-tokens.js'
import type { ConnectionGrant, GrantSeal } from './grant.js'
import type { NeedsReconnectReason } from './standing.js'

export interface Trying {
  /**
   * The connection as it is after its test call; without a test call, after an access token was asked for. One that cannot
   * be tried, because it was ended or waits for its user, is given as it is. Throws `connection_not_found`, and what keeps
   * anything from being known: then nothing is changed.
   */
  test(id: string, owner?: string): Promise<ConnectionRecord>
}

export interface TryingOptions {
  changes: ConnectionChanges
  places: ConnectionPlaces
  tokens: ConnectionTokens
  seal: GrantSeal
  emit: Emit
  now: () => number
}

export function createTrying({ changes, places, tokens, seal, emit, now }: TryingOptions): Trying {
  async function test(id: string, owner?: string): Promise<ConnectionRecord> {
    const record = await changes.get(id, owner)
    try {
      const { provider, server, grant } = places.usable(record, { mayTry: true })
      if (!server.test) {
        await tokens.accessToken(record, {})
        return await noteGood(id, grant)
      }
      const answer = await server
        .test(tokens.apiTokens(record, server, { mayTry: true }))
        .catch((error: unknown) => (isTestRefused(error) ? refused : Promise.reject(error)))
      if (answer === refused) return await noteBad(id, grant, 'test_refused')
      if (provider.accountId(answer) !== record.accountId) return await noteBad(id, grant, 'account_changed')
      return await noteGood(id, grant, provider.label(answer))
    } catch (error) {
      if (!isOAuthError(error) || error.code !== 'needs_reconnect') throw error
      // Whoever found out has noted it, or it follows from what the app is set up for.
      return changes.get(id, owner)
    }
  }

  async function noteGood(
    id: string,
    { id: tried }: ConnectionGrant,
    label?: string,
  ): Promise<ConnectionRecord> {
    let before: ConnectionRecord | undefined
    const after = await changes.change(id, (current) => {
      before = current
      if (current.status === 'disconnected' || seal.open(current)?.id !== tried) return undefined
      const { reason: _reason, ...others } = current
      const shown = label === undefined || current.isRenamed ? current.label : label
      return { ...others, status: 'active', label: shown, checkedAt: now() }
    })
    if (before) tellStatus(before, after, emit)
    return after
  }

  async function noteBad(
    id: string,
    tried: ConnectionGrant,
    reason: NeedsReconnectReason,
  ): Promise<ConnectionRecord> {
    const current = await changes.get(id)
    // The test call may have brought newer tokens of the same grant. Another grant was not tried: its user has connected
    // the account again meanwhile.
    const grant = seal.open(current)
    return grant?.id === tried.id ? tokens.condemn(current, grant, reason) : current
  }

  return { test }
}

const refused = Symbol('refused')

function isTestRefused(error: unknown): boolean {
  return isOAuthError(error) && error.code === 'needs_reconnect' && error.reason === 'test_refused'
}
