/** What pages and scripts of the site do with connections, over HTTP. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ConnectionChanges } from '../connections/connection-changes.js'
import type { Connection, Connections } from '../connections/connection.js'
import type { Provider } from '../connections/provider.js'
import type { ConnectionStore } from '../connections/connection-store.js'
import { isOAuthError, OAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import type { BrowserSource } from './auth.js'
import type { Connect, ConnectStart, Visitor } from './connect.js'
import { done, failed, type Attempt, type ConnectOutcome, type ConnectOutcomes } from './connect-outcome.js'
import type { SendConnectionsPage } from './connections-page.js'
import type { CsrfRule } from './csrf.js'
import type { ConnectAction } from './failure-words.js'
import { navigation, postedFields, redirect, sendJson } from './request.js'
import { localPath } from './return-to.js'

export type ConnectionRoute = (
  req: IncomingMessage,
  res: ServerResponse,
  source: BrowserSource,
) => Promise<void>

/**
 * What answers a request below the path of the connections, by its segments as they were sent: ids and names of providers
 * have nothing that is written otherwise. Nothing for a request that is not ours, such as the visit of a page of the app's.
 */
export type ConnectionRoutes = (
  req: IncomingMessage,
  segments: readonly string[],
) => ConnectionRoute | undefined

export interface ConnectionRoutesOptions {
  store: ConnectionStore
  changes: ConnectionChanges
  connections: Connections
  providers: ReadonlyMap<string, Provider>
  connect: Connect
  outcomes: ConnectOutcomes
  /** Where the package's own page is wanted. */
  sendPage: SendConnectionsPage | undefined
  csrf: CsrfRule
  origin: string
  returnTo: string
  emit: Emit
}

/** A request that may change something, and who made it. */
interface Posted {
  readonly visitor: Visitor
  readonly sent: Readonly<Record<string, unknown>>
  /** Whether a form sent it, so that a page is what comes next. */
  readonly isForm: boolean
  /** The page. */
  readonly to: string
}

type Fields = Posted['sent']

/** What can be done with a connection, and what has been done then. */
type Action = readonly [
  name: ConnectAction,
  status: ConnectOutcome['status'],
  act: (connection: Connection, sent: Fields) => Promise<Connection | void>,
]

const actionList: readonly Action[] = [
  // Whatever it is: `rename` judges it.
  ['rename', 'renamed', (connection, { label }) => connection.rename(label as string)],
  ['test', 'tested', (connection) => connection.test()],
  ['disconnect', 'disconnected', (connection) => connection.disconnect()],
  ['remove', 'removed', (connection) => connection.remove()],
]

const actions: ReadonlyMap<string, Action> = new Map(actionList.map((action) => [action[0], action]))

