/** The `WWW-Authenticate` header: what a client needs to get in (RFC 6750 §3, RFC 9728 §5.1). */

import type { OAuthError } from '../errors.js'

/** What every challenge of one guard says. */
export interface ChallengeOptions {
  realm?: string
  /** Scopes that every request needs. */
  scope?: readonly string[]
  /** Where the metadata of this resource is (RFC 9728). */
  resourceMetadata?: string
}

/** What each refusal says to a client, in words that never change. */
const descriptions: Partial<Record<OAuthError['code'], string>> = {
  invalid_request: 'The Authorization header is malformed',
  invalid_token: 'The access token is not valid',
  insufficient_scope: 'More scope is needed than the access token has',
}

/**
 * The `Bearer` challenge for a refusal; none for failures that are not the client's. Without credentials it has no error
 * code. Everything else comes before the description: clients read it by pattern.
 */
export function bearerChallenge(error: OAuthError, options: ChallengeOptions = {}): string | undefined {
  const description = descriptionOf(error)
  if (description === undefined && error.code !== 'missing_credentials') return undefined
  const { realm, resourceMetadata } = options
  const scope = neededScope(error, options.scope)
  const parameters = [
    realm !== undefined && `realm="${realm}"`,
    description !== undefined && `error="${error.code}"`,
    scope.length > 0 && `scope="${scope.join(' ')}"`,
    resourceMetadata !== undefined && `resource_metadata="${resourceMetadata}"`,
    description !== undefined && `error_description="${description}"`,
  ].filter((parameter) => parameter !== false)
  return ['Bearer', parameters.join(', ')].join(' ').trim()
}

/** The fixed sentence for a refusal; none for what is no affair of a client. */
export function descriptionOf(error: OAuthError): string | undefined {
  return error.reason === 'expired' ? 'The access token expired' : descriptions[error.code]
}

/**
 * All scopes of the operation at once: many clients ask anew for exactly these and give up what they had. A claim that is
 * missing is no scope, nor is a malformed header a matter of scope.
 */
function neededScope(error: OAuthError, always: readonly string[] = []): readonly string[] {
  if (error.scope) return [...new Set([...always, ...error.scope])]
  return error.status === 401 ? always : []
}
