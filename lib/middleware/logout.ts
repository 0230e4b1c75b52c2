/** Signing out: here first, then at the authorization server. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { OAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import type { Client } from '../oauth/client.js'
import { endSessionUrl } from '../oauth/end-session.js'
import type { FreshLogin } from '../session/fresh-login.js'
import type { SessionTokens } from '../session/session-tokens.js'
import { csrfToken, type Session, type Sessions } from '../session/session.js'
import type { Revoke } from '../tokens/revoke.js'
import { checkCsrf, csrfRejected, type CsrfRule } from './csrf.js'
import { sendMovingOnPage } from './page.js'
import { formParameters, navigation, queryParameters, redirect, sendJson } from './request.js'

export interface LogoutOptions {
  client: Client
  revoke: Revoke
  sessions: Sessions
  sessionTokens: SessionTokens
  freshLogin: FreshLogin
  origin: string
  byGet: boolean
  /** The path to go to, made safe. */
  safeReturnTo: (value: unknown) => string
  emit: Emit
}

/** A link to it is judged as well, where there may be one. */
const rule: CsrfRule = { forms: true, safeMethods: true }

/** Answers the logout path. Throws `csrf_rejected`, `method_not_allowed` and `store_unavailable`; the session lives on then. */
export type Logout = (req: IncomingMessage, res: ServerResponse) => Promise<void>

export function createLogout(options: LogoutOptions): Logout {
  const { client, revoke, sessions, sessionTokens, freshLogin, origin, byGet, safeReturnTo, emit } = options

  return async (req, res) => {
    if (req.method !== 'POST' && !(byGet && req.method === 'GET')) {
      throw new OAuthError('method_not_allowed', {
        headers: { allow: byGet ? 'GET, POST' : 'POST' },
        hint: 'Sign out with a form: <form method="post" action="/logout">. A plain link works with the option "logoutByGet".',
      })
    }
    const fields = req.method === 'POST' ? await formParameters(req) : queryParameters(req)
    const session = sessions.read(req, res)
    checkWanted(req, session, fields)
    const returnTo = safeReturnTo(fields.get('returnTo') ?? undefined)
    const target = session ? await end(req, res, session, returnTo) : returnTo
    answer(req, res, target)
  }

  function checkWanted(req: IncomingMessage, session: Session | undefined, fields: URLSearchParams): void {
    checkCsrf(req, rule, {
      origin,
      csrfToken: () => session && csrfToken(session),
      field: fields.get('csrf_token'),
    })
    // A picture or a prefetch of this site is no wish to leave, either.
    if (req.method === 'GET' && navigation(req) === 'no') throw csrfRejected('no_navigation')
  }

  async function end(
    req: IncomingMessage,
    res: ServerResponse,
    session: Session,
    returnTo: string,
  ): Promise<string> {
    const tokens = await sessionTokens.end({ req, res, session })
    freshLogin.forget(req, res)
    emit({ type: 'logout', subject: session.subject })
    // The session here is gone by now; a slow server keeps the user waiting a little at most.
    if (tokens) await revoke(tokens)
    // Into the address bar it may go, but never to a script.
    const idToken = navigation(req) === 'no' ? undefined : tokens?.id_token
    try {
      const url = await endSessionUrl(client, {
        ...(idToken !== undefined && { idToken }),
        postLogoutRedirectUri: `${origin}${returnTo}`,
      })
      return url ?? returnTo
    } catch {
      return returnTo // A server that is away keeps nobody signed in here.
    }
  }
}

function answer(req: IncomingMessage, res: ServerResponse, target: string): void {
  if (navigation(req) === 'no') sendJson(res, 200, { location: target })
  else if (target.startsWith('/') || req.method === 'GET') redirect(res, target, 303)
  else sendMovingOnPage(res, target)
}
