/** The access tokens of a session: one that is still good, refreshed when it is due, and the end of them all. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { isOAuthError, OAuthError } from '../errors.js'
import type { DPoPKeys } from '../oauth/dpop-keys.js'
import type { AccessTokenRequest } from '../oauth/refresh-token.js'
import type { AccessToken, TokenSet } from '../oauth/token-set.js'
import { apiNonces } from '../tokens/api-nonces.js'
import { bearerToken, dpopToken, type ApiToken, type ApiTokens } from '../tokens/api-token.js'
import { createFreshness, type TokenDemand } from '../tokens/freshness.js'
import type { Outcomes } from '../tokens/outcomes.js'
import {
  isRefreshable,
  SessionEnded,
  type RefreshableTokens,
  type Refresher,
  type RenewedTokens,
} from '../tokens/refresh.js'
import type { Revoke } from '../tokens/revoke.js'
import { sessionHandle } from './endings.js'
import type { FurtherTokens } from './further-tokens.js'
import type { Session, Sessions } from './session.js'
import {
  checkedRequest,
  furtherToken,
  ownToken,
  type AccessTokenOptions,
  type WantedToken,
} from './wanted-token.js'

type Demand = AccessTokenOptions & TokenDemand

/** The request that asks, with the session that it belongs to. */
export interface Visit {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly session: Session
}

export interface SessionTokens {
  /**
   * Throws `login_required` when there is no good token any more and none can be had, `insufficient_scope` when the
   * server gave fewer scopes than asked for, `invalid_configuration` for options that cannot be, `server_unavailable` or
   * `store_unavailable` when that is nobody's fault, and the server's refusals by their codes when they are ours.
   */
  accessToken(visit: Visit, options?: AccessTokenOptions): Promise<string>
  /** The same, for requests to APIs. */
  apiTokens(visit: Visit): ApiTokens<AccessTokenOptions>
  /**
   * Ends the session, and gives its newest tokens for whoever revokes them; nothing when it had ended before. Throws
   * `store_unavailable`.
   */
  end(visit: Visit): Promise<TokenSet | undefined>
  /** Gives all tokens up, here and at the server, while the user stays signed in. Throws `store_unavailable`. */
  revoke(visit: Visit): Promise<void>
}

export interface SessionTokensOptions {
  sessions: Sessions
  refresher: Refresher
  outcomes: Outcomes
  furtherTokens: FurtherTokens
  /** The API that a session's own access token is for. */
  resource: string | undefined
  /** The keys that tokens may be bound to. */
  dpopKeys: DPoPKeys
  grant: (tokens: RefreshableTokens, session: Session, request: AccessTokenRequest) => Promise<TokenSet>
  revoke: Revoke
  now: () => number
}

