/**
 * The accounts that a user has connected, and what the app does with them. The package answers `/connections/…`: going to a
 * provider, coming back, renaming, disconnecting. The page `/connected` is the app's own.
 */

import express, { type Request, type Router } from 'express'
import {
  getAuth,
  isOAuthError,
  oauthConnections,
  OAuthError,
  requireLogin,
  type Connection,
} from 'express-oauth-kit'
import { ApiError } from './api-client.js'
import type { ConnectionDatabase } from './connections/database.js'
import { createJournal } from './connections/journal.js'
import { connectionProviders, useOf, type ProviderClients } from './connections/providers.js'
import { connectionsPage, missingPage, usePage, type Done } from './connections/views.js'
import { awayFor } from './provider-server.js'
import { sameOrigin } from './same-origin.js'
import type { Viewer } from './views.js'

export interface ConnectionsOptions {
  /** It takes a moment to open, for which nobody has to wait who does not come here. */
  readonly database: Promise<ConnectionDatabase>
  readonly providers: ProviderClients
  /** Seals the tokens. What is sealed must open after a restart, so it has to survive that. */
  readonly secret: string
}

/** Mount it after `oauthLogin`. Without options it says that there are no connections here. */
export function connections(
  options: ConnectionsOptions | undefined,
  { baseUrl, viewer }: { baseUrl: string; viewer: (req: Request) => Viewer },
): Router {
  const router = express.Router()
  // Whoever is not signed in need not wait for the database.
  router.get(/^\/connected(\/|$)/, requireLogin())
  if (!options) {
    return router.get('/connected', (req, res) => {
      res.send(missingPage(viewer(req)).markup)
    })
  }
  const opened = options.database.then((database) =>
    connectionsRouter({ ...options, database, baseUrl, viewer }),
  )
  // Said at once, and to everybody who comes here.
  opened.catch((error: unknown) => console.error(error))
  return router.use((req, res, next) => {
    if (!/^\/connect(ed|ions)(\/|$)/.test(req.path)) return next()
    return opened.then(
      (ready) => ready(req, res, next),
      (cause: unknown) => next(new OAuthError('store_unavailable', { cause })),
    )
  })
}

function connectionsRouter({
  database,
  providers: clients,
  secret,
  baseUrl,
  viewer,
}: Omit<ConnectionsOptions, 'database'> & {
  database: ConnectionDatabase
  baseUrl: string
  viewer: (req: Request) => Viewer
}): Router {
  const providers = connectionProviders(clients)
  const journal = createJournal({
    projects: providers.projects.name,
    [clients.projects.url]: providers.projects.name,
    hotel: providers.hotel.name,
    [clients.hotel.url]: 'Hotel',
  })
  const linked = oauthConnections({
    baseUrl,
    secrets: [secret],
    store: database.store,
    providers,
    // Besides the page below there is the package's own, at /connections.
    page: true,
    returnTo: '/connected',
    fetch: journal.fetch,
    onEvent: journal.onEvent,
  })

  const router = express.Router()
  router.use((req, _res, next) => journal.for(req.auth?.subject ?? '', next))
  router.use(linked)
  router.use(requireLogin())

  router.get('/connected', async (req, res) => {
    const owner = ownerOf(req)
    const list = await linked.for(owner).list()
    const page = connectionsPage(viewer(req), {
      list,
      providers,
      clients,
      outcome: linked.outcome(req, res),
      done: doneOf(req),
      journal: journal.of(owner),
      place: database.place,
    })
    res.send(page.markup)
  })

  // As any route, job or webhook of an app would use it.
  router.get('/connected/:id', async (req, res) => {
    const connection = await linked.for(ownerOf(req)).get(req.params.id)
    const started = performance.now()
    const tables = await useOf(connection, clients).catch((error: unknown) => {
      const isAway = error instanceof ApiError || isServerAway(error)
      if (isAway) res.status(502)
      if (isAway || (isOAuthError(error) && error.code === 'needs_reconnect')) return undefined
      throw error
    })
    const took = Math.round(performance.now() - started)
    // Asked for again: using it may have shown that it does not work.
    const current = await linked.for(ownerOf(req)).get(req.params.id)
    res.send(usePage(viewer(req), current, tables, took).markup)
  })

  const ownForm = sameOrigin(baseUrl)
  const say = (id: string, done: Done['what']) => `/connected?did=${done}&to=${id}`

  // So that one can see a refresh: the provider gives a token that lives one second.
  router.post('/connected/:id/expire', ownForm, async (req, res) => {
    const connection = await linked.for(ownerOf(req)).get(String(req.params['id']))
    await journal
      .shortLived(() => connection.accessToken({ forceRefresh: true }))
      .catch((cause: unknown) => {
        // In its own words: otherwise it would be said of the server that users sign in at.
        throw isServerAway(cause) ? new ApiError(`${connection.provider_name} is away`, { cause }) : cause
      })
    await new Promise((resolve) => setTimeout(resolve, 1050))
    journal.note('plain', `The access token of ${connection.provider_name} is over now.`)
    res.redirect(303, say(connection.id, 'expire'))
  })

  // Does what the user could do in the settings of the provider. The app is not told.
  router.post('/connected/:id/break', ownForm, async (req, res) => {
    const connection = await linked.for(ownerOf(req)).get(String(req.params['id']))
    const { id, provider_name, account_id } = connection
    await post(connection, `/settings/${encodeURIComponent(account_id)}/remove`)
    journal.note('plain', `At ${provider_name}, the access of this app was removed. Nobody tells the app.`)
    res.redirect(303, say(id, 'break'))
  })

  router.post('/connected/:id/away', ownForm, async (req, res) => {
    const connection = await linked.for(ownerOf(req)).get(String(req.params['id']))
    await post(connection, '/away')
    journal.note('plain', `${connection.provider_name} is away for ${awayFor} seconds.`)
    res.redirect(303, say(connection.id, 'away'))
  })

  return router

  /** At the provider, and in its name. One that is away hears nothing. */
  async function post({ provider }: Connection, path: string): Promise<void> {
    const { url } = clients[provider as keyof ProviderClients]
    await fetch(url + path, { method: 'POST', headers: { origin: url }, redirect: 'manual' }).catch(
      (cause: unknown) => {
        throw new ApiError(`${url} cannot be reached`, { cause })
      },
    )
  }
}

/** No token could be had, which says nothing about the connection. */
function isServerAway(error: unknown): boolean {
  return isOAuthError(error) && error.code === 'server_unavailable'
}

function ownerOf(req: Request): string {
  return getAuth(req).subject ?? ''
}

const whats: readonly Done['what'][] = ['expire', 'break', 'away']

function doneOf({ query }: Request): Done | undefined {
  const what = whats.find((one) => one === query['did'])
  return what && { what, id: typeof query['to'] === 'string' ? query['to'] : '' }
}
