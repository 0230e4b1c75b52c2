/** A short memory of a login that has just succeeded, to tell a browser that lost the session from one that had none. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { clearCookie, readCookie, writeCookie } from './cookies.js'

export interface FreshLogin {
  /** `session` is the handle of the one that began. */
  remember(req: IncomingMessage, res: ServerResponse, session: string): void
  forget(req: IncomingMessage, res: ServerResponse): void
  /** The session that this browser began a moment ago, by its handle. */
  remembered(req: IncomingMessage): string | undefined
  /**
   * Whether another login may follow at once on the one that is remembered, which is forgotten then. Not twice: instances
   * with different secrets would send a browser round without an end.
   */
  mayRestart(req: IncomingMessage, res: ServerResponse): boolean
}

/** Seconds. */
const lifetime = 15
/** Stands behind the handle of a session, which has none. */
const restarted = '~'

/** A cookie of its own. Planted by somebody, it makes a page appear in place of a login, for as long as it is there. */
export function freshLogin(name: string, secure: boolean): FreshLogin {
  const cookie = `${name}.fresh`
  const isRestarted = (req: IncomingMessage) => readCookie(req, cookie)?.endsWith(restarted) === true
  const write = (res: ServerResponse, value: string) =>
    writeCookie(res, cookie, value, { maxAge: lifetime, secure })
  return {
    remember: (req, res, session) => write(res, isRestarted(req) ? session + restarted : session),
    forget(req, res) {
      if (readCookie(req, cookie) !== undefined) clearCookie(res, cookie, { secure })
    },
    remembered: (req) => readCookie(req, cookie)?.replace(restarted, '') || undefined,
    mayRestart(req, res) {
      if (isRestarted(req)) return false
      write(res, restarted)
      return true
    },
  }
}
