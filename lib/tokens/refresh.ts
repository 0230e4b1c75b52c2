/**
 * Refreshing, once however many ask. Refresh tokens are good for one use at many servers, and a second use ends
 * everything that was issued with them (RFC 9700 §4.14.2).
 */

import { isOAuthError, OAuthError } from '../errors.js'
import { expiringMap } from '../expiring-map.js'
import type { ConnectionName, Emit } from '../events.js'
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
  /** Whose tokens they are, for events; nothing for those of a session. */
  readonly connection?: ConnectionName
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
}

/** RFC 9449 §5 and §8: not about the token but about how it is asked for, and asking again changes nothing. */
const dpopDemands: ReadonlySet<string> = new Set(['use_dpop_nonce', 'invalid_dpop_proof'])
/** Seconds that a server in trouble is left alone. */
const pause = 5
const mostRemembered = 10_000
/** Milliseconds between two looks at what another instance is doing; each wait is a little different. */
const shortestWait = 15
const longestWait = 120
/** Milliseconds that another instance is waited for: it may have to wait for its turn, and to ask the server twice. */
const patience = 20_000
/** Leases that may be lost one after the other. */
const mostLeases = 3

interface Flight {
  readonly renewed: Promise<RenewedTokens>
  readonly isPatient: boolean
}

export function createRefresher({ leases, outcomes, gate, emit }: RefresherOptions): Refresher {
  const inFlight = new Map<string, Flight>()
  // By the monotonic clock: one that is set back must not keep a server waiting for an hour.
  const now = () => performance.now() / 1000
  const failures = expiringMap<{ error: unknown }>({ most: mostRemembered, now })

  function refresh(request: RefreshRequest): Promise<RenewedTokens> {
    const key = `${request.family} ${request.wanted}`
    const failure = failures.get(key)
    if (failure) return Promise.reject(failure.error)
    const known = inFlight.get(key)
    if (known) return joined(known, request)
    const { isPatient } = request
    const renewed = underLease(request)
      .catch((error: unknown) => {
        if (isPatient || !isCrowdedOut(error)) noteFailure(key, error, request)
        throw error
      })
      .finally(() => inFlight.delete(key))
    inFlight.set(key, { renewed, isPatient })
    return renewed
  }

  async function joined(flight: Flight, request: RefreshRequest): Promise<RenewedTokens> {
    if (!request.isPatient) throw underWay()
    try {
      return await flight.renewed
    } catch (error) {
      // Whoever began had a token that serves, and so no reason to wait where we have one.
      if (flight.isPatient || !isCrowdedOut(error)) throw error
      return refresh(request)
    }
  }

  function noteFailure(key: string, error: unknown, request: RefreshRequest): void {
    if (isOAuthError(error)) emit({ type: 'refresh_failed', code: error.code, error, ...about(request) })
    if (isTemporary(error)) failures.set(key, { error }, now() + pauseAfter(error))
  }

  /** Whoever comes second finds the tokens of the first. */
  async function underLease(request: RefreshRequest): Promise<RenewedTokens> {
    for (let attempt = 1; ; attempt++) {
      const lease = await takeLease(request.family, request.isPatient, async () => {
        const held = await request.reread()
        return isRenewed(held, request) ? held : undefined
      })
      if (!('release' in lease)) return lease
      try {
        return await once(request, lease)
      } catch (error) {
        if (!(error instanceof LeaseLost)) throw error
        if (attempt === mostLeases) throw underWay()
      } finally {
        void lease.release()
      }
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
  async function once(request: RefreshRequest, lease: Lease): Promise<RenewedTokens> {
    for (let attempt = 1; ; attempt++) {
      const held = await request.reread()
      if (isRenewed(held, request)) return held
      const { tokens } = held
      if (!isRefreshable(tokens)) throw new OAuthError('login_required', { reason: 'no_refresh_token' })
      try {
        const renewed = await gate.run(() => {
          // At the last moment: who has the lease by now may have used this very token.
          if (!lease.isHeld()) throw new LeaseLost()
          return request.grant(tokens)
        }, request.isPatient)
        // Remembered before it is kept: when that fails, the old token is spent all the same.
        await outcomes.keep(tokens.refresh_token, renewed.tokens)
        emit({ type: 'refreshed', ...about(request) })
        await request.save(renewed)
        return renewed
      } catch (error) {
        if (attempt === 1 && isAmbiguous(error)) continue
        if (!isFinalRefusal(error)) throw error
        // A lease can be lost. Whoever had it then has the tokens that took the place of ours.
        const current = await request.reread()
        if (isRenewed(current, request)) return current
        // They may have been renewed for another API, which leaves the one asked for as it was.
        if (attempt === 1 && current.tokens.refresh_token !== tokens.refresh_token) continue
        throw error
      }
    }
  }

  return { refresh, alone }
}

function about({ connection }: RefreshRequest): Pick<RefreshRequest, 'connection'> {
  return connection ? { connection } : {}
}

class LeaseLost extends Error {
  override readonly name = 'LeaseLost'
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

function isUnnamedRefusal({ code, reason, serverError }: OAuthError): boolean {
  if (serverError && dpopDemands.has(serverError.error)) return false
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

/** Others are before us. With a token at hand that serves meanwhile, that is no failure. */
function isCrowdedOut(error: unknown): boolean {
  return (
    isOAuthError(error) &&
    error.code === 'server_unavailable' &&
    (error.reason === 'under_way' || error.reason === 'too_busy')
  )
}

/** What concerns the session or the server. Whether there is a turn for somebody is nothing to remember: it changes at any moment. */
function isTemporary(error: unknown): error is OAuthError {
  if (!isOAuthError(error) || error.code !== 'server_unavailable') return false
  return error.reason !== 'under_way' && error.reason !== 'too_busy'
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
