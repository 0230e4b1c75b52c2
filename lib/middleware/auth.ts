/** Who a request is from: one shape, whether a session or a bearer token says so. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { OAuthError } from '../errors.js'
import type { Claims } from '../jose/jwt.js'
import type { AuthenticationDemand } from '../oauth/authentication.js'
import type { CoversScope } from '../oauth/implied-scopes.js'
import type { BearerAuth } from '../resource/bearer-auth.js'
import type { AccessTokenOptions } from '../session/wanted-token.js'
import type { ApiFetch } from '../tokens/api-fetch.js'
import type { ApiTokens } from '../tokens/api-token.js'
import type { CsrfRule } from './csrf.js'
import type { StartLoginOptions } from './login.js'

/** A user who signed in with this browser. */
export interface SessionAuth {
  readonly kind: 'session'
  /** The user, by the authorization server's name: the `sub` claim. */
  readonly subject: string | undefined
  readonly issuer: string
  readonly claims: Claims
  /** Granted scopes. */
  readonly scopes: readonly string[]
  readonly clientId: string | undefined
  /** Seconds since the epoch at which the session ends. */
  readonly expiresAt: number
  /**
   * An access token that is still good; it is refreshed when it is due. With the option `dpop` it is bound to a key that
   * only `fetch` and the proxy can prove: shown by itself, APIs refuse it. Throws `login_required` when there is none any
   * more, `server_unavailable` or `store_unavailable` when that is not the user's fault.
   */
  accessToken(options?: AccessTokenOptions): Promise<string>
  /**
   * `fetch` with the user's access token, for the option `apis` of `oauthLogin` only. Any other address is
   * `url_not_allowed`, before a token is asked for. Redirects are handed back. A 401 is answered by one refresh and one
   * more request, when the body can be sent again: anything but a stream. A 401 that is handed back is the API's last
   * word: it refused another token, too, or there is none. There is no deadline but that of `init.signal`.
   * Throws what `accessToken` and `fetch` throw, and `invalid_configuration` for an `init` that follows redirects or has
   * an `Authorization` or `Cookie` header.
   */
  readonly fetch: ApiFetch
  /** Put it into a form as `csrf_token` where browsers may send neither `Sec-Fetch-Site` nor `Origin`. */
  readonly csrfToken: string
  /** Names this session for `endSession` of {@link OAuthLogin}: an app may keep and show it, it opens nothing. */
  readonly sessionId: string
  /**
   * Gives up the session's tokens, here and at the server (RFC 7009), while the user stays signed in. A server that does
   * not answer is waited for two seconds at most, and its failure is an event. Throws `store_unavailable`.
   */
  revoke(): Promise<void>
}

export type Auth = SessionAuth | BearerAuth

/** What put an `Auth` on a request, and how it answers those it does not let through. */
export interface AuthSource {
  /** What is known without waiting; nothing when nobody is signed in. */
  peek(): Auth | undefined
  /** The same, made sure of; at once where nothing has to be asked. Throws `login_required`, or why it cannot be known. */
  confirm(): Auth | Promise<Auth>
  /** Answers the request, or passes the error on. */
  refuse(error: unknown, req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void): void
  /** Whether the scopes that were granted include this one, or imply it. */
  readonly covers: CoversScope
  /** The claim by which the sign-in of whoever was confirmed falls short of what is demanded; nothing when it does not. */
  shortcoming(demand: AuthenticationDemand): 'acr' | 'auth_time' | undefined
  /** Sends the browser to the login; where there is one. */
  startLogin?(options: StartLoginOptions): Promise<void>
  /** Throws `csrf_rejected` for a request that another site may have made; where browsers send what tells the user. */
  checkCsrf?(rule?: CsrfRule): void
}

/** One that browsers are known by. */
export interface BrowserSource extends AuthSource {
  peek(): SessionAuth | undefined
  confirm(): Promise<SessionAuth>
  /** The same; a page leads on to `wayOn`. Default: the option `returnTo` of `oauthLogin`. */
  refuse(
    error: unknown,
    req: IncomingMessage,
    res: ServerResponse,
    next: (error?: unknown) => void,
    wayOn?: string,
  ): void
  startLogin(options: StartLoginOptions): Promise<void>
  checkCsrf(rule?: CsrfRule): void
  /** The tokens of the user who was confirmed. Throws `login_required` when nobody is signed in. */
  apiTokens(): ApiTokens<AccessTokenOptions>
}

// A symbol of our own: whatever an app or a mistake puts into `req.auth`, guards never take it for a user.
const sourceKey = Symbol('express-oauth-kit.auth-source')

const browserKey = Symbol('express-oauth-kit.browser-source')

type GuardedRequest = IncomingMessage & {
  [sourceKey]?: AuthSource
  [browserKey]?: BrowserSource
  auth?: unknown
  authError?: unknown
}

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

/** Puts `req.auth` on a request. It is looked up when first read, and absent when that fails. */
export function attachAuth(req: IncomingMessage, source: AuthSource): void {
  ;(req as GuardedRequest)[sourceKey] = source
  Object.defineProperty(req, 'auth', authProperty)
}

/** The same for who is known already. */
export function attachKnownAuth(req: IncomingMessage, source: AuthSource, auth: Auth): void {
  const guarded = req as GuardedRequest
  guarded[sourceKey] = source
  // An accessor that `attachAuth` put there would keep its own view.
  if ('auth' in guarded) {
    Object.defineProperty(req, 'auth', { value: auth, configurable: true, writable: true })
    delete guarded.authError
  } else guarded.auth = auth
}

/** Puts nobody on a request, whatever was there; `error` is why not. */
export function attachNobody(req: IncomingMessage, source: AuthSource, error?: OAuthError): void {
  attachAuth(req, source)
  Object.defineProperty(req, 'authError', { value: error, configurable: true, writable: true })
}

/** Puts a session on a request, where {@link browserSource} finds it whatever is attached later. */
export function attachSession(req: IncomingMessage, source: BrowserSource): void {
  ;(req as GuardedRequest)[browserKey] = source
  attachAuth(req, source)
}

/** The session of a request, as `oauthLogin` put it there; nothing where that is not mounted. */
export function browserSource(req: IncomingMessage): BrowserSource | undefined {
  return (req as GuardedRequest)[browserKey]
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
