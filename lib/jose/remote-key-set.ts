/** The keys that an issuer publishes: fetched, kept, and fetched anew for a token whose key is not among them. */

import { OAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import { documentLimit, jsonObject, type HttpClient } from '../http.js'
import { remoteDocument } from '../remote-document.js'
import { tokenBucket } from '../token-bucket.js'
import type { UnverifiedJwt } from './jwt.js'
import { candidates, mostKeys, type KeySet } from './key-set.js'
import { missedNames } from './missed-names.js'
import { keyFromJwk, UnusableKey, type VerificationKey } from './verification-key.js'

export interface RemoteKeySetOptions {
  /** Where the set is; asked before each fetch, because metadata can change. */
  uri: () => Promise<string>
  http: HttpClient
  emit: Emit
  /** Seconds since the epoch. */
  now: () => number
}

interface PublishedKeys {
  /** By the text of its JWK, so that a key is the same object for as long as it is published. */
  readonly byText: ReadonlyMap<string, VerificationKey>
  readonly all: ReadonlySet<VerificationKey>
  /** Seconds that the server has them good for. */
  readonly lifetime: number
}

/** Milliseconds that a token with an unknown key waits for a server that failed. */
const patience = 40

/**
 * A token with an unknown `kid` has the set fetched at once, so that a rotation is seen when it happens. Two things keep a
 * flood of such tokens from becoming a flood of fetches: a bucket of three, refilled by one each 30 s, and a list of the
 * names that were looked for in vain.
 */
export function remoteKeySet({ uri, http, emit, now }: RemoteKeySetOptions): KeySet {
  let url = ''
  let published: PublishedKeys = { byText: new Map(), all: new Set(), lifetime: 0 }
  const refetches = tokenBucket({ burst: 3, refillSeconds: 30, now })
  const missed = missedNames(now)
  const set = remoteDocument<PublishedKeys>({
    async load() {
      url = await uri()
      const response = await http(url, {
        headers: { accept: 'application/jwk-set+json, application/json' },
        limit: documentLimit,
      })
      const { keys } = await jsonObject(response, `the key set at ${url}`)
      if (!Array.isArray(keys) || keys.length > mostKeys) {
        throw new OAuthError('invalid_server_response', {
          message: `${url} is not a key set of at most ${mostKeys} keys`,
        })
      }
      const byText = usableKeys(keys, published.byText)
      if (byText.size === 0) {
        throw new OAuthError('invalid_server_response', { message: `${url} holds no public signing key` })
      }
      const before = published.byText
      published = { byText, all: new Set(byText.values()), lifetime: lifetimeIn(response.headers) }
      emit({
        type: 'jwks_fetched',
        url,
        added: [...byText.keys()].filter((text) => !before.has(text)).length,
        withdrawn: [...before.keys()].filter((text) => !byText.has(text)).length,
      })
      return published
    },
    lifetime: (keys) => keys.lifetime,
    onFailure: (error, stale) => emit({ type: 'jwks_failed', url, stale, error }),
    now,
  })

  /** Asks the server for keys that fit and are not among `tried`. Whoever asks at the same time shares one fetch. */
  async function fetchKeysFor(
    jwt: UnverifiedJwt,
    tried: readonly VerificationKey[] = [],
  ): Promise<readonly VerificationKey[]> {
    const newIn = ({ all }: PublishedKeys) => candidates(all, jwt).filter((key) => !tried.includes(key))
    try {
      // It may have begun before the key was published, so when it brings nothing there may be another.
      const early = set.underWay()
      const found = early ? newIn(await inTime(early)) : []
      if (found.length > 0) return found
      if (missed.mayAskFor(jwt.kid) && (set.underWay() || refetches.take())) {
        const newer = newIn(await inTime(set.refetch()))
        if (newer.length === 0) missed.inSet(jwt.kid)
        return newer
      }
    } catch (cause) {
      missed.inOutage(jwt.kid)
      throw unavailable(cause)
    }
    if (set.isFailing()) throw unavailable(new Error('the key may be in a set that cannot be fetched'))
    return []
  }

  /** While the server fails nobody waits for it long. What comes later is there for whoever asks next. */
  async function inTime<T>(fetch: Promise<T>): Promise<T> {
    if (!set.isFailing()) return fetch
    fetch.catch(() => undefined) // told to onFailure
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('no answer yet')), patience)
    })
    return Promise.race([fetch, late]).finally(() => clearTimeout(timer))
  }

  async function firstKeysFor(jwt: UnverifiedJwt): Promise<readonly VerificationKey[]> {
    const known = candidates((await current()).all, jwt)
    // What was fetched for this very token is as new as it gets.
    return known.length > 0 || !set.isFailing() ? known : fetchKeysFor(jwt)
  }

  const current = () => set.current().catch((cause: unknown) => Promise.reject(unavailable(cause)))

  return {
    keysFor(jwt) {
      const kept = set.peek()
      if (!kept) return firstKeysFor(jwt)
      const known = candidates(kept.all, jwt)
      return known.length > 0 ? known : fetchKeysFor(jwt)
    },
    newKeysFor: fetchKeysFor,
    trusts: (key) => set.peek()?.all.has(key) === true,
    async ready() {
      await current()
    },
  }
}

function unavailable(cause: unknown): OAuthError {
  return new OAuthError('key_set_unavailable', {
    message: `the keys of the authorization server cannot be had: ${cause instanceof Error ? cause.message : 'no answer'}`,
    cause,
  })
}

/** A key that must not verify anything is passed over, and spoils nothing for the others. */
function usableKeys(
  jwks: readonly unknown[],
  known: ReadonlyMap<string, VerificationKey>,
): Map<string, VerificationKey> {
  const usable = new Map<string, VerificationKey>()
  for (const jwk of jwks) {
    const text = JSON.stringify(jwk)
    try {
      usable.set(text, known.get(text) ?? keyFromJwk(jwk))
    } catch (error) {
      if (!(error instanceof UnusableKey)) throw error
    }
  }
  return usable
}

const defaultLifetime = 600
const shortestLifetime = 60
const longestLifetime = 86_400

/**
 * What the server asks for (RFC 9111 §5.2.2), within a minute and a day: rarer would keep a withdrawn key alive, more often
 * would make a burden of us. A cache on the way may have had the answer for a while (`Age`).
 */
function lifetimeIn(headers: Headers): number {
  const control = headers.get('cache-control') ?? ''
  if (/(?:^|,)\s*no-(?:store|cache)\s*(?:[=,]|$)/i.test(control)) return shortestLifetime
  const maxAge = /(?:^|,)\s*max-age="?(\d+)"?\s*(?:,|$)/i.exec(control)?.[1]
  if (maxAge === undefined) return defaultLifetime
  const age = /^\d+$/.exec(headers.get('age') ?? '')?.[0] ?? '0'
  return Math.min(longestLifetime, Math.max(shortestLifetime, Number(maxAge) - Number(age)))
}
