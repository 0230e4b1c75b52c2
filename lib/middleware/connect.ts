/** Connecting an account: the user goes to the provider, and comes back as the one who went. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { appAnswer } from '../app-answer.js'
import type { Linked, Linking } from '../connections/linking.js'
import type { Provider } from '../connections/provider.js'
import type { FieldValues } from '../connections/url-template.js'
import { isOAuthError, OAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import { authorizationCodeGrant, callbackState } from '../oauth/authorization-code.js'
import { authorizationRequest, type AuthorizationTransaction } from '../oauth/authorization-request.js'
import { isSameSecret } from '../secret.js'
import type { Transactions } from '../session/transaction.js'
import type { BrowserSource, SessionAuth } from './auth.js'
import { failed, succeeded, type ConnectOutcomes } from './connect-outcome.js'
import { sendMovingOnPage } from './page.js'
import { navigation, queryParameters, redirect, sendJson } from './request.js'

/** A connection in flight. Whoever comes back must be who went. */
export interface ConnectTransaction extends AuthorizationTransaction {
  readonly provider: string
  readonly owner: string
  /** Names the session; another one is another user, whoever they say they are. */
  readonly session: string
  readonly subject?: string
  readonly fields: FieldValues
  /** Where the code is to be redeemed: the server may have come to name another place when the user is back. */
  readonly tokenOrigin: string
  /** The connection that is to be made again. */
  readonly reconnects?: string
  readonly returnTo: string
}

export interface ConnectStart {
  readonly provider: Provider
  readonly fields: FieldValues
  readonly reconnects?: string
  readonly returnTo: string
}

/** Who asks, and for whom. */
export interface Visitor {
  readonly auth: SessionAuth
  readonly owner: string
}

export interface Connect {
  /**
   * Sends the browser to the provider, or tells a script where to. Throws `invalid_fields`, `invalid_request` for what is
   * too long to wait in a cookie, and what asking for the server's metadata throws.
   */
  start(req: IncomingMessage, res: ServerResponse, visitor: Visitor, start: ConnectStart): Promise<void>
  /**
   * Answers the callback of a provider. Throws when the answer does not belong to this user: `unknown_state`,
   * `invalid_callback`, `other_user`, `access_denied`. From there on, failures are outcomes.
   */
  callback(
    req: IncomingMessage,
    res: ServerResponse,
    source: BrowserSource,
    provider: Provider,
  ): Promise<void>
  /** Who asks. Throws `login_required`, and `access_denied` where the app names no owner. */
  visitor(req: IncomingMessage, source: BrowserSource): Promise<Visitor>
}

export interface ConnectOptions {
  transactions: Transactions<ConnectTransaction>
  outcomes: ConnectOutcomes
  linking: Linking
  owner: ((req: IncomingMessage) => string | undefined | Promise<string | undefined>) | undefined
  emit: Emit
}

