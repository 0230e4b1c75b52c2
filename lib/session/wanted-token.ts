/** Which access token of a session is wanted: the one that the login asked for, or one for another API or with fewer scopes. */

import { isOAuthError, OAuthError } from '../errors.js'
import type { AccessTokenRequest } from '../oauth/refresh-token.js'
import { isResource } from '../oauth/requested-access.js'
import { parseScope } from '../oauth/scope.js'
import { accessTokenOf, withAccessToken, type AccessToken, type TokenSet } from '../oauth/token-set.js'
import { isFinalRefusal, type RenewedTokens } from '../tokens/refresh.js'
import type { FurtherTokens } from './further-tokens.js'
import type { Session } from './session.js'

export interface AccessTokenOptions {
  /** Seconds that the token must still be good for. Default 0. */
  minimumLifetime?: number
  /** Refreshes whatever the state of the token, for instance because an API has just refused it. Default false. */
  forceRefresh?: boolean
  /** The API that the token is for (RFC 8707). Default: the option `resource` of `oauthLogin`. */
  resource?: string
  /** Scopes that the token shall have, with one space between: some of those granted. Default: as the server gives them. */
  scope?: string
}

/** One access token among those of a session. */
export interface WantedToken {
  /** Whether it is the one that the login asked for. */
  readonly isOwn: boolean
  readonly name: string
  readonly request: AccessTokenRequest
  /** What is at hand of it. */
  find(tokens: TokenSet): Promise<AccessToken | undefined>
  /** What a refresh gave: the session's new tokens, and the one asked for. */
  sorted(renewed: TokenSet, before: TokenSet): RenewedTokens
  keep(token: AccessToken): Promise<void>
  /** Whether an error means that no refresh will ever succeed. */
  isLost(error: unknown): boolean
}

export function ownToken(request: AccessTokenRequest): WantedToken {
  return {
    isOwn: true,
    name: '',
    request,
    find: async (tokens) => accessTokenOf(tokens),
    sorted: (renewed) => ({ tokens: renewed, access: accessTokenOf(renewed) }),
    keep: async () => undefined,
    isLost: isFinalRefusal,
  }
}

export function furtherToken(
  session: Session,
  request: AccessTokenRequest,
  kept: FurtherTokens,
): WantedToken {
  const { resource = null, scope = [] } = request
  const name = JSON.stringify([resource, scope.toSorted()])
  return {
    isOwn: false,
    name,
    request,
    find: () => kept.find(session, name),
    sorted: (renewed, before) => ({
      tokens: withAccessToken(renewed, before),
      access: accessTokenOf(renewed),
    }),
    keep: (token) => kept.keep(session, name, token),
    // A refusal without a name may be of this API alone.
    isLost: (error) => isOAuthError(error) && error.code === 'invalid_grant',
  }
}

/** Throws `invalid_configuration` for what no token can be asked for. */
export function checkedRequest({ resource, scope }: AccessTokenOptions): AccessTokenRequest {
  if (resource !== undefined && !isResource(resource))
    throw cannotBe('resource', resource, 'give the URL of the API, without "#"')
  const scopes = scope === undefined ? undefined : parseScope(scope)
  if (scope !== undefined && !scopes) throw cannotBe('scope', scope, 'separate scopes by one space each')
  return { ...(resource !== undefined && { resource }), ...(scopes && { scope: scopes }) }
}

function cannotBe(name: string, value: string, advice: string): OAuthError {
  return new OAuthError('invalid_configuration', {
    message: `accessToken: "${name}" is "${value}"; ${advice}`,
    hint: advice,
  })
}
