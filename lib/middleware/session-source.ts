/** `req.auth` of a user with a session. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { isOAuthError, OAuthError } from '../errors.js'
import type { Claims } from '../jose/jwt.js'
import { shortcoming, type AuthenticationClock, type AuthenticationDemand } from '../oauth/authentication.js'
import type { CoversScope } from '../oauth/implied-scopes.js'
import { varyByCookie } from '../session/cookies.js'
import { handleOf } from '../session/endings.js'
import type { FreshLogin } from '../session/fresh-login.js'
import type { SessionTokens, Visit } from '../session/session-tokens.js'
import { csrfToken, type Session, type Sessions } from '../session/session.js'
import type { AccessTokenOptions } from '../session/wanted-token.js'
import type { ApiFetch } from '../tokens/api-fetch.js'
import type { ApiTokens } from '../tokens/api-token.js'
import type { BrowserSource, SessionAuth } from './auth.js'
import { checkCsrf, postedToken, type CsrfRule } from './csrf.js'
import type { Login, StartLoginOptions } from './login.js'
import { sessionNotKept, type Refusals } from './refusals.js'
import { originalUrl } from '../original-url.js'
import { navigation } from './request.js'

/** What all requests of one `oauthLogin` share. */
export interface SessionSourceOptions {
  sessions: Pick<Sessions, 'read' | 'isBrought' | 'isUnreadable' | 'lives'>
  login: Login
  refusals: Refusals
  freshLogin: FreshLogin
  sessionTokens: SessionTokens
  apiFetch: (tokens: ApiTokens<AccessTokenOptions>) => ApiFetch
  clientId: string
  /** The origin of this site. */
  origin: string
  covers: CoversScope
  clock: AuthenticationClock
}

/** Nothing is opened before someone asks, and then once. */
export class SessionSource implements BrowserSource {
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
    const { sessions, freshLogin } = this.#options
    const isBrought = sessions.isBrought(this.#req)
    try {
      if (found && (await sessions.lives(this.#req, this.#res, found.session))) return found.auth
      if (!isBrought) {
        const isUnreadable = sessions.isUnreadable(this.#req)
        throw new OAuthError('login_required', isUnreadable ? { reason: 'session_unreadable' } : {})
      }
      // A session that came back and has ended was kept: another login is no circle.
      if (!this.#res.headersSent) freshLogin.forget(this.#req, this.#res)
      throw new OAuthError('login_required', { reason: 'session_ended' })
    } catch (error) {
      this.#found = null // whoever handles the error must not greet a user who is none
      throw error
    }
  }

  get covers(): CoversScope {
    return this.#options.covers
  }

  /** By what the session keeps of the ID token: an app may have kept none of it in the claims. */
  shortcoming(demand: AuthenticationDemand): 'acr' | 'auth_time' | undefined {
    return shortcoming(this.#look()?.session ?? {}, demand, this.#options.clock)
  }

  checkCsrf(rule: CsrfRule = {}, field = postedToken(this.#req)): void {
    checkCsrf(this.#req, rule, {
      origin: this.#options.origin,
      csrfToken: () => this.peek()?.csrfToken,
      field,
    })
  }

  apiTokens(): ApiTokens<AccessTokenOptions> {
    const found = this.#look()
    if (!found) throw new OAuthError('login_required')
    const visit = { req: this.#req, res: this.#res, session: found.session }
    return this.#options.sessionTokens.apiTokens(visit)
  }

  refuse(...[error, req, res, next, wayOn]: Parameters<BrowserSource['refuse']>): void {
    const needsStepUp = isOAuthError(error) && error.code === 'insufficient_user_authentication'
    if (needsStepUp && navigation(req) === 'yes' && !res.headersSent) this.#stepUp(error).catch(next)
    else this.#options.refusals.refuse(error, req, res, next, wayOn)
  }

  async #stepUp({ acrValues, maxAge }: OAuthError): Promise<void> {
    const [req, res] = [this.#req, this.#res]
    const { freshLogin, refusals } = this.#options
    const began = freshLogin.remembered(req)
    if (began !== undefined && began !== this.#look()?.auth.sessionId) {
      // The browser came back from a login with the session of before: another one would end here again.
      refusals.answer(sessionNotKept(), req, res, this.#next)
      return
    }
    const isRepeatable = req.method === 'GET' || req.method === 'HEAD'
    await this.startLogin({
      demand: { ...(acrValues && { acr: acrValues }), ...(maxAge !== undefined && { maxAge }) },
      // What was posted is lost by now, and its address may mean nothing to a GET.
      ...(isRepeatable && { returnTo: originalUrl(req) }),
    })
  }

  async startLogin(wanted: StartLoginOptions & { demand?: AuthenticationDemand }): Promise<void> {
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
      const [req, res] = [this.#req, this.#res]
      const session = this.#options.sessions.read(req, res)
      keepFromCaches(res)
      this.#found = session ? { session, auth: new SessionUser({ req, res, session }, this.#options) } : null
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
  readonly #visit: Visit
  readonly #options: SessionSourceOptions

  constructor(visit: Visit, options: SessionSourceOptions) {
    const { session } = visit
    this.subject = session.subject
    this.issuer = session.issuer
    this.claims = session.claims
    this.scopes = session.scope
    this.clientId = options.clientId
    this.expiresAt = session.endsAt
    this.#visit = visit
    this.#options = options
  }

  get sessionId(): string {
    return handleOf(this.#visit.session)
  }

  get csrfToken(): string {
    return csrfToken(this.#visit.session)
  }

  readonly accessToken: SessionAuth['accessToken'] = (options) =>
    this.#options.sessionTokens.accessToken(this.#visit, options)

  readonly fetch: SessionAuth['fetch'] = (url, init) => {
    const { apiFetch, sessionTokens } = this.#options
    return apiFetch(sessionTokens.apiTokens(this.#visit))(url, init)
  }

  readonly revoke: SessionAuth['revoke'] = () => this.#options.sessionTokens.revoke(this.#visit)
}
