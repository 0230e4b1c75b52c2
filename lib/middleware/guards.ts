/** Route guards: the same for a user with a session and for a request with a bearer token. */

import { OAuthError } from '../errors.js'
import { isScopeToken } from '../oauth/scope.js'
import { authSource, type Auth, type AuthSource } from './auth.js'
import type { Middleware } from './request.js'

/** Lets signed-in users and valid tokens through. A page visit goes to the login and back, anything else gets a 401. */
export function requireLogin(): Middleware {
  return guard(() => undefined)
}

/**
 * Lets through who was granted all of these scopes; others get a 403 that names them all (RFC 6750 §3.1). Scopes are
 * whole words: `read` is not `read:projects`. Give them one by one or as an array.
 * Throws `invalid_configuration` for no scope, or for something that is not one.
 */
export function requireScope(...scopes: [string, ...string[]] | [readonly string[]]): Middleware {
  const required: readonly unknown[] = scopes.length === 1 && Array.isArray(scopes[0]) ? scopes[0] : scopes
  if (!isScopeList(required)) {
    throw new OAuthError('invalid_configuration', {
      message: `requireScope: ${JSON.stringify(scopes)} is not a list of scopes; give each as a string of its own, such as requireScope("read:projects", "write:projects")`,
    })
  }
  const needed = [...required] // the caller's array may change later
  return guard((auth) => {
    if (needed.every((scope) => auth.scopes.includes(scope))) return undefined
    return new OAuthError('insufficient_scope', {
      scope: needed,
      hint: `Needed: ${needed.join(' ')}. Granted: ${auth.scopes.join(' ') || 'nothing'}.`,
    })
  })
}

function isScopeList(values: readonly unknown[]): values is readonly string[] {
  return values.length > 0 && values.every(isScopeToken)
}

/** A middleware that asks `judge` about whoever the request is from; an error of the judge refuses the request. */
function guard(judge: (auth: Auth) => OAuthError | undefined): Middleware {
  return (req, res, next) => {
    let source: AuthSource
    try {
      source = authSource(req)
    } catch (error) {
      next(error)
      return
    }
    // Only a verdict lets a request through. A failure is one whatever it is made of, nothing included.
    const refuse = (error: unknown) =>
      source.refuse(error ?? new OAuthError('login_required'), req, res, next)
    const decide = (auth: Auth) => {
      const refusal = judge(auth)
      if (refusal === undefined) next()
      else refuse(refusal)
    }
    const confirmed = confirm(source)
    if (confirmed instanceof Promise) {
      // A mistake on the way to an answer must not leave the request open.
      confirmed.then(decide, refuse).catch(next)
    } else decide(confirmed)
  }
}

/** What is thrown at once is a refusal like any other. */
function confirm(source: AuthSource): Auth | Promise<Auth> {
  try {
    return source.confirm()
  } catch (error) {
    return Promise.reject(error)
  }
}
