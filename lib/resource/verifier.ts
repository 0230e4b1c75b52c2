/** Checks access tokens: the guard without its answers, for WebSockets, queues and whatever else is no route. */

import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import { appAnswer } from '../app-answer.js'
import { emitter, type Emit, type OAuthEvent } from '../events.js'
import { httpClient, type Fetch } from '../http.js'
import { invalidToken, parseJwt, shownClaim, type Algorithm, type UnverifiedJwt } from '../jose/jwt.js'
import { verifySignature } from '../jose/verify.js'
import { judgeAccessToken, type AccessToken } from '../oauth/access-token.js'
import { checkOptions, type OptionChecks } from '../options.js'
import { BearerUser, type BearerAuth } from './bearer-auth.js'
import { credentialsOf, isRepeated, longestHeader, type AuthScheme, type Credentials } from './credentials.js'
import { knownIssuerOptions, type IssuerDetails } from './issuer-options.js'
import { proofOfPossession, type ProofOptions } from './proof-of-possession.js'
import { audienceOf, isResourceDescription, type ResourceDescription } from './resource-metadata.js'
import type { AskedIssuer, TrustedIssuer } from './trusted-issuer.js'
import { trustedIssuers, type Issuers, type IssuersOptions, type TrustChoice } from './trusted-issuers.js'
import { verifiedTokens } from './verified-tokens.js'

/** All there is to say; {@link VerifierOptions} says what must be said. */
export interface VerifierSettings extends IssuerDetails, ProofOptions {
  /** The authorization server's identifier, exactly as tokens have it in `iss`. Needed unless `issuers` or `protectedResource` is given. */
  issuer?: string
  /**
   * Several authorization servers: a list of names, or of objects with `issuer` and what is particular to it; or a function
   * that is given the issuer a token claims, and the request, and names whom to trust. What a server's own options leave out
   * of `audience`, `algorithms` and `profile` comes from here.
   */
  issuers?: Issuers
  /**
   * What `protectedResource()` returned: it names the issuers and, by its URL, the audience, and every challenge tells where
   * its metadata is. Give `audience` beside it for servers that put something else into `aud`, and `issuers` where tokens do
   * not have the issuer that the metadata names.
   */
  protectedResource?: ResourceDescription
  /**
   * A check of your own, after all others and for every request. Only `true` lets the request through. An `OAuthError` that
   * it throws is the answer; whatever else it throws goes to the error handler.
   */
  validate?: (auth: BearerAuth, req: IncomingMessage | undefined) => boolean | Promise<boolean>
  /** Seconds that our clock and the server's may differ. Default 30, at most 300. */
  clockTolerance?: number
  /**
   * Tokens that were found good and are remembered, so that the same token need not be verified on every request; each
   * until it expires, or its key is withdrawn. Default 20 000; 0 remembers none.
   */
  rememberedTokens?: number
  /** Seconds for fetching keys or metadata, or asking about a token, body included. Default 5. */
  timeout?: number
  /** Sends all requests to the server. Default: Node's `fetch`. */
  fetch?: Fetch
  /** Is told what happens, with the exact reason of each refusal. Events carry no secret. */
  onEvent?: (event: OAuthEvent) => void
}

export type VerifierOptions = VerifierSettings & TrustChoice

export const knownVerifierOptions: Record<keyof VerifierSettings, true> = {
  ...knownIssuerOptions,
  issuers: true,
  protectedResource: true,
  validate: true,
  clockTolerance: true,
  rememberedTokens: true,
  dpop: true,
  mtls: true,
  timeout: true,
  fetch: true,
  onEvent: true,
}