export function createSessionTokens(settings: SessionTokensOptions): SessionTokens {
  const { sessions, refresher, outcomes, furtherTokens, dpopKeys, grant, revoke, now } = settings
  const nonces = apiNonces()
  const { isGood, isDue, isRefusedInVain, nextReplacement } = createFreshness({ dpopKeys, now })

  async function accessToken(visit: Visit, options: Demand): Promise<AccessToken> {
    const { req, res, session } = visit
    const wanted = wantedToken(session, options)
    const kept = await sessions.tokens(req, session)
    if (!kept) throw loginRequired('session_ended')
    if (isGivenUp(kept)) throw loginRequired('revoked')
    const first = await wanted.find(kept)
    if (first && !isDue(first, options) && !sessions.mayBeOutdated) return first

    const tokens = await outcomes.newest(kept)
    if (tokens !== kept && sessions.canKeep(res)) {
      // The answer that was to bring them may never have arrived, or the store failed to take them.
      if (!(await sessions.save(req, session, tokens))) throw loginRequired('session_ended')
      sessions.send(req, res, session, tokens)
    }
    if (isGivenUp(tokens)) throw loginRequired('revoked')
    const access = tokens === kept ? first : await wanted.find(tokens)
    if (access && (!isDue(access, options) || isRefusedInVain(access, tokens, options))) return access
    try {
      if (!isRefreshable(tokens)) throw loginRequired('access_token_expired')
      if (!sessions.canKeep(res))
        throw answeredTooEarly('another access token is needed, and a new one cannot be kept in a cookie')
      const renewed = await refresh(visit, wanted, access, options)
      sessions.send(req, res, session, renewed.tokens)
      return renewed.access
    } catch (error) {
      if (error instanceof SessionEnded || wanted.isLost(error)) {
        await sessions.end(req, res, session)
        throw loginRequired(error instanceof SessionEnded ? 'session_ended' : 'refresh_refused')
      }
      if (error instanceof TokensGivenUp) throw loginRequired('revoked')
      if (options.forceRefresh) throw error
      // A token that cannot be renewed just now serves until its end.
      if (access && isGood(access, { ...options, minimumLifetime: 0 })) return access
      throw wanted.isOwn && isRefusal(error) ? loginRequired('refresh_refused', error) : error
    }
  }

  function refresh(
    { req, session }: Visit,
    wanted: WantedToken,
    replaced: AccessToken | undefined,
    options: Demand,
  ): Promise<RenewedTokens> {
    return refresher.refresh({
      family: familyOf(session),
      wanted: wanted.name,
      replaces: replaced?.access_token,
      isPatient: !replaced || !isGood(replaced, options),
      async reread() {
        const kept = await sessions.tokens(req, session)
        if (!kept) throw new SessionEnded()
        const tokens = await outcomes.newest(kept)
        if (isGivenUp(tokens)) throw new TokensGivenUp()
        return { tokens, access: await wanted.find(tokens) }
      },
      async grant(tokens) {
        const renewed = await grant(tokens, session, wanted.request)
        const isReplacement = replaced !== undefined && replaced.access_token === options.refused
        const noted = isReplacement ? { ...renewed, replacement: nextReplacement(replaced) } : renewed
        return wanted.sorted(noted, tokens)
      },
      async save(renewed) {
        // A logout while the server was asked has the last word.
        if (!(await sessions.save(req, session, renewed.tokens))) {
          void revoke(renewed.tokens)
          throw new SessionEnded()
        }
        await wanted.keep(renewed.access)
      },
    })
  }

  function wantedToken(session: Session, options: AccessTokenOptions): WantedToken {
    const { resource = settings.resource, scope } = checkedRequest(options)
    const request = { ...(resource !== undefined && { resource }), ...(scope && { scope }) }
    const isOwn = resource === settings.resource && scope === undefined
    return isOwn ? ownToken(request) : furtherToken(session, request, furtherTokens)
  }

  async function sufficientToken(visit: Visit, options: Demand): Promise<AccessToken> {
    const token = await accessToken(visit, options)
    const missing = options.scope?.split(' ').filter((scope) => !token.scope.includes(scope)) ?? []
    if (missing.length === 0) return token
    throw new OAuthError('insufficient_scope', {
      scope: missing,
      hint: `The server left out ${missing.join(' ')}. Ask the user for it with startLogin(req, res, { scope }).`,
    })
  }

  async function apiToken(visit: Visit, wanted: Demand): Promise<ApiToken> {
    const { access_token, jkt } = await sufficientToken(visit, wanted)
    // A token that is good has its key at hand, or needs none.
    const key = dpopKeys.named(jkt)
    return key ? dpopToken(access_token, key, nonces) : bearerToken(access_token)
  }

  async function newest({ req, session }: Visit): Promise<TokenSet | undefined> {
    const kept = await sessions.tokens(req, session)
    return kept && outcomes.newest(kept)
  }

  return {
    async end(visit) {
      const tokens = await newest(visit)
      await sessions.end(visit.req, visit.res, visit.session)
      // A refresh that found the session alive a moment ago has told its outcome by now; a later one finds it ended.
      return tokens && outcomes.newest(tokens).catch(() => tokens)
    },

    accessToken: async (visit, options = {}) => (await sufficientToken(visit, options)).access_token,

    apiTokens: (visit) => ({
      token: (wanted) => apiToken(visit, wanted),
      async inPlaceOf({ access_token: refused }, wanted) {
        const current = await apiToken(visit, { ...wanted, refused })
        return current.access_token === refused ? undefined : current
      },
    }),

    // Not while they are refreshed: the new ones would live on.
    revoke: (visit) =>
      refresher.alone(familyOf(visit.session), async () => {
        const { req, res, session } = visit
        const tokens = await newest(visit)
        if (!tokens) return
        if (!sessions.canKeep(res)) throw answeredTooEarly('the tokens cannot be taken out of a cookie')
        const nothing = givenUp(tokens)
        if (tokens.refresh_token !== undefined) await outcomes.keep(tokens.refresh_token, nothing)
        await sessions.save(req, session, nothing)
        sessions.send(req, res, session, nothing)
        await revoke(tokens)
      }),
  }
}

/** What can be refreshed by one at a time only, by a name that tells nothing. */
function familyOf({ id }: Session): string {
  return sessionHandle(id)
}

/** What is left of a session's tokens when they were revoked. The user is who they were, and can sign out as before. */
function givenUp({ scope, generation, id_token }: TokenSet): TokenSet {
  return { access_token: '', scope, generation: generation + 1, ...(id_token !== undefined && { id_token }) }
}

function isGivenUp({ access_token }: TokenSet): boolean {
  return access_token === ''
}

/** The tokens were revoked while somebody waited to refresh them. */
class TokensGivenUp extends Error {
  override readonly name = 'TokensGivenUp'
}

/** A refusal that is neither for good nor our fault: another login brings other tokens. */
function isRefusal(error: unknown): error is OAuthError {
  return isOAuthError(error) && error.status < 500 && error.code !== 'login_required'
}

function loginRequired(reason: string, cause?: OAuthError): OAuthError {
  return new OAuthError('login_required', {
    reason,
    hint: 'There is no access token any more that is good, and none can be had without the user. Send the user to the login.',
    cause,
  })
}

function answeredTooEarly(problem: string): OAuthError {
  return new OAuthError('invalid_configuration', {
    message: `${problem} once the response has begun`,
    hint: 'Call accessToken(), fetch() and revoke() before you write to the response, or set "storage" to "session".',
  })
}
