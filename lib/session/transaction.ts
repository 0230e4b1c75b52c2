/**
 * What was sent to an authorization server and has not come back: logins and connections in flight. Each waits in a sealed
 * cookie of its own, in both storages: tabs that start at once cannot overwrite each other, and nobody can fill the session
 * store by asking for them.
 */

import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AuthorizationTransaction } from '../oauth/authorization-request.js'
import { OAuthError } from '../errors.js'
import { clearCookie, cookieNames, readCookie, writeCookie } from './cookies.js'
import type { Seal } from '../seal.js'
import type { Store } from '../stores/store.js'
import { isSameSecret } from '../secret.js'

/** A login in flight. */
export interface Transaction extends AuthorizationTransaction {
  /** Where the user goes when the login is done. */
  readonly returnTo: string
  /** Whether it may show no page: where the server needs one, the browser goes back and is told so. */
  readonly silent?: true
  /** The user that a silent login is for; nobody else takes their place. */
  readonly subject?: string
}

/** A transaction as it waits. */
export type Begun<T> = T & {
  /** Seconds since the epoch. */
  readonly startedAt: number
}

export interface Transactions<T extends AuthorizationTransaction> {
  /** Throws `invalid_request` for one that no cookie can hold. */
  begin(req: IncomingMessage, res: ServerResponse, transaction: T): void
  /** The transaction of this state, handed out exactly once; nothing when it is unknown, too old or was taken. Throws `store_unavailable`. */
  take(req: IncomingMessage, res: ServerResponse, state: string): Promise<T | undefined>
  /** Those of this browser that can still be finished. */
  inFlight(req: IncomingMessage): T[]
}

export interface TransactionOptions<T> {
  /** Cookie names begin with it. */
  name: string
  /** What they are about: one of a kind is never taken for one of another. */
  kind: 'login' | 'connect'
  seal: Seal<Begun<T>>
  /** Remembers what was handed out: a cookie can be sent twice before it is cleared. */
  store: Store
  secure: boolean
  /** Whether the answer comes by a POST from the server's site, which brings no `Lax` cookie along. */
  crossSite: boolean
  /** Seconds. */
  lifetime: number
  /** In flight per browser; a further one drops the oldest. */
  most: number
  now: () => number
}

/** Characters of a whole Cookie header that real servers and proxies let through, with some to spare. */
const headerBudget = 8_000
/** Characters of a cookie and its name that browsers keep (RFC 6265bis §5.6). */
const longestCookie = 4_096
/** Cookies that are looked at; further ones were planted by somebody. */
const mostLookedAt = 32

export function createTransactions<T extends AuthorizationTransaction>(
  options: TransactionOptions<T>,
): Transactions<T> {
  const { kind, seal, store, crossSite, lifetime, most, now } = options
  // Browsers take `SameSite=None` from secure cookies only; on loopback they accept those over http.
  const attributes = crossSite
    ? ({ secure: true, sameSite: 'none' } as const)
    : ({ secure: options.secure, sameSite: 'lax' } as const)
  const prefix = `${options.name}.${kind}.`
  const cookieName = (state: string) => `${prefix}${digest(state).slice(0, 16)}`

  const allCookies = (req: IncomingMessage) => cookieNames(req, prefix).slice(0, mostLookedAt)

  const open = (req: IncomingMessage, cookie: string): Begun<T> | undefined => {
    const sealed = readCookie(req, cookie)
    return sealed === undefined ? undefined : seal.open(sealed)
  }

  const isStale = ({ startedAt }: { startedAt: number }) => startedAt + lifetime <= now()

  return {
    begin(req, res, transaction) {
      const value = seal.seal({ ...transaction, startedAt: now() })
      // The browser would drop it without a word, and the user would come back to nothing.
      if (cookieName(transaction.state).length + value.length > longestCookie) throw tooLarge()
      const others = allCookies(req)
        .map((cookie) => ({
          cookie,
          size: cookie.length + (readCookie(req, cookie) ?? '').length + '=; '.length,
          startedAt: open(req, cookie)?.startedAt ?? 0,
        }))
        // Browsers send older cookies first, which settles the order within a second.
        .toReversed()
        .toSorted((a, b) => b.startedAt - a.startedAt)
      const allOthers = others.reduce((sum, other) => sum + other.size, 0)
      const room = headerBudget - ((req.headers.cookie?.length ?? 0) - allOthers)
      let size = value.length + cookieName(transaction.state).length
      for (const [index, other] of others.entries()) {
        size += other.size
        if (isStale(other) || index + 1 >= most || size > room) clearCookie(res, other.cookie, attributes)
      }
      writeCookie(res, cookieName(transaction.state), value, { ...attributes, maxAge: lifetime })
    },

    async take(req, res, state) {
      const cookie = cookieName(state)
      const transaction = open(req, cookie)
      if (!transaction || !isSameSecret(transaction.state, state)) return undefined
      // Before the cookie is cleared: when the store is away, another try finds everything as it was.
      const isFirst = await store.add(`${kind}:${digest(state)}`, '1', lifetime)
      clearCookie(res, cookie, attributes)
      return isFirst && !isStale(transaction) ? transaction : undefined
    },

    inFlight(req) {
      return allCookies(req).flatMap((cookie) => {
        const transaction = open(req, cookie)
        return transaction && !isStale(transaction) ? [transaction] : []
      })
    },
  }
}

function tooLarge(): OAuthError {
  return new OAuthError('invalid_request', {
    reason: 'transaction_too_large',
    hint: 'Where the user is to come back to, and what they filled in, have to wait in a cookie, which has room for some 2 500 characters.',
  })
}

function digest(state: string): string {
  return createHash('sha256').update(state).digest('base64url')
}
