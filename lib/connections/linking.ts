/** The end of connecting: what the provider granted becomes a connection, or renews the one that there is. */

import { randomBytes } from 'node:crypto'
import { isOAuthError, OAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import type { Grant } from '../oauth/authorization-code.js'
import { untilDone } from '../stores/store.js'
import { apiNonces } from '../tokens/api-nonces.js'
import { bearerToken, dpopToken } from '../tokens/api-token.js'
import { nameOf, type ConnectionChanges } from './connection-changes.js'
import type { ConnectionRecord, ProviderAccount } from './connection-record.js'
import type { ConnectionStore } from './connection-store.js'
import { livesBy, type ConnectionRevocation } from './connection-revocation.js'
import { newGrant, type GrantSeal } from './grant.js'
import type { Provider } from './provider.js'
import type { ConnectionApiTokens, ProviderServer } from './provider-server.js'
import { needsReconnect } from './standing.js'
import type { FieldValues } from './url-template.js'

export interface Link {
  readonly provider: Provider
  readonly owner: string
  readonly fields: FieldValues
  /** Where the tokens came from. */
  readonly tokenOrigin: string
  /** The connection that is to be made again; nothing for a new one. */
  readonly reconnects?: string
  readonly grant: Grant
}

export interface Linked {
  readonly record: ConnectionRecord
  readonly isNew: boolean
}

/**
 * Asks whose account it is, and keeps the connection: a new one, or the one that this owner has to the account. That is one
 * write of one row, so that a process which dies on the way leaves the connection as it was, or none. What is refused
 * leaves no row, and its tokens are revoked where that harms nobody.
 *
 * Throws `account_taken`, `other_account`, `connection_not_found` when the one to be made again was removed,
 * `needs_reconnect` when the test call refuses the new token, and what the test call and the store throw.
 */
export type Linking = (link: Link) => Promise<Linked>

export interface LinkingOptions {
  store: ConnectionStore
  changes: ConnectionChanges
  revocation: ConnectionRevocation
  seal: GrantSeal
  emit: Emit
  now: () => number
}

interface KnownAccount {
  readonly account: ProviderAccount
  readonly label: string
}

export function createLinking({ store, changes, revocation, seal, emit, now }: LinkingOptions): Linking {
  const nonces = apiNonces()

  return async (link) => {
    const server = link.provider.server(link.fields)
    let known: KnownAccount | undefined
    try {
      const found = (known = await accountOf(link, server))
      const linked = await untilDone(() => keep(link, found, server))
      emit({ type: linked.isNew ? 'connected' : 'reconnected', connection: nameOf(linked.record) })
      return linked
    } catch (error) {
      await revoke(link, server, known?.account).catch(() => undefined)
      throw error
    }
  }

  async function accountOf({ provider, grant }: Link, server: ProviderServer): Promise<KnownAccount> {
    try {
      const answer = server.test ? await server.test(apiTokens(grant, server)) : grant.claims
      const accountId = provider.accountId(answer)
      return {
        account: { provider: provider.key, issuer: server.issuer, accountId },
        label: provider.label(answer),
      }
    } catch (error) {
      if (!isOAuthError(error)) throw unreadableAnswer(provider, error)
      throw error.reason === 'test_refused' ? needsReconnect('test_refused', provider.name, error) : error
    }
  }

  function apiTokens({ tokens: { access_token, jkt } }: Grant, server: ProviderServer): ConnectionApiTokens {
    const key = server.dpopKeys.named(jkt)
    const token = key ? dpopToken(access_token, key, nonces) : bearerToken(access_token)
    return { token: async () => token, inPlaceOf: async () => undefined }
  }

  /** Nothing when something came between. */
  async function keep(
    link: Link,
    { account, label }: KnownAccount,
    server: ProviderServer,
  ): Promise<Linked | undefined> {
    const { owner, provider, reconnects } = link
    const linked = await store.linked(account)
    const mine = linked.find((record) => record.owner === owner)
    if (reconnects !== undefined && mine?.id !== reconnects)
      throw otherAccount(await changes.get(reconnects, owner), account, provider.name)
    const isHeldByOther = linked.some((record) => record.owner !== owner && record.status !== 'disconnected')
    if (isHeldByOther && !provider.sharedAccounts) throw new OAuthError('account_taken')
    const record = connected(mine, { account, label }, link, server.client.clientId)
    const outcome = mine ? await store.update(record) : await store.insert(record)
    if (outcome === 'taken') throw new OAuthError('account_taken')
    return outcome === 'done' ? { record, isNew: !mine } : undefined
  }

  /** As the row is written. What its user made of it stays: id, label and age. */
  function connected(
    mine: ConnectionRecord | undefined,
    { account, label }: KnownAccount,
    { owner, fields, tokenOrigin, provider, grant }: Link,
    clientId: string,
  ): ConnectionRecord {
    const time = now()
    const place = {
      ...account,
      id: mine?.id ?? randomBytes(16).toString('base64url'),
      owner,
      clientId,
      tokenOrigin,
      fields,
    }
    // Above all that came before, also for a connection that was forgotten a moment ago: some servers give the same refresh token
    // again, and what is remembered of its last use must not seem newer.
    const last = mine && seal.open(mine)?.tokens.generation
    const generation = Math.max(Date.now(), (last ?? -1) + 1)
    const subject = grant.claims?.['sub']
    return {
      ...place,
      status: 'active',
      label: mine?.isRenamed ? mine.label : label,
      isRenamed: mine?.isRenamed ?? false,
      scope: grant.tokens.scope,
      isExclusive: !provider.sharedAccounts,
      tokens: seal.seal(
        place,
        newGrant({ ...grant.tokens, generation }, typeof subject === 'string' ? subject : undefined),
      ),
      createdAt: mine?.createdAt ?? time,
      connectedAt: time,
      checkedAt: time,
      version: (mine?.version ?? 0) + 1,
    }
  }

  /** Gives back tokens that nobody will use, unless a connection that works may live by the same grant. */
  async function revoke(
    { owner, grant }: Link,
    server: ProviderServer,
    account: ProviderAccount | undefined,
  ): Promise<void> {
    if (account) {
      await revocation.revokeUnlinked(account, server, grant.tokens)
      return
    }
    // Whose account it is is not known: it may be one that this owner has connected.
    const isPerhapsShared = (await store.list(owner)).some(
      (record) => record.issuer === server.issuer && livesBy(record, server.client.clientId),
    )
    if (!isPerhapsShared) await server.revoke(grant.tokens)
  }
}

function otherAccount(record: ConnectionRecord, { issuer }: ProviderAccount, name: string): OAuthError {
  const isOtherServer = record.issuer !== issuer
  return new OAuthError('other_account', {
    reason: isOtherServer ? 'other_issuer' : 'other_account',
    hint: isOtherServer
      ? `The app reaches ${name} at another server by now, where accounts have other names: its user has to connect the account as a new one.`
      : `The user chose another account at ${name} than the one that this connection is for.`,
  })
}

/** What the app's functions read was sent by somebody else, and may be anything. */
function unreadableAnswer({ key, name }: Provider, cause: unknown): OAuthError {
  return new OAuthError('account_unknown', {
    message: `${name} does not say whose account it is`,
    reason: 'account_unreadable',
    hint: `A function of "providers.${key}" threw on the answer of the test call: "judge", "accountId" or "label".`,
    cause,
  })
}
