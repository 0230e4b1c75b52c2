/** Guards an API: requests need an access token that its authorization server issued for it (RFC 6750). */

import type { ServerResponse } from 'node:http'
import { isOAuthError, OAuthError, type OAuthErrorCode } from '../errors.js'
import { checkedImpliedScopes, type ImpliedScopes } from '../oauth/implied-scopes.js'
import { checkOptions, type OptionChecks } from '../options.js'
import { bearerChallenge, type ChallengeOptions } from '../resource/challenge.js'
import {
  knownVerifierOptions,
  tokenVerifier,
  type Verifier,
  type VerifierOptions,
} from '../resource/verifier.js'
import { attachAuth, attachKnownAuth, attachNobody, type AuthSource } from './auth.js'
import { BearerSource, NobodySource, type BearerSourceOptions } from './bearer-source.js'
import { isPreflight, sendJson, type Middleware } from './request.js'
import { withRequirement, type Guard } from './requirement.js'
import { browserSource, SessionInstead } from './session-instead.js'

export interface OAuthBearerOptions extends VerifierOptions {
  /**
   * `required`: no request passes without a good token. `optional`: one without a token passes as nobody, a bad one is
   * refused. `attempt`: one with a bad token passes as nobody, too, and `req.authError` says why. Guards refuse nobody, and
   * what cannot be known is refused in every mode. Default `required`.
   */
  mode?: 'required' | 'optional' | 'attempt'
  /**
   * Whether the session of `oauthLogin`, which must be mounted before, serves requests that bring no token. Such a request
   * that may change something has to come from a page of this site (cross-site request forgery). Default false.
   */
  session?: boolean
  /** Scopes that contain others, such as `{ admin: ['read:projects', 'write:projects'] }`: guards count them as granted. */
  impliedScopes?: ImpliedScopes
  /** The `realm` of challenges. Default: none. */
  realm?: string
  /** Lets scripts of other origins read the challenge: `Access-Control-Expose-Headers`. Default false. */
  exposeChallenge?: boolean
  /** `answer`: JSON with the challenge. `next`: the error, which carries the challenge, goes to the app's error handler. Default `answer`. */
  onError?: 'answer' | 'next'
}

const known: Record<keyof OAuthBearerOptions, true> = {
  ...knownVerifierOptions,
  mode: true,
  session: true,
  impliedScopes: true,
  realm: true,
  exposeChallenge: true,
  onError: true,
}

/** Failures of a session after which a request goes on without somebody. */
const endsAsNobody: Record<NonNullable<OAuthBearerOptions['mode']>, readonly OAuthErrorCode[]> = {
  required: [],
  optional: ['login_required'],
  attempt: ['login_required', 'csrf_rejected'],
}

/** The middleware, and what it checks tokens with. */
export interface OAuthBearer extends Guard, Pick<Verifier, 'ready'> {}

/**
 * Mount it before the routes of the API. Requests without a good token get the answers of RFC 6750 §3.1; when the keys
 * cannot be had they get a 503, because that is nobody's fault. Preflights (CORS) bring no credentials: they pass as
 * nobody. Throws `invalid_configuration` for options that cannot work.
 */
