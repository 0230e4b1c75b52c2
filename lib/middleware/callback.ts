/** The end of a login: the authorization server's answer becomes a session. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { OAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import type { HttpClient } from '../http.js'
import type { Claims } from '../jose/jwt.js'
import { authenticationIn } from '../oauth/authentication.js'
import { authorizationCodeGrant, callbackState, type Grant } from '../oauth/authorization-code.js'
import { isRestarted, type ResponseMode } from '../oauth/authorization-request.js'
import type { Client } from '../oauth/client.js'
import { sessionIdIn } from '../oauth/id-token.js'
import type { TokenSet } from '../oauth/token-set.js'
import { plainUserinfo, userinfo } from '../oauth/userinfo.js'
import { sessionHandle } from '../session/endings.js'
import type { FreshLogin } from '../session/fresh-login.js'
import type { Sessions } from '../session/session.js'
import type { Transaction, Transactions } from '../session/transaction.js'
import type { Login } from './login.js'
import { formParameters, navigation, queryParameters, redirect } from './request.js'
import { needsPage, withError } from './silent-login.js'

/** A login that is about to succeed. */
export interface LoginAttempt {
  /** What the server says about the user: the claims of the ID token, and of userinfo if that was asked. */
  readonly claims: Claims
  readonly scopes: readonly string[]
  /** For a first call of the server's API about the user. Do not keep it. With `dpop` it is of no use here. */
  readonly accessToken: string
  readonly returnTo: string
  readonly request: IncomingMessage
}

/** Returns the claims to keep in the session, nothing to keep them all, or false to refuse the user. */
export type LoginHook = (attempt: LoginAttempt) => Promise<Claims | false | void> | Claims | false | void

export interface CallbackOptions {
  client: Client
  http: HttpClient
  transactions: Transactions<Transaction>
  sessions: Sessions
  freshLogin: FreshLogin
  login: Login
  responseMode: ResponseMode
  wantsUserinfo: boolean
  onLogin: LoginHook | undefined
  /** Is told of the server's session before ours begins; where somebody wants to know. */
  noteSid: ((issuer: string, sid: string) => Promise<void>) | undefined
  /** Told of tokens that nobody will use. */
  discard: (tokens: TokenSet) => void
  /** Where a user goes who is signed in already. */
  returnTo: string
  emit: Emit
}

/** Answers the callback path. Throws an `OAuthError` when no session came of it. */
export type Callback = (req: IncomingMessage, res: ServerResponse) => Promise<void>

