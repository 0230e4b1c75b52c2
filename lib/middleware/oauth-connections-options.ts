/** The options of `oauthConnections`, and what must be true of them before anything is built. */

import type { IncomingMessage } from 'node:http'
import type { ConnectionStore } from '../connections/connection-store.js'
import type { ConnectionProvider } from '../connections/provider-options.js'
import type { OAuthEvent } from '../events.js'
import { isLoopback, type Fetch } from '../http.js'
import { checkOptions, type OptionChecks } from '../options.js'
import { checkedBaseUrl } from './base-url.js'
import type { ConnectionsPageOptions } from './connections-page.js'
import { localPath } from './return-to.js'

export interface OAuthConnectionsOptions {
  /**
   * Where the world finds the place that this middleware is mounted at, such as `https://example.com`. Nothing is ever taken
   * from `Host` or `X-Forwarded-*`.
   */
  baseUrl: string
  /** The path below `baseUrl` of all that this middleware answers. Default `/connections`. */
  path?: string
  /** Each at least 32 random bytes. The first seals, all open: put a new one in front, and call `reseal()`, to replace the old. */
  secrets: readonly string[]
  /** Where connections are kept: `postgresConnectionStore(pool)`. */
  store: ConnectionStore
  /** The providers whose accounts can be connected, by names that stand in paths and records. */
  providers: Readonly<Record<string, ConnectionProvider>>
  /**
   * Whose a connection is: the app's name for a user or a team. Refuse by giving nothing. Default: the `sub` of the signed-in
   * user.
   */
  owner?: (req: IncomingMessage) => string | undefined | Promise<string | undefined>
  /**
   * Shows a plain page with the connections, and forms, to whoever opens the path in a browser. Default false: such a visit
   * goes on to the app.
   */
  page?: boolean | ConnectionsPageOptions
  /**
   * Where users go after connecting, unless `return_to` says otherwise: a path of this site. Default: the page, or the path
   * of `baseUrl`.
   */
  returnTo?: string
  /** The header that scripts have to send, whatever its value. Default `x-csrf`. */
  header?: string
  /**
   * The name that cookies begin with, and that tokens are sealed for: apps that share a store have the same, and apps that
   * share `secrets` alone have different ones. Default `oauth`.
   */
  name?: string
  /** Seconds that connecting may take. Default 600. */
  transactionLifetime?: number
  /** Seconds that our clock and a server's may differ. Default 30, at most 300. */
  clockTolerance?: number
  /**
   * Seconds for a whole exchange with a server, body included, and for a test call. `connection.fetch` has no limit of
   * ours. Default 5.
   */
  timeout?: number
  /** Seconds for a call of `store`. Default 2. */
  storeTimeout?: number
  /** Sends all requests, also those to APIs. Default: Node's `fetch`. */
  fetch?: Fetch
  /** Is told what happens, for logs and metrics. Events carry no secret. */
  onEvent?: (event: OAuthEvent) => void
}

const known: Record<keyof OAuthConnectionsOptions, true> = {
  baseUrl: true,
  path: true,
  secrets: true,
  store: true,
  providers: true,
  owner: true,
  page: true,
  returnTo: true,
  header: true,
  name: true,
  transactionLifetime: true,
  clockTolerance: true,
  timeout: true,
  storeTimeout: true,
  fetch: true,
  onEvent: true,
}

export function connectionsOptionChecks(options: OAuthConnectionsOptions): OptionChecks {
  return checkOptions('oauthConnections', options, known)
}

function hasPage({ page }: OAuthConnectionsOptions): boolean {
  return page !== undefined && page !== false
}

/** The public place of `oauthConnections`. */
export interface ConnectionsSite {
  readonly origin: string
  /** The path of `baseUrl` without a slash at its end. */
  readonly basePath: string
  /** Below the base path. */
  readonly path: string
  readonly returnTo: string
  readonly secure: boolean
}

export function checkedConnectionsSite(
  options: OAuthConnectionsOptions,
  check: OptionChecks,
): ConnectionsSite {
  const { path = '/connections' } = options
  const url = checkedBaseUrl(options.baseUrl, check)
  if (localPath(path, url.origin) !== path || /[?#]|\/$/.test(path))
    check.refuse('path', `is "${path}"`, 'give a path such as "/connections", without "/" at its end')
  const basePath = url.pathname.replace(/\/$/, '')
  const byDefault = hasPage(options) ? `${basePath}${path}` : `${basePath}/`
  const returnTo =
    localPath(options.returnTo ?? byDefault, url.origin) ??
    check.refuse('returnTo', `is "${options.returnTo}"`, 'give a path of this site that begins with one "/"')
  return { origin: url.origin, basePath, path, returnTo, secure: !isLoopback(url) }
}

/** Where a provider sends users back to: one for each, so that the answer of one is never taken for another's (RFC 9700 §4.4). */
export function redirectUri(baseUrl: string, { path }: ConnectionsSite, provider: string): string {
  const check = checkOptions('redirectUris', {}, {})
  const { origin, pathname } = checkedBaseUrl(baseUrl, check)
  return `${origin}${pathname.replace(/\/$/, '')}${path}/${provider}/callback`
}

/** Providers by their names, each built by `make`. */
export function checkedProviders<T>(
  providers: OAuthConnectionsOptions['providers'],
  make: (key: string, provider: ConnectionProvider) => T,
  check: OptionChecks,
): Map<string, T> {
  if (providers === null || typeof providers !== 'object' || Array.isArray(providers))
    check.refuse(
      'providers',
      providers === undefined ? 'is missing' : 'is not an object',
      'give each a name, such as { github: github({ … }) }',
    )
  const made = new Map<string, T>()
  const inSmallLetters = new Set<string>()
  for (const [key, provider] of Object.entries(providers)) {
    // Some servers and proxies take paths in either case for the same, and then two providers share a redirect URI.
    if (inSmallLetters.has(key.toLowerCase()))
      check.refuse(`providers.${key}`, 'differs from another by capitals only', 'give it a name of its own')
    inSmallLetters.add(key.toLowerCase())
    made.set(key, make(key, provider))
  }
  if (made.size === 0)
    check.refuse('providers', 'names none', 'give one at least, such as { github: github({ … }) }')
  return made
}
