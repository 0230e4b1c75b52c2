/** The session of a signed-in user: begins at login with a new id, is read while it lives, and ends. */

import { createHash, randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { expiringMap } from '../expiring-map.js'
import type { Claims } from '../jose/jwt.js'
import type { Authentication } from '../oauth/authentication.js'
import type { TokenSet } from '../oauth/token-set.js'
import { sessionHandle, type Endings } from './endings.js'

/** `acr` and `authTime` are the ID token's word, whatever the app made of `claims`. */
export interface Session extends Authentication {
  /** Random, known to nobody but the session itself; {@link sessionHandle} is the name that others may know. */
  readonly id: string
  readonly issuer: string
  /** The user, by the server's name for them; missing at servers without OpenID Connect. */
  readonly subject?: string
  /** The session at the server that this one came from (OpenID Connect Front-Channel Logout §3). */
  readonly sid?: string
  readonly claims: Claims
  /** Granted scopes. */
  readonly scope: readonly string[]
  /** Seconds since the epoch, by the server's clock: when the ID token was issued. */
  readonly issuedAt?: number
  /** Seconds since the epoch: when it began, was last seen to be used, and ends however much it is used. */
  readonly startedAt: number
  readonly seenAt: number
  readonly endsAt: number
}

/** Where sessions are kept. */
export interface SessionStorage {
  /** Throws `invalid_configuration` or `store_unavailable` where no session could be kept. */
  ready(req: IncomingMessage): void
  /** Keeps a new session in place of whatever was there. */
  begin(req: IncomingMessage, res: ServerResponse, session: Session, tokens: TokenSet): Promise<void>
  /** Whether the tokens at hand may have been renewed since: a browser sends what has reached it. */
  readonly mayBeOutdated: boolean
  /** What is at hand without asking a store; nothing when nobody is signed in. */
  read(req: IncomingMessage): Session | undefined
  /** Whether the browser brought one that does not open: sealed with a secret of before, or gone from the store. */
  isUnreadable(req: IncomingMessage): boolean
  /** Whether the session still has its tokens. Throws `store_unavailable`. */
  isKept(req: IncomingMessage, session: Session): Promise<boolean>
  /** The tokens; nothing when the session was ended elsewhere. Throws `store_unavailable`. */
  tokens(req: IncomingMessage, session: Session): Promise<TokenSet | undefined>
  /**
   * Keeps renewed tokens where all requests of the session see them, unless newer ones are there. False when the session
   * has ended. Nothing to do without a store.
   */
  save(req: IncomingMessage, session: Session, tokens: TokenSet): Promise<boolean>
  /** Gives renewed tokens to the browser; nothing to do with a store. */
  send(req: IncomingMessage, res: ServerResponse, session: Session, tokens: TokenSet): void
  /** Whether renewed tokens can still be kept: a cookie cannot be set once the response has begun. */
  canKeep(res: ServerResponse): boolean
  /** Keeps a changed session; its tokens stay as they are. */
  touch(req: IncomingMessage, res: ServerResponse, session: Session): void
  /** Forgets what a store has of the session. Throws `store_unavailable`, and then the session lives on. */
  forget(req: IncomingMessage, session: Session): Promise<void>
  /** Takes the session off the browser. Throws `store_unavailable`. */
  leave(req: IncomingMessage, res: ServerResponse): Promise<void>
}

export interface Sessions {
  ready: SessionStorage['ready']
  canKeep: SessionStorage['canKeep']
  readonly mayBeOutdated: boolean
  /** The new session; nothing for a login whose user has been signed out at the server meanwhile. */
  begin(
    req: IncomingMessage,
    res: ServerResponse,
    login: Pick<Session, 'issuer' | 'claims' | 'scope' | 'sid' | 'issuedAt' | 'acr' | 'authTime'> & {
      subject: string | undefined
      tokens: TokenSet
    },
  ): Promise<Session | undefined>
  /** The session at hand if it lives, as far as can be known without waiting. Nothing is prolonged. */
  find(req: IncomingMessage): Session | undefined
  /** The same for a use of it: one after a while prolongs its idle time. */
  read(req: IncomingMessage, res: ServerResponse): Session | undefined
  /** Seconds until it ends if it is not used again: by its idle time or its whole, whichever is first. */
  secondsLeft(session: Session): number
  /** Whether the request has a session of ours at all, be it over. */
  isBrought(req: IncomingMessage): boolean
  /** Whether it has one that does not open. */
  isUnreadable(req: IncomingMessage): boolean
  /** Whether it lives indeed: it may have been ended elsewhere. Throws `store_unavailable`. */
  lives(req: IncomingMessage, res: ServerResponse, session: Session): Promise<boolean>
  /** Its tokens; nothing when it has ended. Throws `store_unavailable`. */
  tokens(req: IncomingMessage, session: Session): Promise<TokenSet | undefined>
  /** Keeps renewed tokens where other requests see them. False when the session has ended. Throws `store_unavailable`. */
  save(req: IncomingMessage, session: Session, tokens: TokenSet): Promise<boolean>
  /** Gives renewed tokens to the browser, and the session the scopes that they have. */
  send(req: IncomingMessage, res: ServerResponse, session: Session, tokens: TokenSet): void
  /** Ends it here and, by a mark, everywhere. Throws `store_unavailable`, and then it lives on. */
  end(req: IncomingMessage, res: ServerResponse, session: Session): Promise<void>
}

export interface SessionOptions {
  storage: SessionStorage
  endings: Endings
  /** Seconds without use after which a session ends. */
  idleLifetime: number
  /** Seconds after login at which a session ends. */
  absoluteLifetime: number
  now: () => number
}

const mostRemembered = 100_000

export function createSessions(options: SessionOptions): Sessions {
  const { storage, endings, idleLifetime, absoluteLifetime, now } = options
  /** A use is noted once in a while, so that reading a page does not write a cookie each time. */
  const noteAfter = Math.min(idleLifetime / 10, 3_600)

  /** Sessions known to be over, by id: what can be known without asking the store. */
  const ended = expiringMap<true>({ most: mostRemembered, now })
  const noteEnd = ({ id, endsAt }: Session) => ended.set(id, true, endsAt)
  /** Those seen after their time, by their last use: a clock that is set back revives none. */
  const lapsed = expiringMap<true>({ most: mostRemembered, now })
  const use = ({ id, seenAt }: Session) => `${id} ${seenAt}`

  async function hasEnded(session: Session): Promise<boolean> {
    if (ended.get(session.id)) return true
    const isOver = await endings.hasEnded(session)
    if (isOver) noteEnd(session)
    return isOver
  }

  /** The second in which a request's session was last seen to live: whoever needs its tokens at once asks no store again. */
  const seenToLive = new WeakMap<IncomingMessage, number>()

  return {
    ready: storage.ready,
    canKeep: storage.canKeep,
    mayBeOutdated: storage.mayBeOutdated,

    async begin(req, res, { subject, tokens: granted, ...login }) {
      const startedAt = now()
      const session: Session = {
        id: randomBytes(16).toString('base64url'),
        ...login,
        ...(subject !== undefined && { subject }),
        startedAt,
        seenAt: startedAt,
        endsAt: startedAt + absoluteLifetime,
      }
      if (await hasEnded(session)) return undefined
      await storage.begin(req, res, session, granted)
      return session
    },

    find,

    read(req, res) {
      const session = find(req)
      if (session && now() - session.seenAt >= noteAfter && !res.headersSent)
        storage.touch(req, res, { ...session, seenAt: now() })
      return session
    },

    secondsLeft,

    isBrought: (req) => storage.read(req) !== undefined,
    isUnreadable: (req) => storage.isUnreadable(req),

    async lives(req, res, session) {
      const [isOver, isKept] = await Promise.all([hasEnded(session), storage.isKept(req, session)])
      // Ended from elsewhere: what this browser still has of it is of no use to anybody.
      if (isOver && isKept && storage.canKeep(res)) {
        await storage.forget(req, session)
        await storage.leave(req, res)
      }
      const lives = isKept && !isOver
      if (lives) seenToLive.set(req, now())
      return lives
    },

    async tokens(req, session) {
      const wasSeen = seenToLive.get(req) === now() && !ended.get(session.id)
      const [isOver, tokens] = await Promise.all([
        wasSeen ? false : hasEnded(session),
        storage.tokens(req, session),
      ])
      return isOver ? undefined : tokens
    },

    async save(req, session, tokens) {
      if (!(await storage.save(req, session, tokens))) return false
      // Afterwards: a store without compare-and-set takes what is written to an ended session.
      if (!(await hasEnded(session))) return true
      await storage.forget(req, session)
      return false
    },

    send(req, res, session, tokens) {
      // The response may have begun while the server was asked. The outcome is kept for the next request, then.
      if (ended.get(session.id) || !storage.canKeep(res)) return
      storage.send(req, res, session, tokens)
      const current = storage.read(req) ?? session
      if (tokens.scope.join(' ') !== current.scope.join(' '))
        storage.touch(req, res, { ...current, scope: tokens.scope })
    },

    async end(req, res, session) {
      await storage.forget(req, session)
      // Before the browser loses it: where no store has the session, the mark alone ends its copies.
      await endings.endSession(sessionHandle(session.id))
      noteEnd(session)
      // Once more, for what a refresh wrote between the two: it finds the mark from now on.
      await storage.forget(req, session).catch(() => undefined)
      if (storage.canKeep(res)) await storage.leave(req, res)
    },
  }

  function find(req: IncomingMessage): Session | undefined {
    const session = storage.read(req)
    if (!session || ended.get(session.id) || lapsed.get(use(session))) return undefined
    if (secondsLeft(session) > 0) return session
    lapsed.set(use(session), true, now() + absoluteLifetime)
    return undefined
  }

  /** By our clock and by what is inside the seal, whatever the browser thinks of the cookie's age. */
  function secondsLeft({ seenAt, endsAt }: Session): number {
    return Math.min(endsAt, seenAt + idleLifetime) - now()
  }
}

/** A value that only pages of this session know, for forms of browsers that say nothing about where a request is from. */
export function csrfToken(session: Session): string {
  return createHash('sha256').update(`csrf ${session.id}`).digest('base64url')
}
