/** Refuses a form that a page of another site sends with the user's cookies (cross-site request forgery). */

import type { RequestHandler } from 'express'
import { OAuthError } from 'express-oauth-kit'

export function sameOrigin(baseUrl: string): RequestHandler {
  const { origin } = new URL(baseUrl)
  return (req, _res, next) => {
    // Every current browser sends Sec-Fetch-Site; older ones send Origin with a form.
    const site = req.get('sec-fetch-site')
    const same = site === undefined ? req.get('origin') === origin : site === 'same-origin'
    next(same ? undefined : new OAuthError('csrf_rejected'))
  }
}
