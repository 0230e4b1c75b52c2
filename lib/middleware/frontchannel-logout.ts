/** Sign-outs that the authorization server tells of through the browser, in a hidden frame (OpenID Connect Front-Channel Logout §2). */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { OAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import { sessionIdIn } from '../oauth/id-token.js'
import type { Endings } from '../session/endings.js'
import type { FreshLogin } from '../session/fresh-login.js'
import type { Sessions } from '../session/session.js'
import { sendFramedPage } from './page.js'
import { queryParameters, singleParameter } from './request.js'

export interface FrontchannelLogoutOptions {
  /** The `iss` that requests must have. */
  issuer: string
  sessions: Sessions
  endings: Endings
  freshLogin: FreshLogin
  emit: Emit
}

/** Throws `method_not_allowed`, `invalid_request`, `issuer_mismatch` and `store_unavailable`. */
export type FrontchannelLogout = (req: IncomingMessage, res: ServerResponse) => Promise<void>

/**
 * Nobody vouches for such a request but the name of the session in it, so it ends that session here and does nothing at
 * the server. The answer is the same whether there was one.
 */
export function createFrontchannelLogout(options: FrontchannelLogoutOptions): FrontchannelLogout {
  const { issuer, sessions, endings, freshLogin, emit } = options

  return async (req, res) => {
    makeFrameable(res)
    if (req.method !== 'GET') throw new OAuthError('method_not_allowed', { headers: { allow: 'GET' } })
    const sid = namedSession(req)
    await endings.endNotedSid(issuer, sid)
    // A frame on another site brings no cookies. Where they come, they need not wait to be found dead.
    const session = sessions.read(req, res)
    if (session?.issuer === issuer && session.sid === sid) {
      await sessions.end(req, res, session)
      freshLogin.forget(req, res)
    }
    emit({
      type: 'server_logout',
      channel: 'front',
      subject: session?.sid === sid ? session.subject : undefined,
    })
    sendFramedPage(res)
  }

  function namedSession(req: IncomingMessage): string {
    const query = queryParameters(req)
    const iss = singleParameter(query, 'iss')
    const sid = sessionIdIn({ sid: singleParameter(query, 'sid') })
    if (iss === undefined || sid === undefined) {
      throw new OAuthError('invalid_request', {
        reason: 'iss_sid',
        hint: 'The request must have "iss" and "sid": register frontchannel_logout_session_required for this client at the authorization server. Browsers bring no session cookie to a frame on another site, so nothing else tells which session is meant.',
      })
    }
    if (iss !== issuer) throw new OAuthError('issuer_mismatch', { reason: 'iss_wrong' })
    return sid
  }
}

/** What the app forbids for its pages, with helmet for instance, is meant for pages with something on them. */
function makeFrameable(res: ServerResponse): void {
  res.removeHeader('x-frame-options')
  res.removeHeader('content-security-policy')
}
