/** Tells scripts of the site's own pages who is signed in, and for how long. It says what they need to know, and no token. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { appAnswer } from '../app-answer.js'
import { isOAuthError, OAuthError } from '../errors.js'
import type { OptionChecks } from '../options.js'
import { varyByCookie } from '../session/cookies.js'
import type { Session, Sessions } from '../session/session.js'
import type { BrowserSource, SessionAuth } from './auth.js'
import { checkedCsrfHeader } from './csrf.js'
import { sendJson } from './request.js'

/** What the user endpoint answers. */
export interface UserEndpointOptions {
  /**
   * The claims to show, by their names or made by a function. Default: `sub`, `name`, `given_name`, `family_name`,
   * `preferred_username`, `email`, `email_verified` and `picture`, as far as the session has them.
   */
  claims?: readonly string[] | ((auth: SessionAuth) => object | Promise<object>)
  /** The answer when nobody is signed in: status 401 with `login_url`, or 200 with `null`. Default `401`. */
  whenNobody?: '401' | 'null'
  /** The header that scripts have to send, whatever its value. Default `x-csrf`. */
  header?: string
}

export type UserEndpointSettings = Required<UserEndpointOptions>

const safeClaims = [
  'sub',
  'name',
  'given_name',
  'family_name',
  'preferred_username',
  'email',
  'email_verified',
  'picture',
]

/** Nothing when there shall be no such endpoint. */
export function checkedUserEndpoint(
  user: boolean | UserEndpointOptions | undefined,
  check: OptionChecks,
): UserEndpointSettings | undefined {
  if (user === undefined || user === false) return undefined
  const options = user === true ? {} : user
  const within = check.within('user', options, { claims: true, whenNobody: true, header: true })
  const { claims = safeClaims, whenNobody, header } = options
  if (typeof claims !== 'function' && !isListOfNames(claims))
    within.refuse('claims', 'is no list of names', 'give a list such as ["sub", "name"], or a function')
  return {
    // The caller's list may change later.
    claims: typeof claims === 'function' ? claims : [...claims],
    whenNobody: within.oneOf('whenNobody', whenNobody, ['401', 'null'], '401'),
    header: checkedCsrfHeader(header, within),
  }
}

export interface UserEndpointParts {
  settings: UserEndpointSettings
  sessions: Sessions
  /** The path that signs out, as browsers see it. */
  logoutUrl: string
}

/**
 * Answers the user path. The source is one that takes no notice of its use. Throws `csrf_rejected`,
 * `login_required`, `method_not_allowed` and `store_unavailable`, and what the app's function throws.
 */
export function createUserEndpoint({ settings, sessions, logoutUrl }: UserEndpointParts) {
  const { claims, whenNobody, header } = settings

  return async (req: IncomingMessage, res: ServerResponse, source: BrowserSource): Promise<void> => {
    varyByCookie(res)
    if (req.method !== 'GET' && req.method !== 'HEAD')
      throw new OAuthError('method_not_allowed', { headers: { allow: 'GET, HEAD' } })
    // Before anything is known: whether somebody is signed in is no business of other sites, either.
    source.checkCsrf({ header, safeMethods: true })
    try {
      const auth = await source.confirm()
      const session = sessions.find(req)
      // Its time may have come while the store was asked.
      if (!session) throw new OAuthError('login_required', { reason: 'session_ended' })
      sendJson(res, 200, await told(auth, session))
    } catch (error) {
      if (whenNobody === '401' || !isOAuthError(error) || error.code !== 'login_required') throw error
      sendJson(res, 200, null)
    }
  }

  async function told(auth: SessionAuth, session: Session): Promise<object> {
    return {
      claims: await shown(auth),
      scope: auth.scopes.join(' '),
      session_expires_in: sessions.secondsLeft(session),
      logout_url: logoutUrl,
      csrf_token: auth.csrfToken,
    }
  }

  async function shown(auth: SessionAuth): Promise<object> {
    if (typeof claims !== 'function') {
      return Object.fromEntries(
        claims.filter((name) => Object.hasOwn(auth.claims, name)).map((name) => [name, auth.claims[name]]),
      )
    }
    const made: unknown = await appAnswer('user.claims', () => claims(auth))
    if (made !== null && typeof made === 'object' && !Array.isArray(made)) return made
    throw new OAuthError('invalid_configuration', {
      message:
        'oauthLogin: the function "user.claims" gave no object; return one such as { sub: auth.subject }',
    })
  }
}

function isListOfNames(list: unknown): list is readonly string[] {
  return Array.isArray(list) && list.every((name) => typeof name === 'string' && name !== '')
}
