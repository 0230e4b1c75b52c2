/** Proof that a request which a cookie makes somebody's was made by a page of this site (cross-site request forgery). */

import type { IncomingMessage } from 'node:http'
import { OAuthError } from '../errors.js'
import { isSameSecret } from '../secret.js'
import { sameOrigin } from './request.js'

/** What a request has to prove. */
export interface CsrfRule {
  /**
   * A header that no form can send and no script of another site may, whatever its value. It is wanted on top of what the
   * browser says. Default: none.
   */
  readonly header?: string
  /** Whether requests that change nothing have to prove it as well, because what they read is the user's. Default false. */
  readonly safeMethods?: boolean
}

export interface CsrfProof {
  /** The origin of this site. */
  origin: string
  /** The token of the session, if there is one. */
  csrfToken: string | undefined
  /** What the request has as `csrf_token` in a form. */
  field?: string | undefined
}

/**
 * Whether the browser says that a page of this site made the request, or whoever made it knows the session's token. In a
 * header it counts by itself: no form can send one, and no script of another site that CORS does not allow to. In a
 * field it counts where the browser tells nothing.
 */
export function isFromThisSite(req: IncomingMessage, { origin, csrfToken, field }: CsrfProof): boolean {
  const from = sameOrigin(req, origin)
  if (from === 'yes') return true
  const isToken = (value: unknown) =>
    csrfToken !== undefined && typeof value === 'string' && isSameSecret(value, csrfToken)
  return isToken(req.headers['x-csrf-token']) || (from === 'unknown' && isToken(field))
}

/** Whether a request of this method is meant to change nothing (RFC 9110 §9.2.1). */
export function isSafeMethod({ method }: IncomingMessage): boolean {
  return method === 'GET' || method === 'HEAD' || method === 'OPTIONS'
}

export function csrfRejected(): OAuthError {
  return new OAuthError('csrf_rejected', {
    hint: 'The browser did not say that the request comes from this site. Post a form of this site, or send getAuth(req).csrfToken along: in the header "x-csrf-token", or at the logout path in the field "csrf_token".',
  })
}
