/** A real authorization server that takes proofs only with its newest nonce, and the app and the API that it serves. */
import '../../example-app/src/authorization-server/warnings.js' // works by being loaded first
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { createServer, type RequestListener } from 'node:http'
import express from 'express'
import { errors, Provider, type ClientMetadata } from 'oidc-provider'
import { onTestFinished } from 'vitest'
import { findAccount } from '../../example-app/src/authorization-server/accounts.js'
import { interactions } from '../../example-app/src/authorization-server/interactions.js'
import type { Browser, Page } from './browser.js'
import { listening, stopped } from './listening.js'

export interface DPoPProvider {
  readonly issuer: string
  /** Path, status and `DPoP` header of each request to the token endpoint and to userinfo. */
  readonly proven: readonly { path: string; status: number; proof: string | undefined }[]
  /** The kinds of the tokens that were revoked: `refresh_token` or `access_token`. */
  readonly revoked: readonly string[]
  /** Registers the clients; before that it answers nothing. */
  serve(clients: readonly ClientMetadata[], apiUrl: string): void
}

export async function startDPoPProvider(): Promise<DPoPProvider> {
  const server = createServer()
  const issuer = await listening(server, 'localhost')
  onTestFinished(() => stopped(server))
  const proven: DPoPProvider['proven'][number][] = []
  const revoked: string[] = []
  return {
    issuer,
    proven,
    revoked,
    serve(clients, apiUrl) {
      const answer = provider(issuer, clients, apiUrl, (kind) => revoked.push(kind))
      server.on('request', (request, response) => {
        const path = (request.url ?? '').split('?', 1)[0] ?? ''
        const proof = request.headers['dpop']?.toString()
        if (['/token', '/me'].includes(path))
          response.on('finish', () => proven.push({ path, status: response.statusCode, proof }))
        answer(request, response)
      })
    },
  }
}

function provider(
  issuer: string,
  clients: readonly ClientMetadata[],
  apiUrl: string,
  onRevoked: (kind: string) => void,
): RequestListener {
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })
  const server = new Provider(issuer, {
    clients: [...clients],
    jwks: { keys: [{ ...key, kty: 'RSA', alg: 'RS256', use: 'sig' }] },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    scopes: ['openid', 'offline_access', 'read:projects', 'write:projects'],
    pkce: { required: () => true },
    rotateRefreshToken: true,
    issueRefreshToken: async () => true,
    findAccount: (_ctx, sub) =>
      findAccount(sub) && { accountId: sub, claims: () => ({ sub, name: `the name of ${sub}` }) },
    claims: { openid: ['sub', 'name'] },
    ttl: {
      AccessToken: 300,
      ClientCredentials: 300,
      Grant: 6_000,
      IdToken: 600,
      Interaction: 600,
      RefreshToken: 6_000,
      Session: 600,
    },
    renderError: (ctx, { error }) => {
      ctx.body = error
    },
    interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      revocation: { enabled: true },
      dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, resource) => {
          if (resource !== apiUrl) throw new errors.InvalidTarget()
          return {
            scope: 'read:projects write:projects',
            audience: apiUrl,
            accessTokenFormat: 'jwt',
            jwt: { sign: { alg: 'RS256' } },
          }
        },
      },
    },
  })
  server.on('access_token.destroyed', () => onRevoked('access_token'))
  server.on('refresh_token.destroyed', () => onRevoked('refresh_token'))
  return express().use(interactions(server)).use(server.callback())
}

/** Through the two pages of the server. */
export async function signIn(browser: Browser, url: string, user = 'alice'): Promise<Page> {
  await browser.visit(url)
  await browser.submit({ username: user, password: user })
  return browser.submit()
}
