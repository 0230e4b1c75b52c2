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
import type { ConnectionRecord, ProviderAccount } from './connection-record.js'
import type { ConnectionStore } from './connection-store.js'
import { withoutIdToken, type ConnectionGrant, type GrantSeal } from './grant.js'
import type { Provider } from './provider.js'
import type { ConnectionApiTokens, ProviderServer } from './provider-server.js'
import {
  isProvisional,
  needsReconnect,
  notedStanding,
  type NeedsReconnectReason,
  type Standing,
} from './standing.js'

/** Where the requests of a connection go. */
export interface ConnectionPlace {
  readonly provider: Provider
  readonly server: ProviderServer
}

/** What a connection works with. */
export interface UsableConnection extends ConnectionPlace {
  readonly grant: ConnectionGrant
}

/** `mayTry`: also where the API has refused the connection before. Default false. */
export interface ConnectionDemand extends TokenDemand {
  readonly mayTry?: boolean
}

export interface ConnectionTokens {
  /** How it stands, by what is noted and by what the app is set up for. Nothing is asked. */
  standing(record: ConnectionRecord): Standing
  /** Where its requests go, before its tokens are looked at. Throws `needs_reconnect`. */
  place(record: ConnectionRecord, options?: Pick<ConnectionDemand, 'mayTry'>): ConnectionPlace
  /** What it works with. Throws `needs_reconnect`. */
  usable(record: ConnectionRecord, options?: Pick<ConnectionDemand, 'mayTry'>): Promise<UsableConnection>
  /**
   * An access token that is good. Throws `needs_reconnect` when there is none and none can be had without the user,
   * `connection_not_found`, and what asking the server throws.
   */
  accessToken(record: ConnectionRecord, demand: ConnectionDemand): Promise<AccessToken>
  /** The same for requests to the provider's APIs. The first goes by `record` as it is; what comes later looks again. */
  apiTokens(
    record: ConnectionRecord,
    server: ProviderServer,
    options?: Pick<ConnectionDemand, 'mayTry'>,
  ): ConnectionApiTokens
  /** Notes that it does not work any more, unless its tokens are others than those of `grant` meanwhile. */
  condemn(
    record: ConnectionRecord,
    grant: ConnectionGrant,
    reason: NeedsReconnectReason,
  ): Promise<ConnectionRecord>
  /** Runs while nobody refreshes it. */
  alone<T>(record: ConnectionRecord, task: () => Promise<T>): Promise<T>
  /**
   * Revokes tokens that were just granted, unless another connection lives by the same account: many servers end all that
   * they granted to it. Whether nothing is left to do.
   */
  revoke(account: ProviderAccount, server: ProviderServer, tokens: TokenSet): Promise<boolean>
  /**
   * Revokes what is left of the tokens of a connection that was ended, and forgets them when that is done. They go nowhere
   * but to the server that it was made with. What could not be revoked stays sealed in the row.
   */
  giveUp(ended: ConnectionRecord): Promise<ConnectionRecord>
}

export interface ConnectionTokensOptions {
  store: ConnectionStore
  changes: ConnectionChanges
  providers: ReadonlyMap<string, Provider>
  seal: GrantSeal
  outcomes: Outcomes
  refresher: (provider: string) => Refresher
  emit: Emit
  now: () => number
}

/** A connection whose tokens are about to be replaced. */
interface HeldConnection extends UsableConnection {
  readonly record: ConnectionRecord
}

/** Times that a connection is looked at again, because somebody changed it while its server was asked. */
const mostLooks = 5

