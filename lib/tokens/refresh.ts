/**
 * Refreshing, once however many ask. Refresh tokens are good for one use at many servers, and a second use ends
 * everything that was issued with them (RFC 9700 §4.14.2).
 */

import { isOAuthError, OAuthError } from '../errors.js'
import { expiringMap } from '../expiring-map.js'
import type { Emit } from '../events.js'
import type { AccessToken, TokenSet } from '../oauth/token-set.js'
import type { Lease, Leases } from '../stores/leases.js'
import type { Gate } from './gate.js'
import type { Outcomes } from './outcomes.js'

export interface RefreshableTokens extends TokenSet {
  readonly refresh_token: string
}

/** The tokens of a session, and the one access token of theirs that is asked for; none when it was never issued. */
export interface HeldTokens {
  readonly tokens: TokenSet
  readonly access: AccessToken | undefined
}

export interface RenewedTokens extends HeldTokens {
  readonly access: AccessToken
}

export interface Refresher {
  /** New tokens. All who ask for the same token of the same session wait for the same answer. */
  refresh(request: RefreshRequest): Promise<RenewedTokens>
  /** Runs `task` while nobody refreshes this family. Throws `server_unavailable` when that takes too long. */
  alone<T>(family: string, task: () => Promise<T>): Promise<T>
}

export interface RefreshRequest {
  /** Names what can be refreshed by one at a time only: the session that has the refresh token. */
  readonly family: string
  /** Names the access token among those of the family. */
  readonly wanted: string
  /** The access token that will not do any more. */
  readonly replaces: string | undefined
  /** Whether to wait where others are before us. Without it, `server_unavailable` is thrown at once. */
  readonly isPatient: boolean
  /** What is kept now: another request, or another instance, may have refreshed. Throws `SessionEnded`. */
  reread(): Promise<HeldTokens>
  grant(tokens: RefreshableTokens): Promise<RenewedTokens>
  /** Keeps the new tokens, before anybody uses them. Throws `SessionEnded`. */
  save(renewed: RenewedTokens): Promise<void>
}

export interface RefresherOptions {
  leases: Leases
  outcomes: Outcomes
  gate: Gate
  emit: Emit
  now: () => number
}

/** Seconds that a server in trouble is left alone. */
const pause = 5
const mostRemembered = 10_000
/** Milliseconds between two looks at what another instance is doing; each wait is a little different. */
const shortestWait = 15
const longestWait = 120
/** Milliseconds that another instance is waited for: it may have to wait for its turn, and to ask the server twice. */
const patience = 20_000

