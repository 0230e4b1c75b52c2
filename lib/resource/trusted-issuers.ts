/** The authorization servers whose tokens open a resource. */

import { decodeJwt } from 'jose'
import type { Emit } from '../events.js'
import type { HttpClient } from '../http.js'
import type { Algorithm, UnverifiedJwt } from '../jose/jwt.js'
import { remoteKeySet, type KeySet } from '../jose/key-set.js'
import type { AccessTokenRules } from '../oauth/access-token.js'
import { issuerProblem } from '../oauth/issuer.js'
import { redirectUriProblem } from '../oauth/redirect-uri.js'
import { discoveredMetadata, requireEndpoint } from '../oauth/server-metadata.js'
import { checkedAlgorithms } from '../oauth/server-options.js'
import type { OptionChecks } from '../options.js'
import { introspector, type IntrospectionOptions, type Introspector } from './introspector.js'

/** One authorization server. */
export interface IssuerOptions {
  /** The authorization server's identifier, exactly as tokens have it in `iss`. */
  issuer: string
  /** The API, as tokens have it in `aud`. With several, a token for one of them will do. */
  audience?: string | readonly string[]
  /** Where the server's keys are. Default: what its metadata says. */
  jwksUri?: string
  /** Signature algorithms that are accepted. Default: all asymmetric ones. */
  algorithms?: readonly Algorithm[]
  /** Asks the server about tokens that are no JWTs, or about all of them (RFC 7662). Default: nothing is asked. */
  introspection?: IntrospectionOptions
}

export interface TrustedIssuer extends AccessTokenRules {
  readonly algorithms: readonly Algorithm[]
  readonly keySet: KeySet
  readonly introspection?: Introspector
}

/** One that can be asked about tokens. */
export type AskedIssuer = TrustedIssuer & Required<Pick<TrustedIssuer, 'introspection'>>

export interface TrustedIssuers {
  /** The one that a token says it is from, which proves nothing yet; nothing when that is none of them. */
  of(jwt: UnverifiedJwt): TrustedIssuer | undefined
  /** The one that has to be asked about a token; nothing when the token is to be verified here. */
  asked(token: string): AskedIssuer | undefined
  /** Waits for all that is needed of them. Throws `key_set_unavailable`, or why it is not known whom to ask. */
  ready(): Promise<void>
}

/** What all issuers of one verifier share. */
export interface IssuerSettings {
  http: HttpClient
  emit: Emit
  clockTolerance: number
  /** Seconds that an exchange may take. */
  timeout: number
  /** Seconds since the epoch. */
  now: () => number
}

export function trustedIssuers(
  options: readonly IssuerOptions[],
  settings: IssuerSettings,
  check: OptionChecks,
): TrustedIssuers {
  const issuers = new Map(options.map((one) => [one.issuer, trustedIssuer(one, settings, check)]))
  const [asked, ...others] = [...issuers.values()].filter(canBeAsked)
  if (others.length > 0)
    check.refuse(
      'introspection',
      'is given for more than one issuer',
      'keep it for one: an opaque token does not say which server issued it',
    )
  return {
    of({ claims }) {
      const { iss } = claims
      return typeof iss === 'string' ? issuers.get(iss) : undefined
    },
    asked(token) {
      if (!asked || !isJwt(token)) return asked
      if (asked.introspection.tokens !== 'all') return undefined
      const iss = issuers.size > 1 ? claimedIssuer(token) : undefined
      return iss === undefined || iss === asked.issuer || !issuers.has(iss) ? asked : undefined
    },
    async ready() {
      await Promise.all([...issuers.values()].map(isReady))
    },
  }
}

/** Where all tokens are asked about, there need not be any keys. */
async function isReady({ keySet, introspection }: TrustedIssuer): Promise<void> {
  await introspection?.ready()
  if (introspection?.tokens !== 'all') await keySet.ready()
}

function canBeAsked(issuer: TrustedIssuer): issuer is AskedIssuer {
  return issuer.introspection !== undefined
}

/** By its shape. Who has only its server read a token may give it any other. */
function isJwt(token: string): boolean {
  return token.split('.').length === 3
}

/** What a JWT says of its issuer, which proves nothing. */
function claimedIssuer(token: string): string | undefined {
  try {
    return decodeJwt(token).iss
  } catch {
    return undefined
  }
}

function trustedIssuer(options: IssuerOptions, settings: IssuerSettings, check: OptionChecks): TrustedIssuer {
  const { issuer, jwksUri } = options
  const { http, emit, clockTolerance, timeout, now } = settings
  check.string(
    'issuer',
    issuer,
    'give the URL of the authorization server, exactly as tokens have it in "iss"',
  )
  const problem = issuerProblem(issuer)
  if (problem) check.refuse('issuer', problem.problem, problem.advice)
  const jwksProblem = jwksUri === undefined ? undefined : redirectUriProblem(jwksUri)
  if (jwksProblem) check.refuse('jwksUri', jwksProblem.problem, jwksProblem.advice)
  const metadata = discoveredMetadata({
    issuer,
    http,
    emit,
    now,
    uses: options.introspection ? ['jwks_uri', 'introspection_endpoint'] : ['jwks_uri'],
  })
  const rules = { issuer, audience: checkedAudience(options.audience, check), clockTolerance, now }
  return {
    ...rules,
    algorithms: checkedAlgorithms(options.algorithms, check),
    keySet: remoteKeySet({
      uri: async () => jwksUri ?? requireEndpoint(await metadata(), 'jwks_uri'),
      http,
      emit,
      now,
    }),
    ...(options.introspection !== undefined && {
      introspection: introspector(options.introspection, { metadata, rules, http, timeout, emit }, check),
    }),
  }
}

function checkedAudience(audience: IssuerOptions['audience'], check: OptionChecks): readonly string[] {
  const values = [audience].flat().filter((one) => one !== undefined)
  if (values.length > 0 && values.every((one) => typeof one === 'string' && one !== '')) return values
  return check.refuse(
    'audience',
    'is missing',
    'give what tokens for this API have in "aud": a token for another API must not open this one',
  )
}
