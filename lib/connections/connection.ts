/** A linked account, as the app has it in its hands. */

import { isOAuthError, OAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import { expiringMap } from '../expiring-map.js'
import { checkOptions } from '../options.js'
import type { ApiFetch } from '../tokens/api-fetch.js'
import { nameOf, tellStatus, type ConnectionChanges } from './connection-changes.js'
import type { ConnectionRecord, ConnectionStatus } from './connection-record.js'
import type { ConnectionStore } from './connection-store.js'
import type { ConnectionTokens } from './connection-tokens.js'
import type { GrantSeal } from './grant.js'
import { plainLabel, type Provider } from './provider.js'
import { reasonInWords, type NeedsReconnectReason } from './standing.js'

export interface ConnectionTokenOptions {
  /** Seconds that the token must still be good for. Default 0. */
  minimumLifetime?: number
  /** Refreshes whatever the state of the token. Default false. */
  forceRefresh?: boolean
}

/** What there is to say of a connection. No token is ever in it. All times are seconds since the epoch. */
export interface ConnectionView {
  readonly id: string
  /** By its name in the option `providers`. */
  readonly provider: string
  /** What people call the provider. */
  readonly provider_name: string
  /** What people call the connection. Display it, and let nothing go by it. */
  readonly label: string
  readonly status: ConnectionStatus
  /** Why it does not work, as a short fixed word. */
  readonly reason?: NeedsReconnectReason
  /** The same in a sentence for its user. */
  readonly message?: string
  /** The account, by the provider's name for it. */
  readonly account_id: string
  readonly issuer: string
  readonly fields: Readonly<Record<string, string>>
  /** Granted scopes, with one space between. */
  readonly scope: string
  readonly created_at: number
  readonly connected_at: number
  readonly checked_at: number
}

/** A connection as it was when it was asked for. Its methods go by what it is when they are called. */
export interface Connection extends ConnectionView {
  readonly owner: string
  /**
   * `fetch` with the access token, for the provider's option `allow` only: any other address is `url_not_allowed`, before
   * anything is asked. Redirects are handed back. A 401 is answered by one refresh and one more request, when the body can
   * be sent again. A 401 that is handed back has been looked into: by the test call, where there is one.
   * Throws what `accessToken` throws, and what `fetch` throws.
   */
  readonly fetch: ApiFetch
  /**
   * An access token that is good, for libraries that want one. It may be sent nowhere but to the provider's API.
   * Throws `needs_reconnect` (409) when only its user can bring another one, `connection_not_found`,
   * `server_unavailable` and `store_unavailable` when that is nobody's fault, and the server's refusals by their codes.
   */
  accessToken(options?: ConnectionTokenOptions): Promise<string>
  /**
   * Makes the test call, and gives the connection as it is then: `active`, or `needs_reconnect`. Without a test call, an
   * access token is asked for. Throws `upstream_unavailable`, `server_unavailable` or `invalid_server_response` when
   * nothing is known from it, and then nothing is changed.
   */
  test(): Promise<Connection>
  /** Gives it another label; an empty one brings the provider's own back at the next test. Throws `connection_not_found`. */
  rename(label: string): Promise<Connection>
  /**
   * Ends it: the tokens are revoked and forgotten. It stays in the list as `disconnected`, and connecting the same account
   * again makes it what it was. A server that does not answer is waited for two seconds; `check()` tries again, then.
   */
  disconnect(): Promise<Connection>
  /** Ends it and forgets it. */
  remove(): Promise<void>
}

export interface ConnectionParts {
  store: ConnectionStore
  changes: ConnectionChanges
  providers: ReadonlyMap<string, Provider>
  tokens: ConnectionTokens
  seal: GrantSeal
  emit: Emit
  now: () => number
}

/** What can be done with connections, by their records. */
export interface Connections {
  view(record: ConnectionRecord): ConnectionView
  connection(record: ConnectionRecord): Connection
  test(id: string, owner?: string): Promise<ConnectionRecord>
  disconnect(id: string, owner: string): Promise<ConnectionRecord>
}

/** Seconds until another 401 is looked into. */
const pause = 60

export function createConnections(parts: ConnectionParts): Connections {
  const { store, changes, providers, tokens, seal, emit, now } = parts
  const lookedInto = expiringMap<true>({ most: 10_000, now: () => performance.now() / 1000 })

  function view(record: ConnectionRecord): ConnectionView {
    const { status, reason } = tokens.standing(record)
    const name = providers.get(record.provider)?.name ?? record.provider
    return {
      id: record.id,
      provider: record.provider,
      provider_name: name,
      label: record.label,
      status,
      ...(reason !== undefined && { reason, message: reasonInWords(reason, name) }),
      account_id: record.accountId,
      issuer: record.issuer,
      fields: record.fields,
      scope: record.scope.join(' '),
      created_at: record.createdAt,
      connected_at: record.connectedAt,
      checked_at: record.checkedAt,
    }
  }

  async function test(id: string, owner?: string): Promise<ConnectionRecord> {
    const record = await changes.get(id, owner)
    const { provider, server, grant } = await tokens.usable(record, { mayTry: true })
    if (!server.test) {
      await tokens.accessToken(record, {})
      return noteGood(record)
    }
    try {
      const answer = await server.test(tokens.apiTokens(record, server, { mayTry: true }))
      if (provider.accountId(answer) !== record.accountId)
        return await tokens.condemn(record, grant, 'account_changed')
      return await noteGood(record, provider.label(answer))
    } catch (error) {
      if (!isOAuthError(error) || error.code !== 'needs_reconnect' || error.reason !== 'test_refused')
        throw error
      // The test call may have brought newer tokens.
      const current = await changes.get(id)
      return tokens.condemn(current, seal.open(current) ?? grant, 'test_refused')
    }
  }

  async function noteGood({ id }: ConnectionRecord, label?: string): Promise<ConnectionRecord> {
    let before: ConnectionRecord | undefined
    const after = await changes.change(id, (current) => {
      before = current
      if (current.status === 'disconnected' || current.tokens === undefined) return undefined
      const { reason: _reason, ...others } = current
      const own = label === undefined || current.isRenamed ? current.label : label
      return { ...others, status: 'active', label: own, checkedAt: now() }
    })
    if (before) tellStatus(before, after, emit)
    return after
  }

  async function disconnect(id: string, owner: string): Promise<ConnectionRecord> {
    const record = await changes.get(id, owner)
    return tokens.alone(record, async () => {
      let before = record
      // Before anything is revoked: whatever happens then, nobody uses it any more.
      const ended = await changes.change(id, (current) => {
        before = current
        const { reason: _reason, ...others } = current
        return current.status === 'disconnected'
          ? undefined
          : { ...others, status: 'disconnected', checkedAt: now() }
      })
      tellStatus(before, ended, emit)
      return tokens.giveUp(ended)
    })
  }

  async function remove(id: string, owner: string): Promise<void> {
    for (;;) {
      const record = await disconnect(id, owner)
      if (await store.delete(id, record.version)) {
        emit({ type: 'connection_removed', connection: nameOf(record) })
        return
      }
    }
  }

  async function rename(id: string, owner: string, label: string): Promise<ConnectionRecord> {
    const text = typeof label === 'string' ? plainLabel(label) : undefined
    if (text === undefined) throw new OAuthError('invalid_fields', { fields: { label: 'Give a text.' } })
    const record = await changes.get(id, owner)
    const renamed = await changes.change(id, (current) => ({
      ...current,
      isRenamed: text !== '',
      label: text === '' ? (providers.get(current.provider)?.name ?? current.provider) : text,
    }))
    emit({ type: 'connection_renamed', connection: nameOf(record) })
    return renamed
  }

  function connection(record: ConnectionRecord): Connection {
    const { id, owner } = record
    const again = async (changed: Promise<ConnectionRecord>) => connection(await changed)
    const made: Connection = {
      ...view(record),
      owner,
      async fetch(url, init) {
        const current = await changes.get(id, owner)
        const { server } = tokens.place(current)
        const response = await server.fetch(tokens.apiTokens(current, server))(url, init)
        if (response.status === 401) await lookInto(id)
        return response
      },
      async accessToken(options = {}) {
        const check = checkOptions('accessToken', options, { minimumLifetime: true, forceRefresh: true })
        const { access_token } = await tokens.accessToken(await changes.get(id, owner), {
          minimumLifetime: check.seconds('minimumLifetime', options.minimumLifetime, { default: 0 }),
          forceRefresh: check.boolean('forceRefresh', options.forceRefresh),
        })
        return access_token
      },
      test: () => again(test(id, owner)),
      rename: (label) => again(rename(id, owner, label)),
      disconnect: () => again(disconnect(id, owner)),
      remove: () => remove(id, owner),
    }
    return made
  }

  /** An API may refuse a request for reasons of its own; the test call says whether the connection is at its end. */
  async function lookInto(id: string): Promise<void> {
    if (lookedInto.get(id)) return
    lookedInto.set(id, true, performance.now() / 1000 + pause)
    await test(id).catch(() => undefined)
  }

  return { view, connection, test, disconnect }
}
