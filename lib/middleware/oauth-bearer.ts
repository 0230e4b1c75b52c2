/** Guards an API: requests need an access token that its authorization server issued for it (RFC 6750). */

import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { isOAuthError, OAuthError } from '../errors.js'
import { checkedScope } from '../oauth/requested-access.js'
import { checkOptions, type OptionChecks } from '../options.js'
import type { BearerAuth } from '../resource/bearer-auth.js'
import { challenges, type ChallengeOptions } from '../resource/challenge.js'
import { schemeOf } from '../resource/credentials.js'
import type { TrustChoice } from '../resource/trusted-issuers.js'
import {
  knownVerifierOptions,
  tokenVerifier,
  type Verifier,
  type VerifierSettings,
} from '../resource/verifier.js'
import { attachKnownAuth, type AuthSource } from './auth.js'
import { sendJson, type Middleware } from './request.js'

/** All there is to say; {@link OAuthBearerOptions} says what must be said. */
export interface OAuthBearerSettings extends VerifierSettings {
  /**
   * Scopes that every request needs, space-delimited. A token without them gets a 403. Every challenge names them, also
   * beside those of `requireScope`: clients know at once all that an operation needs. Default: none.
   */
  scope?: string
  /** The `realm` of challenges. Default: none. */
  realm?: string
  /** `answer`: JSON with the challenge. `next`: the error, which carries the challenge, goes to the app's error handler. Default `answer`. */
  onError?: 'answer' | 'next'
}

export type OAuthBearerOptions = OAuthBearerSettings & TrustChoice

const known: Record<keyof OAuthBearerSettings, true> = {
  ...knownVerifierOptions,
  scope: true,
  realm: true,
  onError: true,
}

/** The middleware, and what it checks tokens with. */
export interface OAuthBearer extends Middleware, Pick<Verifier, 'ready'> {}

/**
 * Mount it before the routes of the API. Requests without a good token get the answers of RFC 6750 §3.1; when the keys
 * cannot be had they get a 503, because that is nobody's fault. Throws `invalid_configuration` for options that cannot work.
 */
export function oauthBearer(options: OAuthBearerOptions): OAuthBearer {
  const check = checkOptions('oauthBearer', options, known)
  const realm = checkedRealm(options.realm, check)
  const scope = checkedNeededScope(options.scope, check)
  const onError = check.oneOf('onError', options.onError, ['answer', 'next'], 'answer')
  const verifier = tokenVerifier(options, check)
  const { emit, ready, schemes, dpopAlgorithms } = verifier
  const resourceMetadata = options.protectedResource?.metadataUrl
  const challenge: ChallengeOptions = {
    scope,
    ...(realm !== undefined && { realm }),
    ...(resourceMetadata !== undefined && { resourceMetadata }),
    ...(dpopAlgorithms !== undefined && { dpopAlgorithms }),
  }

  const refuse: AuthSource['refuse'] = (error, req, res, next) => {
    if (!isOAuthError(error)) {
      next(error)
      return
    }
    const wwwAuthenticate = challenges(error, challenge, schemeOf(req, schemes))
    if (wwwAuthenticate !== undefined) error.headers['www-authenticate'] = wwwAuthenticate
    // Set at once: not every error handler looks at the headers of an error.
    setHeaders(res, error.headers, ['www-authenticate', 'dpop-nonce'])
    // A request without a token is no event: that is how clients find out that they need one.
    if (error.code !== 'missing_credentials') {
      emit({ type: error.status >= 500 ? 'request_failed' : 'token_rejected', code: error.code, error })
    }
    if (onError === 'next' || res.headersSent) {
      next(error)
      return
    }
    setHeaders(res, error.headers)
    sendJson(res, error.status, error.toJSON())
  }

  const admit = (auth: BearerAuth, ...[req, res, next]: Parameters<Middleware>) => {
    const refusal = missingScope(auth, scope)
    if (refusal) {
      refuse(refusal, req, res, next)
      return
    }
    attachKnownAuth(req, new BearerSource(auth, refuse), auth)
    next()
  }

  const middleware: Middleware = (req, res, next) => {
    const recalled = verifier.recall(req)
    if (recalled) {
      admit(recalled, req, res, next)
      return
    }
    verifier
      .admit(req)
      .then(
        ({ auth, headers }) => {
          announceNonce(res, headers)
          admit(auth, req, res, next)
        },
        (error: unknown) => refuse(error, req, res, next),
      )
      .catch(next) // a mistake on the way to an answer must not leave the request open
  }
  return Object.assign(middleware, { ready })
}

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
function announceNonce(res: ServerResponse, headers: OutgoingHttpHeaders): void {
  if (headers['dpop-nonce'] === undefined) return
  setHeaders(res, headers)
  if (!res.headersSent && !res.hasHeader('cache-control')) res.setHeader('cache-control', 'no-store')
}

function missingScope({ scopes }: BearerAuth, needed: readonly string[]): OAuthError | undefined {
  if (needed.every((scope) => scopes.includes(scope))) return undefined
  return new OAuthError('insufficient_scope', {
    scope: needed,
    hint: `Needed: ${needed.join(' ')}. Granted: ${scopes.join(' ') || 'nothing'}.`,
  })
}

/** A user who is known by a token, for this request. */
class BearerSource implements AuthSource {
  readonly refuse: AuthSource['refuse']
  readonly #auth: BearerAuth

  constructor(auth: BearerAuth, refuse: AuthSource['refuse']) {
    this.#auth = auth
    this.refuse = refuse
  }

  peek(): BearerAuth {
    return this.#auth
  }

  confirm(): BearerAuth {
    return this.#auth
  }
}

function checkedNeededScope(scope: string | undefined, check: OptionChecks): readonly string[] {
  if (scope === undefined) return []
  check.string('scope', scope, 'give scopes, separated by one space each, or leave it out')
  return checkedScope(scope, check)
}

function checkedRealm(realm: string | undefined, check: OptionChecks): string | undefined {
  if (realm === undefined) return undefined
  if (typeof realm === 'string' && /^[\x20\x21\x23-\x5b\x5d-\x7e]+$/.test(realm)) return realm
  return check.refuse(
    'realm',
    'has characters that the header cannot carry',
    'use printable ASCII without quotes and backslashes',
  )
}
