/** Connecting an account: the user goes to the provider, and comes back as the one who went. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { appAnswer } from '../app-answer.js'
import type { Linking } from '../connections/linking.js'
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
  /** Sends the browser to the provider, or tells a script where to. Throws `server_unavailable` and the like. */
  start(req: IncomingMessage, res: ServerResponse, visitor: Visitor, start: ConnectStart): Promise<void>
  /** Answers the callback of a provider. Throws when it does not belong to this user; other failures are outcomes. */
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

  return {
    visitor,

    async start(req, res, { auth, owner }, { provider, fields, reconnects, returnTo }) {
      const { client } = provider.server(fields)
      const { url, transaction } = await authorizationRequest(client, {
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
        ...(reconnects !== undefined && { reconnects }),
        returnTo,
      })
      if (navigation(req) === 'yes') sendMovingOnPage(res, url, 'Connecting')
      else sendJson(res, 200, { location: url })
    },

    async callback(req, res, source, provider) {
      if (req.method !== 'GET') throw new OAuthError('method_not_allowed', { headers: { allow: 'GET' } })
      const parameters = queryParameters(req)
      const transaction = await transactions.take(req, res, callbackState(parameters))
      if (!transaction) {
        throw new OAuthError('unknown_state', {
          hint: 'The browser brought no cookie for this: it took too long, was finished already, or began in another browser.',
        })
      }
      if (transaction.provider !== provider.key)
        throw new OAuthError('invalid_callback', { reason: 'other_provider' })
      const { auth, owner } = await visitor(req, source).catch((error: unknown) => {
        throw isOAuthError(error) && error.code === 'login_required' ? otherUser('signed_out') : error
      })
      const isSame =
        isSameSecret(auth.sessionId, transaction.session) &&
        auth.subject === transaction.subject &&
        owner === transaction.owner
      if (!isSame) throw otherUser('other_user')
      try {
        const { client } = provider.server(transaction.fields)
        const grant = await authorizationCodeGrant(client, transaction, parameters)
        const { fields, reconnects } = transaction
        const { record, isNew } = await linking({
          provider,
          owner,
          fields,
          grant,
          ...(reconnects !== undefined && { reconnects }),
        })
        outcomes.keep(res, auth.sessionId, succeeded(record, isNew))
      } catch (error) {
        if (!isOAuthError(error)) throw error
        emit({ type: 'connect_failed', provider: provider.key, code: error.code, error })
        outcomes.keep(res, auth.sessionId, failed(provider.key, error))
      }
      redirect(res, transaction.returnTo, 303)
    },
  }
}

function otherUser(reason: string): OAuthError {
  return new OAuthError('other_user', {
    reason,
    hint: 'Connecting ends in the session in which it began: the user signed out, or signed in again, on the way.',
  })
}
