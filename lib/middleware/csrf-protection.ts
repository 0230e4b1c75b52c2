/** The guard against cross-site request forgery for the app's own routes. */

import { asError } from '../app-answer.js'
import { OAuthError } from '../errors.js'
import { checkOptions } from '../options.js'
import { authSource, browserSource } from './auth.js'
import { checkedCsrfHeader, type CsrfRule } from './csrf.js'
import type { Middleware } from './request.js'

export interface CsrfProtectionOptions {
  /**
   * A header that scripts send with each request, whatever its value. False: none, and the word of the browser is
   * enough. Default `x-csrf`.
   */
  header?: string | false
  /** Whether GET, HEAD and OPTIONS are judged, too: for routes that read what only the user's own pages may. Default false. */
  safeMethods?: boolean
}

/**
 * Lets requests through that pages of this site made, whoever is signed in. Mount it after `oauthLogin` and `oauthBearer`;
 * after a parser of forms where old browsers matter; and after what changes `req.method`. Others get a 403 `csrf_rejected`,
 * with a `reason`: `cross_site`, `origin_unknown` or `header_missing`.
 *
 * GET, HEAD and OPTIONS pass. Anything else needs `Sec-Fetch-Site: same-origin` (`none` for a visit by address), or the
 * site's own `Origin` where the browser does not send that. A script sends the header, too; a form cannot, and need not.
 * `getAuth(req).csrfToken` in the header `x-csrf-token` does instead of all that, and in the form field `csrf_token` where
 * the browser tells nothing. Requests with a bearer token pass: no browser sends one along unasked.
 *
 * Throws `invalid_configuration` for options that cannot work; without `oauthLogin` before it, requests fail with that.
 */
export function csrfProtection(options: CsrfProtectionOptions = {}): Middleware {
  const check = checkOptions('csrfProtection', options, { header: true, safeMethods: true })
  const rule: CsrfRule = {
    ...(options.header !== false && { header: checkedCsrfHeader(options.header, check) }),
    forms: true,
    safeMethods: check.boolean('safeMethods', options.safeMethods),
  }

  return (req, res, next) => {
    const session = browserSource(req)
    if (!session) {
      next(notMounted())
      return
    }
    try {
      const source = authSource(req)
      const isByToken = source !== session && source.peek()?.kind === 'bearer'
      if (!isByToken) session.checkCsrf(rule)
    } catch (error) {
      session.refuse(asError(error, 'csrfProtection'), req, res, next)
      return
    }
    next()
  }
}

function notMounted(): OAuthError {
  return new OAuthError('invalid_configuration', {
    message: 'csrfProtection: oauthLogin has not seen this request; mount it with app.use() before',
  })
}