export function oauthBearer(options: OAuthBearerOptions): OAuthBearer {
  const check = checkOptions('oauthBearer', options, known)
  const mode = check.oneOf('mode', options.mode, ['required', 'optional', 'attempt'], 'required')
  const takesSession = checkedFlag('session', options.session, check)
  const covers = checkedImpliedScopes(options.impliedScopes, check)
  const realm = checkedRealm(options.realm, check)
  const exposesChallenge = checkedFlag('exposeChallenge', options.exposeChallenge, check)
  const onError = check.oneOf('onError', options.onError, ['answer', 'next'], 'answer')
  const verifier = tokenVerifier(options, check)
  const { emit, ready } = verifier
  const challenge: ChallengeOptions = realm === undefined ? {} : { realm }

  /** Only what is the client's to mend has a challenge. */
  function setChallenge(error: OAuthError, res: ServerResponse, wwwAuthenticate?: string): void {
    if (wwwAuthenticate === undefined) return
    error.headers['www-authenticate'] = wwwAuthenticate
    if (res.headersSent) return
    res.setHeader('www-authenticate', wwwAuthenticate)
    if (exposesChallenge) exposeHeader(res, 'WWW-Authenticate')
  }

  function tell(error: OAuthError): void {
    // A request without a token is no event: that is how clients find out that they need one.
    if (error.code === 'missing_credentials') return
    emit({ type: error.status >= 500 ? 'request_failed' : 'token_rejected', code: error.code, error })
  }

  const answer: AuthSource['refuse'] = (error, _req, res, next) => {
    if (!isOAuthError(error)) {
      next(error)
      return
    }
    setChallenge(error, res, bearerChallenge(error, challenge))
    if (onError === 'next' || res.headersSent) {
      next(error)
      return
    }
    for (const [name, value] of Object.entries(error.headers))
      if (value !== undefined) res.setHeader(name, value)
    // Which part is away is no affair of the client.
    const said = error.status === 503 ? new OAuthError('temporarily_unavailable') : error
    sendJson(res, error.status, said.toJSON())
  }

  const refuse: AuthSource['refuse'] = (error, req, res, next) => {
    if (isOAuthError(error)) tell(error)
    answer(error, req, res, next)
  }

  const shared: BearerSourceOptions = { refuse, covers, clock: verifier }
  const nobody = new NobodySource(refuse)

  /** A token, or its absence, that will not do: whoever goes on with the request finds nobody there. */
  const fail: AuthSource['refuse'] = (error, req, res, next) => {
    if (!isOAuthError(error)) {
      attachNobody(req, nobody)
      next(error)
      return
    }
    const isAbsent = error.code === 'missing_credentials'
    attachNobody(req, isAbsent ? nobody : new NobodySource(answer, error), isAbsent ? undefined : error)
    if (mode !== 'required' && (isAbsent || (mode === 'attempt' && isFault(error)))) {
      tell(error)
      next()
    } else refuse(error, req, res, next)
  }

  /** What a client could do better. Anything else is no verdict on it, and must not make it somebody without rights. */
  function isFault(error: OAuthError): boolean {
    return error.status < 500 && bearerChallenge(error, challenge) !== undefined
  }

  /** Without a token the session counts. What browsers send along unasked must be of this site's own making. */
  async function bySession(...[req, res, next]: Parameters<Middleware>): Promise<void> {
    const wayIn = (error: OAuthError) =>
      setChallenge(error, res, bearerChallenge(new OAuthError('missing_credentials'), challenge))
    const source = new SessionInstead(browserSource(req), wayIn)
    attachAuth(req, source)
    try {
      source.checkCsrf()
      await source.confirm()
    } catch (error) {
      const code = isOAuthError(error) ? error.code : undefined
      if (isOAuthError(error) && code === 'csrf_rejected')
        attachNobody(req, new NobodySource(answer, error), error)
      if (code === undefined || !endsAsNobody[mode].includes(code)) {
        source.refuse(error, req, res, next)
        return
      }
    }
    next()
  }

  const middleware: Middleware = (req, res, next) => {
    const recalled = verifier.recall(req)
    if (recalled) {
      attachKnownAuth(req, new BearerSource(recalled, shared), recalled)
      next()
      return
    }
    if (isPreflight(req)) {
      attachNobody(req, nobody)
      next()
      return
    }
    verifier
      .authenticate(req)
      .then(
        (auth) => {
          attachKnownAuth(req, new BearerSource(auth, shared), auth)
          next()
        },
        (error: unknown) =>
          takesSession && isOAuthError(error) && error.code === 'missing_credentials'
            ? bySession(req, res, next)
            : fail(error, req, res, next),
      )
      .catch(next) // a mistake on the way to an answer must not leave the request open
  }
  const kind = mode === 'required' ? 'login' : 'optionalLogin'
  return withRequirement(Object.assign(middleware, { ready }), { kind })
}

/** Adds to what the app lets other origins read (Fetch §3.3.3). */
function exposeHeader(res: ServerResponse, name: string): void {
  const exposed = [res.getHeader('access-control-expose-headers') ?? []].flat().join(', ')
  if (exposed.toLowerCase().split(/[ ,]+/).includes(name.toLowerCase())) return
  res.setHeader('access-control-expose-headers', exposed === '' ? name : `${exposed}, ${name}`)
}

function checkedFlag(name: string, value: boolean | undefined, check: OptionChecks): boolean {
  if (value === undefined || typeof value === 'boolean') return value ?? false
  return check.refuse(name, `is ${String(value)}`, 'give true or false')
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
