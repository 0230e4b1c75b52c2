/** Sign-outs that the authorization server tells of directly (OpenID Connect Back-Channel Logout §2.5 to §2.8). */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { isOAuthError, OAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import type { Client } from '../oauth/client.js'
import { logoutTokenLifetime, verifyLogoutToken } from '../oauth/logout-token.js'
import type { FirstUse } from '../oauth/replay.js'
import type { Endings } from '../session/endings.js'
import { formParameters, sendJson } from './request.js'

export interface BackchannelLogoutOptions {
  client: Client
  /** The `iss` that logout tokens must have. */
  issuer: string
  endings: Endings
  isFirstUse: FirstUse
  emit: Emit
}

/** Bytes. */
const bodyLimit = 8_192

/**
 * Answers the server itself, whatever happens: nobody else reads the answer. 200 when the sessions are over, 400 when the
 * request was wrong or the logout failed (§2.8), 413 and 405.
 */
export type BackchannelLogout = (req: IncomingMessage, res: ServerResponse) => Promise<void>

export function createBackchannelLogout(options: BackchannelLogoutOptions): BackchannelLogout {
  const { client, issuer, endings, isFirstUse, emit } = options
  const { clientId, algorithms, keySet, clockTolerance, now } = client
  const rules = { issuer, clientId, algorithms, keySet, clockTolerance, now }

  return async (req, res) => {
    try {
      await endNamedSessions(await postedToken(req))
      res.statusCode = 200
      res.setHeader('content-length', 0)
      res.end()
    } catch (error) {
      if (!isOAuthError(error)) throw error
      refuse(res, error)
    }
  }

  async function endNamedSessions(token: string): Promise<void> {
    const { id, sid, subject, issuedAt } = await verifyLogoutToken(token, rules)
    // A session that the server names is the only one that ends, also when the token names its user, too (§2.4).
    if (sid !== undefined) await endings.endSid(issuer, sid)
    else if (subject !== undefined) await endings.endSubjectAsOf(issuer, subject, issuedAt)
    // Last: a token that was remembered before its work failed could never be sent again. To mark an end twice is to mark
    // it once, so a token that comes again does no harm; it is refused all the same.
    if (!(await isFirstUse(issuer, id, logoutTokenLifetime + 2 * clockTolerance)))
      throw new OAuthError('invalid_token', { reason: 'replayed' })
    emit({ type: 'server_logout', channel: 'back', subject })
  }

  function refuse(res: ServerResponse, error: OAuthError): void {
    const isOurs = error.status >= 500
    if (isOurs) emit({ type: 'request_failed', code: error.code, error })
    if (error.code === 'invalid_token') emit({ type: 'token_rejected', code: error.code, error })
    for (const [name, value] of Object.entries(error.headers))
      if (value !== undefined) res.setHeader(name, value)
    const status = isOurs || error.code === 'invalid_token' ? 400 : error.status
    sendJson(res, status, { error: errorCode(error), error_description: description(error) })
  }
}

async function postedToken(req: IncomingMessage): Promise<string> {
  if (req.method !== 'POST') throw new OAuthError('method_not_allowed', { headers: { allow: 'POST' } })
  const tokens = (await formParameters(req, bodyLimit)).getAll('logout_token')
  const [token] = tokens
  if (!token || tokens.length > 1) throw new OAuthError('invalid_request', { reason: 'logout_token' })
  if (token.length > bodyLimit)
    throw new OAuthError('invalid_request', { status: 413, reason: 'body_too_large' })
  return token
}

/** By the names of RFC 6749 §5.2, which §2.8 asks for; our own where there is none. */
function errorCode({ code }: OAuthError): string {
  return code === 'invalid_token' ? 'invalid_request' : code
}

function description(error: OAuthError): string {
  if (error.code === 'invalid_token') return 'The logout token is not valid.'
  if (error.status >= 500) return 'The logout failed. Send it again.'
  return error.publicMessage
}
