/** The guarded API: every request needs an access token, every route a scope of it. */

import express, { type ErrorRequestHandler, type Express } from 'express'
import { getAuth, oauthBearer, requireScope } from 'express-oauth-kit'
import { addProject, onProjectAdded, parseNewProject, projects, report } from './projects.js'
import { apiTrouble } from './trouble.js'

export interface ApiOptions {
  /** The authorization server whose tokens count. */
  issuer: string
  /** Who a token must be for: the address of this API. */
  audience: string
}

export function createApi({ issuer, audience }: ApiOptions): Express {
  const api = express()
  api.disable('x-powered-by')
  api.use(oauthBearer({ issuer, audience }))
  api.use(apiTrouble)

  api.get('/v1/projects', requireScope('read:projects'), (_req, res) => {
    res.json({ projects })
  })

  // Server-sent events: every project that anybody adds, as it happens.
  api.get('/v1/projects/events', requireScope('read:projects'), (_req, res) => {
    res.set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' }).flushHeaders()
    res.write(': the beginning\n\n')
    res.on(
      'close',
      onProjectAdded((project) => res.write(`data: ${JSON.stringify(project)}\n\n`)),
    )
  })

  api.post('/v1/projects', requireScope('write:projects'), express.json({ limit: '10kb' }), (req, res) => {
    const project = parseNewProject(req.body)
    if (typeof project === 'string') {
      res.status(400).json({ error: 'invalid_project', error_description: project })
    } else {
      res.status(201).json(addProject(project, getAuth(req).subject ?? 'unknown'))
    }
  })

  api.get('/v1/admin/report', requireScope('admin:read'), (_req, res) => {
    res.json(report())
  })

  api.use((_req, res) => {
    res.status(404).json({ error: 'not_found', error_description: 'there is nothing at this address' })
  })
  api.use(answerError)
  return api
}

/** What goes wrong outside the guard, such as a body that is not JSON. */
const answerError: ErrorRequestHandler = (error, _req, res, next) => {
  if (res.headersSent) return next(error)
  const status = error.expose === true ? Number(error.status) : 500
  if (status === 500) console.error(error)
  const description = status === 500 ? 'something went wrong' : String(error.message)
  return res.status(status).json({ error: 'invalid_request', error_description: description })
}