export function createConnectionRoutes(options: ConnectionRoutesOptions): ConnectionRoutes {
  const { store, changes, connections, providers, connect, outcomes, sendPage, csrf, origin, emit } = options

  function providerOf(key: string): Provider {
    const provider = providers.get(key)
    if (provider) return provider
    throw new OAuthError('provider_not_found')
  }

  /** A GET by a script. What is read is the user's, and no business of other sites. */
  async function reading(req: IncomingMessage, source: BrowserSource): Promise<Visitor> {
    allowOnly(req, 'GET', 'HEAD')
    source.checkCsrf({ ...csrf, safeMethods: true })
    return connect.visitor(req, source)
  }

  async function posted(req: IncomingMessage, source: BrowserSource): Promise<Posted> {
    allowOnly(req, 'POST')
    const sent = await postedFields(req)
    source.checkCsrf(csrf, sent['csrf_token'])
    const visitor = await connect.visitor(req, source)
    const to = localPath(sent['return_to'], origin) ?? options.returnTo
    return { visitor, sent, isForm: navigation(req) === 'yes', to }
  }

  /** A HEAD shows nobody what came of it. */
  function outcomeFor(
    req: IncomingMessage,
    res: ServerResponse,
    { auth }: Visitor,
  ): ConnectOutcome | undefined {
    return req.method === 'GET' ? outcomes.take(req, res, auth.sessionId) : undefined
  }

  const list: ConnectionRoute = async (req, res, source) => {
    const visitor = await reading(req, source)
    const records = await store.list(visitor.owner)
    sendJson(res, 200, {
      connections: records.map(connections.view),
      outcome: outcomeFor(req, res, visitor) ?? null,
    })
  }

  const listProviders: ConnectionRoute = async (req, res, source) => {
    await reading(req, source)
    const all = [...providers.values()].map(({ key, name, fields }) => ({
      provider: key,
      name,
      fields: fields.asked,
    }))
    sendJson(res, 200, { providers: all })
  }

  const show =
    (id: string): ConnectionRoute =>
    async (req, res, source) => {
      const { owner } = await reading(req, source)
      sendJson(res, 200, connections.view(await changes.get(id, owner)))
    }

  /** A link on any site may lead here: the page is shown to its user, and to no other site. */
  const page =
    (send: SendConnectionsPage): ConnectionRoute =>
    async (req, res, source) => {
      const visitor = await connect.visitor(req, source)
      const records = await store.list(visitor.owner)
      send(res, {
        connections: records.map(connections.view),
        providers: [...providers.values()].map(({ key, name, fields }) => ({
          key,
          name,
          fields: fields.asked,
        })),
        outcome: outcomeFor(req, res, visitor),
        csrfToken: visitor.auth.csrfToken,
      })
    }

  const connectNew =
    (key: string): ConnectionRoute =>
    async (req, res, source) => {
      const request = await posted(req, source)
      const provider = providerOf(key)
      const values = filledIn(provider, request.sent)
      await start(req, res, request, { action: 'connect', provider, values }, () => ({
        provider,
        fields: provider.fields.read(request.sent),
        returnTo: request.to,
      }))
    }

  const reconnect =
    (id: string): ConnectionRoute =>
    async (req, res, source) => {
      const request = await posted(req, source)
      const { provider: key, fields } = await changes.get(id, request.visitor.owner)
      const provider = providerOf(key)
      const begun = { provider, fields, reconnects: id, returnTo: request.to }
      await start(req, res, request, { action: 'reconnect', provider, connection: id }, () => begun)
    }

  /** Sends the user to a provider. A page is told of a failure as an outcome, where its form can be filled in again. */
  async function start(
    req: IncomingMessage,
    res: ServerResponse,
    { visitor, isForm, to }: Posted,
    attempt: Attempt,
    begun: () => ConnectStart,
  ): Promise<void> {
    try {
      await connect.start(req, res, visitor, begun())
    } catch (error) {
      if (!isOAuthError(error)) throw error
      emit({ type: 'connect_failed', provider: attempt.provider.key, code: error.code, error })
      if (!isForm) throw error
      outcomes.keep(res, visitor.auth.sessionId, failed(error, attempt))
      redirect(res, to, 303)
    }
  }

  const acting =
    (id: string, [name, status, act]: Action): ConnectionRoute =>
    async (req, res, source) => {
      const { visitor, sent, isForm, to } = await posted(req, source)
      const { auth, owner } = visitor
      const record = await changes.get(id, owner)
      let outcome = done(name, status, record)
      try {
        const changed = await act(connections.connection(record), sent)
        if (!isForm) sendJson(res, 200, changed ? connections.view(await changes.get(id, owner)) : null)
      } catch (error) {
        if (!isForm || !isOAuthError(error)) throw error
        if (error.status >= 500) emit({ type: 'request_failed', code: error.code, error })
        const provider = { key: record.provider, name: connections.view(record).provider_name }
        outcome = failed(error, { action: name, provider, connection: id })
      }
      if (!isForm) return
      outcomes.keep(res, auth.sessionId, outcome)
      redirect(res, to, 303)
    }

  return (req, [first, second, ...more]) => {
    if (more.length > 0) return undefined
    if (second === undefined) {
      // A page at this address is the package's own, or one of the app's that comes after this.
      if (isVisit(req)) return first === undefined && sendPage ? page(sendPage) : undefined
      if (first === undefined) return list
      return first === 'providers' ? listProviders : show(first)
    }
    const name = first ?? ''
    if (second === 'connect') return connectNew(name)
    if (second === 'callback')
      return async (...request) => {
        await connect.callback(...request, providerOf(name))
      }
    if (second === 'reconnect') return reconnect(name)
    const action = actions.get(second)
    return action && acting(name, action)
  }
}

/** What a form had in the fields of the provider. */
function filledIn({ fields }: Provider, sent: Fields): Record<string, string> | undefined {
  const values = fields.asked.flatMap(({ name }) => {
    const value = Object.hasOwn(sent, name) ? sent[name] : undefined
    return typeof value === 'string' ? [[name, value] as const] : []
  })
  return values.length > 0 ? Object.fromEntries(values) : undefined
}

function isVisit(req: IncomingMessage): boolean {
  return (req.method === 'GET' || req.method === 'HEAD') && navigation(req) === 'yes'
}

function allowOnly({ method = '' }: IncomingMessage, ...allowed: readonly string[]): void {
  if (!allowed.includes(method))
    throw new OAuthError('method_not_allowed', { headers: { allow: allowed.join(', ') } })
}
