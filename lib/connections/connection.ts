/** A linked account, as the app has it in its hands. */

import { OAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import { expiringMap } from '../expiring-map.js'
import { checkOptions } from '../options.js'
import type { ApiFetch } from '../tokens/api-fetch.js'
import { nameOf, type ConnectionChanges } from './connection-changes.js'
import type { ConnectionRecord, ConnectionStatus } from './connection-record.js'
import type { ConnectionRevocation } from './connection-revocation.js'
import type { ConnectionStore } from './connection-store.js'
import type { ConnectionPlaces } from './connection-places.js'
import type { ConnectionTokens } from './connection-tokens.js'
import { createEnding, type Ending } from './ending.js'
import type { GrantSeal } from './grant.js'
import { plainLabel } from './provider-account.js'
import type { Provider } from './provider.js'
import { reasonInWords, type NeedsReconnectReason } from './standing.js'
import { createTrying, type Trying } from './trying.js'

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
  /** When its user last connected it. */
  readonly connected_at: number
  /** When it was last tried; of one that is `disconnected`, when that was. */
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
   * access token is asked for. One that is `disconnected` is given as it is. Throws `connection_not_found`, and
   * `upstream_unavailable`, `account_unknown`, `server_unavailable` and the like when nothing is known from it;
   * then nothing is changed.
   */
  test(): Promise<Connection>
  /**
   * Gives it another label: one line of 100 characters, and what is more is cut off. An empty one brings the provider's own
   * back: at once when it answers, or at the next test that it answers. Throws `connection_not_found`, and `invalid_fields`
   * for what is no text.
   */
  rename(label: string): Promise<Connection>
  /**
   * Ends it: nobody can use it from this moment, and the tokens are revoked and forgotten. It stays in the list as
   * `disconnected`, and connecting the same account again makes it what it was. A server that does not answer is waited for
   * two seconds and a half; then the tokens stay, sealed, for `check()`, which revokes them later. While another connection
   * lives by the same account, the tokens are forgotten only, because many servers would end both. Throws
   * `connection_not_found`.
   */
  disconnect(): Promise<Connection>
  /**
   * Ends it in the same way and forgets it. What could not be revoked by then is not tried again. Throws
   * `connection_not_found`.
   */
  remove(): Promise<void>
}

export interface ConnectionParts {
  store: ConnectionStore
  changes: ConnectionChanges
  providers: ReadonlyMap<string, Provider>
  places: ConnectionPlaces
  revocation: ConnectionRevocation
  tokens: ConnectionTokens
  seal: GrantSeal
  emit: Emit
  now: () => number
}

/** What can be done with connections, by their records. */
export interface Connections extends Trying, Ending {
  view(record: ConnectionRecord): ConnectionView
  connection(record: ConnectionRecord): Connection
}

/** Seconds until another 401 is looked into. */
const pause = 60

export function createConnections(parts: ConnectionParts): Connections {
  const { changes, providers, places, tokens, emit } = parts
  const trying = createTrying(parts)
  const ending = createEnding(parts)
  const lookedInto = expiringMap<true>({ most: 10_000, now: () => performance.now() / 1000 })

  function view(record: ConnectionRecord): ConnectionView {
    const { status, reason } = places.standing(record)
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

  async function rename(id: string, owner: string, label: string): Promise<ConnectionRecord> {
    const text = typeof label === 'string' ? plainLabel(label) : undefined
    if (text === undefined) throw new OAuthError('invalid_fields', { fields: { label: 'Give a text.' } })
    const { provider: key } = await changes.get(id, owner)
    const ofProvider = providers.get(key)?.name ?? key
    let before: ConnectionRecord | undefined
    const renamed = await changes.change(id, (current) => {
      before = current
      const isRenamed = text !== ''
      // The provider's own label is not kept beside the user's. The test call below brings it, if it can.
      const shown = isRenamed ? text : current.isRenamed ? ofProvider : current.label
      return isRenamed === current.isRenamed && shown === current.label
        ? undefined
        : { ...current, isRenamed, label: shown }
    })
    if (renamed === before) return renamed
    emit({ type: 'connection_renamed', connection: nameOf(renamed) })
    return text === '' ? trying.test(id, owner).catch(() => renamed) : renamed
  }

  function connection(record: ConnectionRecord): Connection {
    const { id, owner } = record
    const again = async (changed: Promise<ConnectionRecord>) => connection(await changed)
    const made: Connection = {
      ...view(record),
      owner,
      async fetch(url, init) {
        const current = await changes.get(id, owner)
        const { server } = places.place(current)
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
      test: () => again(trying.test(id, owner)),
      rename: (label) => again(rename(id, owner, label)),
      disconnect: () => again(ending.disconnect(id, owner)),
      remove: () => ending.remove(id, owner),
    }
    return made
  }

  /** An API may refuse a request for reasons of its own; the test call says whether the connection is at its end. */
  async function lookInto(id: string): Promise<void> {
    if (lookedInto.get(id)) return
    lookedInto.set(id, true, performance.now() / 1000 + pause)
    await trying.test(id).catch(() => undefined)
  }

  return { view, connection, ...trying, ...ending }
}
