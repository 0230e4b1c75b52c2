/**
 * Sessions in the app's own express-session. Claims are in `req.session`; the tokens are a record of their own in the
 * same store, because the last of several parallel requests to save `req.session` would bring old tokens back.
 */

import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { OAuthError } from '../errors.js'
import type { TokenSet } from '../oauth/token-set.js'
import type { Seal } from './seal.js'
import type { Session, SessionStorage } from './session.js'

type Callback<T = unknown> = (error?: unknown, value?: T) => void

/** What we use of express-session's `req.session`. */
interface ExpressSession {
  [key: string]: unknown
  regenerate(done: Callback): unknown
  save(done: Callback): unknown
}

/** What we use of its store contract. */
interface ExpressStore {
  get(id: string, done: Callback): unknown
  set(id: string, value: unknown, done: Callback): unknown
  destroy(id: string, done: Callback): unknown
}

interface SessionRequest extends IncomingMessage {
  session?: ExpressSession
  sessionID?: string
  sessionStore?: ExpressStore
}

export interface SessionStorageOptions {
  /** The key in `req.session`. */
  name: string
  sessionSeal: Seal<Session>
  tokensSeal: Seal<TokenSet>
  /** Which of the app's own data in `req.session` stays when the session id changes at login. */
  keepSessionData: boolean | readonly string[]
  /** Seconds that a call of the store may take. */
  storeTimeout: number
  now: () => number
}

export function sessionStorage(options: SessionStorageOptions): SessionStorage {
  const { name, sessionSeal, tokensSeal, keepSessionData, storeTimeout, now } = options
  const expressSession = expressSessionAccess()
  const call = <T>(run: (done: Callback<T>) => unknown) => storeCall(run, storeTimeout)

  function read(req: IncomingMessage): Session | undefined {
    const { session, id } = expressSession(req)
    const sealed = session[name]
    // Bound to the session id: a value copied into another session of the store does not open there.
    return typeof sealed === 'string' ? sessionSeal.open(sealed, id) : undefined
  }

  return {
    ready: (req) => void expressSession(req),

    async begin(req, _res, session, tokens) {
      const previous = read(req)
      const kept = dataToKeep(expressSession(req).session)
      // The tokens first: a store that fails now leaves everything as it was, and never half a session.
      await keepTokens(req, session, tokens)
      await call((done) => expressSession(req).session.regenerate(done))
      // regenerate() has put a new object with a new id on the request.
      const fresh = expressSession(req)
      Object.assign(fresh.session, kept)
      fresh.session[name] = sessionSeal.seal(session, fresh.id)
      try {
        await call((done) => fresh.session.save(done))
      } catch (error) {
        delete fresh.session[name] // express-session would try to save it once more, behind our back
        throw error
      }
      // The new session stands by now; old tokens that cannot be deleted end with their time.
      if (previous) await forgetTokens(req, previous).catch(() => undefined)
    },

    read,

    async tokens(req, session) {
      const key = recordKey(session)
      const found = await call<unknown>((done) => expressSession(req).store.get(key, done))
      const sealed =
        found !== null && typeof found === 'object' && 'tokens' in found ? found.tokens : undefined
      return typeof sealed === 'string' ? tokensSeal.open(sealed, key) : undefined
    },

    async save(req, session, tokens) {
      await keepTokens(req, session, tokens)
      if (tokens.scope.join(' ') !== session.scope.join(' ')) {
        const current = expressSession(req)
        current.session[name] = sessionSeal.seal({ ...session, scope: tokens.scope }, current.id)
      }
    },
    send: () => undefined,
    canKeep: () => true,

    touch(req, _res, session) {
      const current = expressSession(req)
      current.session[name] = sessionSeal.seal(session, current.id) // express-session saves what changed
    },

    async end(req, _res, session) {
      await forgetTokens(req, session)
      await call((done) => expressSession(req).session.regenerate(done))
    },
  }

  async function keepTokens(req: IncomingMessage, session: Session, tokens: TokenSet): Promise<void> {
    const key = recordKey(session)
    const sealed = record(tokensSeal.seal(tokens, key), session)
    await call((done) => expressSession(req).store.set(key, sealed, done))
  }

  async function forgetTokens(req: IncomingMessage, session: Session): Promise<void> {
    await call((done) => expressSession(req).store.destroy(recordKey(session), done))
  }

  /** In the shape of a session, because stores read the time to keep it from its cookie. */
  function record(tokens: string, session: Session): object {
    const maxAge = (session.endsAt - now()) * 1000
    return {
      cookie: { originalMaxAge: maxAge, maxAge, expires: new Date(session.endsAt * 1000), path: '/' },
      tokens,
    }
  }

  function dataToKeep(session: ExpressSession): Record<string, unknown> {
    if (keepSessionData === false) return {}
    const isKept = (key: string) =>
      key !== 'cookie' && key !== name && (keepSessionData === true || keepSessionData.includes(key))
    return Object.fromEntries(Object.entries(session).filter(([key]) => isKept(key)))
  }
}

/** A digest, so that the store's keys do not give the session's id away. */
function recordKey(session: Session): string {
  return `oauth-tokens-${createHash('sha256').update(session.id).digest('base64url')}`
}

/** Finds express-session on a request. It is absent when it was never mounted, and when its store is down. */
function expressSessionAccess(): (req: IncomingMessage) => {
  session: ExpressSession
  id: string
  store: ExpressStore
} {
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

async function storeCall<T>(run: (done: Callback<T>) => unknown, timeout: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  try {
    return await new Promise<T | undefined>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${timeout} s`)), timeout * 1000)
      run((error, value) =>
        error ? reject(error instanceof Error ? error : new Error('the store failed')) : resolve(value),
      )
    })
  } catch (cause) {
    throw new OAuthError('store_unavailable', { cause })
  } finally {
    clearTimeout(timer)
  }
}
