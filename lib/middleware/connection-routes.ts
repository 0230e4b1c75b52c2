/** What pages and scripts of the site do with connections, over HTTP. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ConnectionChanges } from '../connections/connection-changes.js'
import type { Connection, Connections } from '../connections/connection.js'
import type { Provider } from '../connections/provider.js'
import type { ConnectionStore } from '../connections/connection-store.js'
import { isOAuthError, OAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import { varyByCookie } from '../session/cookies.js'
import type { BrowserSource } from './auth.js'
import type { Connect, ConnectStart, Visitor } from './connect.js'
import { failed, type ConnectOutcomes } from './connect-outcome.js'
import type { CsrfRule } from './csrf.js'
import { navigation, postedFields, redirect, sendJson } from './request.js'
import { localPath } from './return-to.js'

/** Answers a request below the path of the connections; false for one that is not ours. */
export type ConnectionRoutes = (
  req: IncomingMessage,
  res: ServerResponse,
  source: BrowserSource,
  segments: readonly string[],
) => Promise<boolean>

export interface ConnectionRoutesOptions {
  store: ConnectionStore
  changes: ConnectionChanges
  connections: Connections
  providers: ReadonlyMap<string, Provider>
  connect: Connect
  outcomes: ConnectOutcomes
  csrf: CsrfRule
  origin: string
  returnTo: string
  emit: Emit
}

export function createConnectionRoutes(options: ConnectionRoutesOptions): ConnectionRoutes {
  const { store, changes, connections, providers, connect, outcomes, csrf, origin, returnTo, emit } = options

  function providerOf(key: string): Provider {
    const provider = providers.get(key)
    if (provider) return provider
    throw new OAuthError('provider_not_found')
  }

  async function reading(req: IncomingMessage, res: ServerResponse, source: BrowserSource): Promise<Visitor> {
    varyByCookie(res)
    allowOnly(req, 'GET', 'HEAD')
    source.checkCsrf({ ...csrf, safeMethods: true })
    return connect.visitor(req, source)
  }

  async function list(req: IncomingMessage, res: ServerResponse, source: BrowserSource): Promise<void> {
    const { auth, owner } = await reading(req, res, source)
    const records = await store.list(owner)
    sendJson(res, 200, {
      connections: records.map(connections.view),
      outcome: outcomes.take(req, res, auth.sessionId) ?? null,
    })
  }

  async function listProviders(
    req: IncomingMessage,
    res: ServerResponse,
    source: BrowserSource,
  ): Promise<void> {
    await reading(req, res, source)
    const all = [...providers.values()].map(({ key, name, fields }) => ({
      provider: key,
      name,
      fields: fields.asked,
    }))
    sendJson(res, 200, { providers: all })
  }

  /** Sends the user to a provider. A page is told of a failure as an outcome, where its form can be filled in again. */
  async function start(
    req: IncomingMessage,
    res: ServerResponse,
    source: BrowserSource,
    provider: Provider | undefined,
    id?: string,
  ): Promise<void> {
    allowOnly(req, 'POST')
    source.checkCsrf(csrf)
    const visitor = await connect.visitor(req, source)
    const sent = await postedFields(req)
    const to = localPath(sent['return_to'], origin) ?? returnTo
    const record = id === undefined ? undefined : await changes.get(id, visitor.owner)
    const chosen = provider ?? providerOf(record?.provider ?? '')
    try {
      const begun: ConnectStart = record
        ? { provider: chosen, fields: record.fields, reconnects: record.id, returnTo: to }
        : { provider: chosen, fields: chosen.fields.read(sent), returnTo: to }
      await connect.start(req, res, visitor, begun)
    } catch (error) {
      if (!isOAuthError(error)) throw error
      emit({ type: 'connect_failed', provider: chosen.key, code: error.code, error })
      if (navigation(req) !== 'yes') throw error
      outcomes.keep(res, visitor.auth.sessionId, failed(chosen.key, error))
      redirect(res, to, 303)
    }
  }

  async function act(
    req: IncomingMessage,
    res: ServerResponse,
    source: BrowserSource,
    id: string,
    action: (connection: Connection, sent: Record<string, unknown>) => Promise<Connection | void>,
  ): Promise<void> {
    allowOnly(req, 'POST')
    source.checkCsrf(csrf)
    const { owner } = await connect.visitor(req, source)
    const sent = await postedFields(req)
    const changed = await action(connections.connection(await changes.get(id, owner)), sent)
    if (navigation(req) === 'yes') redirect(res, localPath(sent['return_to'], origin) ?? returnTo, 303)
    else sendJson(res, 200, changed ? connections.view(await changes.get(id, owner)) : null)
  }

  const actions = new Map<
    string,
    (connection: Connection, sent: Record<string, unknown>) => Promise<Connection | void>
  >([
    ['rename', (connection, { label }) => connection.rename(label as string)],
    ['test', (connection) => connection.test()],
    ['disconnect', (connection) => connection.disconnect()],
    ['remove', (connection) => connection.remove()],
  ])

  return async (req, res, source, [first, second, ...more]) => {
    if (more.length > 0) return false
    if (first === undefined) await list(req, res, source)
    else if (second === undefined && first === 'providers') await listProviders(req, res, source)
    else if (second === undefined) {
      const { owner } = await reading(req, res, source)
      sendJson(res, 200, connections.view(await changes.get(first, owner)))
    } else if (second === 'connect') await start(req, res, source, providerOf(first))
    else if (second === 'callback') await connect.callback(req, res, source, providerOf(first))
    else if (second === 'reconnect') await start(req, res, source, undefined, first)
    else {
      const action = actions.get(second)
      if (!action) return false
      await act(req, res, source, first, action)
    }
    return true
  }
}

function allowOnly({ method = '' }: IncomingMessage, ...allowed: readonly string[]): void {
  if (!allowed.includes(method))
    throw new OAuthError('method_not_allowed', { headers: { allow: allowed.join(', ') } })
}
