/** `req.auth` of a user with a session. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { OAuthError } from '../errors.js'
import type { Claims } from '../jose/jwt.js'
import type { TokenSet } from '../oauth/token-set.js'
import { varyByCookie } from '../session/cookies.js'
import { csrfToken, type Session, type Sessions } from '../session/session.js'
import type { AuthSource, SessionAuth } from './auth.js'

export interface SessionSourceOptions {
  sessions: Sessions
  clientId: string
  now: () => number
  refuse: (error: unknown) => void
}

/** Nothing is opened before someone asks, and then once. */
export function sessionSource(
  req: IncomingMessage,
  res: ServerResponse,
  options: SessionSourceOptions,
): AuthSource {
  const { sessions, clientId, now, refuse } = options
  let found: { auth: SessionUser; session: Session } | undefined
  let isRead = false
  let tokens: Promise<TokenSet | undefined> | undefined

  function read() {
    if (isRead) return found
    const session = sessions.read(req, res)
    isRead = true
    keepFromCaches(res)
    found = session && { session, auth: new SessionUser(session, clientId, accessToken) }
    return found
  }

  function tokensOf(session: Session): Promise<TokenSet | undefined> {
    tokens ??= sessions.tokens(req, session)
    return tokens
  }

  async function accessToken(): Promise<string> {
    const kept = found && (await tokensOf(found.session))
    if (!kept) throw new OAuthError('login_required', { reason: 'session_ended' })
    if (kept.expires_at === undefined || kept.expires_at > now()) return kept.access_token
    throw new OAuthError('login_required', {
      reason: 'access_token_expired',
      hint: 'The access token has expired. Send the user to the login again.',
    })
  }

  return {
    peek: () => read()?.auth,
    async confirm() {
      const current = read()
      if (current && (await tokensOf(current.session))) return current.auth
      throw new OAuthError('login_required')
    },
    refuse,
  }
}

/** What a page says to one user must not be kept for the next (RFC 9111 §5.2.2). An app's own header stays. */
function keepFromCaches(res: ServerResponse): void {
  if (res.headersSent) return
  if (!res.hasHeader('cache-control')) res.setHeader('cache-control', 'private, no-store')
  varyByCookie(res)
}

class SessionUser implements SessionAuth {
  readonly kind = 'session'
  readonly subject: string | undefined
  readonly issuer: string
  readonly claims: Claims
  readonly scopes: readonly string[]
  readonly clientId: string
  readonly expiresAt: number
  readonly accessToken: () => Promise<string>
  readonly #session: Session

  constructor(session: Session, clientId: string, accessToken: () => Promise<string>) {
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
