/** The access tokens of connections: one that is still good, refreshed when it is due, and the end of them all. */

import { isOAuthError, OAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import { refreshTokenGrant } from '../oauth/refresh-token.js'
import type { AccessToken, TokenSet } from '../oauth/token-set.js'
import { apiNonces } from '../tokens/api-nonces.js'
import { bearerToken, dpopToken } from '../tokens/api-token.js'
import { createFreshness, type TokenDemand } from '../tokens/freshness.js'
import type { Outcomes } from '../tokens/outcomes.js'
import { isFinalRefusal, isRefreshable, type Refresher, type RenewedTokens } from '../tokens/refresh.js'
import { tellStatus, type ConnectionChanges } from './connection-changes.js'
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

/** What a connection works with. */
export interface UsableConnection {
  readonly provider: Provider
  readonly server: ProviderServer
  readonly grant: ConnectionGrant
}

export interface ConnectionTokens {
  /** How it stands, by what is noted and by what the app is set up for. Nothing is asked. */
  standing(record: ConnectionRecord): Standing
  /**
   * An access token that is good. Throws `needs_reconnect` when there is none and none can be had without the user,
   * `connection_not_found`, and what asking the server throws.
   */
  accessToken(id: string, demand: TokenDemand): Promise<AccessToken>
  /** The same for requests to the provider's APIs. `mayTry`: also where the API has refused the connection before. */
  apiTokens(id: string, server: ProviderServer, options?: { mayTry: boolean }): ConnectionApiTokens
  /** What it works with. Throws `needs_reconnect`. */
  usable(record: ConnectionRecord, options?: { mayTry: boolean }): Promise<UsableConnection>
  /** Notes that it does not work any more, unless its tokens are others than those of `grant` meanwhile. */
  condemn(
    record: ConnectionRecord,
    grant: ConnectionGrant,
    reason: NeedsReconnectReason,
  ): Promise<ConnectionRecord>
  /** Runs while nobody refreshes it. */
  alone<T>(record: ConnectionRecord, task: () => Promise<T>): Promise<T>
  /**
   * Revokes tokens, unless another connection lives by the same account: many servers end all that they granted to it.
   * Whether nothing is left to do.
   */
  revoke(account: ProviderAccount, server: ProviderServer, tokens: TokenSet): Promise<boolean>
  /** The newest tokens of a grant, also those that nobody could keep. */
  newest: Outcomes['newest']
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

export function createConnectionTokens(options: ConnectionTokensOptions): ConnectionTokens {
  const { store, changes, providers, seal, outcomes, emit, now } = options
  const nonces = apiNonces()

  async function usable(record: ConnectionRecord, { mayTry } = { mayTry: false }): Promise<UsableConnection> {
    const provider = providers.get(record.provider)
    const name = provider?.name ?? record.provider
    const { status, reason } = standing(record)
    const isWorthATry = mayTry && isProvisional(reason)
    if (status === 'disconnected') throw needsReconnect('disconnected', name)
    if (reason !== undefined && !isWorthATry) throw needsReconnect(reason, name)
    const grant = seal.open(record)
    if (!provider || !grant) throw needsReconnect(provider ? 'unreadable' : 'provider_removed', name)
    return { provider, server: provider.server(record.fields), grant }
  }

  function standing(record: ConnectionRecord): Standing {
    const noted = notedStanding(record)
    if (noted.status === 'disconnected') return noted
    const provider = providers.get(record.provider)
    if (!provider) return { status: 'needs_reconnect', reason: 'provider_removed' }
    if (!isSameServer(record, provider)) return { status: 'needs_reconnect', reason: 'configuration_changed' }
    if (noted.status === 'active' && !seal.open(record))
      return { status: 'needs_reconnect', reason: 'unreadable' }
    return noted
  }

  async function accessToken(id: string, demand: TokenDemand & { mayTry?: boolean }): Promise<AccessToken> {
    for (let attempt = 1; ; attempt++) {
      const record = await changes.get(id)
      const { provider, server, grant } = await usable(record, { mayTry: demand.mayTry ?? false })
      const { isGood, isDue, isRefusedInVain } = createFreshness({ dpopKeys: server.dpopKeys, now })
      const kept = grant.tokens
      if (!isDue(kept, demand)) return kept
      // Whoever asked for them may have been killed before it could keep them.
      const tokens = await outcomes.newest(kept)
      if (tokens !== kept) await save(record, grant, tokens)
      if (!isDue(tokens, demand) || isRefusedInVain(tokens, tokens, demand)) return tokens
      const isServing = isGood(tokens, { ...demand, forceRefresh: false, minimumLifetime: 0 })
      try {
        if (!isRefreshable(tokens)) {
          if (isServing && !demand.forceRefresh) return tokens
          throw needsReconnect('expired', provider.name)
        }
        return (await refresh(record, { provider, server, grant }, tokens, demand)).access
      } catch (error) {
        const reason = isFinalRefusal(error)
          ? 'refresh_refused'
          : isReason(error, 'expired') && !isServing
            ? 'expired'
            : undefined
        if (reason === undefined) {
          if (isServing && !demand.forceRefresh && !isReason(error)) return tokens
          throw error
        }
        const judged = await condemn(record, { ...grant, tokens }, reason)
        // Somebody else has renewed them meanwhile.
        if (judged.status === 'active' && attempt === 1) continue
        throw needsReconnect(reason, provider.name, isOAuthError(error) ? error : undefined)
      }
    }
  }

  function refresh(
    record: ConnectionRecord,
    { provider, server, grant }: UsableConnection,
    replaced: TokenSet,
    demand: TokenDemand,
  ): Promise<RenewedTokens> {
    const { isGood, nextReplacement } = createFreshness({ dpopKeys: server.dpopKeys, now })
    const { id } = record
    return options.refresher(record.provider).refresh({
      family: familyOf(record),
      wanted: '',
      replaces: replaced.access_token,
      isPatient: !isGood(replaced, demand),
      async reread() {
        const current = await changes.get(id)
        const { tokens: kept } = (await usable(current, { mayTry: true })).grant
        const tokens = await outcomes.newest(kept)
        return { tokens, access: tokens }
      },
      async grant(tokens) {
        // Before the secret and the refresh token leave: the server may have come to name another place for them.
        await checkTokenOrigin(record, server)
        const { resource } = provider
        const renewed = await refreshTokenGrant(
          server.client,
          tokens,
          grant.subject,
          resource === undefined ? {} : { resource },
        )
        const isReplacement = replaced.access_token === demand.refused
        const noted = {
          ...withoutIdToken(renewed),
          ...(isReplacement && { replacement: nextReplacement(replaced) }),
        }
        return { tokens: noted, access: noted }
      },
      save: (renewed) => save(record, grant, renewed.tokens),
    })
  }

  /** Keeps renewed tokens, unless the connection was ended or made again while the server was asked. */
  async function save(record: ConnectionRecord, grant: ConnectionGrant, tokens: TokenSet): Promise<void> {
    const kept = await changes.change(record.id, (current) => {
      const theirs = seal.open(current)
      if (theirs?.id !== grant.id || theirs.tokens.generation >= tokens.generation) return undefined
      return {
        ...current,
        scope: tokens.scope,
        tokens: seal.seal(current, { ...grant, tokens }),
      }
    })
    if (kept.status !== 'disconnected') return
    const { name, server } = providerOf(record)
    void revoke(record, server, tokens)
    throw needsReconnect('disconnected', name)
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
    if (after !== before) {
      tellStatus(before, after, emit)
      if (after.tokens === undefined) void revoke(record, providerOf(record).server, grant.tokens)
    }
    return after
  }

  async function revoke(
    account: ProviderAccount,
    server: ProviderServer,
    tokens: TokenSet,
  ): Promise<boolean> {
    const others = await store.linked(account)
    const isShared = others.some(
      (other) => other.status === 'active' && other.clientId === server.client.clientId,
    )
    return isShared || server.revoke(tokens)
  }

  function providerOf(record: ConnectionRecord): { name: string; server: ProviderServer } {
    const provider = providers.get(record.provider)
    if (!provider) throw needsReconnect('provider_removed', record.provider)
    return { name: provider.name, server: provider.server(record.fields) }
  }

  return {
    standing,
    usable,
    accessToken,
    condemn,
    revoke,
    newest: outcomes.newest,
    alone: (record, task) => options.refresher(record.provider).alone(familyOf(record), task),
    apiTokens(id, server, { mayTry } = { mayTry: false }) {
      const apiToken = async (demand: TokenDemand) => {
        const { access_token, jkt } = await accessToken(id, { ...demand, mayTry })
        // A token that is good has its key at hand, or needs none.
        const key = server.dpopKeys.named(jkt)
        return key ? dpopToken(access_token, key, nonces) : bearerToken(access_token)
      }
      return {
        token: () => apiToken({}),
        async inPlaceOf({ access_token: refused }) {
          const another = await apiToken({ refused })
          return another.access_token === refused ? undefined : another
        },
      }
    },
  }
}

/** What can be refreshed by one at a time only. */
function familyOf({ id }: ConnectionRecord): string {
  return `connection ${id}`
}

/** Whether the app would send the connection's secrets where they came from. */
function isSameServer(record: ConnectionRecord, provider: Provider): boolean {
  try {
    const server = provider.server(record.fields)
    return server.issuer === record.issuer && server.client.clientId === record.clientId
  } catch {
    return false // its fields lead nowhere any more
  }
}

async function checkTokenOrigin(record: ConnectionRecord, server: ProviderServer): Promise<void> {
  const origin = await server.tokenOrigin()
  if (origin === record.tokenOrigin) return
  throw new OAuthError('issuer_mismatch', {
    reason: 'token_endpoint_moved',
    hint: `The connection was made with ${record.tokenOrigin}, and the server now names ${origin} for its tokens. If that is right, its users have to connect again.`,
  })
}

function isReason(error: unknown, reason?: string): boolean {
  return (
    isOAuthError(error) &&
    error.code === 'needs_reconnect' &&
    (reason === undefined || error.reason === reason)
  )
}
