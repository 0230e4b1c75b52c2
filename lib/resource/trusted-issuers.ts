/** The authorization servers whose tokens open a resource. */

import type { IncomingMessage } from 'node:http'
import { claimsIn, invalidToken, shownClaim, type Claims } from '../jose/jwt.js'
import type { OptionChecks } from '../options.js'
import {
  checkedAudience,
  keyPlaces,
  knownIssuerOptions,
  withDefaults,
  type Audience,
  type IssuerDetails,
  type IssuerOptions,
} from './issuer-options.js'
import type { ResourceDescription } from './resource-metadata.js'
import { resolvedTrust, type IssuerResolver } from './issuer-resolver.js'
import {
  issuerTrust,
  type AskedIssuer,
  type IssuerSettings,
  type IssuerTrust,
  type TrustedIssuer,
} from './trusted-issuer.js'

/** Several authorization servers, each by its name or with what is particular to it; or a function that names one. */
export type Issuers = readonly (string | IssuerOptions)[] | IssuerResolver

/** What must be given: one server and what its tokens are for, or several, or what a protected resource says of both. */
export type TrustChoice =
  | { issuer: string; audience: Audience; issuers?: undefined; protectedResource?: undefined }
  | { issuers: Issuers; issuer?: undefined }
  | { protectedResource: ResourceDescription; issuer?: undefined }

export interface TrustedIssuers {
  /** Whether it is the same for all requests: if not, it has to be asked again also for a token that was good before. */
  readonly isFixed: boolean
  /**
   * The one that a token says it is from, which proves nothing yet. Throws `invalid_token` when that is none of them, and
   * whatever a function of the app throws.
   */
  of(claims: Claims, req: IncomingMessage | undefined): TrustedIssuer | Promise<TrustedIssuer>
  /** The one that has to be asked about a token; nothing when the token is to be verified here. */
  asked(token: string): AskedIssuer | undefined
  /** Waits for what is needed of all that are known by now. Throws `key_set_unavailable` and the like. */
  ready(): Promise<void>
}

/** Which servers, and what may be said of them all. */
export type IssuersOptions = IssuerDetails & { issuer?: string; issuers?: Issuers }

/** Characters of an issuer that a function of the app is asked about. */
const longestIssuer = 2_048

export function trustedIssuers(
  options: IssuersOptions,
  settings: IssuerSettings,
  check: OptionChecks,
): TrustedIssuers {
  const { issuer, issuers } = options
  // Whether the one issuer is there is checked with the rest of it.
  if (issuers === undefined) return listedIssuers([[options as IssuerOptions, check]], settings)
  if (issuer !== undefined) check.refuse('issuers', 'is given beside "issuer"', 'use one of the two')
  for (const name of [...keyPlaces, 'tenants', 'introspection'] as const)
    if (options[name] !== undefined)
      check.refuse(name, 'is given beside "issuers"', 'give it with the one issuer that it is about')
  if (typeof issuers === 'function') return namedIssuers(issuers, options, settings, check)
  if (!Array.isArray(issuers) || issuers.length === 0)
    check.refuse('issuers', 'is no list of issuers', 'give at least one, or a function that names one')
  const all = issuers.map((one) => (typeof one === 'string' ? { issuer: one } : one))
  return listedIssuers(
    all.map((one, index) => {
      const checkOne = check.within(`issuers[${index}]`, one, knownIssuerOptions)
      if (all.findIndex((other) => other?.issuer === one.issuer) < index)
        checkOne.refuse('issuer', 'is there twice', 'name each once; "audience" may be a list')
      return [withDefaults(one, options), checkOne]
    }),
    settings,
  )
}

function listedIssuers(
  list: readonly (readonly [IssuerOptions, OptionChecks])[],
  settings: IssuerSettings,
): TrustedIssuers {
  const names = list.map(([{ issuer }]) => issuer)
  const trusts = list.map(([options, check]) => issuerTrust(options, settings, check))
  const [asked] = trusts.flatMap((trust) => trust.asked ?? [])
  const [, second] = list.filter((_one, index) => trusts[index]?.asked)
  second?.[1].refuse(
    'introspection',
    'is given for a second issuer',
    'keep it for one: an opaque token does not say which server issued it',
  )

  function firstOf(
    claims: Claims,
    [trust, ...others]: readonly IssuerTrust[] = trusts,
  ): TrustedIssuer | Promise<TrustedIssuer> {
    if (!trust) throw untrusted(claims, shownClaim(names))
    const trusted = trust.of(claims)
    if (trusted instanceof Promise) return trusted.then((one) => one ?? firstOf(claims, others))
    return trusted ?? firstOf(claims, others)
  }

  return {
    isFixed: trusts.every(({ isFixed }) => isFixed),
    of: (claims) => firstOf(claims),
    asked(token) {
      if (!asked || !isJwt(token)) return asked
      if (asked.introspection.tokens !== 'all') return undefined
      // A JWT that says it is from somebody else is judged here: those of strangers never reach the network.
      const iss = claimsIn(token)?.['iss']
      return iss === undefined || iss === asked.issuer ? asked : undefined
    },
    async ready() {
      await Promise.all(trusts.map((trust) => trust.ready()))
    },
  }
}

function namedIssuers(
  resolver: IssuerResolver,
  options: IssuersOptions,
  settings: IssuerSettings,
  check: OptionChecks,
): TrustedIssuers {
  if (options.audience !== undefined) checkedAudience(options.audience, check)
  const trustOf = resolvedTrust(resolver, options, settings, check)
  return {
    isFixed: false,
    async of(claims, req) {
      const { iss } = claims
      const isAskable = typeof iss === 'string' && iss.length <= longestIssuer
      const trust = isAskable ? await trustOf(iss, req) : undefined
      const trusted = await trust?.of(claims)
      if (trusted) return trusted
      throw untrusted(claims, 'whom the function "issuers" names')
    },
    asked: () => undefined,
    ready: async () => undefined,
  }
}

/** By its shape. Who has only its server read a token may give it any other. */
function isJwt(token: string): boolean {
  return token.split('.', 4).length === 3
}

function untrusted({ iss }: Claims, trusted: string) {
  return invalidToken('issuer', `"iss" is ${shownClaim(iss)}, trusted is ${trusted}`)
}
