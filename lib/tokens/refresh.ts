/**
 * Refreshing, once however many ask. Refresh tokens are good for one use at many servers, and a second use ends
 * everything that was issued with them (RFC 9700 §4.14.2).
 */

import { createHash } from 'node:crypto'
import { isOAuthError, type OAuthError } from '../errors.js'
import { expiringMap } from '../expiring-map.js'
import type { Emit } from '../events.js'
import type { TokenSet } from '../oauth/token-set.js'

export interface RefreshableTokens extends TokenSet {
  readonly refresh_token: string
}

export interface Refresher {
  /** The newest tokens known in place of these: whoever comes late with an old refresh token gets what it became. */
  latest(tokens: TokenSet): TokenSet
  /** New tokens. All who ask with the same refresh token wait for the same answer. */
  refresh(tokens: RefreshableTokens, steps: RefreshSteps): Promise<TokenSet>
}

export interface RefreshSteps {
  /** What is kept now: another request, or another instance, may have refreshed. Nothing when the session has ended. */
  reread(): Promise<TokenSet | undefined>
  grant(tokens: RefreshableTokens): Promise<TokenSet>
  /** Keeps the new tokens, before anybody uses them. */
  save(tokens: TokenSet): Promise<void>
}

export interface RefresherOptions {
  emit: Emit
  now: () => number
}

/** Seconds that an outcome is remembered for holders of the old refresh token. */
const outcomeLifetime = 30
/** Seconds that a server in trouble is left alone. */
const pause = 5
const mostRemembered = 10_000
/** Refreshes of one session in the time that an outcome is remembered. */
const mostOutcomes = 100

export function createRefresher({ emit, now }: RefresherOptions): Refresher {
  /** By a digest of the refresh token that was used. */
  const inFlight = new Map<string, Promise<TokenSet>>()
  const outcomes = expiringMap<TokenSet>({ most: mostRemembered, now })
  const failures = expiringMap<{ error: unknown }>({ most: mostRemembered, now })

  function latest(tokens: TokenSet): TokenSet {
    let newest = tokens
    // An outcome may have been refreshed in turn, a few times at most while it is remembered.
    for (let steps = 0; steps < mostOutcomes; steps++) {
      const next = newest.refresh_token === undefined ? undefined : outcomes.get(digest(newest.refresh_token))
      if (!next || next.refresh_token === newest.refresh_token) break
      newest = next
    }
    return newest
  }

  function refresh(tokens: RefreshableTokens, steps: RefreshSteps): Promise<TokenSet> {
    const key = digest(tokens.refresh_token)
    const failure = failures.get(key)
    if (failure) return Promise.reject(failure.error)
    const known = inFlight.get(key)
    if (known) return known
    const flight = once(tokens, steps)
      .catch((error: unknown) => {
        if (isOAuthError(error)) emit({ type: 'refresh_failed', code: error.code, error })
        if (isTemporary(error)) failures.set(key, { error }, now() + pauseAfter(error))
        throw error
      })
      .finally(() => inFlight.delete(key))
    inFlight.set(key, flight)
    return flight
  }

  /** A failure that leaves open whether the server has seen the token is tried once more, if nobody else has refreshed. */
  async function once(tokens: RefreshableTokens, steps: RefreshSteps): Promise<TokenSet> {
    for (let attempt = 1; ; attempt++) {
      const kept = await steps.reread()
      if (kept === undefined) throw new SessionEnded()
      if (kept.refresh_token !== tokens.refresh_token) return kept
      try {
        const renewed = await steps.grant(tokens)
        // Remembered before it is kept: when that fails, the old token is spent all the same.
        outcomes.set(digest(tokens.refresh_token), renewed, now() + outcomeLifetime)
        emit({ type: 'refreshed' })
        await steps.save(renewed)
        return renewed
      } catch (error) {
        if (attempt > 1 || !isAmbiguous(error)) throw error
      }
    }
  }

  return { latest, refresh }
}

/** The session was ended while its tokens were about to be refreshed. */
export class SessionEnded extends Error {
  override readonly name = 'SessionEnded'
}

/**
 * Whether the server will never take this refresh token again. A refusal without a known code counts (some servers
 * answer with an empty 400). A wrong client secret does not: it is our fault, and would sign everybody out.
 */
export function isFinalRefusal(error: unknown): boolean {
  if (!isOAuthError(error)) return false
  if (error.code === 'invalid_grant') return true
  return (
    (error.code === 'server_refused' || error.code === 'invalid_server_response') &&
    /^status_40[03]$/.test(error.reason ?? '')
  )
}

function isAmbiguous(error: unknown): boolean {
  return (
    isOAuthError(error) &&
    error.code === 'server_unavailable' &&
    (error.reason === 'network' || error.reason === 'timeout')
  )
}

function isTemporary(error: unknown): error is OAuthError {
  return isOAuthError(error) && error.code === 'server_unavailable'
}

function pauseAfter(error: OAuthError): number {
  const asked = Number(error.headers['retry-after'])
  return Number.isFinite(asked) ? Math.min(Math.max(asked, 1), 300) : pause
}

function digest(token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}
