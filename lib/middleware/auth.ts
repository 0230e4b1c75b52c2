/** Who a request is from: one shape, whether a session or a bearer token says so. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { OAuthError } from '../errors.js'
import type { Claims } from '../jose/jwt.js'
import type { AccessTokenOptions } from '../session/session-tokens.js'
import type { StartLoginOptions } from './login.js'

interface AuthBase {
  /** The user (or, for machine tokens, often the client), by the authorization server's name: the `sub` claim. */
  readonly subject: string | undefined
  readonly issuer: string
  readonly claims: Claims
  /** Granted scopes. */
  readonly scopes: readonly string[]
  readonly clientId: string | undefined
  /** Seconds since the epoch at which this ends: the token's `exp`, or the end of the session. */
  readonly expiresAt: number
  /**
   * An access token that is still good. A session refreshes it when it is due; a bearer token is the request's own.
   * Throws `login_required` when there is none any more, `server_unavailable` or `store_unavailable` when that is not
   * the user's fault.
   */
  accessToken(options?: AccessTokenOptions): Promise<string>
  /**
   * Put it into a form as `csrf_token` where browsers may send neither `Sec-Fetch-Site` nor `Origin`. A bearer token
   * has none: no page can make a browser send one.
   */
  readonly csrfToken: string | undefined
}

/** A user who signed in with this browser. */
export interface SessionAuth extends AuthBase {
  readonly kind: 'session'
  readonly csrfToken: string
  /** Names this session for `endSession` of {@link OAuthLogin}: an app may keep and show it, it opens nothing. */
  readonly sessionId: string
  /**
   * Gives up the session's tokens, here and at the server (RFC 7009), while the user stays signed in. A server that does
   * not answer is waited for two seconds at most, and its failure is an event. Throws `store_unavailable`.
   */
  revoke(): Promise<void>
}

/** A request with an access token of its own. */
export interface BearerAuth extends AuthBase {
  readonly kind: 'bearer'
  readonly token: string
  readonly csrfToken: undefined
}

export type Auth = SessionAuth | BearerAuth

/** What put an `Auth` on a request, and how it answers those it does not let through. */
export interface AuthSource {
  /** What is known without waiting; nothing when nobody is signed in. */
  peek(): Auth | undefined
  /** The same, made sure of. Throws `login_required`, or why it cannot be known. */
  confirm(): Promise<Auth>
  refuse(error: unknown): void
  /** Sends the browser to the login; where there is one. */
  startLogin?(options: StartLoginOptions): Promise<void>
}

// A symbol of our own: whatever an app or a mistake puts into `req.auth`, guards never take it for a user.
const sourceKey = Symbol('express-oauth-kit.auth-source')

type GuardedRequest = IncomingMessage & { [sourceKey]?: AuthSource }

/** One descriptor for all requests: most of them never ask. */
const authProperty: PropertyDescriptor = {
  configurable: true,
  enumerable: false,
  // Other packages put a user of their own here. That is theirs to do: guards go by the source, never by this.
  set(this: GuardedRequest, value: unknown) {
    Object.defineProperty(this, 'auth', { value, configurable: true, enumerable: true, writable: true })
  },
  get(this: GuardedRequest) {
    try {
      return this[sourceKey]?.peek()
    } catch {
      return undefined
    }
  },
}

/** Puts `req.auth` on a request. It is looked up when first read, and absent after any error. */
export function attachAuth(req: IncomingMessage, source: AuthSource): void {
  ;(req as GuardedRequest)[sourceKey] = source
  Object.defineProperty(req, 'auth', authProperty)
}

/** Throws `invalid_configuration` on a request that no middleware of this package has seen. */
export function authSource(req: IncomingMessage): AuthSource {
  const source = (req as GuardedRequest)[sourceKey]
  if (source) return source
  throw new OAuthError('invalid_configuration', {
    message:
      'neither oauthLogin nor oauthBearer has seen this request; mount one of them with app.use() before this route',
  })
}

/**
 * Who the request is from. Throws `login_required` when nobody is signed in, and `invalid_configuration` where neither
 * `oauthLogin` nor `oauthBearer` is mounted. Behind `requireLogin` or `requireScope` it does not throw.
 */
export function getAuth(req: IncomingMessage): Auth {
  const auth = authSource(req).peek()
  if (auth) return auth
  throw new OAuthError('login_required', {
    message:
      'nobody is signed in; put requireLogin() before this handler, or read req.auth where that may be',
    hint: 'Put requireLogin() before this handler, or read req.auth where that may be.',
  })
}

/**
 * Starts a login from a handler: to ask for more scope when it is first needed, or to have the user sign in afresh.
 * Answers the request, also when it fails. Throws `invalid_configuration` where `oauthLogin` is not mounted.
 */
export async function startLogin(
  req: IncomingMessage,
  _res: ServerResponse,
  options: StartLoginOptions = {},
): Promise<void> {
  const source = authSource(req)
  if (source.startLogin) return source.startLogin(options)
  throw new OAuthError('invalid_configuration', {
    message: 'startLogin: requests with bearer tokens have no login; it works behind oauthLogin only',
  })
}
