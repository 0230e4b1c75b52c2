/** Guards an API: requests need an access token that its authorization server issued for it (RFC 6750). */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { isOAuthError } from '../errors.js'
import { emitter, type OAuthEvent } from '../events.js'
import { httpClient, type Fetch } from '../http.js'
import type { Algorithm, Claims } from '../jose/jwt.js'
import { remoteKeySet } from '../jose/key-set.js'
import { verifyAccessToken, type AccessToken, type AccessTokenRules } from '../oauth/access-token.js'
import { issuerProblem } from '../oauth/issuer.js'
import { redirectUriProblem } from '../oauth/redirect-uri.js'
import { discoveredMetadata, requireEndpoint } from '../oauth/server-metadata.js'
import { checkOptions } from '../options.js'
import { attachAuth, type AuthSource, type BearerAuth } from './auth.js'
import { bearerChallenge, bearerToken } from './bearer-credentials.js'
import { sendJson, type Middleware } from './request.js'
import { checkedAlgorithms } from '../oauth/server-options.js'

export interface OAuthBearerOptions {
  /** The authorization server's identifier, exactly as tokens have it in `iss`. */
  issuer: string
  /** This API, as tokens have it in `aud`. With several, a token for one of them will do. */
  audience: string | readonly string[]
  /** Where the server's keys are. Default: what its metadata says. */
  jwksUri?: string
  /** Signature algorithms that are accepted. Default: all asymmetric ones. */
  algorithms?: readonly Algorithm[]
  /** Seconds that our clock and the server's may differ. Default 30, at most 300. */
  clockTolerance?: number
  /** Seconds for fetching keys or metadata, body included. Default 5. */
  timeout?: number
  /** The `realm` of challenges. Default: none. */
  realm?: string
  /** Sends all requests to the server. Default: Node's `fetch`. */
  fetch?: Fetch
  /** `answer`: JSON with the challenge. `next`: the error, which carries the challenge, goes to the app's error handler. Default `answer`. */
  onError?: 'answer' | 'next'
  /** Is told what happens, with the exact reason of each refusal. Events carry no secret. */
  onEvent?: (event: OAuthEvent) => void
}

const known: Record<keyof OAuthBearerOptions, true> = {
  issuer: true,
  audience: true,
  jwksUri: true,
  algorithms: true,
  clockTolerance: true,
  timeout: true,
  realm: true,
  fetch: true,
  onError: true,
  onEvent: true,
}

/**
 * Mount it before the routes of the API. Requests without a good token get the answers of RFC 6750 §3.1; when the keys
 * cannot be had they get a 503, because that is nobody's fault. Throws `invalid_configuration` for options that cannot work.
 */
export function oauthBearer(options: OAuthBearerOptions): Middleware {
  const check = checkOptions('oauthBearer', options, known)
  const { issuer, jwksUri, realm } = options
  check.string(
    'issuer',
    issuer,
    'give the URL of the authorization server, exactly as tokens have it in "iss"',
  )
  const problem = issuerProblem(issuer)
  if (problem) check.refuse('issuer', problem.problem, problem.advice)
  const audience = [options.audience].flat()
  if (audience.length === 0 || !audience.every((one) => typeof one === 'string' && one !== '')) {
    check.refuse(
      'audience',
      'is missing',
      'give what tokens for this API have in "aud": a token for another API must not open this one',
    )
  }
  const jwksProblem = jwksUri === undefined ? undefined : redirectUriProblem(jwksUri)
  if (jwksProblem) check.refuse('jwksUri', jwksProblem.problem, jwksProblem.advice)
  const algorithms = checkedAlgorithms(options.algorithms, check)
  if (realm !== undefined && !(typeof realm === 'string' && /^[\x20\x21\x23-\x5b\x5d-\x7e]+$/.test(realm))) {
    check.refuse(
      'realm',
      'has characters that the header cannot carry',
      'use printable ASCII without quotes and backslashes',
    )
  }
  check.function('fetch', options.fetch)
  check.function('onEvent', options.onEvent)
  const onError = check.oneOf('onError', options.onError, ['answer', 'next'], 'answer')

  const now = () => Math.floor(Date.now() / 1000)
  const emit = emitter(options.onEvent)
  const http = httpClient(
    options.fetch,
    check.seconds('timeout', options.timeout, { default: 5, min: 0.1, max: 600 }),
  )
  const metadata = discoveredMetadata({ issuer, http, emit, now, uses: ['jwks_uri'] })
  const rules: AccessTokenRules = {
    issuer,
    audience,
    algorithms,
    keySet: remoteKeySet({
      uri: async () => jwksUri ?? requireEndpoint(await metadata(), 'jwks_uri'),
      http,
      emit,
      now,
    }),
    clockTolerance: check.seconds('clockTolerance', options.clockTolerance, { default: 30, max: 300 }),
    now,
  }

  return (req, res, next) => {
    const refuse = (error: unknown) => refuseRequest(error, res, next)
    authenticate(req)
      .then((auth) => {
        attachAuth(req, bearerSource(auth, refuse))
        next()
      }, refuse)
      .catch(next) // a mistake on the way to an answer must not leave the request open
  }

  async function authenticate(req: IncomingMessage): Promise<BearerAuth> {
    const token = bearerToken(req)
    return new BearerUser(token, issuer, await verifyAccessToken(token, rules))
  }

  function refuseRequest(error: unknown, res: ServerResponse, next: (error: unknown) => void): void {
    if (!isOAuthError(error)) {
      next(error)
      return
    }
    const challenge = bearerChallenge(error, realm)
    if (challenge !== undefined) {
      error.headers['www-authenticate'] = challenge
      if (!res.headersSent) res.setHeader('www-authenticate', challenge)
    }
    // A request without a token is no event: that is how clients find out that they need one.
    if (error.code !== 'missing_credentials') {
      emit({ type: error.status >= 500 ? 'request_failed' : 'token_rejected', code: error.code, error })
    }
    if (onError === 'next' || res.headersSent) {
      next(error)
      return
    }
    for (const [name, value] of Object.entries(error.headers))
      if (value !== undefined) res.setHeader(name, value)
    sendJson(res, error.status, error.toJSON())
  }
}

function bearerSource(auth: BearerAuth, refuse: (error: unknown) => void): AuthSource {
  return { peek: () => auth, confirm: async () => auth, refuse }
}

/** The token is behind an accessor, so that a logged `req.auth` does not show it. */
class BearerUser implements BearerAuth {
  readonly kind = 'bearer'
  readonly issuer: string
  readonly subject: string | undefined
  readonly claims: Claims
  readonly scopes: readonly string[]
  readonly clientId: string | undefined
  readonly expiresAt: number
  readonly csrfToken = undefined
  readonly #token: string

  constructor(token: string, issuer: string, verified: AccessToken) {
    this.#token = token
    this.issuer = issuer
    this.subject = verified.subject
    this.claims = verified.claims
    this.scopes = verified.scopes
    this.clientId = verified.clientId
    this.expiresAt = verified.expiresAt
  }

  get token(): string {
    return this.#token
  }

  async accessToken(): Promise<string> {
    return this.#token
  }
}
