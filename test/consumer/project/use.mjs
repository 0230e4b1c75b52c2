import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { isOAuthError, oauthBearer, oauthLogin, requireScope } from 'express-oauth-kit'
import 'express-oauth-kit/augment'
import { github } from 'express-oauth-kit/providers'
import express from 'express'

const login = oauthLogin({
  issuer: 'https://auth.example.com',
  clientId: 'consumer',
  baseUrl: 'https://app.example.com',
  storage: 'cookie',
  secrets: [randomBytes(32).toString('base64url')],
})
assert.equal(github({ clientId: 'consumer' }).name, 'GitHub')
assert.throws(() => oauthBearer({ issuer: 'https://auth.example.com' }), isOAuthError)

const app = express()
app.use(login)
app.get('/projects', requireScope('read:projects'), (_req, res) => res.send('projects'))
const server = app.listen(0, '127.0.0.1', async () => {
  const url = `http://127.0.0.1:${server.address().port}`
  const answer = await fetch(`${url}/projects`)
  assert.equal(answer.status, 401)
  assert.equal((await answer.json()).login_url, '/login')
  server.close()
})
