/** Sessions in the app's own express-session: who the user is, sealed, in `req.session`; the tokens in a record of their own. */

import type { IncomingMessage } from 'node:http'
import type { Seal } from '../seal.js'
import { cookieNames, readCookie } from './cookies.js'
import { sessionCall, type ExpressSession } from './express-session.js'
import type { Session, SessionStorage } from './session.js'
import type { TokenRecords } from './token-records.js'

export interface SessionStorageOptions {
  /** The key in `req.session`. */
  name: string
  seal: Seal<Session>
  expressSession: (req: IncomingMessage) => ExpressSession
  records: TokenRecords
  /** Which of the app's own data in `req.session` stays when the session id changes at login. */
  keepSessionData: boolean | readonly string[]
  /** Seconds that a call of the store may take. */
  storeTimeout: number
}

export function sessionStorage(options: SessionStorageOptions): SessionStorage {
  const { name, seal, expressSession, records, keepSessionData, storeTimeout } = options

  function read(req: IncomingMessage): Session | undefined {
    const { session, id } = expressSession(req)
    const sealed = session[name]
    // Bound to the session id: a value copied into another session of the store does not open there.
    return typeof sealed === 'string' ? seal.open(sealed, id) : undefined
  }

  return {
    ready: (req) => void expressSession(req),

    async begin(req, _res, session, tokens) {
      const previous = read(req)
      const kept = dataToKeep(expressSession(req).session)
      // The tokens first: a store that fails now leaves everything as it was, and never half a session.
      await records.begin(req, session, tokens)
      await sessionCall((done) => expressSession(req).session.regenerate(done), storeTimeout)
      // regenerate() has put a new object with a new id on the request.
      const fresh = expressSession(req)
      Object.assign(fresh.session, kept)
      fresh.session[name] = seal.seal(session, fresh.id)
      try {
        await sessionCall((done) => fresh.session.save(done), storeTimeout)
      } catch (error) {
        delete fresh.session[name] // express-session would try to save it once more, behind our back
        throw error
      }
      // The new session stands by now; old tokens that cannot be deleted end with their time.
      if (previous) await records.end(req, previous).catch(() => undefined)
    },

    mayBeOutdated: false,
    read,
    isUnreadable(req) {
      const { session, id } = expressSession(req)
      if (typeof session[name] === 'string') return read(req) === undefined
      // express-session gives a new session in place of one that it cannot open or find. What its cookie is called only the
      // app knows; a cookie of the app's own that is signed as well costs one more login.
      return cookieNames(req, '').some((cookie) => {
        const value = readCookie(req, cookie) ?? ''
        return value.startsWith('s:') && !value.startsWith(`s:${id}.`)
      })
    },
    isKept: async (req, session) => (await records.read(req, session)) !== undefined,
    tokens: (req, session) => records.read(req, session),
    save: (req, session, tokens) => records.renew(req, session, tokens),
    send: () => undefined,
    canKeep: () => true,

    touch(req, _res, session) {
      const current = expressSession(req)
      current.session[name] = seal.seal(session, current.id) // express-session saves what changed
    },

    forget: (req, session) => records.end(req, session),
    async leave(req) {
      await sessionCall((done) => expressSession(req).session.regenerate(done), storeTimeout)
    },
  }

  function dataToKeep(session: ExpressSession['session']): Record<string, unknown> {
    if (keepSessionData === false) return {}
    const isKept = (key: string) =>
      key !== 'cookie' && key !== name && (keepSessionData === true || keepSessionData.includes(key))
    return Object.fromEntries(Object.entries(session).filter(([key]) => isKept(key)))
  }
}
