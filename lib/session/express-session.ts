/** The app's express-session, as far as we use it. */

import type { IncomingMessage } from 'node:http'
import { OAuthError } from '../errors.js'
import { withinTime } from '../stores/store.js'
import { isUpgrade } from '../upgrade-response.js'

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
  const seenOn = { requests: false, upgrades: false }
  return (req) => {
    const { session, sessionID, sessionStore } = req as SessionRequest
    const kind = isUpgrade(req) ? 'upgrades' : 'requests'
    if (session && sessionID !== undefined && sessionStore) {
      seenOn[kind] = true
      return { session, id: sessionID, store: sessionStore }
    }
    if (seenOn[kind]) {
      throw new OAuthError('store_unavailable', {
        reason: 'no_session',
        hint: 'express-session put no session on this request. Is its store down? Is it mounted before oauthLogin?',
      })
    }
    if (kind === 'upgrades') {
      throw new OAuthError('invalid_configuration', {
        message:
          'authenticateUpgrade: storage "session" needs express-session, which has not run on this upgrade; pass it as { session }',
        hint: 'Middlewares do not see upgrades. Pass the express-session of the app: authenticateUpgrade(req, { session }).',
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
