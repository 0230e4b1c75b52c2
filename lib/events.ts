/** What happens inside the package, told to `onEvent` and to a diagnostics channel. No event carries a secret. */

import { channel } from 'node:diagnostics_channel'
import { expiringMap } from './expiring-map.js'
import type { OAuthError, OAuthErrorCode } from './errors.js'

/** Which connection an event is about. */
export interface ConnectionName {
  readonly id: string
  readonly owner: string
  readonly provider: string
}

export type OAuthEvent =
  | { readonly type: 'login'; readonly issuer: string; readonly subject: string | undefined }
  | { readonly type: 'login_failed'; readonly code: OAuthErrorCode; readonly error: OAuthError }
  | { readonly type: 'request_failed'; readonly code: OAuthErrorCode; readonly error: OAuthError }
  /** Another site may have made the request; `error.reason` has what was missing. */
  | { readonly type: 'request_rejected'; readonly code: OAuthErrorCode; readonly error: OAuthError }
  | { readonly type: 'login_restarted' }
  /** With `connection` where it is one's tokens, here and in the next two; those of a session have none. */
  | { readonly type: 'refreshed'; readonly connection?: ConnectionName }
  | {
      readonly type: 'refresh_failed'
      readonly code: OAuthErrorCode
      readonly error: OAuthError
      readonly connection?: ConnectionName
    }
  /** Of tokens that were granted to a connection that did not come about, `connect_failed` names the provider. */
  | {
      readonly type: 'revocation_failed'
      readonly code: OAuthErrorCode
      readonly error: OAuthError
      readonly connection?: ConnectionName
    }
  | { readonly type: 'logout'; readonly subject: string | undefined }
  | {
      readonly type: 'server_logout'
      readonly channel: 'back' | 'front'
      readonly subject: string | undefined
    }
  | { readonly type: 'token_rejected'; readonly code: OAuthErrorCode; readonly error: OAuthError }
  | { readonly type: 'token_issued'; readonly clientId: string; readonly scope: readonly string[] }
  | { readonly type: 'token_failed'; readonly code: OAuthErrorCode; readonly error: OAuthError }
  | { readonly type: 'connected'; readonly connection: ConnectionName }
  /** Its tokens were renewed by the user, or it was found to work again. */
  | { readonly type: 'reconnected'; readonly connection: ConnectionName }
  | { readonly type: 'needs_reconnect'; readonly connection: ConnectionName; readonly reason: string }
  | { readonly type: 'connection_renamed'; readonly connection: ConnectionName }
  | { readonly type: 'disconnected'; readonly connection: ConnectionName }
  | { readonly type: 'connection_removed'; readonly connection: ConnectionName }
  /** `check()` has learned nothing about it: its provider is away, or answers what cannot be used. */
  | { readonly type: 'check_failed'; readonly connection: ConnectionName; readonly error: unknown }
  | {
      readonly type: 'connect_failed'
      readonly provider: string
      readonly code: OAuthErrorCode
      readonly error: OAuthError
    }
  | { readonly type: 'metadata_fetched'; readonly url: string }
  | {
      readonly type: 'metadata_failed'
      readonly url: string
      readonly stale: boolean
      readonly error: unknown
    }
  | {
      readonly type: 'jwks_fetched'
      readonly url: string
      /** Keys that were not there before. */
      readonly added: number
      /** Keys that were there before and are trusted no longer. */
      readonly withdrawn: number
    }
  | { readonly type: 'jwks_failed'; readonly url: string; readonly stale: boolean; readonly error: unknown }

/** Tells one event. Never throws. */
export type Emit = (event: OAuthEvent) => void

const events = channel('express-oauth-kit')

/** Seconds until the same unheard failure is told again. */
const silence = 60

/**
 * Events go to the channel `express-oauth-kit` and to `onEvent`, whose own errors become a process warning. Without
 * `onEvent`, requests that failed through no fault of the client become one too: somebody has to hear of them.
 */
export function emitter(onEvent?: (event: OAuthEvent) => void): Emit {
  const warned = expiringMap<true>({ most: 100, now: () => Date.now() / 1000 })

  function warnOfFailure(event: OAuthEvent): void {
    if (event.type !== 'request_failed' || warned.get(event.code)) return
    warned.set(event.code, true, Date.now() / 1000 + silence)
    const { code, message, hint } = event.error
    const advice = hint === undefined || message.includes(hint) ? '' : ` ${hint}`
    process.emitWarning(
      `${code}: ${message.replace(/\.$/, '')}.${advice} (Set "onEvent" to hear of failures yourself.)`,
    )
  }

  return (event) => {
    events.publish(event)
    const warn = (error: unknown) => {
      const what = error instanceof Error ? error.message : 'no error'
      process.emitWarning(`onEvent threw on "${event.type}": ${what}`)
    }
    try {
      if (!onEvent) {
        warnOfFailure(event)
        return
      }
      const told: unknown = onEvent(event)
      if (told instanceof Promise) told.catch(warn)
    } catch (error) {
      warn(error)
    }
  }
}
