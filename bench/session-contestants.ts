/** Ways to know who is signed in from page to page: ours, and those of others. */
import { ExpressAuth, getSession, type ExpressAuthConfig } from '@auth/express'
import credentials from '@auth/core/providers/credentials'
import cookieSession from 'cookie-session'
import type { Express, Request, RequestHandler, Response } from 'express'
import openid from 'express-openid-connect'
import expressSession from 'express-session'
import { getIronSession } from 'iron-session'
import { getAuth, oauthLogin, requireLogin } from '../dist/index.js'

/** What all of them are told. */
export interface SessionSetting {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  /** Where the app is. */
  readonly baseUrl: string
  /** What each session has to keep; the logins of the server bring it along. */
  readonly profile: string
}

export interface SessionContestant {
  /** How a session begins: by a login at the server, by a form, or by the visit of a page. */
  readonly begins: 'login' | 'form' | 'page'
  /** Paths of the pages that read the session; there is one at `/ignored` that does not. */
  readonly reads: Readonly<Record<string, string>>
  mount(app: Express, setting: SessionSetting): void
}

const secret = 'a secret of thirty-two bytes or more'

interface User {
  readonly sub: string
  readonly profile: string
}

const page = (user: (req: Request, res: Response) => unknown): RequestHandler => {
  return (req, res, next) => {
    const found = user(req, res)
    if (found instanceof Promise) found.then((one: unknown) => show(res, one)).catch(next)
    else show(res, found)
  }
}

/** Whoever finds nobody loses the race. */
function show(res: Response, user: unknown): void {
  res.status(typeof user === 'string' ? 200 : 500).json({ user })
}

const ignored = page(() => 'subject-1')

const bare: SessionContestant = {
  begins: 'page',
  reads: {},
  mount: (app) => void app.get('/ignored', ignored),
}

/** What any middleware costs. */
const passing: SessionContestant = {
  begins: 'page',
  reads: {},
  mount(app) {
    app.use((_req, _res, next) => next())
    app.get('/ignored', ignored)
  },
}

const ours: SessionContestant = {
  begins: 'login',
  reads: { 'getAuth(req)': '/read', 'requireLogin()': '/guarded' },
  mount(app, { issuer, clientId, clientSecret, baseUrl }) {
    const onEvent = () => undefined
    app.use(
      oauthLogin({ issuer, clientId, clientSecret, baseUrl, secrets: [secret], storage: 'cookie', onEvent }),
    )
    app.get('/ignored', ignored)
    const subject = page((req) => getAuth(req).subject)
    app.get('/read', subject)
    app.get('/guarded', requireLogin(), subject)
  },
}

const expressOpenidConnect: SessionContestant = {
  begins: 'login',
  reads: { 'req.oidc.user': '/read' },
  mount(app, { issuer, clientId, clientSecret, baseUrl }) {
    app.use(
      openid.auth({
        issuerBaseURL: issuer,
        baseURL: baseUrl,
        clientID: clientId,
        clientSecret,
        clientAuthMethod: 'client_secret_basic',
        secret,
        authRequired: false,
        authorizationParams: { response_type: 'code', scope: 'openid' },
      }),
    )
    app.get('/ignored', ignored)
    app.get(
      '/read',
      page((req) => req.oidc.user?.['sub'] as unknown),
    )
  },
}

const ironSession: SessionContestant = {
  begins: 'page',
  reads: { 'getIronSession()': '/read' },
  mount(app, { profile }) {
    const options = { password: secret, cookieName: 'session', cookieOptions: { secure: false } }
    const open = async (req: Request, res: Response) => getIronSession<{ user?: User }>(req, res, options)
    app.get(
      '/begin',
      page(async (req, res) => {
        const session = await open(req, res)
        session.user = { sub: 'subject-1', profile }
        await session.save()
        return 'begun'
      }),
    )
    app.get('/ignored', ignored)
    app.get(
      '/read',
      page(async (req, res) => (await open(req, res)).user?.sub),
    )
  },
}

/** Both put a `session` on the request. */
const inRequest = (middleware: () => RequestHandler): SessionContestant => ({
  begins: 'page',
  reads: { 'req.session': '/read' },
  mount(app, { profile }) {
    const userIn = (req: Request) => (req as unknown as { session: { user?: User } }).session
    app.use(middleware())
    app.get(
      '/begin',
      page((req) => {
        userIn(req).user = { sub: 'subject-1', profile }
        return 'begun'
      }),
    )
    app.get('/ignored', ignored)
    app.get(
      '/read',
      page((req) => userIn(req).user?.sub),
    )
  },
})

const authJs: SessionContestant = {
  begins: 'form',
  reads: { 'getSession()': '/read' },
  mount(app, { profile }) {
    const config: ExpressAuthConfig = {
      providers: [credentials({ authorize: () => ({ id: 'subject-1', name: profile }) })],
      session: { strategy: 'jwt' },
      secret,
      trustHost: true,
      useSecureCookies: false,
      callbacks: {
        session({ session, token }) {
          session.user.id = token.sub ?? ''
          return session
        },
      },
    }
    app.use(/\/auth\/(.*)/, ExpressAuth(config) as RequestHandler)
    app.get('/ignored', ignored)
    app.get(
      '/read',
      page(async (req) => (await getSession(req, config))?.user?.id),
    )
  },
}

export const bareExpress = 'bare Express'
export const passesOn = 'a middleware that passes on'

export const sessionContestants: Readonly<Record<string, SessionContestant>> = {
  [bareExpress]: bare,
  [passesOn]: passing,
  'express-oauth-kit': ours,
  'express-openid-connect': expressOpenidConnect,
  'iron-session': ironSession,
  'cookie-session (signed, readable)': inRequest(() =>
    cookieSession({ keys: [secret], maxAge: 86_400_000, secure: false }),
  ),
  '@auth/express': authJs,
  'express-session, MemoryStore': inRequest(() =>
    expressSession({ secret, resave: false, saveUninitialized: false }),
  ),
}
