/**
 * What happens behind the Connections page, in plain words and for its user alone: events of the package, and each request
 * to a provider. It is kept in memory. An app of yours needs none of this.
 */

import { AsyncLocalStorage } from 'node:async_hooks'
import type { Fetch, OAuthEvent } from 'express-oauth-kit'
import { lifetimeHeader } from '../token-watch.js'

export interface Entry {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly kind: 'good' | 'bad' | 'plain' | 'request'
  readonly text: string
  /** What the package or the provider calls it. */
  readonly word?: string
}

export interface Journal {
  /** What is done in here is done for this owner. */
  for<T>(owner: string, task: () => T): T
  /** In here, the demo's providers give access tokens that live one second. */
  shortLived<T>(task: () => T): T
  /** For the options of `oauthConnections`. */
  readonly fetch: Fetch
  readonly onEvent: (event: OAuthEvent) => void
  note(kind: Entry['kind'], text: string): void
  /** The newest first. */
  of(owner: string): readonly Entry[]
}

/** Entries of an owner that are kept. */
const most = 30

/** `names` of the providers, by their keys and by their origins. */
export function createJournal(names: Readonly<Record<string, string>>): Journal {
  const entries = new Map<string, Entry[]>()
  const owners = new AsyncLocalStorage<string>()
  const short = new AsyncLocalStorage<true>()

  function add(entry: Omit<Entry, 'at'>, owner = owners.getStore()): void {
    if (owner === undefined) return
    entries.set(owner, [{ ...entry, at: Date.now() }, ...(entries.get(owner) ?? [])].slice(0, most))
  }

  return {
    for: (owner, task) => owners.run(owner, task),
    shortLived: (task) => short.run(true, task),
    async fetch(input, init) {
      const headers = new Headers(init?.headers)
      if (short.getStore()) headers.set(lifetimeHeader, '1')
      const { method = 'GET' } = init ?? {}
      const { origin, pathname } = new URL(input instanceof Request ? input.url : input)
      const request = `${names[origin] ?? origin}: ${method} ${pathname}`
      const startedAt = performance.now()
      try {
        const answer = await fetch(input, { ...init, headers })
        const took = Math.round(performance.now() - startedAt)
        add({ kind: 'request', text: request, word: `${answer.status}, ${took} ms` })
        return answer
      } catch (error) {
        add({ kind: 'request', text: request, word: 'no answer' })
        throw error
      }
    },
    onEvent(event) {
      const owner = 'connection' in event ? event.connection?.owner : undefined
      const provider =
        'connection' in event ? event.connection?.provider : 'provider' in event ? event.provider : undefined
      const told = inWords(event, provider === undefined ? 'a connection' : (names[provider] ?? provider))
      if (told) add(told, owner)
    },
    note: (kind, text) => add({ kind, text }),
    of: (owner) => entries.get(owner) ?? [],
  }
}

function inWords(event: OAuthEvent, name: string): Omit<Entry, 'at'> | undefined {
  // Of all the others, nothing is said here.
  // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- there will be more of them
  switch (event.type) {
    case 'connected':
      return { kind: 'good', text: `${name} is connected.` }
    case 'reconnected':
      return { kind: 'good', text: `${name} works again, as the same connection.` }
    case 'needs_reconnect':
      return { kind: 'bad', text: `${name} needs its user.`, word: event.reason }
    case 'connection_renamed':
      return { kind: 'plain', text: `A connection to ${name} has another label.` }
    case 'disconnected':
      return { kind: 'plain', text: `${name} is disconnected: nobody can use it from here on.` }
    case 'connection_removed':
      return { kind: 'plain', text: `A connection to ${name} is forgotten.` }
    case 'connect_failed':
      return { kind: 'bad', text: `${name} was not connected.`, word: event.error.reason ?? event.code }
    case 'refreshed':
      return {
        kind: 'good',
        text: `The access token of ${name} was refreshed. Whoever asked noticed nothing.`,
      }
    case 'refresh_failed':
      return { kind: 'bad', text: `The access token of ${name} could not be refreshed.`, word: event.code }
    case 'revocation_failed':
      return {
        kind: 'bad',
        text: `Tokens of ${name} could not be revoked. They are, at the next check.`,
        word: event.code,
      }
    default:
      return undefined
  }
}
