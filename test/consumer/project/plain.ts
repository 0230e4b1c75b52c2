import { createServer } from 'node:http'
import { getAuth, oauthBearer, requireScope, type Auth, type Middleware } from 'express-oauth-kit'

const bearer: Middleware = oauthBearer({
  issuer: 'https://auth.example.com',
  audience: 'https://api.example.com',
})
const guard = requireScope('read:projects', 'write:projects')

createServer((req, res) => {
  bearer(req, res, () =>
    guard(req, res, () => {
      const auth: Auth = getAuth(req)
      const scopes: readonly string[] = auth.scopes
      res.end(auth.kind === 'session' ? auth.csrfToken : `${auth.token.length} ${scopes.join(' ')}`)
    }),
  )
})

// @ts-expect-error -- the audience is not optional
oauthBearer({ issuer: 'https://auth.example.com' })
// @ts-expect-error -- a guard without a scope would let everybody through
requireScope()
