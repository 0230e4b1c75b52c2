/**
 * Sessions in the browser, in two sealed, HTTP-only cookies: who the user is, and their tokens. No store is needed.
 * Apart, a request that only prolongs the session cannot bring old tokens back, and a page that needs none opens none.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import onHeaders from 'on-headers'
import { OAuthError } from '../errors.js'
import { expiringMap } from '../expiring-map.js'
import type { TokenSet } from '../oauth/token-set.js'
import type { Seal } from '../seal.js'
import {
  clearChunkedCookie,
  fitChunkedCookies,
  readChunkedCookie,
  writeChunkedCookie,
} from './chunked-cookie.js'
import { handleOf } from './endings.js'
import { createOpened } from './opened.js'
import type { Session, SessionStorage } from './session.js'

export interface CookieStorageOptions {
  name: string
  sessionSeal: Seal<Session>
  tokensSeal: Seal<TokenSet>
  secure: boolean
  now: () => number
}

export function cookieStorage(options: CookieStorageOptions): SessionStorage {
  const { name, sessionSeal, tokensSeal, secure, now } = options
  const tokensName = `${name}.tokens`
  /** Opened once per request, however many ask, and newer than the cookies once something was written. */
  const sessions = new WeakMap<IncomingMessage, Session>()
  const tokens = new WeakMap<IncomingMessage, TokenSet>()
  const room = { most: mostRemembered, mostCharacters: mostRemembered * usualLength, now }
  const openedSessions = createOpened<Session>(room)
  const openedTokens = createOpened<TokenSet>(room)
  /** The newest tokens that were sent of late, by session. */
  const latest = expiringMap<Kept>({ most: mostRemembered, now })

  function read(req: IncomingMessage): Session | undefined {
    const known = sessions.get(req)
    if (known) return known
    const sealed = readChunkedCookie(req, name)
    const session = sealed === undefined ? undefined : (openedSessions.get(sealed) ?? openSession(sealed))
    if (session) sessions.set(req, session)
    return session
  }

  function openSession(sealed: string): Session | undefined {
    const session = sessionSeal.open(sealed)
    if (session) openedSessions.keep(session, { sealed, until: session.endsAt })
    return session
  }

  function readTokens(req: IncomingMessage, session: Session): TokenSet | undefined {
    const known = tokens.get(req)
    if (known) return known
    const sealed = readChunkedCookie(req, tokensName)
    const found = sealed === undefined ? undefined : openTokens(sealed, session)
    if (found) tokens.set(req, found)
    return found
  }

  function openTokens(sealed: string, session: Session): TokenSet | undefined {
    // Bound to the session: the tokens of another one do not open here.
    const context = handleOf(session)
    const known = openedTokens.get(sealed, context)
    if (known) return known
    const opened = tokensSeal.open(sealed, context)
    if (opened) openedTokens.keep(opened, { sealed, context, until: session.endsAt })
    return opened
  }

  function writeSession(req: IncomingMessage, res: ServerResponse, session: Session, sealed: string): void {
    writeChunkedCookie(req, res, name, sealed, { maxAge: session.endsAt - now(), secure })
    sessions.set(req, session)
  }

  function writeTokens(req: IncomingMessage, res: ServerResponse, session: Session, kept: Kept): void {
    writeChunkedCookie(req, res, tokensName, kept.sealed, { maxAge: session.endsAt - now(), secure })
    tokens.set(req, kept.tokens)
  }

  /** Both within the budget. The raw ID token is given up first: it serves only as a hint at logout. */
  function withinBudget(session: Session, all: TokenSet): { sealedSession: string; kept: Kept } {
    const sealedSession = sessionSeal.seal(session)
    const { id_token: _, ...fewer } = all
    for (const candidate of all.id_token === undefined ? [all] : [all, fewer]) {
      const sealed = tokensSeal.seal(candidate, handleOf(session))
      if (fitChunkedCookies({ [name]: sealedSession.length, [tokensName]: sealed.length }))
        return { sealedSession, kept: { tokens: candidate, sealed } }
    }
    const [field, size] = largestField({ ...session.claims, ...fewer })
    throw new OAuthError('session_too_large', {
      message: `the session does not fit into cookies; its largest part is "${field}" with ${size} characters`,
      hint: 'Keep fewer claims (return them from "onLogin"), ask for fewer scopes, or set "storage" to "session".',
    })
  }

  return {
    ready: () => undefined,

    async begin(req, res, session, granted) {
      const { sealedSession, kept } = withinBudget(session, granted)
      writeSession(req, res, session, sealedSession)
      writeTokens(req, res, session, kept)
    },

    mayBeOutdated: true,
    read,
    // Of one with a part that the browser has dropped there is no value: it was not kept.
    isUnreadable: (req) => read(req) === undefined && readChunkedCookie(req, name) !== undefined,
    async isKept(req, session) {
      if (tokens.has(req)) return true
      const sealed = readChunkedCookie(req, tokensName)
      if (sealed === undefined) return false
      const context = handleOf(session)
      return openedTokens.get(sealed, context) !== undefined || tokensSeal.isFor(sealed, context)
    },
    tokens: async (req, session) => readTokens(req, session),
    save: async () => true,

    send(req, res, session, renewed) {
      const { kept } = withinBudget(read(req) ?? session, renewed)
      if (isNewer(kept, latest.get(session.id))) latest.set(session.id, kept, now() + answerTime)
      writeTokens(req, res, session, kept)
      // Answers do not go out in the order of the refreshes. The browser must not end up with a spent token.
      onHeaders(res, () => {
        const newer = latest.get(session.id)
        const written = tokens.get(req)
        if (newer && written && newer.tokens.generation > written.generation)
          writeTokens(req, res, session, newer)
      })
    },

    canKeep: (res) => !res.headersSent,

    touch(req, res, session) {
      writeSession(req, res, session, sessionSeal.seal(session))
      // The tokens stay as they are, but for a secret that is being replaced: they must not end with it.
      const sealed = readChunkedCookie(req, tokensName)
      if (sealed === undefined || tokensSeal.isCurrent(sealed, handleOf(session))) return
      const kept = readTokens(req, session)
      if (kept)
        writeTokens(req, res, session, {
          tokens: kept,
          sealed: tokensSeal.seal(kept, handleOf(session)),
        })
    },

    forget: async () => undefined,
    async leave(req, res) {
      clearChunkedCookie(req, res, name, { secure })
      clearChunkedCookie(req, res, tokensName, { secure })
      sessions.delete(req)
      tokens.delete(req)
    },
  }
}

/** Seconds within which most answers go out. */
const answerTime = 60
/** Sessions whose tokens were sent in that time, and those that need not be opened again. */
const mostRemembered = 1_000
/** Characters of a sealed text that there is room for, times the number of sessions. */
const usualLength = 4_000

function isNewer(one: Kept, other: Kept | undefined): boolean {
  return !other || one.tokens.generation > other.tokens.generation
}

interface Kept {
  readonly tokens: TokenSet
  readonly sealed: string
}

function largestField(fields: object): [name: string, size: number] {
  const sizes = Object.entries(fields).map(([name, value]): [string, number] => [
    name,
    (JSON.stringify(value) ?? '').length,
  ])
  return sizes.toSorted(([, a], [, b]) => b - a)[0] ?? ['', 0]
}
