/**
 * Looks over the shoulder of the package, for the session page: which tokens came when, how long that took and which
 * instance asked. Fingerprints only, never a token. An app of yours needs none of this.
 */

import { AsyncLocalStorage } from 'node:async_hooks'
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Auth, Fetch, Store } from 'express-oauth-kit'

/** Tokens as the authorization server gave them. */
export interface Issue {
  /** Fingerprints. */
  readonly accessToken: string
  readonly refreshToken?: string
  /** Milliseconds since the epoch; no end where the server named none. */
  readonly at: number
  readonly endsAt?: number
  /** Milliseconds that the server took. */
  readonly took: number
  /** Who asked; there is no name where there is one instance only. */
  readonly instance?: string
  /** How many refreshes of the session it took to get here. */
  readonly refreshes: number
}

export interface TokenWatch {
  /** For the option `fetch` of `oauthLogin`. */
  readonly fetch: Fetch
  /** How the session came to this access token, the newest first. Empty when it came before the watch began. */
  history(accessToken: string): Promise<readonly Issue[]>
  /** Leaves the session with an access token that is over, where the server plays along; gives its fingerprint. */
  expire(auth: Auth): Promise<string>
}

/** The demo's authorization server reads it: seconds that an access token shall live. */
export const lifetimeHeader = 'access-token-lifetime'

/** Seconds. */
const shortLife = 1
const keptFor = 24 * 60 * 60
/** Issues of a session that are shown. */
const most = 4

/** `store` is where instances find what others have seen. */
export function createTokenWatch(store: Store, instance: string | undefined): TokenWatch {
  const wantedLife = new AsyncLocalStorage<number>()

  async function find(token: string | null): Promise<readonly Issue[]> {
    const [kept] = token === null ? [] : await store.get([keyOf(token)])
    return kept === undefined ? [] : JSON.parse(kept)
  }

  async function note(spent: string | null, answer: Response, took: number): Promise<void> {
    const {
      access_token: access,
      refresh_token: refresh = spent,
      expires_in: life,
    } = Object(await answer.json())
    if (typeof access !== 'string') return
    const at = Date.now()
    const before = await find(spent)
    const issue: Issue = {
      accessToken: fingerprint(access),
      ...(typeof refresh === 'string' && { refreshToken: fingerprint(refresh) }),
      at,
      ...(typeof life === 'number' && { endsAt: at + life * 1000 }),
      took,
      ...(instance !== undefined && { instance }),
      refreshes: spent === null ? 0 : (before[0]?.refreshes ?? 0) + 1,
    }
    const history = JSON.stringify([issue, ...before].slice(0, most))
    const tokensToFindItBy = [access, refresh].filter((token) => typeof token === 'string')
    await Promise.all(tokensToFindItBy.map((token) => store.set(keyOf(token), history, keptFor)))
  }

  return {
    async fetch(input, init) {
      const form = new URLSearchParams(await new Request(input, init).text())
      if (!form.has('grant_type')) return fetch(input, init)
      const headers = new Headers(init?.headers)
      const life = wantedLife.getStore()
      if (life !== undefined) headers.set(lifetimeHeader, String(life))
      const startedAt = performance.now()
      const answer = await fetch(input, { ...init, headers })
      const took = Math.round(performance.now() - startedAt)
      // What is shown must not stand in the way of what is done.
      if (answer.ok) await note(form.get('refresh_token'), answer.clone(), took).catch(() => undefined)
      return answer
    },

    history: find,

    async expire(auth) {
      const token = await wantedLife.run(shortLife, () => auth.accessToken({ forceRefresh: true }))
      const [{ endsAt = Infinity } = {}] = await find(token)
      const left = endsAt - Date.now()
      // Other servers decide for themselves how long their tokens live.
      if (left < 5000) await sleep(Math.max(0, left) + 50)
      return fingerprint(token)
    },
  }
}

function keyOf(token: string): string {
  return `shown:${createHash('sha256').update(token).digest('base64url')}`
}

/** Enough to tell tokens apart, and nothing to open a door with. */
function fingerprint(token: string): string {
  return createHash('sha256').update(token).digest('hex').slice(0, 8)
}
