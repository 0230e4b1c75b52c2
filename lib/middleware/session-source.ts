/** `req.auth` of a user with a session. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { OAuthError } from '../errors.js'
import type { Claims } from '../jose/jwt.js'
import { varyByCookie } from '../session/cookies.js'
import type { SessionAccessToken } from '../session/session-tokens.js'
import { csrfToken, type Session, type Sessions } from '../session/session.js'
import type { AuthSource, SessionAuth } from './auth.js'
import type { Login, StartLoginOptions } from './login.js'
import type { Refusals } from './refusals.js'

/** What all requests of one `oauthLogin` share. */
export interface SessionSourceOptions {
  sessions: Sessions
  login: Login
  refusals: Refusals
  accessToken: SessionAccessToken
  clientId: string
}

/** Nothing is opened before someone asks, and then once. */
export class SessionSource implements AuthSource {
  readonly #req: IncomingMessage
  readonly #res: ServerResponse
  readonly #next: (error?: unknown) => void
  readonly #options: SessionSourceOptions
  /** Nothing: nobody has asked. Null: asked, and nobody is signed in. */
  #found: Found | null | undefined

  constructor(
    req: IncomingMessage,
    res: ServerResponse,
    next: (error?: unknown) => void,
    options: SessionSourceOptions,
  ) {
    this.#req = req
    this.#res = res
    this.#next = next
    this.#options = options
  }

  peek(): SessionAuth | undefined {
    return this.#look()?.auth
  }

  async confirm(): Promise<SessionAuth> {
    const found = this.#look()
    if (found && (await this.#options.sessions.tokens(this.#req, found.session))) return found.auth
    throw new OAuthError('login_required')
  }

  refuse(error: unknown): void {
    this.#options.refusals.refuse(error, this.#req, this.#res, this.#next)
  }

  async startLogin(wanted: StartLoginOptions): Promise<void> {
    const { login, refusals } = this.#options
    try {
      // What was granted before is asked for again: the new tokens take the place of the old.
      const scope = [...(this.peek()?.scopes ?? []), wanted.scope ?? ''].join(' ').trim()
      await login.start(this.#req, this.#res, { ...wanted, scope })
    } catch (error) {
      refusals.answer(error, this.#req, this.#res, this.#next)
    }
  }

  #look(): Found | undefined {
    if (this.#found === undefined) {
      const session = this.#options.sessions.read(this.#req, this.#res)
      keepFromCaches(this.#res)
      const auth =
        session &&
        new SessionUser(session, this.#options.clientId, (options) =>
          this.#options.accessToken(this.#req, this.#res, session, options),
        )
      this.#found = auth ? { session, auth } : null
    }
    return this.#found ?? undefined
  }
}

/** What a page says to one user must not be kept for the next (RFC 9111 §5.2.2). An app's own header stays. */
function keepFromCaches(res: ServerResponse): void {
  if (res.headersSent) return
  if (!res.hasHeader('cache-control')) res.setHeader('cache-control', 'private, no-store')
  varyByCookie(res)
}

interface Found {
  readonly session: Session
  readonly auth: SessionAuth
}

class SessionUser implements SessionAuth {
  readonly kind = 'session'
  readonly subject: string | undefined
  readonly issuer: string
  readonly claims: Claims
  readonly scopes: readonly string[]
  readonly clientId: string
  readonly expiresAt: number
  readonly accessToken: SessionAuth['accessToken']
  readonly #session: Session

  constructor(session: Session, clientId: string, accessToken: SessionAuth['accessToken']) {
    this.subject = session.subject
    this.issuer = session.issuer
    this.claims = session.claims
    this.scopes = session.scope
    this.clientId = clientId
    this.expiresAt = session.endsAt
    this.accessToken = accessToken
    this.#session = session
  }

  get csrfToken(): string {
    return csrfToken(this.#session)
  }
}
