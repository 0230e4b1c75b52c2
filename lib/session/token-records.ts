/**
 * Where the tokens of a stored session are: in a record of their own, sealed. Not in `req.session`, because the last of
 * several parallel requests to save that would bring old tokens back.
 */

import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { TokenSet } from '../oauth/token-set.js'
import type { Seal } from '../seal.js'
import { untilDone, type Store } from '../stores/store.js'
import { sessionCall, type ExpressSession } from './express-session.js'
import type { Session } from './session.js'

/** All methods throw `store_unavailable`. */
export interface TokenRecords {
  /** Keeps the tokens of a new session. */
  begin(req: IncomingMessage, session: Session, tokens: TokenSet): Promise<void>
  /** Nothing when the session has ended. */
  read(req: IncomingMessage, session: Session): Promise<TokenSet | undefined>
  /** Keeps renewed tokens, unless newer ones are there. False when the session has ended, which it then has for good. */
  renew(req: IncomingMessage, session: Session, tokens: TokenSet): Promise<boolean>
  end(req: IncomingMessage, session: Session): Promise<void>
}

export interface TokenRecordOptions {
  seal: Seal<TokenSet>
  now: () => number
}

/** Records in the store that all instances share. A renewal is a compare-and-set: no writer undoes another's. */
export function sharedTokenRecords(store: Store, { seal, now }: TokenRecordOptions): TokenRecords {
  const lifetime = (session: Session) => Math.max(1, session.endsAt - now())
  const find = async (key: string) => (await store.get([key]))[0]
  return {
    async begin(_req, session, tokens) {
      const key = recordKey(session)
      await store.set(key, seal.seal(tokens, key), lifetime(session))
    },
    async read(_req, session) {
      const key = recordKey(session)
      const sealed = await find(key)
      return sealed === undefined ? undefined : seal.open(sealed, key)
    },
    async renew(_req, session, tokens) {
      const key = recordKey(session)
      return untilDone(async () => {
        const sealed = await find(key)
        const kept = sealed === undefined ? undefined : seal.open(sealed, key)
        if (sealed === undefined || !kept) return false
        if (kept.generation >= tokens.generation) return true
        const isDone = await store.replace(key, sealed, seal.seal(tokens, key), lifetime(session))
        return isDone || undefined
      })
    },
    async end(_req, session) {
      await store.delete(recordKey(session))
    },
  }
}

export interface ExpressRecordOptions extends TokenRecordOptions {
  expressSession: (req: IncomingMessage) => ExpressSession
  /** Seconds that a call of the store may take. */
  timeout: number
}

/** Records in express-session's own store, which can do no more than get and set. */
export function expressTokenRecords(options: ExpressRecordOptions): TokenRecords {
  const { seal, now, expressSession, timeout } = options

  async function read(req: IncomingMessage, session: Session): Promise<TokenSet | undefined> {
    const key = recordKey(session)
    const found = await sessionCall<unknown>((done) => expressSession(req).store.get(key, done), timeout)
    const sealed = found !== null && typeof found === 'object' && 'tokens' in found ? found.tokens : undefined
    return typeof sealed === 'string' ? seal.open(sealed, key) : undefined
  }

  async function write(req: IncomingMessage, session: Session, tokens: TokenSet): Promise<void> {
    const key = recordKey(session)
    const record = shapedAsSession(seal.seal(tokens, key), session)
    await sessionCall((done) => expressSession(req).store.set(key, record, done), timeout)
  }

  /** Stores read the time to keep a session from its cookie. */
  function shapedAsSession(tokens: string, session: Session): object {
    const maxAge = (session.endsAt - now()) * 1000
    return {
      cookie: { originalMaxAge: maxAge, maxAge, expires: new Date(session.endsAt * 1000), path: '/' },
      tokens,
    }
  }

  return {
    begin: write,
    read,
    async renew(req, session, tokens) {
      const kept = await read(req, session)
      if (!kept) return false
      if (kept.generation < tokens.generation) await write(req, session, tokens)
      return true
    },
    async end(req, session) {
      const key = recordKey(session)
      await sessionCall((done) => expressSession(req).store.destroy(key, done), timeout)
    },
  }
}

/** A digest, so that the store's keys do not give the session's id away. */
function recordKey(session: Session): string {
  return `oauth-tokens-${createHash('sha256').update(session.id).digest('base64url')}`
}
