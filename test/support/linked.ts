/** Connections that are there already: instances of an app over one store, and a provider that does as it is told. */
import { onTestFinished } from 'vitest'
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
import { startAccountServer, type AccountServer } from './account-server.js'
import { filesProvider, linkedRecord, linkedSecret, relinkedRecord, type LinkParts } from './linked-record.js'

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
  /** Types of what was told about the standing of one connection. */
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
      events.flatMap((event) =>
        'connection' in event && event.connection?.id === id && !/^re(fresh|vocation)/.test(event.type)
          ? [event.type]
          : [],
      ),
    async link(account, parts) {
      const record = linkedRecord(server.url, account, parts)
      if ((await store.insert(record)) !== 'done') throw new Error(`${account} is linked already`)
      return apps[0].for(record.owner).get(record.id)
    },
    async relink(id) {
      const before = await store.get(id)
      if (!before) throw new Error(`${id} is not there`)
      await store.update(relinkedRecord(before))
    },
    kept: (id) => store.get(id),
  }
}
