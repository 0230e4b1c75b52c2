const assert = require('node:assert/strict')
const { randomBytes } = require('node:crypto')
const { oauthLogin, requireLogin } = require('express-oauth-kit')

const login = oauthLogin({
  issuer: 'https://auth.example.com',
  clientId: 'consumer',
  baseUrl: 'https://app.example.com',
  storage: 'cookie',
  secrets: [randomBytes(32).toString('base64url')],
})
assert.equal(typeof login, 'function')
assert.equal(typeof requireLogin(), 'function')
