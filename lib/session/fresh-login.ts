/** A short memory of a login that has just succeeded, to tell a browser that lost the session from one that had none. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { clearCookie, readCookie, writeCookie } from './cookies.js'

export interface FreshLogin {
  /** `session` is the handle of the one that began. */
  remember(res: ServerResponse, session: string): void
  forget(req: IncomingMessage, res: ServerResponse): void
  /** The session that this browser began a moment ago, by its handle. */
  remembered(req: IncomingMessage): string | undefined
}

/** Seconds. */
const lifetime = 15

/** A cookie of its own. Planted by somebody, it makes a page appear in place of a login, for as long as it is there. */
export function freshLogin(name: string, secure: boolean): FreshLogin {
  const cookie = `${name}.fresh`
  return {
    remember: (res, session) => writeCookie(res, cookie, session, { maxAge: lifetime, secure }),
    forget(req, res) {
      if (readCookie(req, cookie) !== undefined) clearCookie(res, cookie, { secure })
    },
    remembered: (req) => readCookie(req, cookie),
  }
}
