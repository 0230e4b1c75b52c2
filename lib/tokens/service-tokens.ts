/** Access tokens of the application itself: kept while they are good, fetched once however many ask. */

import { isOAuthError, type OAuthErrorCode } from '../errors.js'
import type { Emit } from '../events.js'
import type { ServiceAccess, ServiceTokenSet } from '../oauth/client-credentials-grant.js'
import { createPauses } from './pauses.js'

export interface ServiceTokenOptions {
  /** Seconds that the token must still be good for. Default 0. */
  minimumLifetime?: number
  /** Fetches another token whatever the state of the one that is kept. Default false. */
  forceRefresh?: boolean
}

export interface ServiceTokens {
  accessToken(access: ServiceAccess, options?: ServiceTokenOptions): Promise<string>
  /**
   * Another token in place of one that an API refused, or nothing when that one has just taken the place of another: an
   * API that refuses all tokens would cost one for each request.
   */
  inPlaceOf(refused: string, access: ServiceAccess): Promise<string | undefined>
}

export interface ServiceTokensOptions {
  grant: (access: ServiceAccess) => Promise<ServiceTokenSet>
  /** Server and client, as far as tokens depend on them. */
  account: readonly string[]
  clientId: string
  emit: Emit
  now: () => number
}

interface Kept {
  readonly token: string
  /** Seconds. */
  readonly life: number
  /** Seconds since the epoch. */
  readonly end: number
  readonly refreshAt: number
  readonly fetchedAt: number
  /** Whether it was fetched because an API had refused the one before. */
  isReplacement: boolean
}

/**
 * Seconds that a token is kept whose server does not say how long it lives. Short, because it may be over any time; an API
 * that refuses it before has it replaced.
 */
const unknownLife = 300
/** Seconds that a replacement is not itself replaced. */
const replacementRest = 60
/** Sets of parameters with a token at the same time. */
const mostKept = 1_000

/** Failures that any other request would meet, too. */
const ofAllRequests: readonly OAuthErrorCode[] = [
  'server_unavailable',
  'temporarily_unavailable',
  'invalid_server_metadata',
  'invalid_client',
  'unauthorized_client',
  'unsupported_grant_type',
]

export function serviceTokens({ grant, account, clientId, emit, now }: ServiceTokensOptions): ServiceTokens {
  const kept = new Map<string, Kept>()
  const inFlight = new Map<string, Promise<Kept>>()
  const pauses = createPauses({ now })
  const ofAll = 'all'

  async function accessToken(
    access: ServiceAccess,
    { minimumLifetime = 0, forceRefresh = false }: ServiceTokenOptions = {},
  ): Promise<string> {
    const key = keyOf(account, access)
    const good = goodFor(key)
    if (good && !forceRefresh && lasts(good, minimumLifetime)) {
      // Only due: nobody waits, and a failure is for whoever asks when it is over.
      if (now() >= good.refreshAt) fetched(key, access).catch(() => undefined)
      return good.token
    }
    try {
      return (await fetched(key, access)).token
    } catch (error) {
      if (good && !forceRefresh && good.end > now()) return good.token
      throw error
    }
  }

  function goodFor(key: string): Kept | undefined {
    const found = kept.get(key)
    if (!found || found.end > now()) return found
    kept.delete(key)
    return undefined
  }

  /** A server whose tokens live no longer than that would be asked each time: half of a life is enough. */
  function lasts({ end, life }: Kept, minimumLifetime: number): boolean {
    return end - now() >= Math.min(minimumLifetime, life / 2)
  }

  function fetched(key: string, access: ServiceAccess): Promise<Kept> {
    const known = inFlight.get(key)
    if (known) return known
    const failure = pauses.current(ofAll) ?? pauses.current(keyed(key))
    if (failure) return Promise.reject(failure)
    const flight = once(key, access).finally(() => inFlight.delete(key))
    inFlight.set(key, flight)
    return flight
  }

  async function once(key: string, access: ServiceAccess): Promise<Kept> {
    try {
      const tokens = await grant(access)
      pauses.succeeded(ofAll)
      pauses.succeeded(keyed(key))
      emit({ type: 'token_issued', clientId, scope: tokens.scope })
      return keep(key, tokens)
    } catch (error) {
      if (isOAuthError(error)) {
        pauses.failed(ofAllRequests.includes(error.code) ? ofAll : keyed(key), error)
        emit({ type: 'token_failed', code: error.code, error })
      }
      throw error
    }
  }

  function keep(key: string, { access_token, expires_at, refresh_at }: ServiceTokenSet): Kept {
    const end = expires_at ?? now() + unknownLife
    const one: Kept = {
      token: access_token,
      life: end - now(),
      end,
      refreshAt: refresh_at ?? end,
      fetchedAt: now(),
      isReplacement: false,
    }
    for (const [other, { end: itsEnd }] of kept) if (itsEnd <= now()) kept.delete(other)
    kept.delete(key)
    const [oldest] = kept.keys()
    if (kept.size >= mostKept && oldest !== undefined) kept.delete(oldest)
    kept.set(key, one)
    return one
  }

  async function inPlaceOf(refused: string, access: ServiceAccess): Promise<string | undefined> {
    const key = keyOf(account, access)
    const found = goodFor(key)
    if (found && found.token !== refused) return found.token
    if (found?.isReplacement && now() < found.fetchedAt + replacementRest) return undefined
    const another = await fetched(key, access)
    another.isReplacement = true
    return another.token === refused ? undefined : another.token
  }

  return { accessToken, inPlaceOf }
}

function keyed(key: string): string {
  return `for ${key}`
}

/**
 * One text for one set of parameters. JSON, because no value can then look like the end of another, and everything that
 * is sent is in it (CVE-2025-26620).
 */
function keyOf(account: readonly string[], access: ServiceAccess): string {
  const { scope, resource = null, audience = null, parameters } = access
  const others = Object.entries(parameters).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify([account, scope.toSorted(), resource, audience, others])
}
