/** The authorization servers whose tokens open a resource. */

import type { Emit } from '../events.js'
import type { HttpClient } from '../http.js'
import type { Algorithm, UnverifiedJwt } from '../jose/jwt.js'
import type { KeySet } from '../jose/key-set.js'
import { remoteKeySet } from '../jose/remote-key-set.js'
import type { AccessTokenRules } from '../oauth/access-token.js'
import { issuerProblem } from '../oauth/issuer.js'
import { redirectUriProblem } from '../oauth/redirect-uri.js'
import { discoveredMetadata, requireEndpoint } from '../oauth/server-metadata.js'
import { checkedAlgorithms } from '../oauth/server-options.js'
import type { OptionChecks } from '../options.js'

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
}

export interface TrustedIssuer extends AccessTokenRules {
  readonly algorithms: readonly Algorithm[]
  readonly keySet: KeySet
}

export interface TrustedIssuers {
  /** The one that a token says it is from, which proves nothing yet; nothing when that is none of them. */
  of(jwt: UnverifiedJwt): TrustedIssuer | undefined
  /** Waits for the keys of all of them. Throws `key_set_unavailable`. */
  ready(): Promise<void>
}

/** What all issuers of one verifier share. */
export interface IssuerSettings {
  http: HttpClient
  emit: Emit
  clockTolerance: number
  /** Seconds since the epoch. */
  now: () => number
}

export function trustedIssuers(
  options: readonly IssuerOptions[],
  settings: IssuerSettings,
  check: OptionChecks,
): TrustedIssuers {
  const issuers = new Map(options.map((one) => [one.issuer, trustedIssuer(one, settings, check)]))
  return {
    of({ claims }) {
      const { iss } = claims
      return typeof iss === 'string' ? issuers.get(iss) : undefined
    },
    async ready() {
      await Promise.all([...issuers.values()].map(({ keySet }) => keySet.ready()))
    },
  }
}

function trustedIssuer(options: IssuerOptions, settings: IssuerSettings, check: OptionChecks): TrustedIssuer {
  const { issuer, jwksUri } = options
  const { http, emit, clockTolerance, now } = settings
  check.string(
    'issuer',
    issuer,
    'give the URL of the authorization server, exactly as tokens have it in "iss"',
  )
  const problem = issuerProblem(issuer)
  if (problem) check.refuse('issuer', problem.problem, problem.advice)
  const jwksProblem = jwksUri === undefined ? undefined : redirectUriProblem(jwksUri)
  if (jwksProblem) check.refuse('jwksUri', jwksProblem.problem, jwksProblem.advice)
  const metadata = discoveredMetadata({ issuer, http, emit, now, uses: ['jwks_uri'] })
  return {
    issuer,
    audience: checkedAudience(options.audience, check),
    algorithms: checkedAlgorithms(options.algorithms, check),
    keySet: remoteKeySet({
      uri: async () => jwksUri ?? requireEndpoint(await metadata(), 'jwks_uri'),
      http,
      emit,
      now,
    }),
    clockTolerance,
    now,
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