export function createConnectionTokens(options: ConnectionTokensOptions): ConnectionTokens {
  const { store, changes, providers, seal, outcomes, emit, now } = options
  const nonces = apiNonces()

  function located(record: ConnectionRecord): { standing: Standing; place?: ConnectionPlace; name: string } {
    const noted = notedStanding(record)
    const provider = providers.get(record.provider)
    const name = provider?.name ?? record.provider
    if (noted.status === 'disconnected') return { standing: noted, name }
    const server = provider && serverOf(record, provider)
    const reason = provider ? 'configuration_changed' : 'provider_removed'
    if (!provider || !server) return { standing: { status: 'needs_reconnect', reason }, name }
    return { standing: noted, place: { provider, server }, name }
  }

  function standing(record: ConnectionRecord): Standing {
    const found = located(record).standing
    const isUnreadable = found.status === 'active' && !seal.open(record)
    return isUnreadable ? { status: 'needs_reconnect', reason: 'unreadable' } : found
  }

  const place: ConnectionTokens['place'] = (record, { mayTry = false } = {}) => {
    const { standing: found, place: there, name } = located(record)
    if (found.status === 'disconnected') throw needsReconnect('disconnected', name)
    const isWorthATry = mayTry && isProvisional(found.reason)
    if (found.reason !== undefined && !isWorthATry) throw needsReconnect(found.reason, name)
    if (!there) throw needsReconnect('configuration_changed', name)
    return there
  }

  function held(record: ConnectionRecord, demand?: Pick<ConnectionDemand, 'mayTry'>): HeldConnection {
    const there = place(record, demand)
    const grant = seal.open(record)
    if (!grant) throw needsReconnect('unreadable', there.provider.name)
    return { ...there, record, grant }
  }

  const accessToken: ConnectionTokens['accessToken'] = async (record, demand) => {
    let current = record
    for (let look = 1; look <= mostLooks; look++) {
      const connection = held(current, demand)
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
    connection: HeldConnection,
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
    { record, provider, grant }: HeldConnection,
    reason: NeedsReconnectReason,
    cause?: OAuthError,
  ): Promise<undefined> {
    const { status } = await condemn(record, grant, reason)
    if (status === 'active') return undefined
    throw needsReconnect(status === 'disconnected' ? 'disconnected' : reason, provider.name, cause)
  }

  async function refresh(
    connection: HeldConnection,
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
        const read = held(await changes.get(id), demand)
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
  async function save({ record, server, provider, grant }: HeldConnection, tokens: TokenSet): Promise<void> {
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
          await revokeAt(server, record, tokens)
        throw error
      })
    if (kept.status === 'disconnected') {
      await giveUp(kept)
      throw needsReconnect('disconnected', provider.name)
    }
    if (!isSuperseded) return
    // Given up by somebody who did not know of them.
    if (kept.tokens === undefined) void revokeAt(server, record, tokens)
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
    const provider = providers.get(record.provider)
    const server = provider && serverOf(record, provider)
    // A refresh token that was refused is dead already; the access token may live on.
    const { refresh_token: _refused, ...accessOnly } = grant.tokens
    const left = reason === 'refresh_refused' ? accessOnly : grant.tokens
    if (server && after.tokens === undefined) void revokeAt(server, record, left)
    return after
  }

  const giveUp: ConnectionTokens['giveUp'] = async (ended) => {
    const grant = seal.open(ended)
    const provider = providers.get(ended.provider)
    const server = provider && serverOf(ended, provider)
    // At a server other than that which issued them they are not revoked but given away. The right one may come back.
    const isDone = !grant || (server && (await revokeAt(server, ended, grant.tokens)))
    if (!isDone) return ended
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

  /** Never throws: what cannot be known now is not revoked now, and told. */
  async function revokeAt(
    server: ProviderServer,
    record: ConnectionRecord,
    tokens: TokenSet,
  ): Promise<boolean> {
    try {
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

  function freshnessAt({ server }: ConnectionPlace) {
    return createFreshness({ dpopKeys: server.dpopKeys, now })
  }

  return {
    standing,
    place,
    usable: async (record, demand) => held(record, demand),
    accessToken,
    condemn,
    giveUp,
    revoke: async (account, server, tokens) =>
      (await isShared(account, server.client.clientId)) || server.revoke(tokens),
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

/** Whether what was granted to this client is in use there. Many servers end all of it when they revoke a part. */
export function livesBy({ status, tokens, clientId }: ConnectionRecord, client: string): boolean {
  return status !== 'disconnected' && tokens !== undefined && clientId === client
}

/** What can be refreshed by one at a time only. */
function familyOf({ id }: ConnectionRecord): string {
  return `connection ${id}`
}

/** The server that the connection was made with; nothing where the app is set up for another one by now. */
function serverOf(record: ConnectionRecord, provider: Provider): ProviderServer | undefined {
  try {
    const server = provider.server(record.fields)
    return server.issuer === record.issuer && server.client.clientId === record.clientId ? server : undefined
  } catch (error) {
    if (isOAuthError(error)) return undefined // its fields lead nowhere any more
    throw error
  }
}
