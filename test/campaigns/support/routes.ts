/** What the applications of campaigns answer: a page for all, pages for users, and errors by their code. */
import type { ErrorRequestHandler, Express } from 'express'
import { getAuth, isOAuthError, requireLogin } from 'express-oauth-kit'

export function addRoutes(app: Express): void {
  app.get('/open', (_req, res) => res.send('<!doctype html><title>Open to all</title>'))
  app.get('/private', requireLogin(), (req, res) => res.send(getAuth(req).scopes.join(' ')))
  app.get('/me', requireLogin(), (req, res) => res.send(getAuth(req).subject))
  app.get('/token', requireLogin(), async (req, res) => {
    res.send(await getAuth(req).accessToken({ forceRefresh: req.query['force'] !== undefined }))
  })
  app.use(errorPage)
}

/** As in the README, but for the code, which is for the campaign. */
const errorPage: ErrorRequestHandler = (error, _req, res, next) => {
  if (res.headersSent || !isOAuthError(error)) return next(error)
  return res.status(error.status).set(error.headers).send(error.code)
}
