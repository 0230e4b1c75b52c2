/**
 * What the single-page app in `public/spa` needs of its server. It calls the API through `oauthProxy` alone; the rest is
 * the page itself, one more permission, and the panel that breaks things.
 */

import { fileURLToPath } from 'node:url'
import express, { type Router } from 'express'
import {
  csrfProtection,
  getAuth,
  oauthProxy,
  requireLogin,
  startLogin,
  type OAuthLogin,
} from 'express-oauth-kit'
import { sessionCookieNames } from './authorization-server/cookies.js'
import { pageHeaders } from './page.js'
import type { TokenWatch } from './token-watch.js'

export interface SpaOptions {
  issuer: string
  apiUrl: string
  login: OAuthLogin
  watch: TokenWatch
}

// Not among the files of `public`: it must come with its headers, or any site could put it into a frame.
const page = fileURLToPath(new URL('../pages/spa.html', import.meta.url))

/** What the page may ask for beyond the scopes of the sign-in. */
const furtherScopes = ['write:projects', 'admin:read']

/** Mount it after `oauthLogin`, and before anything that reads bodies: the proxy passes them on as they arrive. */
export function spa({ issuer, apiUrl, login, watch }: SpaOptions): Router {
  const router = express.Router()

  // Cookie in, access token out: `/bff/projects` here is `/v1/projects` at the API.
  router.use(oauthProxy({ prefix: '/bff', target: new URL('/v1', apiUrl).href, token: 'user', timeout: 2 }))

  router.get('/spa', (_req, res) => {
    // The frame is for silent logins: it goes to the authorization server and back.
    res.set(pageHeaders([], true, [issuer])).sendFile(page)
  })

  // A script cannot follow a redirect to another origin, so this is a link.
  router.get('/spa/allow', requireLogin(), async (req, res) => {
    const scope = furtherScopes.find((one) => one === req.query['scope'])
    if (scope === undefined) return res.redirect(303, '/spa')
    return startLogin(req, res, { scope, returnTo: `/spa?asked=${scope}` })
  })

  const ownScript = csrfProtection({ header: 'x-csrf' })
  router.post('/spa/expire', ownScript, requireLogin(), async (req, res) => {
    const accessToken = await watch.expire(getAuth(req))
    res.json({ accessToken })
  })

  router.post('/spa/end', ownScript, requireLogin(), async (req, res) => {
    const auth = getAuth(req)
    if (auth.kind === 'session') await login.endSession(auth.sessionId)
    // Cookies know no port, so the demo can make the browser forget its sign-in server, too. Others are out of reach.
    if ('everywhere' in req.query) for (const name of sessionCookieNames) res.clearCookie(name)
    res.json({})
  })

  return router
}
