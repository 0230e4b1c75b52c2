/** The `WWW-Authenticate` header: what a client needs to get in (RFC 6750 §3, RFC 9449 §7.1, RFC 9728 §5.1). */

import { OAuthError } from '../errors.js'
import type { AuthScheme } from './credentials.js'

/** What every challenge of one guard says. */
export interface ChallengeOptions {
  realm?: string
  /** Scopes that every request needs. */
  scope?: readonly string[]
  /** Where the metadata of this resource is (RFC 9728). */
  resourceMetadata?: string
  /** Signature algorithms of DPoP proofs, where those are taken. */
  dpopAlgorithms?: readonly string[]
}

/** What each refusal says to a client, in words that never change. */
const descriptions: Partial<Record<OAuthError['code'], string>> = {
  invalid_request: 'The Authorization header is malformed',
  invalid_token: 'The access token is not valid',
  insufficient_scope: 'More scope is needed than the access token has',
  insufficient_user_authentication: 'A stronger or more recent sign-in is needed',
  invalid_dpop_proof: 'The DPoP proof is not valid',
  use_dpop_nonce: 'The DPoP proof needs a nonce of this server',
}

/**
 * The challenges for a refusal of a request that used `scheme`; none for failures that are not the client's. What went wrong
 * is told in that scheme's own. A client that has yet to get in is told of all schemes (RFC 9449 §7.2), of `Bearer` first:
 * some read no further than the first header.
 */
export function challenges(
  error: OAuthError,
  options: ChallengeOptions = {},
  scheme: AuthScheme = 'Bearer',
): string | string[] | undefined {
  const told = challengeOf(scheme, error, options)
  if (told === undefined || error.status !== 401 || options.dpopAlgorithms === undefined) return told
  const untold = new OAuthError('missing_credentials')
  if (scheme === 'DPoP') return [challengeOf('Bearer', untold, options) ?? '', told]
  return [told, `DPoP ${algs(options.dpopAlgorithms)}`]
}

/** Without credentials it has no error code. Everything else comes before the description: clients read it by pattern. */
function challengeOf(scheme: AuthScheme, error: OAuthError, options: ChallengeOptions): string | undefined {
  const description = descriptionOf(error)
  if (description === undefined && error.code !== 'missing_credentials') return undefined
  const { realm, resourceMetadata, dpopAlgorithms } = options
  const scope = neededScope(error, options.scope)
  const parameters = [
    realm !== undefined && `realm="${realm}"`,
    scheme === 'DPoP' && dpopAlgorithms !== undefined && algs(dpopAlgorithms),
    description !== undefined && `error="${error.code}"`,
    scope.length > 0 && `scope="${scope.join(' ')}"`,
    error.acrValues !== undefined && `acr_values="${error.acrValues.join(' ')}"`,
    error.maxAge !== undefined && `max_age="${error.maxAge}"`,
    resourceMetadata !== undefined && `resource_metadata="${resourceMetadata}"`,
    description !== undefined && `error_description="${description}"`,
  ].filter((parameter) => parameter !== false)
  return [scheme, parameters.join(', ')].join(' ').trim()
}

function algs(algorithms: readonly string[]): string {
  return `algs="${algorithms.join(' ')}"`
}

/** The fixed sentence for a refusal; none for what is no affair of a client. */
export function descriptionOf({ code, reason, scope }: OAuthError): string | undefined {
  if (code === 'invalid_token' && reason === 'expired') return 'The access token expired'
  // A claim is missing, and no scope makes up for it.
  if (code === 'insufficient_scope' && scope === undefined) return 'The access token does not allow this'
  return descriptions[code]
}

/**
 * All scopes of the operation at once: many clients ask anew for exactly these and give up what they had. A claim that is
 * missing is no scope, nor is a malformed header a matter of scope.
 */
function neededScope(error: OAuthError, always: readonly string[] = []): readonly string[] {
  if (error.scope) return [...new Set([...always, ...error.scope])]
  return error.status === 401 ? always : []
}
