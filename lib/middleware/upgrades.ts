/** Session users on connections that leave HTTP, such as WebSockets: who asks for one, and the answer (RFC 6455 §4.2). */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { OAuthError } from '../errors.js'
import { sessionCall } from '../session/express-session.js'
import type { Sessions } from '../session/session.js'
import { answerUpgrade, upgradeResponse } from '../upgrade-response.js'
import { attachSession, type BrowserSource, type SessionAuth } from './auth.js'
import type { Refusals } from './refusals.js'
import { sendJson } from './request.js'
import { SessionSource, type SessionSourceOptions } from './session-source.js'

export interface AuthenticateUpgradeOptions {
  /** With storage `session`: the app's express-session, which is run on the request. Default: it has been run. */
  session?(req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void): unknown
}

/** For `server.on('upgrade', (req, socket, head) => …)`. */
export interface Upgrades {
  /**
   * The user who asks for a WebSocket; `getAuth(req)` knows them from then on. Called again for an open one, it tells
   * whether the session still lives. Throws `csrf_rejected` when the `Origin` header is not this site's, `login_required`
   * when nobody is signed in, `store_unavailable` when that cannot be known, and `invalid_configuration` when
   * express-session has not seen the request.
   */
  authenticateUpgrade(req: IncomingMessage, options?: AuthenticateUpgradeOptions): Promise<SessionAuth>
  /**
   * The header lines that the answer 101 has to bring to the browser: cookies with refreshed tokens, if there are any. No
   * further ones can be kept in a cookie from then on.
   */
  upgradeHeaders(req: IncomingMessage): string[]
  /**
   * Answers the request with an error and closes the socket: `401` with JSON, for instance. Without an error it is `404`.
   * Never throws.
   */
  refuseUpgrade(req: IncomingMessage, socket: Duplex, error?: unknown): void
}

export interface UpgradesOptions {
  source: SessionSourceOptions
  sessions: Sessions
  refusals: Refusals
  /** The origin of this site. */
  origin: string
  /** Seconds that express-session may take. */
  storeTimeout: number
}

/** The session of a request for an upgrade by a page of this site, whoever's it is. Throws as `authenticateUpgrade` does. */
export type UpgradeSource = (
  req: IncomingMessage,
  options: AuthenticateUpgradeOptions,
) => Promise<BrowserSource>

/** By the method that stands on it, so that a login that was wrapped is known, too. */
const sources = new WeakMap<Upgrades['authenticateUpgrade'], UpgradeSource>()

/** Nothing for what no `oauthLogin` has made. */
export function upgradeSourceOf(login: Upgrades | undefined): UpgradeSource | undefined {
  return login && sources.get(login.authenticateUpgrade)
}

export function createUpgrades(settings: UpgradesOptions): Upgrades {
  const { source, sessions, refusals, origin, storeTimeout } = settings

  const upgradeSource: UpgradeSource = async (req, { session }) => {
    const res = upgradeResponse(req)
    // No CORS and no SameSite=Lax keeps a page of a sibling domain from opening one with the user's cookies.
    if (req.headers.origin !== origin) throw wrongOrigin(req)
    if (session) {
      await sessionCall((done) => session(req, res, done), storeTimeout)
      if (!('session' in req)) throw new OAuthError('store_unavailable', { reason: 'no_session' })
    }
    sessions.ready(req)
    const user = new SessionSource(req, res, () => undefined, source)
    attachSession(req, user)
    return user
  }

  const authenticateUpgrade: Upgrades['authenticateUpgrade'] = async (req, options = {}) =>
    (await upgradeSource(req, options)).confirm()
  sources.set(authenticateUpgrade, upgradeSource)

  return {
    authenticateUpgrade,

    upgradeHeaders(req) {
      const res = upgradeResponse(req)
      if (!res.headersSent) res.writeHead(101) // whoever has a cookie to add is called now
      return [res.getHeader('set-cookie') ?? []].flat().map((cookie) => `Set-Cookie: ${cookie}`)
    },

    refuseUpgrade(req, socket, error) {
      answerUpgrade(req, socket, (res) => {
        if (error === undefined) sendNotFound(res)
        else refusals.answerScript(error, res)
      })
    },
  }
}

/** A server's listener that asks one after the other who takes an upgrade, and answers `404` when nobody does. */
export function upgradeListener(...handlers: readonly UpgradeHandler[]) {
  return (req: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const isTaken = handlers.some((takes) => takes(req, socket, head))
    // Node leaves the socket to us: one that nobody answers stays open for ever.
    if (!isTaken) answerUpgrade(req, socket, sendNotFound)
  }
}

/** False: not for me, and nothing was done. True: the socket is taken, and is answered or closed in any case. */
export type UpgradeHandler = (req: IncomingMessage, socket: Duplex, head: Buffer) => boolean

function sendNotFound(res: ServerResponse): void {
  sendJson(res, 404, { error: 'not_found', error_description: 'There is nothing here.' })
}

function wrongOrigin({ headers }: IncomingMessage): OAuthError {
  return new OAuthError('csrf_rejected', {
    reason: headers.origin === undefined ? 'no_origin' : 'foreign_origin',
    hint: 'The header "Origin" must be the origin of "baseUrl": pages of other sites may open WebSockets, too, and the browser sends the cookies along.',
  })
}
