import { createServer } from 'node:http'
import {
  createVerifier,
  getAuth,
  oauthBearer,
  protectedResource,
  requireScope,
  type Auth,
  type Middleware,
} from 'express-oauth-kit'

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

const mcp = protectedResource({ resource: 'https://api.example.com/mcp', issuer: 'https://auth.example.com' })
createServer((req, res) => mcp(req, res, () => res.end(mcp.metadataUrl)))
oauthBearer({ protectedResource: mcp, scope: 'mcp:read' })
createVerifier({ protectedResource: mcp })

// @ts-expect-error -- the audience is not optional
oauthBearer({ issuer: 'https://auth.example.com' })
// @ts-expect-error -- a guard without a scope would let everybody through
requireScope()
