/** A short memory of a login that has just succeeded, to tell a browser that lost the session from one that had none. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { clearCookie, readCookie, writeCookie } from './cookies.js'

export interface FreshLogin {
  remember(res: ServerResponse): void
  forget(req: IncomingMessage, res: ServerResponse): void
  /** Whether this browser finished a login a moment ago. */
  isRemembered(req: IncomingMessage): boolean
}

/** Seconds. */
const lifetime = 15

/** A cookie of its own. Planted by somebody, it makes a page appear in place of a login, for as long as it is there. */
export function freshLogin(name: string, secure: boolean): FreshLogin {
  const cookie = `${name}.fresh`
  return {
    remember: (res) => writeCookie(res, cookie, '1', { maxAge: lifetime, secure }),
    forget(req, res) {
      if (readCookie(req, cookie) !== undefined) clearCookie(res, cookie, { secure })
    },
    isRemembered: (req) => readCookie(req, cookie) !== undefined,
  }
}
