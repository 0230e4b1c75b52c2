/** The access tokens of connections: one that is still good, refreshed when it is due, and the end of them all. */

import { isOAuthError, OAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import type { AccessToken, TokenSet } from '../oauth/token-set.js'
import { apiNonces } from '../tokens/api-nonces.js'
import { bearerToken, dpopToken } from '../tokens/api-token.js'
import { createFreshness, type TokenDemand } from '../tokens/freshness.js'
import type { Outcomes } from '../tokens/outcomes.js'
import { isFinalRefusal, isRefreshable, type Refresher, type RenewedTokens } from '../tokens/refresh.js'
import { nameOf, tellStatus, type ConnectionChanges } from './connection-changes.js'
import type { ConnectionPlace, ConnectionPlaces, Trial, UsableConnection } from './connection-places.js'
import type { ConnectionRecord } from './connection-record.js'
import type { ConnectionRevocation } from './connection-revocation.js'
import { withoutIdToken, type ConnectionGrant, type GrantSeal } from './grant.js'
import type { ConnectionApiTokens, ProviderServer } from './provider-server.js'
import { isProvisional, needsReconnect, type NeedsReconnectReason } from './standing.js'

export type ConnectionDemand = TokenDemand & Trial

export interface ConnectionTokens {
  /**
   * An access token that is good. Throws `needs_reconnect` when there is none and none can be had without the user,
   * `connection_not_found`, and what asking the server throws.
   */
  accessToken(record: ConnectionRecord, demand: ConnectionDemand): Promise<AccessToken>
  /** The same for requests to the provider's APIs. The first goes by `record` as it is; what comes later looks again. */
  apiTokens(record: ConnectionRecord, server: ProviderServer, options?: Trial): ConnectionApiTokens
  /** Notes that it does not work any more, unless its tokens are others than those of `grant` meanwhile. */
  condemn(
    record: ConnectionRecord,
    grant: ConnectionGrant,
    reason: NeedsReconnectReason,
  ): Promise<ConnectionRecord>
  /** Runs while nobody refreshes it. */
  alone<T>(record: ConnectionRecord, task: () => Promise<T>): Promise<T>
}

export interface ConnectionTokensOptions {
  changes: ConnectionChanges
  places: ConnectionPlaces
  revocation: ConnectionRevocation
  seal: GrantSeal
  outcomes: Outcomes
  refresher: (provider: string) => Refresher
  emit: Emit
  now: () => number
}

/** Times that a connection is looked at again, because somebody changed it while its server was asked. */
const mostLooks = 5

export function createConnectionTokens(options: ConnectionTokensOptions): ConnectionTokens {
  const { changes, places, revocation, seal, outcomes, emit, now } = options
  const nonces = apiNonces()

  const accessToken: ConnectionTokens['accessToken'] = async (record, demand) => {
    let current = record
    for (let look = 1; look <= mostLooks; look++) {
      const connection = places.usable(current, demand)
      const { tokens } = connection.grant
      const { isDue } = freshnessAt(connection)
      const token = isDue(tokens, demand) ? await renewed(connection, demand) : tokens
      if (token) return token
      current = await changes.get(record.id)
    }
    throw new OAuthError('server_unavailable', { reason: 'under_way', headers: { 'retry-after': '1' } })
  }

  /** Another token, or the old one where it serves; nothing where somebody else has changed the connection meanwhile. */
  async function renewed(
    connection: UsableConnection,
    demand: ConnectionDemand,
  ): Promise<AccessToken | undefined> {
    const { provider, grant } = connection
    const { tokens } = grant
    const { isGood, isRefusedInVain } = freshnessAt(connection)
    // A token that cannot be renewed just now serves until its end, unless another one is asked for in so many words.
    const isServing = !demand.forceRefresh && isGood(tokens, { ...demand, minimumLifetime: 0 })
    try {
      // Whoever asked for them may have been killed before it could keep them.
      const newest = await outcomes.newest(tokens)
      if (newest !== tokens) {
        await save(connection, newest)
        return undefined
      }
      if (isRefusedInVain(tokens, tokens, demand)) return tokens
      if (isRefreshable(tokens)) return await refresh(connection, demand)
      if (isServing) return tokens
    } catch (error) {
      if (error instanceof Superseded) return undefined
      const isOurs = isOAuthError(error) && /^(needs_reconnect|connection_not_found)$/.test(error.code)
      if (isServing && !isOurs) return tokens
      throw error
    }
    // Another one is wanted, though this one is good, and there is nothing to ask for it with.
    if (isGood(tokens, {})) throw needsReconnect('not_renewable', provider.name)
    return condemned(connection, 'expired')
  }

  /** Throws `needs_reconnect`, unless somebody has renewed the tokens meanwhile. */
  async function condemned(
    { record, provider, grant }: UsableConnection,
    reason: NeedsReconnectReason,
    cause?: OAuthError,
  ): Promise<undefined> {
    const { status } = await condemn(record, grant, reason)
    if (status === 'active') return undefined
    throw needsReconnect(status === 'disconnected' ? 'disconnected' : reason, provider.name, cause)
  }

  async function refresh(
    connection: UsableConnection,
    demand: ConnectionDemand,
  ): Promise<AccessToken | undefined> {
    const { id, provider: key } = connection.record
    const replaced = connection.grant.tokens
    const { isGood, nextReplacement } = freshnessAt(connection)
    // What is refreshed is what was read last: its user may have connected it again meanwhile.
    let current = connection
    const request = {
      family: familyOf(connection.record),
      connection: nameOf(connection.record),
      wanted: '',
      replaces: replaced.access_token,
      isPatient: !isGood(replaced, demand),
      async reread() {
        const read = places.usable(await changes.get(id), demand)
        const tokens = await outcomes.newest(read.grant.tokens)
        current = { ...read, grant: { ...read.grant, tokens } }
        return { tokens, access: tokens }
      },
      async grant(tokens: Parameters<ProviderServer['refresh']>[0]): Promise<RenewedTokens> {
        const { record, provider, server, grant } = current
        const fresh = await server.refresh(tokens, grant.subject, {
          tokenOrigin: record.tokenOrigin,
          ...(provider.resource !== undefined && { resource: provider.resource }),
        })
        const isReplacement = replaced.access_token === demand.refused
        const noted = {
          ...withoutIdToken(fresh),
          ...(isReplacement && { replacement: nextReplacement(replaced) }),
        }
        return { tokens: noted, access: noted }
      },
      save: (fresh: RenewedTokens) => save(current, fresh.tokens),
    }
    try {
      return (await options.refresher(key).refresh(request)).access
    } catch (error) {
      if (isOAuthError(error) && isFinalRefusal(error)) return condemned(current, 'refresh_refused', error)
      // Its user has connected it again, and this time there is no refresh token.
      if (isOAuthError(error) && error.code === 'login_required') return undefined
      throw error
    }
  }

  /**
   * Keeps renewed tokens. Throws `Superseded` when others have taken their place, and `needs_reconnect` or
   * `connection_not_found` when the connection was ended while the server was asked: then they are revoked.
   */
  async function save({ record, provider, grant }: UsableConnection, tokens: TokenSet): Promise<void> {
    let isSuperseded = false
    const kept = await changes
      .change(record.id, (current) => {
        const theirs = seal.open(current)
        const isEnded = current.status === 'disconnected'
        const isSame = theirs ? theirs.id === grant.id : isEnded
        isSuperseded = !isSame || (theirs?.tokens.generation ?? -1) >= tokens.generation
        if (isSuperseded) return undefined
        // Of an ended one they are kept as well, so that they are revoked even if the server is away just now.
        return { ...current, scope: tokens.scope, tokens: seal.seal(current, { ...grant, tokens }) }
      })
      .catch(async (error: unknown) => {
        if (isOAuthError(error) && error.code === 'connection_not_found')
          await revocation.revoke(record, tokens)
        throw error
      })
    if (kept.status === 'disconnected') {
      await revocation.giveUp(kept)
      throw needsReconnect('disconnected', provider.name)
    }
    if (!isSuperseded) return
    // Given up by somebody who did not know of them.
    if (kept.tokens === undefined) void revocation.revoke(record, tokens)
    throw new Superseded()
  }

  const condemn: ConnectionTokens['condemn'] = async (record, grant, reason) => {
    let before = record
    const after = await changes.change(record.id, (current) => {
      before = current
      const theirs = seal.open(current)
      const isRenewed = theirs?.id !== grant.id || theirs.tokens.generation > grant.tokens.generation
      if (isRenewed || current.status === 'disconnected') return undefined
      const { tokens, ...others } = current
      // The API may have been wrong; a refresh token that is refused never comes back.
      const isFinal = !isProvisional(reason)
      return {
        ...others,
        ...(!isFinal && tokens !== undefined && { tokens }),
        status: 'needs_reconnect',
        reason,
        checkedAt: now(),
      }
    })
    if (after === before) return after
    tellStatus(before, after, emit)
    // A refresh token that was refused is dead already; the access token may live on.
    const { refresh_token: _refused, ...accessOnly } = grant.tokens
    const left = reason === 'refresh_refused' ? accessOnly : grant.tokens
    if (after.tokens === undefined) void revocation.revoke(record, left)
    return after
  }

  function freshnessAt({ server }: ConnectionPlace) {
    return createFreshness({ dpopKeys: server.dpopKeys, now })
  }

  return {
    accessToken,
    condemn,
    alone: (record, task) => options.refresher(record.provider).alone(familyOf(record), task),
    apiTokens(record, server, { mayTry = false } = {}) {
      const apiToken = async (current: ConnectionRecord, demand: TokenDemand) => {
        const { access_token, jkt } = await accessToken(current, { ...demand, mayTry })
        // A token that is good has its key at hand, or needs none.
        const key = server.dpopKeys.named(jkt)
        return key ? dpopToken(access_token, key, nonces) : bearerToken(access_token)
      }
      return {
        token: () => apiToken(record, {}),
        async inPlaceOf({ access_token: refused }) {
          const another = await apiToken(await changes.get(record.id), { refused })
          return another.access_token === refused ? undefined : another
        },
      }
    },
  }
}

/** Others have taken the place of these tokens while the server was asked. */
class Superseded extends Error {
  override readonly name = 'Superseded'
}

/** What can be refreshed by one at a time only. */
function familyOf({ id }: ConnectionRecord): string {
  return `connection ${id}`
}
