/** An access token of a session that is still good, refreshed when it is due. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { isOAuthError, OAuthError } from '../errors.js'
import type { TokenSet } from '../oauth/token-set.js'
import { isFinalRefusal, SessionEnded, type Refresher, type RefreshableTokens } from '../tokens/refresh.js'
import type { Session, Sessions } from './session.js'

export interface AccessTokenOptions {
  /** Seconds that the token must still be good for. Default 0. */
  minimumLifetime?: number
  /** Refreshes whatever the state of the token, for instance because an API has just refused it. Default false. */
  forceRefresh?: boolean
}

/**
 * Throws `login_required` when there is no good token any more and none can be had, `server_unavailable` or
 * `store_unavailable` when that is nobody's fault, and the server's refusals by their codes when they are ours.
 */
export type SessionAccessToken = (
  req: IncomingMessage,
  res: ServerResponse,
  session: Session,
  options?: AccessTokenOptions,
) => Promise<string>

export interface SessionTokensOptions {
  sessions: Sessions
  refresher: Refresher
  grant: (tokens: RefreshableTokens, session: Session) => Promise<TokenSet>
  /** Told of tokens that nobody will use: they were issued while the user signed out. */
  discard: (tokens: TokenSet) => void
  now: () => number
}

export function sessionAccessToken(settings: SessionTokensOptions): SessionAccessToken {
  const { sessions, refresher, grant, discard, now } = settings

  return async (req, res, session, options = {}) => {
    const kept = await sessions.tokens(req, session)
    if (!kept) throw loginRequired('session_ended')
    const tokens = refresher.latest(kept)
    if (tokens !== kept && sessions.canKeep(res)) {
      // The answer that was to bring them may never have arrived, or the store failed to take them.
      await sessions.save(req, session, tokens)
      sessions.send(req, res, session, tokens)
    }
    if (!isDue(tokens, options)) return tokens.access_token
    if (!isRefreshable(tokens)) return whileGood(tokens, loginRequired('access_token_expired'))
    if (!sessions.canKeep(res)) return whileGood(tokens, answeredTooEarly())
    try {
      const renewed = await refresh(req, session, tokens)
      sessions.send(req, res, session, renewed)
      return renewed.access_token
    } catch (error) {
      const isOver = error instanceof SessionEnded
      if (isOver || isFinalRefusal(error)) {
        await sessions.end(req, res, session)
        throw loginRequired(isOver ? 'session_ended' : 'refresh_refused')
      }
      if (options.forceRefresh) throw error
      return whileGood(tokens, error)
    }
  }

  function refresh(req: IncomingMessage, session: Session, tokens: RefreshableTokens): Promise<TokenSet> {
    return refresher.refresh(tokens, {
      reread: async () => {
        const kept = await sessions.tokens(req, session)
        return kept && refresher.latest(kept)
      },
      grant: (current) => grant(current, session),
      save: async (renewed) => {
        // A logout while the server was asked has the last word.
        if ((await sessions.tokens(req, session)) === undefined) {
          discard(renewed)
          throw new SessionEnded()
        }
        await sessions.save(req, session, renewed)
      },
    })
  }

  function isDue(
    { expires_at, refresh_at }: TokenSet,
    { minimumLifetime = 0, forceRefresh = false }: AccessTokenOptions,
  ): boolean {
    if (forceRefresh) return true
    if (expires_at === undefined) return false
    return now() >= (refresh_at ?? expires_at) || expires_at - now() < minimumLifetime
  }

  /** A token that cannot be renewed just now serves until its end. */
  function whileGood({ access_token, expires_at }: TokenSet, error: unknown): string {
    if (expires_at === undefined || expires_at > now()) return access_token
    throw isOAuthError(error) && isRefusal(error) ? loginRequired('refresh_refused', error) : error
  }
}

function isRefreshable(tokens: TokenSet): tokens is RefreshableTokens {
  return tokens.refresh_token !== undefined
}

/** A refusal that is neither for good nor our fault: another login brings other tokens. */
function isRefusal({ status, code }: OAuthError): boolean {
  return status < 500 && code !== 'login_required'
}

function loginRequired(reason: string, cause?: OAuthError): OAuthError {
  return new OAuthError('login_required', {
    reason,
    hint: 'There is no access token any more that is good, and none can be had without the user. Send the user to the login.',
    cause,
  })
}

function answeredTooEarly(): OAuthError {
  return new OAuthError('invalid_configuration', {
    message:
      'the access token has expired, and a new one cannot be kept in a cookie once the response has begun',
    hint: 'Call accessToken() before you write to the response, or set "storage" to "session".',
  })
}
