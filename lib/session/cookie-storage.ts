/** Sessions in the browser: claims and tokens in one sealed, HTTP-only cookie. No store is needed. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { OAuthError } from '../errors.js'
import type { TokenSet } from '../oauth/token-set.js'
import {
  clearChunkedCookie,
  fitsChunkedCookie,
  readChunkedCookie,
  writeChunkedCookie,
} from './chunked-cookie.js'
import type { Seal } from './seal.js'
import type { Session, SessionStorage } from './session.js'

/** What the cookie holds. */
export interface CookieSession {
  readonly session: Session
  readonly tokens: TokenSet
}

export interface CookieStorageOptions {
  name: string
  seal: Seal<CookieSession>
  secure: boolean
  now: () => number
  /** The newest tokens known in place of these: a late request must not bring old ones back. */
  latest: (tokens: TokenSet) => TokenSet
}

export function cookieStorage({ name, seal, secure, now, latest }: CookieStorageOptions): SessionStorage {
  /** Opened once per request, however many ask. */
  const opened = new WeakMap<IncomingMessage, CookieSession>()

  function open(req: IncomingMessage): CookieSession | undefined {
    const known = opened.get(req)
    if (known) return known
    const sealed = readChunkedCookie(req, name)
    const kept = sealed === undefined ? undefined : seal.open(sealed)
    if (kept) opened.set(req, kept)
    return kept
  }

  function write(req: IncomingMessage, res: ServerResponse, kept: CookieSession): void {
    const maxAge = kept.session.endsAt - now()
    writeChunkedCookie(req, res, name, sealedWithinBudget(kept), { maxAge, secure })
    opened.set(req, kept)
  }

  /** The raw ID token is given up first: it serves only as a hint at logout. */
  function sealedWithinBudget(kept: CookieSession): string {
    const { id_token, ...tokens } = kept.tokens
    const candidates = id_token === undefined ? [kept] : [kept, { ...kept, tokens }]
    for (const candidate of candidates) {
      const sealed = seal.seal(candidate)
      if (fitsChunkedCookie(name, sealed.length)) return sealed
    }
    const [field, size] = largestField({ ...kept.session.claims, ...tokens })
    throw new OAuthError('session_too_large', {
      message: `the session does not fit into cookies; its largest part is "${field}" with ${size} characters`,
      hint: 'Keep fewer claims (return them from "onLogin"), ask for fewer scopes, or set "storage" to "session".',
    })
  }

  return {
    ready: () => undefined,
    begin: async (req, res, session, tokens) => write(req, res, { session, tokens }),
    read: (req) => open(req)?.session,
    tokens: async (req) => open(req)?.tokens,
    save: async () => undefined,
    send: (req, res, session, tokens) =>
      write(req, res, { session: { ...session, scope: tokens.scope }, tokens }),
    canKeep: (res) => !res.headersSent,
    touch(req, res, session) {
      const kept = open(req)
      if (kept) write(req, res, { session, tokens: latest(kept.tokens) })
    },
    async end(req, res) {
      clearChunkedCookie(req, res, name, { secure })
      opened.delete(req)
    },
  }
}

function largestField(fields: object): [name: string, size: number] {
  const sizes = Object.entries(fields).map(([name, value]): [string, number] => [
    name,
    (JSON.stringify(value) ?? '').length,
  ])
  return sizes.toSorted(([, a], [, b]) => b - a)[0] ?? ['', 0]
}
