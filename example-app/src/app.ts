/**
 * The app: signs people in, calls the API as them, and asks for more scopes when they are first needed.
 * Read this file first.
 */

import 'express-oauth-kit/augment' // types `req.auth`

import express, { type ErrorRequestHandler, type Express, type Request, type RequestHandler } from 'express'
import { getAuth, oauthLogin, requireLogin, requireScope, startLogin } from 'express-oauth-kit'
import session from 'express-session'
import { apiClient } from './api-client.js'
import { assets, pageHeaders } from './page.js'
import { explain } from './problems.js'
import type { NewProject } from './projects.js'
import { sameOrigin } from './same-origin.js'
import * as views from './views.js'

export interface AppOptions {
  issuer: string
  clientId: string
  clientSecret: string | undefined
  baseUrl: string
  scope: string
  resource: string | undefined
  apiUrl: string
  storage: 'cookie' | 'session'
  /** Seals the cookies; at least 32 bytes. */
  secret: string
}

export function createApp(options: AppOptions): Express {
  const { issuer, clientId, clientSecret, baseUrl, scope, resource, apiUrl, storage, secret } = options
  const api = apiClient(apiUrl)
  const app = express()
  app.disable('x-powered-by')
  app.use(assets)
  app.use((_req, res, next) => {
    res.set(pageHeaders())
    next()
  })

  if (storage === 'session') {
    app.use(session({ secret, name: 'projects.sid', resave: false, saveUninitialized: false }))
  }

  // Answers /login, /callback and /logout; puts `req.auth` on the requests of whoever is signed in.
  app.use(
    oauthLogin({
      issuer,
      clientId,
      ...(clientSecret !== undefined && { clientSecret }),
      baseUrl,
      paths: { backchannelLogout: '/backchannel-logout' },
      scope,
      ...(resource !== undefined && { resource }),
      // OpenID Connect Core §11: without consent, a server may ignore offline_access.
      ...(scope.includes('offline_access') && { authorizationParameters: { prompt: 'consent' } }),
      storage,
      secrets: [secret],
      onError: 'next',
    }),
  )

  app.get('/', (req, res) => {
    const page = req.auth ? views.homePage(viewer(req), req.auth) : views.welcomePage(viewer(req))
    res.send(page.markup)
  })

  app.get('/projects', requireScope('read:projects'), async (req, res) => {
    const projects = await api.projects(await getAuth(req).accessToken())
    res.send(views.projectsPage(viewer(req), projects).markup)
  })

  app.get(
    '/projects/new',
    requireLogin(),
    ask('write:projects'),
    requireScope('write:projects'),
    (req, res) => {
      res.send(views.newProjectPage(viewer(req)).markup)
    },
  )

  const form = express.urlencoded({ extended: false, limit: '10kb' })
  app.post('/projects', sameOrigin(baseUrl), requireScope('write:projects'), form, async (req, res) => {
    const project: NewProject = req.body ?? {}
    const problem = await api.createProject(await getAuth(req).accessToken(), project)
    if (problem === undefined) res.redirect(303, '/projects')
    else res.status(400).send(views.newProjectPage(viewer(req), project, problem).markup)
  })

  app.get('/admin', requireLogin(), ask('admin:read'), requireScope('admin:read'), async (req, res) => {
    const report = await api.report(await getAuth(req).accessToken())
    res.send(views.reportPage(viewer(req), report).markup)
  })

  app.get('/session', requireLogin(), (req, res) => {
    res.send(views.sessionPage(viewer(req), getAuth(req), storage).markup)
  })

  app.use((req, res) => {
    const text = 'The address may be mistyped, or the page may be gone.'
    res.status(404).send(views.messagePage(viewer(req), 404, 'There is no such page', text).markup)
  })
  app.use(answerError)
  return app
}

/** Asks the user for a scope, once: whoever comes back without it passes on, to be refused by `requireScope`. */
function ask(scope: string): RequestHandler {
  return async (req, res, next) => {
    const { scopes } = getAuth(req)
    if (scopes.includes(scope) || req.query['asked'] !== undefined) return next()
    return startLogin(req, res, { scope, returnTo: `${req.path}?asked=1` })
  }
}

function viewer(req: Request): views.Viewer {
  return { auth: req.auth, path: req.path }
}

const answerError: ErrorRequestHandler = (error, req, res, next) => {
  if (res.headersSent) return next(error)
  const { status, headers, title, text, detail } = explain(error)
  if (status >= 500) console.error(detail ?? error)
  if (status === 401 && req.get('sec-fetch-mode') === 'navigate') {
    // Signed in once, but not any more: the access token has expired, and there is no other.
    return res.redirect(303, `/login?returnTo=${encodeURIComponent(req.originalUrl)}`)
  }
  return res
    .status(status)
    .set(headers)
    .send(views.messagePage(viewer(req), status, title, text, detail).markup)
}
