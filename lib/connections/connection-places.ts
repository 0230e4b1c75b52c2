/** Where connections lead: how each stands, and the server that it was made with. */

import { isOAuthError } from '../errors.js'
import type { ConnectionRecord } from './connection-record.js'
import type { ConnectionGrant, GrantSeal } from './grant.js'
import type { Provider } from './provider.js'
import type { ProviderServer } from './provider-server.js'
import { isProvisional, needsReconnect, notedStanding, type Standing } from './standing.js'

/** Where the requests of a connection go. */
export interface ConnectionPlace {
  readonly provider: Provider
  readonly server: ProviderServer
}

/** What a connection works with. */
export interface UsableConnection extends ConnectionPlace {
  readonly record: ConnectionRecord
  readonly grant: ConnectionGrant
}

/** `mayTry`: also where the API has refused the connection before. Default false. */
export interface Trial {
  readonly mayTry?: boolean
}

export interface ConnectionPlaces {
  /** How it stands, by what is noted and by what the app is set up for. Nothing is asked. */
  standing(record: ConnectionRecord): Standing
  /** Where its requests go, before its tokens are looked at. Throws `needs_reconnect`. */
  place(record: ConnectionRecord, trial?: Trial): ConnectionPlace
  /** What it works with. Throws `needs_reconnect`. */
  usable(record: ConnectionRecord, trial?: Trial): UsableConnection
  /** The server that it was made with; nothing where the app is set up for another one by now. */
  server(record: ConnectionRecord): ProviderServer | undefined
}

export interface ConnectionPlacesOptions {
  providers: ReadonlyMap<string, Provider>
  seal: GrantSeal
}

export function createConnectionPlaces({ providers, seal }: ConnectionPlacesOptions): ConnectionPlaces {
  function located(record: ConnectionRecord): { standing: Standing; place?: ConnectionPlace; name: string } {
    const noted = notedStanding(record)
    const provider = providers.get(record.provider)
    const name = provider?.name ?? record.provider
    if (noted.status === 'disconnected') return { standing: noted, name }
    const server = serverOf(record)
    const reason = provider ? 'configuration_changed' : 'provider_removed'
    if (!provider || !server) return { standing: { status: 'needs_reconnect', reason }, name }
    return { standing: noted, place: { provider, server }, name }
  }

  function standing(record: ConnectionRecord): Standing {
    const found = located(record).standing
    const isUnreadable = found.status === 'active' && !seal.open(record)
    return isUnreadable ? { status: 'needs_reconnect', reason: 'unreadable' } : found
  }

  const place: ConnectionPlaces['place'] = (record, { mayTry = false } = {}) => {
    const { standing: found, place: there, name } = located(record)
    if (found.status === 'disconnected') throw needsReconnect('disconnected', name)
    const isWorthATry = mayTry && isProvisional(found.reason)
    if (found.reason !== undefined && !isWorthATry) throw needsReconnect(found.reason, name)
    if (!there) throw needsReconnect('configuration_changed', name)
    return there
  }

  function usable(record: ConnectionRecord, trial?: Trial): UsableConnection {
    const there = place(record, trial)
    const grant = seal.open(record)
    if (!grant) throw needsReconnect('unreadable', there.provider.name)
    return { ...there, record, grant }
  }

  function serverOf(record: ConnectionRecord): ProviderServer | undefined {
    try {
      const server = providers.get(record.provider)?.server(record.fields)
      return server?.issuer === record.issuer && server.client.clientId === record.clientId
        ? server
        : undefined
    } catch (error) {
      if (isOAuthError(error)) return undefined // its fields lead nowhere any more
      throw error
    }
  }

  return { standing, place, usable, server: serverOf }
}