export interface Verifier {
  /**
   * Who a token is from. Throws `invalid_token` when it is not good, `key_set_unavailable` when that cannot be known. A
   * token that is bound to a key is not good without the request that proves it.
   */
  verify(token: string): Promise<BearerAuth>
  /**
   * The same for the token of a request, such as the one that asks for a WebSocket. Throws `missing_credentials` and
   * `invalid_request`, too; with `dpop`, also `invalid_dpop_proof`, `store_unavailable` and `use_dpop_nonce`, whose
   * `headers` have the nonce. A DPoP proof is good for one call.
   */
  authenticate(req: IncomingMessage): Promise<BearerAuth>
  /**
   * Waits for the keys, and until it is known where to ask about tokens, so that the first request need not. Throws
   * `key_set_unavailable`, `server_unavailable`, `invalid_server_response` or `invalid_server_metadata`.
   */
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

/** Who a request is from, and what belongs to the headers of the answer. */
export interface Admission {
  readonly auth: BearerAuth
  readonly headers: OutgoingHttpHeaders
}

/** The verifier as the guard has it. */
export interface TokenVerifier extends Verifier {
  /** What `authenticate` does, with all that it finds out. */
  admit(req: IncomingMessage): Promise<Admission>
  /** The schemes of the `Authorization` header that tokens may come with. */
  readonly schemes: readonly AuthScheme[]
  /** Signature algorithms of DPoP proofs; nothing where those are not taken. */
  readonly dpopAlgorithms: readonly Algorithm[] | undefined
  /** Who a request is from, when that is known without waiting. Nothing says nothing: ask `authenticate`. */
  recall(req: IncomingMessage): BearerUser | undefined
  readonly emit: Emit
  /** Seconds that our clock and the server's may differ. */
  readonly clockTolerance: number
  /** Seconds since the epoch. */
  now(): number
}

export function tokenVerifier(options: VerifierSettings, check: OptionChecks): TokenVerifier {
  const { validate, protectedResource } = options
  check.function('fetch', options.fetch)
  check.function('onEvent', options.onEvent)
  check.function('validate', validate)
  const clock = () => Date.now()
  const now = () => Math.floor(clock() / 1000)
  const emit = emitter(options.onEvent)
  const timeout = check.seconds('timeout', options.timeout, { default: 5, min: 0.1, max: 600 })
  const http = httpClient(options.fetch, timeout)
  const clockTolerance = check.seconds('clockTolerance', options.clockTolerance, { default: 30, max: 300 })
  const settings = { http, emit, clockTolerance, timeout, now }
  const issuers = trustedIssuers(trustOf(options, check), settings, check)
  const possession = proofOfPossession(options, { clockTolerance, now }, check)
  const maxEntries = checkedRemembered(options.rememberedTokens, check)
  const tokens = maxEntries === 0 ? undefined : verifiedTokens({ maxEntries, clock })

  /** Everything that can be judged without keys comes first, so that junk never reaches the network. */
  async function verifiedUser(
    { scheme, token }: Credentials,
    req: IncomingMessage | undefined,
  ): Promise<BearerUser> {
    const header = `${scheme} ${token}`
    const known = () => tokens?.get(header)
    const good = issuers.isFixed ? known() : undefined
    if (good) return good.auth
    const jwt = parseJwt(token)
    const named = issuers.of(jwt.claims, req)
    const issuer = named instanceof Promise ? await named : named
    // Asked after the app, which may take its time: meanwhile tokens expire and keys are withdrawn.
    const remembered = issuers.isFixed ? undefined : known()
    if (remembered?.issuer === issuer) return remembered.auth
    const accessToken = judge(jwt, issuer)
    const isBound = possession.isBound(scheme, accessToken.claims)
    const signer = verifySignature(issuer.keySet, jwt)
    const key = signer instanceof Promise ? await signer : signer
    // Cut from the header that is kept, so that both are one string in memory.
    const own = header.slice(scheme.length + 1)
    const auth = new BearerUser(own, issuer.issuer, accessToken, protectedResource)
    const until = accessToken.expiresAt + clockTolerance
    const isEnough = issuers.isFixed && validate === undefined && !isBound
    tokens?.keep({ header, auth, until, key, issuer, isEnough })
    return auth
  }

  function judge(jwt: UnverifiedJwt, issuer: TrustedIssuer): AccessToken {
    const { algorithms } = issuer
    if (!algorithms.includes(jwt.algorithm))
      throw invalidToken(
        'algorithm',
        `"alg" is ${jwt.algorithm}, expected is one of ${shownClaim(algorithms)}`,
      )
    return judgeAccessToken(jwt, issuer)
  }

  /** What its server said is remembered by the token alone. How the token came is judged for each request. */
  async function introspectedToken(
    { scheme, token }: Credentials,
    { issuer, introspection }: AskedIssuer,
  ): Promise<BearerUser> {
    const auth = await introspection.of(
      token,
      (verified) => new BearerUser(token, issuer, verified, protectedResource),
    )
    const { token_type: type } = auth.claims
    if (typeof type === 'string' && type.toLowerCase() !== scheme.toLowerCase())
      throw invalidToken('token_type')
    return auth
  }

  function bearerUser(credentials: Credentials, req?: IncomingMessage): Promise<BearerUser> {
    const asked = issuers.asked(credentials.token)
    return asked ? introspectedToken(credentials, asked) : verifiedUser(credentials, req)
  }

  /** The app's own check comes last, so that it never sees a token that is not good. */
  async function validated(auth: BearerAuth, req?: IncomingMessage): Promise<BearerAuth> {
    if (!validate) return auth
    const answer: unknown = await appAnswer('validate', () => validate(auth, req))
    // Nothing but `true`: a check that forgets its answer lets nobody in.
    if (answer !== true) throw invalidToken('validate', 'The function "validate" did not answer true.')
    return auth
  }

  async function admit(req: IncomingMessage): Promise<Admission> {
    const credentials = credentialsOf(req, possession.schemes)
    const auth = await bearerUser(credentials, req)
    const proved = possession.prove(req, credentials, auth.claims)
    const headers = proved instanceof Promise ? await proved : proved
    return { auth: validate ? await validated(auth, req) : auth, headers }
  }

  return {
    emit,
    schemes: possession.schemes,
    dpopAlgorithms: possession.dpopAlgorithms,
    clockTolerance,
    now,
    ready: () => issuers.ready(),
    recall(req) {
      const header = req.headers.authorization
      const known = header === undefined ? undefined : tokens?.get(header)
      return known?.isEnough && !isRepeated(req) ? known.auth : undefined
    },
    admit,
    async verify(token: unknown) {
      // In a header it would not have got this far; from elsewhere, anything may come.
      if (typeof token !== 'string' || token.length > longestHeader) throw invalidToken('malformed')
      const auth = await bearerUser({ scheme: 'Bearer', token })
      if (possession.isBound('Bearer', auth.claims)) throw invalidToken('sender_constrained')
      return validated(auth)
    },
    authenticate: async (req) => (await admit(req)).auth,
  }
}

function checkedRemembered(most = 20_000, check: OptionChecks): number {
  if (Number.isInteger(most) && most >= 0 && most <= 1_000_000) return most
  return check.refuse('rememberedTokens', `is ${most}`, 'give a whole number from 0 to 1 000 000')
}

/** The authorization servers and the audience: those that are given, or else those of the protected resource. */
function trustOf(options: VerifierSettings, check: OptionChecks): IssuersOptions {
  const { protectedResource, issuers } = options
  if (protectedResource === undefined) return options
  if (!isResourceDescription(protectedResource))
    check.refuse('protectedResource', 'is something else', 'pass what protectedResource() returned')
  if (options.issuer !== undefined)
    check.refuse(
      'issuer',
      'is given beside "protectedResource"',
      'leave it out: clients are sent to the issuers that the protected resource names, so theirs are the tokens',
    )
  const audience = options.audience ?? audienceOf(protectedResource)
  if (issuers !== undefined) return { ...options, audience, issuers }
  const [first, ...others] = protectedResource.issuers
  if (first !== undefined && others.length === 0) return { ...options, audience, issuer: first }
  return { ...options, audience, issuers: protectedResource.issuers }
}
