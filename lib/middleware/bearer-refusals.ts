/** How `oauthBearer` answers what it does not let through: JSON with the challenge, or the app's error handler. */

import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { asError } from '../app-answer.js'
import { isOAuthError, OAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import { challenges, type ChallengeOptions } from '../resource/challenge.js'
import { schemeOf, type AuthScheme } from '../resource/credentials.js'
import type { AuthSource } from './auth.js'
import { sendJson } from './request.js'

export interface BearerRefusals {
  /** Tells of an error and answers it. */
  refuse: AuthSource['refuse']
  /** Answers one that was told already. */
  answer: AuthSource['refuse']
  tell(error: OAuthError): void
  /** Whether a client could do better. Anything else is no verdict on it. */
  isFault(error: OAuthError, req: IncomingMessage): boolean
  /** Says on an error that somebody else answers how a token would get in. */
  tellWayIn(error: OAuthError, req: IncomingMessage, res: ServerResponse): void
}

export interface BearerRefusalOptions {
  challenge: ChallengeOptions
  /** The schemes that tokens are taken with. */
  schemes: readonly AuthScheme[]
  /** Whether scripts of other origins may read the challenge. */
  exposesChallenge: boolean
  onError: 'answer' | 'next'
  emit: Emit
}

export function createBearerRefusals(options: BearerRefusalOptions): BearerRefusals {
  const { challenge, schemes, exposesChallenge, onError, emit } = options
  const challengesFor = (error: OAuthError, req: IncomingMessage) =>
    challenges(error, challenge, schemeOf(req, schemes))

  /** Set at once: not every error handler looks at the headers of an error. */
  function setChallenges(
    error: OAuthError,
    res: ServerResponse,
    told: ReturnType<typeof challengesFor>,
  ): void {
    if (told !== undefined) error.headers['www-authenticate'] = told
    setHeaders(res, error.headers, challengeHeaders)
    if (!exposesChallenge || res.headersSent) return
    for (const name of challengeHeaders) if (error.headers[name] !== undefined) exposeHeader(res, name)
  }

  function tell(error: OAuthError): void {
    // A request without a token is no event: that is how clients find out that they need one.
    if (error.code === 'missing_credentials') return
    emit({ type: error.status >= 500 ? 'request_failed' : 'token_rejected', code: error.code, error })
  }

  const answer: AuthSource['refuse'] = (error, req, res, next) => {
    if (!isOAuthError(error)) {
      next(asError(error))
      return
    }
    setChallenges(error, res, challengesFor(error, req))
    if (onError === 'next' || res.headersSent) {
      next(error)
      return
    }
    setHeaders(res, error.headers)
    // Which part is away is no affair of the client.
    const said = error.status === 503 ? new OAuthError('temporarily_unavailable') : error
    sendJson(res, error.status, said.toJSON())
  }

  return {
    tell,
    answer,
    refuse(error, req, res, next) {
      if (isOAuthError(error)) tell(error)
      answer(error, req, res, next)
    },
    isFault: (error, req) => error.status < 500 && challengesFor(error, req) !== undefined,
    tellWayIn(error, req, res) {
      setChallenges(error, res, challengesFor(new OAuthError('missing_credentials'), req))
    },
  }
}

const challengeHeaders = ['www-authenticate', 'dpop-nonce'] as const

function setHeaders(
  res: ServerResponse,
  headers: OutgoingHttpHeaders,
  names: readonly string[] = Object.keys(headers),
): void {
  if (res.headersSent) return
  for (const name of names) {
    const value = headers[name]
    if (value !== undefined) res.setHeader(name, value)
  }
}

/** The next nonce goes to this client alone: a cache would give it to others, and too late (RFC 9449 §8.2). */
export function announceNonce(res: ServerResponse, headers: OutgoingHttpHeaders): void {
  if (headers['dpop-nonce'] === undefined) return
  setHeaders(res, headers)
  if (!res.headersSent && !res.hasHeader('cache-control')) res.setHeader('cache-control', 'no-store')
}

const exposedAs = { 'www-authenticate': 'WWW-Authenticate', 'dpop-nonce': 'DPoP-Nonce' } as const

/** Adds to what the app lets other origins read (Fetch §3.3.3). */
function exposeHeader(res: ServerResponse, name: keyof typeof exposedAs): void {
  const exposed = [res.getHeader('access-control-expose-headers') ?? []].flat().join(', ')
  if (exposed.toLowerCase().split(/[ ,]+/).includes(name)) return
  const added = exposedAs[name]
  res.setHeader('access-control-expose-headers', exposed === '' ? added : `${exposed}, ${added}`)
}
