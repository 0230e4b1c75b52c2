/** Whether an access token will do: for a request that is about to be made, and after an API has refused it. */

import type { DPoPKeys } from '../oauth/dpop-keys.js'
import type { AccessToken, Replacement, TokenSet } from '../oauth/token-set.js'
import { isRefreshable } from './refresh.js'

/** What an access token has to be, for one request. */
export interface TokenDemand {
  /** Seconds that it must be good for. */
  readonly minimumLifetime?: number
  /** Whether another one is wanted, however good it is. */
  readonly forceRefresh?: boolean
  /** One that an API has refused: another is wanted, if there is one that is worth a try. */
  readonly refused?: string
}

export interface Freshness {
  /** Whether it can be used. */
  isGood(token: AccessToken, demand: TokenDemand): boolean
  /** Whether another one should be asked for, though it may be good for a while. */
  isDue(token: AccessToken, demand: TokenDemand): boolean
  /** Whether a token that was refused, though its time is not over, is the best there is for now. */
  isRefusedInVain(token: AccessToken, tokens: TokenSet, demand: TokenDemand): boolean
  /** What is noted of the token that takes the place of a refused one. */
  nextReplacement(refused: AccessToken): Replacement
}

export interface FreshnessOptions {
  /** The keys that tokens may be bound to. */
  dpopKeys: DPoPKeys
  /** Seconds since the epoch. */
  now: () => number
}

/**
 * Seconds that a replacement is not itself replaced when the API refuses it as well, and twice as many after each further
 * one: an API that refuses every token would cost a refresh for each request.
 */
const firstRest = 60
const longestRest = 3_600

export function createFreshness({ dpopKeys, now }: FreshnessOptions): Freshness {
  function isGood({ access_token, expires_at, jkt }: AccessToken, demand: TokenDemand): boolean {
    if (demand.forceRefresh || access_token === demand.refused) return false
    // Its secret was taken out of the option "secrets", and nobody can use it any more.
    if (jkt !== undefined && !dpopKeys.named(jkt)) return false
    return expires_at === undefined || expires_at - now() >= Math.max(1, demand.minimumLifetime ?? 0)
  }

  return {
    isGood,
    isDue: (token, demand) =>
      !isGood(token, demand) || (token.refresh_at !== undefined && now() >= token.refresh_at),
    isRefusedInVain(token, tokens, { refused }) {
      if (token.access_token !== refused || !isGood(token, {})) return false
      return !isRefreshable(tokens) || now() < (token.replacement?.restsUntil ?? 0)
    },
    nextReplacement({ replacement }) {
      const inARow = (replacement?.inARow ?? 0) + 1
      return { inARow, restsUntil: now() + Math.min(firstRest * 2 ** (inARow - 1), longestRest) }
    },
  }
}
