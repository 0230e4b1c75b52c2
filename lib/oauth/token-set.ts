/** The tokens of one grant, as they are kept (RFC 6749 §5.1). */

import type { TokenEndpointResponse } from 'openid-client'
import { OAuthError } from '../errors.js'
import { scopesIn } from './scope.js'

export interface AccessToken {
  readonly access_token: string
  /** Seconds since the epoch; missing when the server gave no `expires_in`. */
  readonly expires_at?: number
  /** Seconds since the epoch from which a refresh is due: a minute ahead, or a tenth of a short life. */
  readonly refresh_at?: number
  /** Granted, not requested. */
  readonly scope: readonly string[]
  /** The thumbprint of the key that it is bound to; missing: a bearer token (RFC 9449 §6). */
  readonly jkt?: string
  readonly replacement?: Replacement
}

/** What is noted of an access token that took the place of one which an API had refused. */
export interface Replacement {
  /** Seconds since the epoch until which it is not replaced when an API refuses it as well. */
  readonly restsUntil: number
  /** How many replacements it is the last of. */
  readonly inARow: number
}

export interface TokenSet extends AccessToken {
  readonly refresh_token?: string
  readonly id_token?: string
  /** How many refreshes it took: of two sets of one grant, the higher is the newer. */
  readonly generation: number
}

/** RFC 6750 §2.1: anything else could break out of the header that it is sent in. */
const b64token = /^[A-Za-z0-9\-._~+/]+=*$/
/** RFC 6749 appendix A.17. */
const refreshToken = /^[\x20-\x7e]+$/

const tenYears = 315_360_000
/** Seconds ahead of its end that a token is refreshed, and how much that varies: not all sessions at the same moment. */
const ahead = 60
const jitter = 20

/**
 * `requested` is what a server grants that names no scope in its answer (RFC 6749 §5.1). `jkt` is the key that was proven:
 * a bearer token in its place is refused, though RFC 9449 §5 would leave us the choice. Servers that know no DPoP give one
 * without a word, and the app would go on believing that a stolen token is of no use.
 */
export function tokenSet(
  response: TokenEndpointResponse,
  requested: readonly string[],
  receivedAt: number,
  jkt?: string,
): TokenSet {
  const { access_token, token_type, expires_in, refresh_token, id_token, scope } = response
  checkTokenType(token_type.toLowerCase(), jkt)
  if (!b64token.test(access_token)) throw unusable('an access token with characters that no header may have')
  if (refresh_token !== undefined && !refreshToken.test(refresh_token))
    throw unusable('an illegal refresh token')
  const life = expires_in === undefined ? undefined : Math.min(Math.max(0, Math.floor(expires_in)), tenYears)
  return {
    access_token,
    ...(life !== undefined && { expires_at: receivedAt + life, refresh_at: receivedAt + life - early(life) }),
    scope: scope === undefined ? requested : scopesIn(scope),
    ...(jkt !== undefined && { jkt }),
    generation: 0,
    ...(refresh_token !== undefined && { refresh_token }),
    ...(id_token !== undefined && { id_token }),
  }
}

/** The access token alone. */
export function accessTokenOf(token: AccessToken): AccessToken {
  const { access_token, expires_at, refresh_at, scope, jkt, replacement } = token
  return {
    access_token,
    ...(expires_at !== undefined && { expires_at }),
    ...(refresh_at !== undefined && { refresh_at }),
    scope,
    ...(jkt !== undefined && { jkt }),
    ...(replacement !== undefined && { replacement }),
  }
}

/** The same grant with another access token in its place. */
export function withAccessToken(tokens: TokenSet, token: AccessToken): TokenSet {
  const { generation, refresh_token, id_token } = tokens
  return {
    ...accessTokenOf(token),
    generation,
    ...(refresh_token !== undefined && { refresh_token }),
    ...(id_token !== undefined && { id_token }),
  }
}

function early(life: number): number {
  return Math.floor(Math.min(ahead + jitter * (2 * Math.random() - 1), life / 10))
}

/** A token is what its type says, whatever was asked for (RFC 6749 §7.1). */
function checkTokenType(tokenType: string, jkt: string | undefined): void {
  if (tokenType === (jkt === undefined ? 'bearer' : 'dpop')) return
  if (jkt === undefined) throw unusable('a "token_type" other than Bearer')
  throw new OAuthError('invalid_server_response', {
    message:
      'the token endpoint sent a token that is not bound to our key, although its request had a proof of it',
    reason: 'not_bound',
    hint: 'Turn DPoP on at the authorization server, for this client too ("dpop_bound_access_tokens"), or leave the option "dpop" out.',
  })
}

function unusable(what: string): OAuthError {
  return new OAuthError('invalid_server_response', { message: `the token endpoint sent ${what}` })
}
