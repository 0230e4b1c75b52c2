/** Guards an API: requests need an access token that its authorization server issued for it (RFC 6750). */

import type { IncomingMessage } from 'node:http'
import { isOAuthError, type OAuthError, type OAuthErrorCode } from '../errors.js'
import { checkedImpliedScopes, type CoversScope, type ImpliedScopes } from '../oauth/implied-scopes.js'
import { checkedScope } from '../oauth/requested-access.js'
import { insufficientScope } from '../oauth/scope.js'
import { checkOptions, type OptionChecks } from '../options.js'
import type { BearerAuth } from '../resource/bearer-auth.js'
import { bringsToken } from '../resource/credentials.js'
import type { TrustChoice } from '../resource/trusted-issuers.js'
import {
  knownVerifierOptions,
  tokenVerifier,
  type Verifier,
  type VerifierSettings,
} from '../resource/verifier.js'
import { attachAuth, attachKnownAuth, attachNobody, type Auth, type AuthSource } from './auth.js'
import { announceNonce, createBearerRefusals } from './bearer-refusals.js'
import { BearerSource, NobodySource, type BearerSourceOptions } from './bearer-source.js'
import { isPreflight, type Middleware } from './request.js'
import { withRequirement, type Guard, type Requirement } from './requirement.js'
import { SessionInstead, sessionOf } from './session-instead.js'

/** All there is to say; {@link OAuthBearerOptions} says what must be said. */
export interface OAuthBearerSettings extends VerifierSettings {
  /**
   * Scopes that every request needs, space-delimited. A token without them gets a 403. Every challenge names them, also
   * beside those of `requireScope`: clients know at once all that an operation needs. Default: none.
   */
  scope?: string
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

export type OAuthBearerOptions = OAuthBearerSettings & TrustChoice

const known: Record<keyof OAuthBearerSettings, true> = {
  ...knownVerifierOptions,
  scope: true,
  mode: true,
  session: true,
  impliedScopes: true,
  realm: true,
  exposeChallenge: true,
  onError: true,
}

/** Failures of a session after which a request goes on without somebody. */
const endsAsNobody: Record<NonNullable<OAuthBearerSettings['mode']>, readonly OAuthErrorCode[]> = {
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
  const takesSession = check.boolean('session', options.session)
  const covers = checkedImpliedScopes(options.impliedScopes, check)
  const realm = checkedRealm(options.realm, check)
  const scope = checkedNeededScope(options.scope, check)
  const verifier = tokenVerifier(options, check)
  const { emit, ready, schemes, dpopAlgorithms } = verifier
  const resourceMetadata = options.protectedResource?.metadataUrl
  const { refuse, answer, tell, isFault, tellWayIn } = createBearerRefusals({
    challenge: {
      scope,
      ...(realm !== undefined && { realm }),
      ...(resourceMetadata !== undefined && { resourceMetadata }),
      ...(dpopAlgorithms !== undefined && { dpopAlgorithms }),
    },
    schemes,
    exposesChallenge: check.boolean('exposeChallenge', options.exposeChallenge),
    onError: check.oneOf('onError', options.onError, ['answer', 'next'], 'answer'),
    emit,
  })
  const shared: BearerSourceOptions = { refuse, covers, clock: verifier }
  const nobody = new NobodySource(refuse)

  function missingScope({ scopes }: Auth, coveredBy: CoversScope): OAuthError | undefined {
    const hasAll = scope.every((one) => coveredBy(scopes, one))
    return hasAll ? undefined : insufficientScope(scope, scopes)
  }

  const admit = (auth: BearerAuth, ...[req, res, next]: Parameters<Middleware>) => {
    const refusal = missingScope(auth, covers)
    if (refusal) {
      fail(refusal, req, res, next)
      return
    }
    attachKnownAuth(req, new BearerSource(auth, shared), auth)
    next()
  }

  /** A token, or its absence, that will not do: whoever goes on with the request finds nobody there. */
  const fail: AuthSource['refuse'] = (error, req, res, next) => {
    if (!isOAuthError(error)) {
      attachNobody(req, nobody)
      refuse(error, req, res, next)
      return
    }
    const isAbsent = isWithoutToken(error, req)
    attachNobody(req, isAbsent ? nobody : new NobodySource(answer, error), isAbsent ? undefined : error)
    // An outage is no verdict on the client, and must not make it somebody without rights.
    if (mode !== 'required' && (isAbsent || (mode === 'attempt' && isFault(error, req)))) {
      tell(error)
      announceNonce(res, error.headers)
      next()
    } else refuse(error, req, res, next)
  }

  /** Without a token the session counts. What browsers send along unasked must be of this site's own making. */
  async function bySession(...[req, res, next]: Parameters<Middleware>): Promise<void> {
    const source = new SessionInstead(sessionOf(req), (error) => tellWayIn(error, req, res))
    attachAuth(req, source)
    try {
      source.checkCsrf()
      const refusal = missingScope(await source.confirm(), source.covers)
      if (refusal) {
        source.refuse(refusal, req, res, next)
        return
      }
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
      admit(recalled, req, res, next)
      return
    }
    if (isPreflight(req)) {
      attachNobody(req, nobody)
      next()
      return
    }
    verifier
      .admit(req)
      .then(
        ({ auth, headers }) => {
          announceNonce(res, headers)
          admit(auth, req, res, next)
        },
        (error: unknown) =>
          takesSession && isWithoutToken(error, req)
            ? bySession(req, res, next)
            : fail(error, req, res, next),
      )
      .catch(next) // a mistake on the way to an answer must not leave the request open
  }
  const somebody: Requirement = scope.length > 0 ? { kind: 'scope', all: scope } : { kind: 'login' }
  const requirement: Requirement = mode === 'required' ? somebody : { kind: 'optionalLogin' }
  return withRequirement(Object.assign(middleware, { ready }), requirement)
}

/** By what the request has, too: a function of the app that judges a token may throw the same error. */
function isWithoutToken(error: unknown, req: IncomingMessage): boolean {
  return isOAuthError(error) && error.code === 'missing_credentials' && !bringsToken(req)
}

function checkedNeededScope(scope: string | undefined, check: OptionChecks): readonly string[] {
  if (scope === undefined) return []
  check.string('scope', scope, 'give scopes, separated by one space each, or leave it out')
  // Errors have this very list, and handlers of the app have the errors.
  return Object.freeze(checkedScope(scope, check))
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
