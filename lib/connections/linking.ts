/** The end of connecting: what the provider granted becomes a connection, or renews the one that there is. */

import { randomBytes } from 'node:crypto'
import { OAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import type { Grant } from '../oauth/authorization-code.js'
import { bearerToken, dpopToken } from '../tokens/api-token.js'
import { apiNonces } from '../tokens/api-nonces.js'
import { untilDone } from '../stores/store.js'
import { nameOf, type ConnectionChanges } from './connection-changes.js'
import type { ConnectionRecord, ProviderAccount } from './connection-record.js'
import type { ConnectionStore } from './connection-store.js'
import type { ConnectionTokens } from './connection-tokens.js'
import { newGrant, type GrantSeal } from './grant.js'
import type { Provider } from './provider.js'
import type { AccountAnswer } from './provider-options.js'
import type { ConnectionApiTokens, ProviderServer } from './provider-server.js'
import type { FieldValues } from './url-template.js'

export interface Link {
  readonly provider: Provider
  readonly owner: string
  readonly fields: FieldValues
  /** The connection that is to be made again; nothing for a new one. */
  readonly reconnects?: string
  readonly grant: Grant
}

export interface Linked {
  readonly record: ConnectionRecord
  readonly isNew: boolean
}

/**
 * Asks whose account it is, and keeps the connection: a new one, or the one that this owner has to the account. What is
 * refused leaves no row, and its tokens are revoked. Throws `account_taken`, `other_account`, `needs_reconnect` when the
 * test call refuses the new token, and what the test call and the store throw.
 */
export type Linking = (link: Link) => Promise<Linked>

export interface LinkingOptions {
  store: ConnectionStore
  changes: ConnectionChanges
  tokens: ConnectionTokens
  seal: GrantSeal
  emit: Emit
  now: () => number
}

export function createLinking({ store, changes, tokens, seal, emit, now }: LinkingOptions): Linking {
  const nonces = apiNonces()

  async function accountOf(link: Link, server: ProviderServer): Promise<AccountAnswer> {
    if (!server.test) return link.grant.claims
    const { access_token, jkt } = link.grant.tokens
    const key = server.dpopKeys.named(jkt)
    const token = key ? dpopToken(access_token, key, nonces) : bearerToken(access_token)
    const ofGrant: ConnectionApiTokens = { token: async () => token, inPlaceOf: async () => undefined }
    return server.test(ofGrant)
  }

  return async (link) => {
    const { provider, owner, fields, grant } = link
    const server = provider.server(fields)
    let account: ProviderAccount | undefined
    try {
      const answer = await accountOf(link, server)
      const found = (account = {
        provider: provider.key,
        issuer: server.issuer,
        accountId: provider.accountId(answer),
      })
      const about = {
        fields,
        clientId: server.client.clientId,
        tokenOrigin: await server.tokenOrigin(),
        scope: grant.tokens.scope,
        isExclusive: !provider.sharedAccounts,
      }
      const label = provider.label(answer)
      const linked = await untilDone(() => keep(link, found, about, label, owner))
      emit({ type: linked.isNew ? 'connected' : 'reconnected', connection: nameOf(linked.record) })
      return linked
    } catch (error) {
      // Nobody will use them. Whose account it is may not be known, and then nobody else can have it by these tokens.
      if (account) await tokens.revoke(account, server, grant.tokens).catch(() => false)
      else await server.revoke(grant.tokens)
      throw error
    }
  }

  async function keep(
    { reconnects, provider, grant }: Link,
    account: ProviderAccount,
    about: Pick<ConnectionRecord, 'fields' | 'clientId' | 'tokenOrigin' | 'scope' | 'isExclusive'>,
    label: string,
    owner: string,
  ): Promise<Linked | undefined> {
    const linked = await store.linked(account)
    const mine = linked.find((record) => record.owner === owner)
    if (reconnects !== undefined && mine?.id !== reconnects) {
      await changes.get(reconnects, owner) // it may have been removed meanwhile, which is another story
      throw otherAccount(provider.name)
    }
    if (
      about.isExclusive &&
      linked.some((record) => record.owner !== owner && record.status !== 'disconnected')
    )
      throw new OAuthError('account_taken')
    const time = now()
    const granted = newGrant(
      // Some servers give the same refresh token again: what was remembered of its last use must not seem newer.
      {
        ...grant.tokens,
        generation: Math.max(((mine && seal.open(mine))?.tokens.generation ?? 0) + 1, time),
      },
      typeof grant.claims?.['sub'] === 'string' ? grant.claims['sub'] : undefined,
    )
    const before: Omit<ConnectionRecord, keyof typeof about | 'status' | 'connectedAt' | 'checkedAt'> =
      mine ?? {
        ...account,
        id: randomBytes(16).toString('base64url'),
        owner,
        isRenamed: false,
        label,
        createdAt: time,
        version: 0,
      }
    const place = { ...before, ...about }
    const { reason: _reason, ...others } = place
    const record: ConnectionRecord = {
      ...others,
      status: 'active',
      label: before.isRenamed ? before.label : label,
      tokens: seal.seal(place, granted),
      connectedAt: time,
      checkedAt: time,
      version: before.version + 1,
    }
    const outcome = mine ? await store.update(record) : await store.insert(record)
    if (outcome === 'taken') throw new OAuthError('account_taken')
    return outcome === 'done' ? { record, isNew: !mine } : undefined
  }
}

function otherAccount(name: string): OAuthError {
  return new OAuthError('other_account', {
    hint: `Sign out at ${name}, and choose the account that was connected before. To use the other one, connect it as a new one.`,
  })
}
