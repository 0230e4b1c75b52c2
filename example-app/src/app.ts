/**
 * The app: signs people in, calls the API as them, and asks for more scopes when they are first needed.
 * Read this file first.
 */

import 'express-oauth-kit/augment' // types `req.auth`

import express, { type ErrorRequestHandler, type Express, type Request, type RequestHandler } from 'express'
import {
  getAuth,
  isOAuthError,
  oauthBearer,
  oauthLogin,
  OAuthError,
  optionalLogin,
  requireClaim,
  requireLogin,
  requireScope,
  requireStepUp,
  startLogin,
  type Store,
} from 'express-oauth-kit'
import session from 'express-session'
import { apiClient, fetchWith } from './api-client.js'
import { connections, type ConnectionsOptions } from './connections.js'
import { assets, pageHeaders } from './page.js'
import { explain } from './problems.js'
import type { NewProject } from './projects.js'
import { recoveryCodes } from './recovery-codes.js'
import { sameOrigin } from './same-origin.js'
import { createSignInLog } from './sign-ins.js'
import { spa } from './spa.js'
import { createTokenWatch } from './token-watch.js'
import { storeTrouble } from './trouble.js'
import * as views from './views.js'

export interface AppOptions {
  issuer: string
  clientId: string
  clientSecret: string | undefined
  baseUrl: string
  scope: string
  resource: string | undefined
  /** Who a token must be for that opens a route of this app: the API, whose tokens are the ones there are. */
  audience: string
  apiUrl: string
  storage: 'cookie' | 'session'
  /** Seals the cookies; at least 32 bytes. */
  secret: string
  /** What all instances of the app know together. */
  store: Store
  /** Where express-session keeps its sessions. Default: in memory, which is right for one instance. */
  sessionStore?: session.Store
  /** What it takes to connect accounts elsewhere. Without it, a page says that they cannot be. */
  connections?: ConnectionsOptions
  /** The name of this instance, where there are several. */
  instance?: string
}

