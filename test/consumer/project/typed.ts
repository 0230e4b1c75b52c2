import { getAuth, oauthBearer, oauthLogin, requireLogin, requireScope, startLogin } from 'express-oauth-kit'
import 'express-oauth-kit/augment'
import { github, type DefinedProvider } from 'express-oauth-kit/providers'
import express, { Router } from 'express'
import session from 'express-session'

const app = express()
app.use(session({ secret: 'x', resave: false, saveUninitialized: false }))
app.use(
  oauthLogin({
    issuer: 'https://auth.example.com',
    clientId: 'consumer',
    baseUrl: 'https://app.example.com',
    scope: 'openid read:projects',
    storage: 'session',
    secrets: ['x'],
    onLogin: ({ claims }) => (claims['email_verified'] === true ? { email: claims['email'] } : false),
    onEvent: (event) => (event.type === 'login_failed' ? event.code : undefined),
  }),
)
app.get('/', (req, res) => {
  res.send(req.auth ? `Hello ${String(req.auth.claims['name'])}` : 'Nobody')
})
app.get('/private', requireLogin(), async (req, res) => {
  res.json({ subject: getAuth(req).subject, length: (await getAuth(req).accessToken()).length })
})
app.get('/more', (req, res) => startLogin(req, res, { scope: 'write:projects', returnTo: '/private' }))

const api = Router()
api.use(oauthBearer({ issuer: 'https://auth.example.com', audience: ['https://api.example.com'] }))
api.get('/projects', requireScope(['read:projects']), (req, res) => {
  res.json(getAuth(req).claims)
})
app.use('/api', api)

export const provider: DefinedProvider = github({ clientId: 'consumer' })