export function createRefresher({ leases, outcomes, gate, emit, now }: RefresherOptions): Refresher {
  const inFlight = new Map<string, Promise<RenewedTokens>>()
  const failures = expiringMap<{ error: unknown }>({ most: mostRemembered, now })

  function refresh(request: RefreshRequest): Promise<RenewedTokens> {
    const key = `${request.family} ${request.wanted}`
    const failure = failures.get(key)
    if (failure) return Promise.reject(failure.error)
    const known = inFlight.get(key)
    if (known) return request.isPatient ? known : Promise.reject(underWay())
    const flight = underLease(request)
      .catch((error: unknown) => {
        if (isOAuthError(error)) emit({ type: 'refresh_failed', code: error.code, error })
        if (isTemporary(error)) failures.set(key, { error }, now() + pauseAfter(error))
        throw error
      })
      .finally(() => inFlight.delete(key))
    inFlight.set(key, flight)
    return flight
  }

  /** Whoever comes second finds the tokens of the first. */
  async function underLease(request: RefreshRequest): Promise<RenewedTokens> {
    const lease = await takeLease(request.family, request.isPatient, async () => {
      const held = await request.reread()
      return isRenewed(held, request) ? held : undefined
    })
    if (!('release' in lease)) return lease
    try {
      return await once(request)
    } finally {
      void lease.release()
    }
  }

  /** Waits for the lease of a family, or for somebody else to do what is needed. */
  async function takeLease<T extends object>(
    family: string,
    isPatient: boolean,
    lookUp: () => Promise<T | undefined>,
  ): Promise<Lease | T> {
    const giveUpAt = performance.now() + patience
    for (let wait = shortestWait; ; wait = Math.min(wait * 1.5, longestWait)) {
      const lease = await leases.take(family)
      if (lease) return lease
      if (!isPatient || performance.now() > giveUpAt) throw underWay()
      await new Promise((resolve) => setTimeout(resolve, wait * (0.5 + Math.random())))
      const found = await lookUp()
      if (found !== undefined) return found
    }
  }

  async function alone<T>(family: string, task: () => Promise<T>): Promise<T> {
    const lease = await takeLease<never>(family, true, async () => undefined)
    try {
      return await task()
    } finally {
      void lease.release()
    }
  }

  /** A failure that leaves open whether the server has seen the token is tried once more, if nobody else has refreshed. */
  async function once(request: RefreshRequest): Promise<RenewedTokens> {
    for (let attempt = 1; ; attempt++) {
      const held = await request.reread()
      if (isRenewed(held, request)) return held
      const { tokens } = held
      if (!isRefreshable(tokens)) throw new OAuthError('login_required', { reason: 'no_refresh_token' })
      try {
        const renewed = await gate.run(() => request.grant(tokens), request.isPatient)
        // Remembered before it is kept: when that fails, the old token is spent all the same.
        await outcomes.keep(tokens.refresh_token, renewed.tokens)
        emit({ type: 'refreshed' })
        await request.save(renewed)
        return renewed
      } catch (error) {
        if (attempt === 1 && isAmbiguous(error)) continue
        if (!isFinalRefusal(error)) throw error
        // A lease can be lost. Whoever had it then has the tokens that took the place of ours.
        const current = await request.reread()
        if (isRenewed(current, request)) return current
        throw error
      }
    }
  }

  return { refresh, alone }
}

/** The session was ended while its tokens were about to be refreshed. */
export class SessionEnded extends Error {
  override readonly name = 'SessionEnded'
}

export function isRefreshable(tokens: TokenSet): tokens is RefreshableTokens {
  return tokens.refresh_token !== undefined
}

/**
 * Whether the server will never take this refresh token again. A refusal without a known code counts (some servers
 * answer with an empty 400). A wrong client secret does not: it is our fault, and would sign everybody out.
 */
export function isFinalRefusal(error: unknown): boolean {
  return isOAuthError(error) && (error.code === 'invalid_grant' || isUnnamedRefusal(error))
}

function isUnnamedRefusal({ code, reason }: OAuthError): boolean {
  return (
    (code === 'server_refused' || code === 'invalid_server_response') && /^status_40[03]$/.test(reason ?? '')
  )
}

/** The server may or may not have taken the token; or it refused it without saying why, which may be a mistake. */
function isAmbiguous(error: unknown): boolean {
  if (!isOAuthError(error)) return false
  const isLost =
    error.code === 'server_unavailable' && (error.reason === 'network' || error.reason === 'timeout')
  return isLost || isUnnamedRefusal(error)
}

function isRenewed(held: HeldTokens, { replaces }: RefreshRequest): held is RenewedTokens {
  return held.access !== undefined && held.access.access_token !== replaces
}

function isTemporary(error: unknown): error is OAuthError {
  return isOAuthError(error) && error.code === 'server_unavailable' && error.reason !== 'under_way'
}

function pauseAfter(error: OAuthError): number {
  const asked = Number(error.headers['retry-after'])
  return Number.isFinite(asked) ? Math.min(Math.max(asked, 1), 300) : pause
}

/** Somebody else is refreshing, and the token at hand serves meanwhile. */
function underWay(): OAuthError {
  return new OAuthError('server_unavailable', {
    reason: 'under_way',
    headers: { 'retry-after': '1' },
    hint: 'Another request or instance is refreshing the same tokens and has not finished.',
  })
}
