/** The `WWW-Authenticate` header: what a client needs to get in (RFC 6750 §3, RFC 9728 §5.1). */

import type { OAuthError } from '../errors.js'

/** What every challenge of one guard says. */
export interface ChallengeOptions {
  realm?: string
  /** Scopes that a client should ask for to begin with. */
  scope?: readonly string[]
  /** Where the metadata of this resource is (RFC 9728). */
  resourceMetadata?: string
}

/** What each refusal says to a client, in words that never change. */
const descriptions: Partial<Record<OAuthError['code'], string>> = {
  invalid_request: 'The Authorization header is malformed',
  invalid_token: 'The access token is not valid',
  insufficient_scope: 'More scope is needed than the access token has',
  insufficient_user_authentication: 'A stronger or more recent sign-in is needed',
}

function descriptionOf({ code, reason, scope }: OAuthError): string | undefined {
  if (reason === 'expired') return 'The access token expired'
  // A claim is missing, and no scope makes up for it.
  if (code === 'insufficient_scope' && scope === undefined) return 'The access token does not allow this'
  return descriptions[code]
}

/**
 * The `Bearer` challenge for a refusal; none for failures that are not the client's. Without credentials it has no error
 * code. Everything else comes before the description: clients read it by pattern.
 */
export function bearerChallenge(error: OAuthError, options: ChallengeOptions = {}): string | undefined {
  const description = descriptionOf(error)
  if (description === undefined && error.code !== 'missing_credentials') return undefined
  const { realm, resourceMetadata } = options
  // What is missing for a claim is no scope; a malformed header is no matter of scope, either.
  const scope = error.scope ?? (error.status === 401 ? options.scope : undefined)
  const parameters = [
    realm !== undefined && `realm="${realm}"`,
    description !== undefined && `error="${error.code}"`,
    scope !== undefined && scope.length > 0 && `scope="${scope.join(' ')}"`,
    error.acrValues !== undefined && `acr_values="${error.acrValues.join(' ')}"`,
    error.maxAge !== undefined && `max_age="${error.maxAge}"`,
    resourceMetadata !== undefined && `resource_metadata="${resourceMetadata}"`,
    description !== undefined && `error_description="${description}"`,
  ].filter((parameter) => parameter !== false)
  return ['Bearer', parameters.join(', ')].join(' ').trim()
}
