/** What all guards do: ask who a request is from, judge, and pass it on or answer it. */

import { asError } from '../app-answer.js'
import { isOAuthError, type OAuthError } from '../errors.js'
import { authSource, type Auth, type AuthSource } from './auth.js'
import type { Middleware } from './request.js'
import { withRequirement, type Guard, type Requirement } from './requirement.js'

/** Nothing lets whoever it is through. Throwing refuses them, too. */
export type Judge = (auth: Auth, source: AuthSource) => OAuthError | undefined

/**
 * Nothing waits where nothing has to be asked: behind `oauthBearer` the next handler is called at once.
 * With `mayBeNobody` a request passes that is from nobody, but not one of which that cannot be known.
 */
export function guard(requirement: Requirement, judge: Judge, mayBeNobody = false): Guard {
  const middleware: Middleware = (req, res, next) => {
    let source: AuthSource
    try {
      source = authSource(req)
    } catch (error) {
      next(error)
      return
    }
    // Only a verdict lets a request through. A failure is one whatever it is made of, nothing included.
    const refuse = (error: unknown) => source.refuse(asError(error, 'a guard'), req, res, next)
    const decide = (auth: Auth) => {
      let refusal: OAuthError | undefined
      try {
        refusal = judge(auth, source)
      } catch (error) {
        refuse(error)
        return
      }
      if (refusal === undefined) next()
      else refuse(refusal)
    }
    const decideUnconfirmed = (error: unknown) => {
      if (mayBeNobody && isOAuthError(error) && error.status < 500) next()
      else refuse(error)
    }
    let confirmed: Auth | Promise<Auth>
    try {
      confirmed = source.confirm()
    } catch (error) {
      decideUnconfirmed(error)
      return
    }
    if (confirmed instanceof Promise) {
      // A mistake on the way to an answer must not leave the request open.
      confirmed.then(decide, decideUnconfirmed).catch(next)
    } else decide(confirmed)
  }
  return withRequirement(middleware, requirement)
}
