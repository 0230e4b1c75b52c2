/** Checks access tokens: the guard without its answers, for WebSockets, queues and whatever else is no route. */

import type { IncomingMessage } from 'node:http'
import { emitter, type Emit, type OAuthEvent } from '../events.js'
import { httpClient, type Fetch } from '../http.js'
import { invalidToken, parseJwt, type Algorithm } from '../jose/jwt.js'
import { verifySignature } from '../jose/verify.js'
import { judgeAccessToken } from '../oauth/access-token.js'
import { checkOptions, type OptionChecks } from '../options.js'
import { BearerUser, type BearerAuth } from './bearer-auth.js'
import { credentialsOf, isRepeated, type Credentials } from './credentials.js'
import { trustedIssuers } from './trusted-issuers.js'
import { verifiedTokens, type VerifiedToken } from './verified-tokens.js'

export interface VerifierOptions {
  /** The authorization server's identifier, exactly as tokens have it in `iss`. */
  issuer: string
  /** This API, as tokens have it in `aud`. With several, a token for one of them will do. */
  audience: string | readonly string[]
  /** Where the server's keys are. Default: what its metadata says. */
  jwksUri?: string
  /** Signature algorithms that are accepted. Default: all asymmetric ones. */
  algorithms?: readonly Algorithm[]
  /** Seconds that our clock and the server's may differ. Default 30, at most 300. */
  clockTolerance?: number
  /**
   * Tokens that were found good and are remembered, so that the same token need not be verified on every request; each
   * until it expires, or its key is withdrawn. Default 20 000; 0 remembers none.
   */
  rememberedTokens?: number
  /** Seconds for fetching keys or metadata, body included. Default 5. */
  timeout?: number
  /** Sends all requests to the server. Default: Node's `fetch`. */
  fetch?: Fetch
  /** Is told what happens, with the exact reason of each refusal. Events carry no secret. */
  onEvent?: (event: OAuthEvent) => void
}

export const knownVerifierOptions: Record<keyof VerifierOptions, true> = {
  issuer: true,
  audience: true,
  jwksUri: true,
  algorithms: true,
  clockTolerance: true,
  rememberedTokens: true,
  timeout: true,
  fetch: true,
  onEvent: true,
}

export interface Verifier {
  /**
   * Who a token is from. Throws `invalid_token` when it is not good, `key_set_unavailable` when that cannot be known.
   */
  verify(token: string): Promise<BearerAuth>
  /**
   * The same for the token of a request, such as the one that asks for a WebSocket. Throws `missing_credentials` and
   * `invalid_request`, too.
   */
  authenticate(req: IncomingMessage): Promise<BearerAuth>
  /** Waits for the keys, so that the first request need not. Throws `key_set_unavailable`. */
  ready(): Promise<void>
}

/**
 * Makes one when the app starts: it keeps the keys. Throws `invalid_configuration` for options that cannot work.
 */
export function createVerifier(options: VerifierOptions): Verifier {
  const check = checkOptions('createVerifier', options, knownVerifierOptions)
  const { verify, authenticate, ready } = tokenVerifier(options, check)
  return { verify, authenticate, ready }
}

/** The verifier as the guard has it. */
export interface TokenVerifier extends Verifier {
  /** Who a request is from, when that is known without waiting. Nothing says nothing: ask `authenticate`. */
  recall(req: IncomingMessage): BearerUser | undefined
  readonly emit: Emit
}

export function tokenVerifier(options: VerifierOptions, check: OptionChecks): TokenVerifier {
  check.function('fetch', options.fetch)
  check.function('onEvent', options.onEvent)
  const clock = () => Date.now()
  const now = () => Math.floor(clock() / 1000)
  const emit = emitter(options.onEvent)
  const http = httpClient(
    options.fetch,
    check.seconds('timeout', options.timeout, { default: 5, min: 0.1, max: 600 }),
  )
  const clockTolerance = check.seconds('clockTolerance', options.clockTolerance, { default: 30, max: 300 })
  const issuers = trustedIssuers([options], { http, emit, clockTolerance, now }, check)
  const remembered = checkedRemembered(options.rememberedTokens, check)
  const tokens = remembered === 0 ? undefined : verifiedTokens({ maxEntries: remembered, clock })

  /** Everything that can be judged without keys comes first, so that junk never reaches the network. */
  async function verifyToken({ scheme, token }: Credentials): Promise<VerifiedToken> {
    const header = `${scheme} ${token}`
    const known = tokens?.get(header)
    if (known) return known
    const jwt = parseJwt(token)
    const issuer = issuers.of(jwt)
    if (!issuer) throw invalidToken('issuer')
    if (!issuer.algorithms.includes(jwt.algorithm)) throw invalidToken('algorithm')
    const accessToken = judgeAccessToken(jwt, issuer)
    // Bound to a key that nobody proves to have here: as a plain bearer token it may be a stolen one (RFC 9449 §7.1).
    if (accessToken.claims['cnf'] !== undefined) throw invalidToken('sender_constrained')
    const { keySet } = issuer
    const verified: VerifiedToken = {
      header,
      key: await verifySignature(keySet, jwt),
      keySet,
      // Cut from the header that is kept, so that both are one string in memory.
      auth: new BearerUser(header.slice(scheme.length + 1), issuer.issuer, accessToken),
      until: accessToken.expiresAt + clockTolerance,
      isEnough: true,
    }
    tokens?.keep(verified)
    return verified
  }

  return {
    emit,
    ready: () => issuers.ready(),
    recall(req) {
      const header = req.headers.authorization
      const known = header === undefined ? undefined : tokens?.get(header)
      return known?.isEnough && !isRepeated(req) ? known.auth : undefined
    },
    verify: async (token) => (await verifyToken({ scheme: 'Bearer', token })).auth,
    authenticate: async (req) => (await verifyToken(credentialsOf(req))).auth,
  }
}

function checkedRemembered(most = 20_000, check: OptionChecks): number {
  if (Number.isInteger(most) && most >= 0 && most <= 1_000_000) return most
  return check.refuse('rememberedTokens', `is ${most}`, 'give a whole number from 0 to 1 000 000')
}