export function createConnect({
  transactions,
  outcomes,
  linking,
  owner: ownerOf,
  emit,
}: ConnectOptions): Connect {
  async function visitor(req: IncomingMessage, source: BrowserSource): Promise<Visitor> {
    const auth = await source.confirm()
    const owner: unknown = ownerOf ? await appAnswer('owner', () => ownerOf(req)) : auth.subject
    if (typeof owner === 'string' && owner !== '') return { auth, owner }
    throw new OAuthError('access_denied', {
      reason: 'no_owner',
      hint: 'The function "owner" gave no name. At a server without OpenID Connect users have none by themselves: set "owner".',
    })
  }

  /** The transaction that this answer ends, and the user who began it, still signed in. */
  async function whoCameBack(
    req: IncomingMessage,
    res: ServerResponse,
    source: BrowserSource,
    provider: Provider,
  ): Promise<{ transaction: ConnectTransaction; auth: SessionAuth }> {
    const state = callbackState(queryParameters(req))
    // While nothing is spent: where it cannot be known who came, another try finds everything as it was.
    const came = await unlessSignedOut(visitor(req, source))
    const transaction = await transactions.take(req, res, state)
    if (!transaction) {
      throw new OAuthError('unknown_state', {
        hint: 'The browser brought no cookie for this: it took too long, was finished already, or began in another browser.',
      })
    }
    if (transaction.provider !== provider.key) {
      throw new OAuthError('invalid_callback', {
        reason: 'other_provider',
        hint: 'This is the callback of another provider than the one that the user was sent to. Each has a redirect URI of its own: see redirectUris().',
      })
    }
    if (!came) throw otherUser('signed_out')
    if (!isWhoWent(came, transaction))
      throw otherUser(isSamePerson(came, transaction) ? 'other_session' : 'other_user')
    return { transaction, auth: came.auth }
  }

  async function link(
    req: IncomingMessage,
    provider: Provider,
    transaction: ConnectTransaction,
  ): Promise<Linked> {
    const { owner, fields, reconnects, tokenOrigin } = transaction
    const server = provider.server(fields)
    const origin = await server.tokenOrigin()
    if (origin !== tokenOrigin) {
      throw new OAuthError('issuer_mismatch', {
        reason: 'token_endpoint_moved',
        hint: `The user was sent away when tokens came from ${tokenOrigin}, and the server now names ${origin}. If that is right, another try will do.`,
      })
    }
    const grant = await authorizationCodeGrant(server.client, transaction, queryParameters(req))
    const reconnected = reconnects !== undefined && { reconnects }
    return linking({ provider, owner, fields, tokenOrigin, grant, ...reconnected })
  }

  function tell(provider: Provider, thrown: unknown): OAuthError {
    const error = isOAuthError(thrown)
      ? thrown
      : new OAuthError('invalid_configuration', { reason: 'threw', cause: thrown })
    emit({ type: 'connect_failed', provider: provider.key, code: error.code, error })
    return error
  }

  return {
    visitor,

    async start(req, res, { auth, owner }, { provider, fields, reconnects, returnTo }) {
      const server = provider.server(fields)
      const { url, transaction } = await authorizationRequest(server.client, {
        scope: provider.scope,
        parameters: provider.authorizationParameters,
        responseMode: 'query',
        ...(provider.resource !== undefined && { resource: provider.resource }),
      })
      transactions.begin(req, res, {
        ...transaction,
        provider: provider.key,
        owner,
        session: auth.sessionId,
        ...(auth.subject !== undefined && { subject: auth.subject }),
        fields,
        tokenOrigin: await server.tokenOrigin(),
        ...(reconnects !== undefined && { reconnects }),
        returnTo,
      })
      if (navigation(req) === 'yes') sendMovingOnPage(res, url, 'Connecting')
      else sendJson(res, 200, { location: url })
    },

    async callback(req, res, source, provider) {
      if (req.method !== 'GET') throw new OAuthError('method_not_allowed', { headers: { allow: 'GET' } })
      // A prefetch, a frame or an image: nobody has come, and whoever comes must find everything as it was.
      if (navigation(req) === 'no') throw new OAuthError('invalid_callback', { reason: 'no_navigation' })
      const { transaction, auth } = await whoCameBack(req, res, source, provider).catch((error: unknown) => {
        tell(provider, error)
        throw error
      })
      const { reconnects: connection, fields } = transaction
      const action = connection === undefined ? 'connect' : 'reconnect'
      try {
        outcomes.keep(res, auth.sessionId, succeeded(action, await link(req, provider, transaction)))
      } catch (error) {
        const told = tell(provider, error)
        if (told !== error) throw error
        const values = action === 'connect' && Object.keys(fields).length > 0 ? fields : undefined
        outcomes.keep(res, auth.sessionId, failed(told, { action, provider, connection, values }))
      }
      redirect(res, transaction.returnTo, 303)
    },
  }
}

/** Nobody for who is signed out: a login would come back here, with a code that is spent. */
async function unlessSignedOut(visitor: Promise<Visitor>): Promise<Visitor | undefined> {
  try {
    return await visitor
  } catch (error) {
    if (isOAuthError(error) && error.code === 'login_required') return undefined
    throw error
  }
}

function isWhoWent(visitor: Visitor, transaction: ConnectTransaction): boolean {
  return isSameSecret(visitor.auth.sessionId, transaction.session) && isSamePerson(visitor, transaction)
}

function isSamePerson({ auth, owner }: Visitor, transaction: ConnectTransaction): boolean {
  return auth.subject === transaction.subject && owner === transaction.owner
}

/** What happened on the way. */
const changes = {
  signed_out: 'the user signed out, or the session ran out',
  other_session: 'the same user signed in again',
  other_user: 'somebody else signed in, or the app has another owner for the user',
} as const

/**
 * The code is neither redeemed nor passed on: whoever is at the browser now must not be given what is another's, and a grant
 * that nobody wants is best not made. It stays in the address of the error page. Without the verifier of this transaction,
 * which has just been spent, it is of no use (RFC 7636 §1). A server that forgets to ask for that would take it at the end of
 * another connecting as well (RFC 9700 §4.5).
 */
function otherUser(reason: keyof typeof changes): OAuthError {
  return new OAuthError('other_user', {
    reason,
    hint: `Connecting ends in the session in which it began, and ${changes[reason]} on the way. Nothing was redeemed.`,
  })
}
