/** The app's express-session, as far as we use it. */

import type { IncomingMessage } from 'node:http'
import { OAuthError } from '../errors.js'
import { withinTime } from '../stores/store.js'

type Callback<T = unknown> = (error?: unknown, value?: T) => void

/** What we use of `req.session`. */
interface Session {
  [key: string]: unknown
  regenerate(done: Callback): unknown
  save(done: Callback): unknown
}

/** What we use of its store contract. */
interface SessionStore {
  get(id: string, done: Callback): unknown
  set(id: string, value: unknown, done: Callback): unknown
  destroy(id: string, done: Callback): unknown
}

interface SessionRequest extends IncomingMessage {
  session?: Session
  sessionID?: string
  sessionStore?: SessionStore
}

export interface ExpressSession {
  readonly session: Session
  readonly id: string
  readonly store: SessionStore
}

/** Finds express-session on a request. It is absent when it was never mounted, and when its store is down. */
export function expressSessionAccess(): (req: IncomingMessage) => ExpressSession {
  let wasSeen = false
  return (req) => {
    const { session, sessionID, sessionStore } = req as SessionRequest
    if (session && sessionID !== undefined && sessionStore) {
      wasSeen = true
      return { session, id: sessionID, store: sessionStore }
    }
    if (wasSeen) {
      throw new OAuthError('store_unavailable', {
        reason: 'no_session',
        hint: 'express-session put no session on this request. Is its store down? Is it mounted before oauthLogin?',
      })
    }
    throw new OAuthError('invalid_configuration', {
      message:
        'oauthLogin: storage "session" needs express-session; mount app.use(session({ … })) before oauthLogin',
      hint: 'Mount express-session before oauthLogin, or set "storage" to "cookie".',
    })
  }
}

/** One of its calls as a promise. Throws `store_unavailable` when it fails, or does not answer within `timeout` seconds. */
export function sessionCall<T>(run: (done: Callback<T>) => unknown, timeout: number): Promise<T | undefined> {
  return withinTime(
    () =>
      new Promise<T | undefined>((resolve, reject) => {
        run((error, value) =>
          error ? reject(error instanceof Error ? error : new Error('the store failed')) : resolve(value),
        )
      }),
    timeout,
  )
}
