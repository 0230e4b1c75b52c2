/** How `oauthLogin` answers what it does not let through: a page, JSON, the way to the login, or the app's error handler. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { asError } from '../app-answer.js'
import { isOAuthError, OAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import { originalUrl } from '../original-url.js'
import type { AuthenticationDemand } from '../oauth/authentication.js'
import type { FreshLogin } from '../session/fresh-login.js'
import { sendErrorPage } from './page.js'
import { navigation, redirect, sendJson } from './request.js'

type Next = (error?: unknown) => void

export interface Refusals {
  /** Answers an error. A page leads on to `wayOn`; default: the option `returnTo`. */
  answer(error: unknown, req: IncomingMessage, res: ServerResponse, next: Next, wayOn?: string): void
  /** Answers an error where there is no page and no error handler. */
  answerScript(error: unknown, res: ServerResponse): void
  /** The same for a guarded route, where a page visit without a session goes to the login and comes back. */
  refuse(error: unknown, req: IncomingMessage, res: ServerResponse, next: Next, wayOn?: string): void
}

export interface RefusalOptions {
  onError: 'answer' | 'next'
  /** The path of the login, as browsers see it. */
  loginPath: string
  /** Where an error page leads on to. */
  returnTo: string
  freshLogin: FreshLogin
  /** The query by which the login path asks for a sign-in like that. */
  stepUpQuery: (demand: AuthenticationDemand) => Record<string, string>
  /** Whether error pages may tell what only the developer should know. */
  forDeveloper: boolean
  emit: Emit
}

export function createRefusals(options: RefusalOptions): Refusals {
  const { onError, loginPath, returnTo, freshLogin, stepUpQuery, forDeveloper, emit } = options

  const answer: Refusals['answer'] = (error, req, res, next, wayOn = returnTo) => {
    if (isOAuthError(error)) tell(error)
    if (onError === 'next' || !isOAuthError(error) || res.headersSent) {
      next(asError(error))
      return
    }
    setHeaders(error, res)
    if (navigation(req) === 'yes') {
      sendErrorPage(res, error, wayOn, forDeveloper)
    } else {
      sendJson(res, error.status, { ...error.toJSON(), ...wayIn(error) })
    }
  }

  const answerScript: Refusals['answerScript'] = (thrown, res) => {
    const error = isOAuthError(thrown) ? thrown : mistake(thrown)
    tell(error)
    setHeaders(error, res)
    sendJson(res, error.status, { ...error.toJSON(), ...wayIn(error) })
  }

  /** What an operator wants to know of: our failures, and requests that no page of the app makes. */
  function tell(error: OAuthError): void {
    const { code, status } = error
    if (status >= 500) emit({ type: 'request_failed', code, error })
    else if (code === 'csrf_rejected') emit({ type: 'request_rejected', code, error })
  }

  /** A script cannot follow a redirect to another origin; it can be told where the login is, and what for. */
  function wayIn({ code, acrValues, maxAge, hint }: OAuthError): object {
    if (code === 'login_required') return { login_url: loginPath }
    // It is the script that has to be changed.
    if (code === 'csrf_rejected' && forDeveloper) return { hint }
    if (acrValues === undefined && maxAge === undefined) return {}
    const demand = { ...(acrValues && { acr: acrValues }), ...(maxAge !== undefined && { maxAge }) }
    return {
      ...(acrValues && { acr_values: acrValues.join(' ') }),
      ...(maxAge !== undefined && { max_age: maxAge }),
      login_url: `${loginPath}?${new URLSearchParams(stepUpQuery(demand)).toString()}`,
    }
  }

  return {
    answer,
    answerScript,
    refuse(error, req, res, next, wayOn) {
      const needsLogin = isOAuthError(error) && error.code === 'login_required'
      const hasEnded = needsLogin && error.reason === 'session_ended'
      if (!needsLogin || navigation(req) !== 'yes' || res.headersSent) {
        answer(error, req, res, next, wayOn)
        return
      }
      const isFresh = freshLogin.remembered(req) !== undefined && !hasEnded
      // A session that came back sealed by a secret of before was kept. A login brings another one, if it comes back to the same.
      const isWorthATry = error.reason === 'session_unreadable'
      if (isFresh && !(isWorthATry && freshLogin.mayRestart(req, res))) {
        // Another login would end here again, and so on without an end.
        answer(sessionNotKept(), req, res, next)
        return
      }
      // What was posted is lost by now, and its address may mean nothing to a GET.
      const isRepeatable = req.method === 'GET' || req.method === 'HEAD'
      const query = isRepeatable ? `?${new URLSearchParams({ returnTo: originalUrl(req) }).toString()}` : ''
      redirect(res, `${loginPath}${query}`, isRepeatable ? 302 : 303)
    },
  }
}

function setHeaders(error: OAuthError, res: ServerResponse): void {
  for (const [name, value] of Object.entries(error.headers))
    if (value !== undefined) res.setHeader(name, value)
}

/** What the app's own code threw, for whoever hears of failures. */
function mistake(thrown: unknown): OAuthError {
  return new OAuthError('invalid_configuration', {
    message: 'the application threw an error of its own',
    reason: 'threw',
    cause: asError(thrown),
  })
}

export function sessionNotKept(): OAuthError {
  return new OAuthError('session_not_kept', {
    hint: 'The user signed in a moment ago, and the browser came back without the session cookie. Is it too large, or blocked? With express-session and "cookie.secure", does the app run behind a proxy without "trust proxy"?',
  })
}
