/** The session of a signed-in user: begins at login with a new id, is read while it lives, and ends. */

import { createHash, randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { expiringMap } from '../expiring-map.js'
import type { Claims } from '../jose/jwt.js'
import type { TokenSet } from '../oauth/token-set.js'

export interface Session {
  /** Random, known to nobody but the session itself. */
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
  /** What is at hand without asking a store; nothing when nobody is signed in. */
  read(req: IncomingMessage): Session | undefined
  /** The tokens; nothing when the session was ended elsewhere. Throws `store_unavailable`. */
  tokens(req: IncomingMessage, session: Session): Promise<TokenSet | undefined>
  /** Keeps renewed tokens where all requests of the session see them; nothing to do without a store. */
  save(req: IncomingMessage, session: Session, tokens: TokenSet): Promise<void>
  /** Gives renewed tokens to the browser; nothing to do with a store. */
  send(req: IncomingMessage, res: ServerResponse, session: Session, tokens: TokenSet): void
  /** Whether renewed tokens can still be kept: a cookie cannot be set once the response has begun. */
  canKeep(res: ServerResponse): boolean
  /** Keeps a changed session; `tokens` stay as they are. */
  touch(req: IncomingMessage, res: ServerResponse, session: Session): void
  /** Forgets the session. Throws `store_unavailable`, and then the session lives on. */
  end(req: IncomingMessage, res: ServerResponse, session: Session): Promise<void>
}

export interface Sessions extends Omit<SessionStorage, 'begin' | 'read' | 'touch'> {
  begin(
    req: IncomingMessage,
    res: ServerResponse,
    login: Pick<Session, 'issuer' | 'claims' | 'scope'> & { subject: string | undefined; tokens: TokenSet },
  ): Promise<void>
  /** The session if it lives; a use after a while prolongs its idle time. */
  read(req: IncomingMessage, res: ServerResponse): Session | undefined
}

export interface SessionOptions {
  storage: SessionStorage
  /** Seconds without use after which a session ends. */
  idleLifetime: number
  /** Seconds after login at which a session ends. */
  absoluteLifetime: number
  now: () => number
}

const mostRemembered = 100_000

export function createSessions({ storage, idleLifetime, absoluteLifetime, now }: SessionOptions): Sessions {
  /** A use is noted once in a while, so that reading a page does not write a cookie each time. */
  const noteAfter = Math.min(idleLifetime / 10, 3_600)

  /**
   * Sessions that ended, by id, until they would have ended anyway. Without a store this is all that keeps a request
   * which began before the logout from bringing the session back; it is forgotten when the process ends.
   */
  const ended = expiringMap<true>({ most: mostRemembered, now })

  return {
    ready: storage.ready,
    save: storage.save,
    canKeep: storage.canKeep,
    tokens: async (req, session) => (ended.get(session.id) ? undefined : storage.tokens(req, session)),
    send(req, res, session, tokens) {
      if (!ended.get(session.id)) storage.send(req, res, session, tokens)
    },
    async end(req, res, session) {
      await storage.end(req, res, session)
      ended.set(session.id, true, session.endsAt)
    },

    async begin(req, res, { issuer, subject, claims, scope, tokens: granted }) {
      const startedAt = now()
      const session: Session = {
        id: randomBytes(16).toString('base64url'),
        issuer,
        ...(subject !== undefined && { subject }),
        claims,
        scope,
        startedAt,
        seenAt: startedAt,
        endsAt: startedAt + absoluteLifetime,
      }
      await storage.begin(req, res, session, granted)
    },

    read(req, res) {
      const session = storage.read(req)
      if (!session || !isAlive(session) || ended.get(session.id)) return undefined
      if (now() - session.seenAt >= noteAfter && !res.headersSent)
        storage.touch(req, res, { ...session, seenAt: now() })
      return session
    },
  }

  /** Judged by our clock and by what is inside the seal, whatever the browser thinks of the cookie's age. */
  function isAlive({ seenAt, endsAt }: Session): boolean {
    return now() < endsAt && now() - seenAt < idleLifetime
  }
}

/** A value that only pages of this session know, for forms of browsers that say nothing about where a request is from. */
export function csrfToken(session: Session): string {
  return createHash('sha256').update(`csrf ${session.id}`).digest('base64url')
}
