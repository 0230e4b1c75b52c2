/** Connections that are there already: instances of an app over one store, and a provider that does as it is told. */
import { randomUUID } from 'node:crypto'
import { onTestFinished } from 'vitest'
import { grantSeal } from '../../lib/connections/grant.js'
import {
  memoryConnectionStore,
  oauthConnections,
  type Connection,
  type ConnectionProvider,
  type ConnectionRecord,
  type ConnectionStore,
  type OAuthConnections,
  type OAuthConnectionsOptions,
  type OAuthEvent,
} from '../../lib/index.js'
import { createSeal } from '../../lib/seal.js'
import { startAccountServer, type AccountServer } from './account-server.js'

export interface LinkedOptions {
  readonly store?: ConnectionStore
  /** The store as an instance sees it. */
  readonly seenBy?: (store: ConnectionStore, instance: number) => ConnectionStore
  /** What is special about the provider `files`. */
  readonly provider?: (url: string) => Partial<ConnectionProvider>
  readonly more?: Partial<OAuthConnectionsOptions>
}

export interface Linked {
  readonly server: AccountServer
  readonly store: ConnectionStore
  readonly apps: readonly [OAuthConnections, OAuthConnections]
  /** What both have told. */
  readonly events: readonly OAuthEvent[]
  /** Types of what was told about one connection. */
  told(id: string): string[]
  /** Another instance, set up in another way. */
  open(options?: Partial<OAuthConnectionsOptions>): OAuthConnections
  /** An account that an owner has connected. */
  link(account: string, parts?: LinkParts): Promise<Connection>
  /** Its user connects the account again: the row is the same, and the grant is another. */
  relink(id: string): Promise<void>
  /** As it is kept. */
  kept(id: string): Promise<ConnectionRecord | undefined>
}

export interface LinkParts extends Partial<ConnectionRecord> {
  /** Seconds that its access token is good for. Default 3600. */
  readonly life?: number
  readonly refreshable?: boolean
}

export const linkedSecret = 'a secret of thirty-two bytes or more'

const seal = grantSeal(createSeal([linkedSecret], 'connection tokens oauth'))

/** The provider as an app has it. */
export function filesProvider(url: string): ConnectionProvider {
  return {
    endpoints: { authorization: `${url}/authorize`, token: `${url}/token`, revocation: `${url}/revoke` },
    clientId: 'files-app',
    clientSecret: 'the secret of this client',
    scope: 'read',
    name: 'Files',
    test: { url: `${url}/me` },
    accountId: (me) => me.id as string,
    label: (me) => `${me.name}’s files`,
    allow: [`${url}/`],
  }
}

/** A record with sealed tokens, as connecting leaves it. */
export function linkedRecord(url: string, account: string, parts: LinkParts = {}): ConnectionRecord {
  const { life = 3_600, refreshable = true, ...own } = parts
  const now = Math.floor(Date.now() / 1000)
  const record = {
    id: `id-${account}`,
    owner: `owner-of-${account}`,
    provider: 'files',
    issuer: url,
    accountId: account,
    status: 'active' as const,
    label: 'Files',
    isRenamed: false,
    fields: {},
    clientId: 'files-app',
    tokenOrigin: url,
    scope: ['read'],
    isExclusive: false,
    createdAt: now,
    connectedAt: now,
    checkedAt: now,
    version: 1,
    ...own,
  }
  return {
    tokens: seal.seal(record, {
      id: `grant of ${record.id}`,
      tokens: tokenSet(account, { life, refreshable }),
    }),
    ...record,
  }
}

function tokenSet(account: string, { life, refreshable }: { life: number; refreshable: boolean }) {
  return {
    access_token: `access-${account}.1`,
    ...(refreshable && { refresh_token: `refresh-${account}.1` }),
    expires_at: Math.floor(Date.now() / 1000) + life,
    scope: ['read'],
    generation: 0,
  }
}

export async function startLinked(options: LinkedOptions = {}): Promise<Linked> {
  const { store = memoryConnectionStore(), seenBy = (same) => same, provider, more } = options
  const server = await startAccountServer()
  onTestFinished(() => server.close())
  const events: OAuthEvent[] = []
  const open = (special: Partial<OAuthConnectionsOptions> = {}, seen = store) =>
    oauthConnections({
      baseUrl: 'http://localhost:1',
      secrets: [linkedSecret],
      store: seen,
      providers: { files: { ...filesProvider(server.url), ...provider?.(server.url) } as ConnectionProvider },
      timeout: 1,
      onEvent: (event) => void events.push(event),
      ...more,
      ...special,
    })
  const apps = [open({}, seenBy(store, 0)), open({}, seenBy(store, 1))] as const
  return {
    server,
    store,
    apps,
    events,
    open,
    told: (id) =>
      events.flatMap((event) => ('connection' in event && event.connection.id === id ? [event.type] : [])),
    async link(account, parts) {
      const record = linkedRecord(server.url, account, parts)
      if ((await store.insert(record)) !== 'done') throw new Error(`${account} is linked already`)
      return apps[0].for(record.owner).get(record.id)
    },
    async relink(id) {
      const before = await store.get(id)
      if (!before) throw new Error(`${id} is not there`)
      const { reason: _reason, tokens: _tokens, ...others } = before
      const grant = {
        id: randomUUID(),
        tokens: tokenSet(before.accountId, { life: 3_600, refreshable: true }),
      }
      const status = 'active'
      await store.update({ ...others, status, tokens: seal.seal(before, grant), version: before.version + 1 })
    },
    kept: (id) => store.get(id),
  }
}
