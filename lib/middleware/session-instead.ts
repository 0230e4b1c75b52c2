/** The session of `oauthLogin` in place of a token, for requests that bring none. */

import type { IncomingMessage } from 'node:http'
import { isOAuthError, OAuthError } from '../errors.js'
import type { AuthenticationDemand } from '../oauth/authentication.js'
import type { CoversScope } from '../oauth/implied-scopes.js'
import { browserSource, type Auth, type AuthSource, type BrowserSource } from './auth.js'
import type { StartLoginOptions } from './login.js'
import { navigation } from './request.js'

/** Throws `invalid_configuration` on a request that `oauthLogin` has not seen. */
export function sessionOf(req: IncomingMessage): BrowserSource {
  const source = browserSource(req)
  if (source) return source
  throw new OAuthError('invalid_configuration', {
    message:
      'oauthBearer: option "session" needs the session of oauthLogin; mount oauthLogin with app.use() before it',
  })
}

export class SessionInstead implements AuthSource {
  readonly #session: BrowserSource
  /** Tells clients that a token would do, too. */
  readonly #challenge: (error: OAuthError) => void
  /** The store is asked once per request, however many guards follow. */
  #confirmed: Auth | undefined

  constructor(session: BrowserSource, challenge: (error: OAuthError) => void) {
    this.#session = session
    this.#challenge = challenge
  }

  peek(): Auth | undefined {
    return this.#session.peek()
  }

  confirm(): Auth | Promise<Auth> {
    return this.#confirmed ?? this.#ask()
  }

  async #ask(): Promise<Auth> {
    this.#confirmed = await this.#session.confirm()
    return this.#confirmed
  }

  get covers(): CoversScope {
    return this.#session.covers
  }

  shortcoming(demand: AuthenticationDemand): 'acr' | 'auth_time' | undefined {
    return this.#session.shortcoming(demand)
  }

  async startLogin(options: StartLoginOptions): Promise<void> {
    return this.#session.startLogin(options)
  }

  checkCsrf(): void {
    if (this.peek()) this.#session.checkCsrf()
  }

  /** A page visit goes to the login. Everybody else is told both ways in. */
  refuse(...[error, req, res, next]: Parameters<AuthSource['refuse']>): void {
    if (isOAuthError(error) && error.code === 'login_required' && navigation(req) !== 'yes')
      this.#challenge(error)
    this.#session.refuse(error, req, res, next)
  }
}
