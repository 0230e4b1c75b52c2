/** DPoP at the resource server: the proof of a request, its nonce and its first use (RFC 9449 §7 to §9). */

import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import { OAuthError } from '../errors.js'
import type { Algorithm } from '../jose/jwt.js'
import { dpopNonces, type DPoPNonces } from '../oauth/dpop-nonce.js'
import { invalidProof, verifyDPoPProof } from '../oauth/dpop-proof.js'
import { redirectUriProblem } from '../oauth/redirect-uri.js'
import { firstUse } from '../oauth/replay.js'
import { checkedAlgorithms } from '../oauth/server-options.js'
import { targetUri } from '../oauth/target-uri.js'
import type { OptionChecks } from '../options.js'
import { originalUrl } from '../original-url.js'
import { checkedSecrets } from '../secret.js'
import { forgetsWhenFull, memoryStore } from '../stores/memory-store.js'
import { checkedStore, scopedStore, type Store } from '../stores/store.js'

export interface DPoPOptions {
  /**
   * Where the world finds the root of this server, such as `https://api.example.com`, with the path that a proxy strips,
   * if it does. Proofs name the URL that they are for: it must be this and the path of the request. Nothing is ever taken
   * from `Host` or `X-Forwarded-*`.
   */
  baseUrl: string
  /** Whether tokens that are not bound to a key of the client are refused. */
  required?: boolean
  /** Signature algorithms of proofs that are accepted. Default: all asymmetric ones. */
  algorithms?: readonly Algorithm[]
  /** Seconds that a proof may be old, beside `clockTolerance`. Default 60, at most 600. */
  proofLifetime?: number
  /**
   * Where used proofs are remembered, so that none is used twice. Default: this process, up to 200 000 of them; when they
   * are more, requests get a 503. With several instances it is a store that they share.
   */
  store?: Store
  /** Seconds that a call to the store may take. Default 2. */
  storeTimeout?: number
  /**
   * Secrets of 32 bytes or more. With them, proofs need a nonce of this server, which is good for 5 minutes: nobody can
   * make proofs ahead. The first secret makes nonces, all are accepted. Default: no nonces.
   */
  nonceSecrets?: readonly string[]
}

const known: Record<keyof DPoPOptions, true> = {
  baseUrl: true,
  required: true,
  algorithms: true,
  proofLifetime: true,
  store: true,
  storeTimeout: true,
  nonceSecrets: true,
}

export interface DPoP {
  readonly required: boolean
  readonly algorithms: readonly Algorithm[]
  /**
   * That the request has a good proof, which was not used before, by the key with this thumbprint. Gives what belongs to
   * the headers of the answer. Throws `invalid_dpop_proof`, `use_dpop_nonce`, `invalid_token` or `store_unavailable`.
   */
  prove(req: IncomingMessage, token: string, thumbprint: string): Promise<OutgoingHttpHeaders>
}

/** What the verifier has for all its parts. */
export interface ClockSettings {
  clockTolerance: number
  /** Seconds since the epoch. */
  now: () => number
}

/** Used proofs that one process remembers: 1 600 each second for the two minutes that they might be sent again. */
const mostProofs = 200_000
/** Seconds that a nonce is accepted. A new one goes out when half of them are over. */
const nonceLifetime = 300
/** Characters of a proof. One of RSA with 4 096 bits has 2 300. */
const longestProof = 8192

export function createDPoP(options: DPoPOptions, clock: ClockSettings, parent: OptionChecks): DPoP {
  const check = parent.within('dpop', options, known)
  const { clockTolerance, now } = clock
  const base = checkedBase(options.baseUrl, check)
  const algorithms = checkedAlgorithms(options.algorithms, check)
  const rules = {
    algorithms,
    lifetime: check.seconds('proofLifetime', options.proofLifetime, { default: 60, min: 1, max: 600 }),
    clockTolerance,
    now,
  }
  const isFirstUse = firstUse(
    scopedStore(checkedProofStore(options.store, check), {
      scope: 'dpop',
      timeout: check.seconds('storeTimeout', options.storeTimeout, { default: 2, min: 0.1, max: 60 }),
    }),
  )
  const nonces = checkedNonces(options.nonceSecrets, base, clock, check)

  /** The nonce to use next, where it is time for one. */
  function nextNonce(nonce: string | undefined): string | undefined {
    if (!nonces) return undefined
    const age = nonce === undefined ? undefined : nonces.ageOf(nonce)
    if (age !== undefined) return age > nonceLifetime / 2 ? nonces.issue() : undefined
    throw new OAuthError('use_dpop_nonce', {
      reason: nonce === undefined ? 'nonce_missing' : 'nonce',
      headers: { 'dpop-nonce': nonces.issue() },
    })
  }

  return {
    required: check.boolean('required', options.required),
    algorithms,
    async prove(req, token, thumbprint) {
      const path = originalUrl(req)
      // The request line can have a whole URL, whose host is whatever the client wants.
      const uri = path.startsWith('/') ? targetUri(base + path) : undefined
      const request = { method: req.method ?? '', uri, token, thumbprint }
      const { jti, nonce, replayable } = await verifyDPoPProof(proofOf(req), request, rules)
      const next = nextNonce(nonce)
      // By its key and its URI, as RFC 9449 §11.1 has it: names of others neither meet it nor can use it up. Not by its
      // text: some signatures can be written in two ways.
      if (!(await isFirstUse(`${thumbprint} ${uri}`, jti, replayable))) throw invalidProof('replayed')
      return next === undefined ? {} : { 'dpop-nonce': next }
    },
  }
}

/** The only proof of the request. Node joins several headers by commas, which no proof has. */
function proofOf({ headers: { dpop } }: IncomingMessage): string {
  if (typeof dpop !== 'string' || dpop === '') throw invalidProof('missing')
  if (dpop.includes(',')) throw invalidProof('repeated_header')
  if (dpop.length > longestProof) throw invalidProof('header_too_long')
  return dpop
}

/** Without a slash at its end. */
function checkedBase(baseUrl: string, check: OptionChecks): string {
  check.string('baseUrl', baseUrl, 'give the public URL of this server, such as "https://api.example.com"')
  const problem = redirectUriProblem(baseUrl)
  if (problem) check.refuse('baseUrl', problem.problem, problem.advice)
  const { origin, pathname, search } = new URL(baseUrl)
  if (search !== '') check.refuse('baseUrl', 'has a query', 'remove the "?" and what follows')
  return origin + pathname.replace(/\/$/, '')
}

function checkedNonces(
  secrets: readonly string[] | undefined,
  place: string,
  clock: ClockSettings,
  check: OptionChecks,
): DPoPNonces | undefined {
  if (secrets === undefined) return undefined
  const checked = checkedSecrets('nonceSecrets', secrets, check)
  return dpopNonces({ secrets: checked, place, lifetime: nonceLifetime, ...clock })
}

function checkedProofStore(given: Store | undefined, check: OptionChecks): Store {
  const store = checkedStore(given, check) ?? memoryStore({ maxEntries: mostProofs, whenFull: 'refuse' })
  if (!forgetsWhenFull(store)) return store
  return check.refuse(
    'store',
    'is a memoryStore that forgets when it is full',
    'leave it out, or give memoryStore({ whenFull: "refuse" }): a proof that was forgotten could be used again',
  )
}