export function createApp(options: AppOptions): Express {
  const { issuer, clientId, clientSecret, baseUrl, scope, resource, apiUrl, storage, secret } = options
  const { audience, sessionStore, instance } = options
  const api = apiClient(apiUrl)
  const { store, middleware: trouble } = storeTrouble(options.store)
  const watch = createTokenWatch(store, instance)
  const signIns = createSignInLog()
  const viewer = (req: Request): views.Viewer => ({ auth: req.auth, path: req.path, instance })

  const app = express()
  app.disable('x-powered-by')
  app.use(assets)
  app.use(trouble)
  app.use((_req, res, next) => {
    res.set(pageHeaders())
    next()
  })

  if (storage === 'session') {
    const sessions = session({
      secret,
      name: 'projects.sid',
      resave: false,
      saveUninitialized: false,
      ...(sessionStore && { store: sessionStore }),
    })
    app.use((req, res, next) => {
      // A store that is away is nobody's fault: a 503, not a 500.
      void sessions(req, res, (cause?: unknown) =>
        next(cause === undefined ? undefined : new OAuthError('store_unavailable', { cause })),
      )
    })
  }

  // Answers /login, /callback and /logout; puts `req.auth` on the requests of whoever is signed in.
  const login = oauthLogin({
    issuer,
    clientId,
    ...(clientSecret !== undefined && { clientSecret }),
    baseUrl,
    paths: { backchannelLogout: '/backchannel-logout' },
    user: { claims: ['sub', 'name'] },
    scope,
    ...(resource !== undefined && { resource }),
    // Where the users' access tokens may go, by `getAuth(req).fetch`.
    apis: [new URL('/v1/', apiUrl).href],
    // OpenID Connect Core §11: without consent, a server may ignore offline_access.
    ...(scope.includes('offline_access') && { authorizationParameters: { prompt: 'consent' } }),
    storage,
    store,
    secrets: [secret],
    fetch: watch.fetch,
    onError: 'next',
  })
  app.use(login)

  // The same app as a single page, which calls the API through this server.
  app.use(spa({ issuer, apiUrl, login, watch }))

  // Accounts elsewhere, which the user connects and the app uses.
  app.use(connections(options.connections, { baseUrl, viewer }))

  // For everybody: the guard makes sure that whoever is greeted by name is signed in still, here and elsewhere.
  app.get('/', optionalLogin(), (req, res) => {
    const page = req.auth ? views.homePage(viewer(req), req.auth) : views.welcomePage(viewer(req))
    res.send(page.markup)
  })

  app.get('/projects', requireScope('read:projects'), async (req, res) => {
    const projects = await api.projects(getAuth(req).fetch)
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

  // For this browser by its session, and for programs by a token of their own.
  const sessionOrToken = oauthBearer({ issuer, audience, session: true, onError: 'next' })
  app.get('/projects.json', sessionOrToken, requireScope('read:projects'), async (req, res) => {
    const auth = getAuth(req)
    // A program's token is for the API as well as for this route, or it would not be passed on.
    const projects = await api.projects(auth.kind === 'session' ? auth.fetch : fetchWith(auth.token))
    res.json({ for: auth.subject, knownBy: auth.kind === 'session' ? 'session' : 'token', projects })
  })

  const form = express.urlencoded({ extended: false, limit: '10kb' })
  app.post('/projects', sameOrigin(baseUrl), requireScope('write:projects'), form, async (req, res) => {
    const project: NewProject = req.body ?? {}
    const problem = await api.createProject(getAuth(req).fetch, project)
    if (problem === undefined) res.redirect(303, '/projects')
    else res.status(400).send(views.newProjectPage(viewer(req), project, problem).markup)
  })

  app.get('/admin', requireLogin(), ask('admin:read'), requireScope('admin:read'), async (req, res) => {
    const report = await api.report(getAuth(req).fetch)
    res.send(views.reportPage(viewer(req), report).markup)
  })

  // What the server says of a person, in a claim: no scope is asked for.
  app.get('/sign-ins', requireClaim('roles', 'admin'), (req, res) => {
    res.send(views.signInsPage(viewer(req), signIns).markup)
  })

  // Being signed in is not enough: the user has to have proved it within the last minute.
  const recently = requireStepUp({ maxAge: 60 })
  app.get('/recovery-codes', requireLogin(), recently, (req, res) => {
    const codes = recoveryCodes(secret, getAuth(req).subject ?? '')
    res.send(views.recoveryCodesPage(viewer(req), codes).markup)
  })

  app.get('/session', requireLogin(), async (req, res) => {
    const auth = getAuth(req)
    const issues = await watch.history(await auth.accessToken())
    res.send(views.sessionPage(viewer(req), auth, storage, issues).markup)
  })

  const ownForm = sameOrigin(baseUrl)
  app.post('/session/expire', ownForm, requireLogin(), async (req, res) => {
    await watch.expire(getAuth(req))
    res.redirect(303, '/session#tokens')
  })

  // The page has a script that asks for /session/token ten times at once.
  app.post('/session/ten', ownForm, requireLogin(), async (req, res) => {
    await watch.expire(getAuth(req))
    res.redirect(303, '/session/ten')
  })
  app.get('/session/ten', requireLogin(), (req, res) => {
    res.set(pageHeaders([], true)).send(views.tenPage(viewer(req)).markup)
  })
  app.get('/session/token', requireLogin(), async (req, res) => {
    const [issue] = await watch.history(await getAuth(req).accessToken())
    res.json({ issue, instance })
  })

  app.post('/session/end-all', ownForm, requireLogin(), async (req, res) => {
    const { subject } = getAuth(req)
    if (subject !== undefined) await login.endSessions(subject)
    res.redirect(303, '/signed-out')
  })
  app.get('/signed-out', (req, res) => {
    res.send(views.signedOutPage({ ...viewer(req), auth: undefined }).markup)
  })

  app.use((req, res) => {
    const text = 'The address may be mistyped, or the page may be gone.'
    res.status(404).send(views.messagePage(viewer(req), 404, 'There is no such page', text).markup)
  })
  app.use(answerError(viewer))
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

/** A script can do nothing with a page. */
function isScript(req: Request): boolean {
  return req.get('sec-fetch-dest') === 'empty' || req.accepts(['html', 'json']) === 'json'
}

const answerError =
  (viewer: (req: Request) => views.Viewer): ErrorRequestHandler =>
  (error, req, res, next) => {
    if (res.headersSent) return next(error)
    const { status, headers, title, text, detail } = explain(error)
    if (status >= 500) console.error(detail ?? error)
    if (isOAuthError(error) && isScript(req)) {
      const wayIn = status === 401 ? { login_url: '/login' } : {}
      return res
        .status(status)
        .set(headers)
        .json({ ...error.toJSON(), ...wayIn })
    }
    if (status === 401 && req.get('sec-fetch-mode') === 'navigate') {
      // Signed in once, but not any more: the access token has expired, and there is no other.
      return res.redirect(303, `/login?returnTo=${encodeURIComponent(req.originalUrl)}`)
    }
    return res
      .status(status)
      .set(headers)
      .send(views.messagePage(viewer(req), status, title, text, detail).markup)
  }