export function createCallback(options: CallbackOptions): Callback {
  const {
    client,
    http,
    transactions,
    sessions,
    freshLogin,
    login,
    responseMode,
    wantsUserinfo,
    onLogin,
    noteSid,
    discard,
    emit,
  } = options

  return async (req, res) => {
    const parameters = await responseParameters(req)
    const state = callbackState(parameters)
    const transaction = await transactions.take(req, res, state)
    if (!transaction) {
      await heal(req, res, state)
      return
    }
    try {
      await finish(req, res, transaction, parameters)
    } catch (error) {
      if (!transaction.silent || !needsPage(error)) throw error
      emit({ type: 'login_failed', code: error.code, error })
      redirect(res, withError(transaction.returnTo, error.code), 303)
    }
  }

  async function finish(
    req: IncomingMessage,
    res: ServerResponse,
    transaction: Transaction,
    parameters: URLSearchParams,
  ): Promise<void> {
    const grant = await authorizationCodeGrant(client, transaction, parameters)
    const claims = await finalClaims(grant, transaction, req)
    const { issuer } = await client.metadata()
    const subject = typeof claims['sub'] === 'string' ? claims['sub'] : undefined
    // From the token that was verified, and not from what the app makes of it: by these the server ends the session.
    const sid = sessionIdIn(grant.claims ?? {})
    const issuedAt = grant.claims?.['iat']
    if (sid !== undefined) await noteSid?.(issuer, sid)
    const began = await sessions.begin(req, res, {
      issuer,
      subject,
      claims,
      scope: grant.tokens.scope,
      tokens: grant.tokens,
      ...(sid !== undefined && { sid }),
      ...(typeof issuedAt === 'number' && { issuedAt }),
      ...authenticationIn(grant.claims ?? {}),
    })
    if (!began) {
      discard(grant.tokens)
      await again(req, res, transaction)
      return
    }
    freshLogin.remember(req, res, sessionHandle(began.id))
    emit({ type: 'login', issuer, subject })
    redirect(res, transaction.returnTo, 303)
  }

  async function responseParameters(req: IncomingMessage): Promise<URLSearchParams> {
    // Some servers do not know form_post and come back by GET; a POST that nobody asked for is no answer.
    if (req.method === 'GET') return queryParameters(req)
    if (req.method === 'POST' && responseMode === 'form_post') return formParameters(req)
    throw new OAuthError('method_not_allowed', {
      headers: { allow: responseMode === 'form_post' ? 'GET, POST' : 'GET' },
    })
  }

  /** An answer that belongs to no login of this browser: an old tab, a bookmark, a second click, or somebody's trap. */
  async function heal(req: IncomingMessage, res: ServerResponse, state: string): Promise<void> {
    if (navigation(req) !== 'no') {
      if (sessions.read(req, res)) {
        redirect(res, options.returnTo, 303)
        return
      }
      // Once. A browser without cookies would go round for ever, so the state itself tells of a restart; a server that
      // changes the state would too, so the browser's cookies tell of it as well.
      if (!isRestarted(state) && !transactions.inFlight(req).some((other) => isRestarted(other.state))) {
        emit({ type: 'login_restarted' })
        await login.start(req, res, { restarted: true })
        return
      }
    }
    throw new OAuthError('unknown_state', {
      hint: 'The browser brought no cookie for this login: it took too long, was finished already, began in another browser or under another host name, or cookies are blocked.',
    })
  }

  /** The user was signed out at the server while the login was under way: it has to ask them once more. */
  async function again(req: IncomingMessage, res: ServerResponse, transaction: Transaction): Promise<void> {
    const { state, returnTo, scope, max_age, acr_values, silent, subject } = transaction
    if (isRestarted(state)) {
      throw new OAuthError('login_required', {
        reason: 'session_ended',
        hint: 'The authorization server told of a logout of this user while the login was under way, twice.',
      })
    }
    emit({ type: 'login_restarted' })
    const parameters = {
      ...(max_age !== undefined && { max_age }),
      ...(acr_values !== undefined && { acr_values }),
      ...(silent && { prompt: 'none' }),
    }
    const whose = subject !== undefined && { subject }
    await login.start(req, res, { returnTo, scope, parameters, restarted: true, ...whose })
  }

  async function finalClaims(
    { tokens, claims: idTokenClaims }: Grant,
    { returnTo, subject }: Transaction,
    req: IncomingMessage,
  ): Promise<Claims> {
    const claims = {
      ...(wantsUserinfo && (await profile(tokens, idTokenClaims))),
      ...lasting(idTokenClaims ?? {}),
    }
    if (subject !== undefined && subject !== claims['sub']) {
      discard(tokens)
      throw new OAuthError('login_required', {
        status: 400,
        reason: 'other_subject',
        hint: 'A silent login came back with another user than the one it was for. Start a login without "prompt=none".',
      })
    }
    const chosen = await onLogin?.({
      claims,
      scopes: tokens.scope,
      accessToken: tokens.access_token,
      returnTo,
      request: req,
    })
    if (chosen === undefined) return claims
    // Anything but claims is a no: a hook in JavaScript may return whatever its database gave.
    if (typeof chosen !== 'object' || chosen === null)
      throw new OAuthError('login_refused', { reason: 'on_login' })
    // Who the user is stays the server's word, where the server has said it.
    return { ...chosen, ...(claims['sub'] !== undefined && { sub: claims['sub'] }) }
  }

  async function profile(tokens: TokenSet, idTokenClaims: Claims | undefined): Promise<Claims> {
    const subject = idTokenClaims?.['sub']
    return typeof subject === 'string'
      ? userinfo(client, tokens, subject)
      : plainUserinfo(client, http, tokens)
  }
}

/** Claims about the token rather than the user; they are checked by now and would only take up room. */
const claimsOfTheToken = ['aud', 'azp', 'exp', 'iat', 'nbf', 'jti', 'nonce', 'at_hash', 'c_hash', 's_hash']

function lasting(claims: Claims): Claims {
  return Object.fromEntries(Object.entries(claims).filter(([name]) => !claimsOfTheToken.includes(name)))
}
