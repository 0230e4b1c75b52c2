/** Tokens that the authorization server was asked about, and what it said, for a short while. */

import { createHash } from 'node:crypto'
import { isOAuthError } from '../errors.js'
import { expiringMap } from '../expiring-map.js'
import { invalidToken } from '../jose/jwt.js'
import type { BearerUser } from './bearer-auth.js'

export interface IntrospectedTokens {
  /**
   * Who a token is from: remembered, or by `ask`, which is run once for all who want to know at the same time. Throws what
   * `ask` throws. Of that, `invalid_token` alone is remembered: a server that cannot be asked says nothing about a token.
   */
  of(token: string, ask: () => Promise<BearerUser>): Promise<BearerUser>
}

/** Tokens of each kind, good and bad, so that a flood of bad ones does not drive out the good. */
const mostRemembered = 10_000
/** Seconds that a bad token is remembered at most: it may have been asked about too early. */
const refusalLifetime = 10

/** An answer is used for `cacheLifetime` seconds, counted from the question. With 0, every request asks. */
export function introspectedTokens(cacheLifetime: number): IntrospectedTokens {
  const now = () => Date.now() / 1000
  const good = expiringMap<Verdict>({ most: mostRemembered, now })
  const bad = expiringMap<Verdict>({ most: mostRemembered, now })
  const asking = new Map<string, Promise<Verdict>>()

  async function verdict(name: string, ask: () => Promise<BearerUser>): Promise<Verdict> {
    // The token may be revoked while the answer is on its way.
    const since = now()
    const begin = performance.now() / 1000
    try {
      const auth = await ask()
      const one = { auth, end: begin + cacheLifetime }
      good.set(name, one, Math.min(since + cacheLifetime, auth.expiresAt))
      return one
    } catch (error) {
      if (!isOAuthError(error) || error.code !== 'invalid_token') throw error
      const lifetime = Math.min(cacheLifetime, refusalLifetime)
      const { reason = 'inactive', hint } = error
      const one = { reason, hint, end: begin + lifetime }
      bad.set(name, one, since + lifetime)
      return one
    }
  }

  /** By both clocks: one may be set back, the other stands still while the machine sleeps. */
  function remembered(name: string): Verdict | undefined {
    const known = good.get(name) ?? bad.get(name)
    return known && performance.now() / 1000 < known.end ? known : undefined
  }

  function asked(name: string, ask: () => Promise<BearerUser>): Promise<Verdict> {
    const running = asking.get(name)
    if (running) return running
    const started = verdict(name, ask).finally(() => asking.delete(name))
    asking.set(name, started)
    return started
  }

  return {
    async of(token, ask) {
      if (cacheLifetime === 0) return ask()
      const name = createHash('sha256').update(token).digest('base64url')
      const { auth, reason, hint } = remembered(name) ?? (await asked(name, ask))
      // An error of its own for each request, which adds its headers.
      return auth ?? Promise.reject(invalidToken(reason, hint))
    },
  }
}

/** Who a token is from, or why it is not good. `end` in seconds by the monotonic clock. */
type Verdict = { readonly end: number } & (
  | { readonly auth: BearerUser; readonly reason?: undefined; readonly hint?: undefined }
  | { readonly auth?: undefined; readonly reason: string; readonly hint: string | undefined }
)
