/** What an API is told of one authorization server, and what it trusts therefore: one issuer, or one for each tenant. */

import { appAnswer } from '../app-answer.js'
import { isOAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import type { HttpClient } from '../http.js'
import type { Algorithm, Claims } from '../jose/jwt.js'
import type { KeySet } from '../jose/key-set.js'
import { remoteKeySet } from '../jose/remote-key-set.js'
import { staticKeySet, type StaticKeys } from '../jose/static-key-set.js'
import type { VerificationKey } from '../jose/verification-key.js'
import { keptInUse } from '../kept-in-use.js'
import {
  accessTokenProfiles,
  type AccessTokenProfile,
  type AccessTokenRules,
  type AudienceRule,
} from '../oauth/access-token.js'
import { issuerProblem } from '../oauth/issuer.js'
import { redirectUriProblem } from '../oauth/redirect-uri.js'
import { discoveredMetadata, requireEndpoint } from '../oauth/server-metadata.js'
import { checkedAlgorithms } from '../oauth/server-options.js'
import type { OptionChecks } from '../options.js'
import { hasPlaceholder, issuerTemplate, isTenant, type IssuerTemplate } from './issuer-template.js'

/** The API, as tokens have it in `aud`; or in another claim, which then decides alone. */
export type Audience = string | readonly string[] | { claim: string; values: readonly string[] }

/** What may be said of an authorization server, apart from its name. */
export interface IssuerDetails {
  /**
   * This API, as tokens have it in `aud`. With several, a token for one of them will do. For servers that send no `aud`, name
   * the claim that says as much: `{ claim: 'client_id', values: ['…'] }`; then that claim decides, whatever `aud` says.
   */
  audience?: Audience
  /**
   * Where the server's metadata is, in full, if it is not at the issuer's own address. You name the place, so the `issuer` in
   * the document is not compared. Default: at the issuer's own address (OpenID Connect Discovery, RFC 8414).
   */
  discoveryUrl?: string
  /** Where the server's keys are. Default: what its metadata says. */
  jwksUri?: string
  /**
   * The server's public keys themselves: PEM, JWK, `KeyObject`, a key set, or a list of them. Then nothing is fetched, and a key
   * that the server withdraws is trusted until the app starts without it.
   */
  keys?: StaticKeys
  /** Signature algorithms that are accepted. Default: all asymmetric ones. */
  algorithms?: readonly Algorithm[]
  /**
   * `rfc9068`: tokens must be of the type `at+jwt` and have all that RFC 9068 §2.2 wants: `sub`, `client_id`, `iat` and `jti`
   * beside `iss`, `aud` and `exp`. `any`: what is needed to judge them, and nothing that ID tokens have. Default `any`.
   */
  profile?: AccessTokenProfile
  /**
   * The tenants that are let in, where `issuer` has a placeholder such as `https://login.microsoftonline.com/{tid}/v2.0`:
   * the placeholder stands for the claim of that name. A function is asked for every request and must answer `true`.
   */
  tenants?: readonly string[] | ((tenant: string) => boolean | Promise<boolean>)
}

/** One authorization server. */
export interface IssuerOptions extends IssuerDetails {
  /** The authorization server's identifier, exactly as tokens have it in `iss`. */
  issuer: string
}

export const knownIssuerOptions: Record<keyof IssuerOptions, true> = {
  issuer: true,
  audience: true,
  discoveryUrl: true,
  jwksUri: true,
  keys: true,
  algorithms: true,
  profile: true,
  tenants: true,
}

export interface TrustedIssuer extends AccessTokenRules {
  readonly algorithms: readonly Algorithm[]
  readonly keySet: KeySet
}

/** What one server's options make trusted. */
export interface IssuerTrust {
  /** Whether it is the same for all requests, so that nobody has to be asked again. */
  readonly isFixed: boolean
  /** The issuer that a token says it is from, which proves nothing yet; nothing when that is none of this server's. */
  of(claims: Claims): TrustedIssuer | undefined | Promise<TrustedIssuer | undefined>
  /** Waits for the keys, where it is known by now which. Throws `key_set_unavailable`. */
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

/** Key sets of tenants that are kept where their number is not known. */
const mostTenants = 1_000

export function issuerTrust(
  options: IssuerOptions,
  settings: IssuerSettings,
  check: OptionChecks,
): IssuerTrust {
  const { issuer } = options
  check.string(
    'issuer',
    issuer,
    'give the URL of the authorization server, exactly as tokens have it in "iss"; for several use "issuers"',
  )
  return hasPlaceholder(issuer) ? tenantsTrust(options, settings, check) : oneTrust(options, settings, check)
}

function oneTrust(options: IssuerOptions, settings: IssuerSettings, check: OptionChecks): IssuerTrust {
  const { issuer, tenants } = options
  const problem = issuerProblem(issuer)
  if (problem) check.refuse('issuer', problem.problem, problem.advice)
  if (tenants !== undefined)
    check.refuse(
      'tenants',
      'is given, but "issuer" has no placeholder',
      'write the claim that names the tenant into the issuer, such as "https://login.example.com/{tid}"',
    )
  checkPlaces(options, check)
  const keySet = keySetOf(issuer, options, settings, check)
  const trusted = { ...rulesOf(options, settings, check), issuer, keySet }
  return {
    isFixed: true,
    of: ({ iss }) => (iss === issuer ? trusted : undefined),
    ready: () => keySet.ready(),
  }
}

function tenantsTrust(options: IssuerOptions, settings: IssuerSettings, check: OptionChecks): IssuerTrust {
  const template = checkedTemplate(options.issuer, check)
  const tenants = checkedTenants(options.tenants, check)
  checkPlaces(options, check)
  const rules = rulesOf(options, settings, check)
  // A place that was named is the same for all tenants; else each of them has its own metadata.
  const isShared = keyPlaces.some((name) => options[name] !== undefined)
  const shared = isShared ? keySetOf(options.issuer, options, settings, check) : undefined
  const known = keptInUse<TrustedIssuer>({
    most: typeof tenants === 'function' ? mostTenants : tenants.length,
  })
  const trustedTenant = (tenant: string) =>
    known.get(tenant, () => {
      const issuer = template.issuerOf(tenant)
      const keySet = shared
        ? keysOfTenant(shared, tenant, issuer)
        : keySetOf(issuer, options, settings, check)
      return { ...rules, issuer, keySet }
    })
  return {
    isFixed: typeof tenants !== 'function',
    of(claims) {
      const tenant = template.tenantOf(claims)
      if (tenant === undefined) return undefined
      if (typeof tenants !== 'function') return tenants.includes(tenant) ? trustedTenant(tenant) : undefined
      return appAnswer('tenants', () => tenants(tenant)).then((answer: unknown) =>
        // Nothing but `true`: what an app meant by anything else is not for us to guess.
        answer === true ? trustedTenant(tenant) : undefined,
      )
    },
    ready: async () => shared?.ready(),
  }
}

function rulesOf(options: IssuerOptions, settings: IssuerSettings, check: OptionChecks) {
  const { clockTolerance, now } = settings
  const profile = check.oneOf('profile', options.profile, accessTokenProfiles, 'any')
  const audience = checkedAudience(options.audience, check)
  if (profile === 'rfc9068' && audience.claim !== 'aud')
    check.refuse('audience', 'names another claim beside "rfc9068"', 'tokens of that profile say it in "aud"')
  return { audience, profile, algorithms: checkedAlgorithms(options.algorithms, check), clockTolerance, now }
}

function keySetOf(
  issuer: string,
  { discoveryUrl, jwksUri, keys }: IssuerDetails,
  { http, emit, now }: IssuerSettings,
  check: OptionChecks,
): KeySet {
  if (keys !== undefined) return checkedKeys(keys, check)
  const metadata = discoveredMetadata({
    issuer,
    http,
    emit,
    now,
    uses: ['jwks_uri'],
    ...(discoveryUrl !== undefined && { url: discoveryUrl }),
  })
  return remoteKeySet({
    uri: async () => jwksUri ?? requireEndpoint(await metadata(), 'jwks_uri'),
    http,
    emit,
    now,
  })
}

/**
 * Entra ID publishes one set for all tenants. Some keys in it are for one tenant only, and have an `issuer` member that
 * says so; without this check that tenant's key would vouch for all.
 */
function keysOfTenant(shared: KeySet, tenant: string, issuer: string): KeySet {
  const isOfTenant = (key: VerificationKey) =>
    key.issuer === undefined || key.issuer.replace('{tenantid}', tenant) === issuer
  return {
    keysFor: async (jwt) => (await shared.keysFor(jwt)).filter(isOfTenant),
    newKeysFor: async (jwt, tried) => (await shared.newKeysFor(jwt, tried)).filter(isOfTenant),
    trusts: (key) => shared.trusts(key),
    ready: () => shared.ready(),
  }
}

function checkedTemplate(issuer: string, check: OptionChecks): IssuerTemplate {
  const template = issuerTemplate(issuer)
  const advice = 'write one claim in braces, after the host: "https://login.example.com/{tid}/v2.0"'
  if (!template) return check.refuse('issuer', `is "${issuer}"`, advice)
  const problem = issuerProblem(template.issuerOf('tenant'))
  if (problem) check.refuse('issuer', problem.problem, problem.advice)
  return template
}

function checkedTenants(tenants: IssuerDetails['tenants'], check: OptionChecks) {
  if (typeof tenants === 'function') return tenants
  const isList = Array.isArray(tenants) && tenants.length > 0
  if (isList && tenants.every(isTenant)) return [...tenants]
  return check.refuse(
    'tenants',
    tenants === undefined ? 'is missing' : 'is no list of tenants',
    'give the tenants that are let in, each as its claim has it, or a function that says whether one is',
  )
}

function checkedKeys(keys: StaticKeys, check: OptionChecks): KeySet {
  try {
    return staticKeySet(keys)
  } catch (error) {
    if (!isOAuthError(error)) throw error
    return check.refuse('keys', `cannot be used: ${error.message}`, error.hint ?? 'give public keys')
  }
}

/** Where keys are, other than at the issuer's own address. */
export const keyPlaces = ['discoveryUrl', 'jwksUri', 'keys'] as const

function checkPlaces(options: IssuerDetails, check: OptionChecks): void {
  const [place, second] = keyPlaces.filter((name) => options[name] !== undefined)
  if (place === undefined) return
  if (second !== undefined) check.refuse(place, `is given beside "${second}"`, 'use one of them')
  if (place === 'keys') return
  const url = check.string(place, options[place], 'give a URL')
  const problem = redirectUriProblem(url)
  if (problem) check.refuse(place, problem.problem, problem.advice)
  if (hasPlaceholder(url)) check.refuse(place, `is "${url}"`, 'it has no placeholder: all tenants share it')
}

/** Claims that say nothing about what a token is for. */
const claimsOfOtherThings = ['iss', 'sub', 'exp', 'nbf', 'iat', 'jti', 'typ']

export function checkedAudience(audience: Audience | undefined, check: OptionChecks): AudienceRule {
  const isRule = audience !== null && typeof audience === 'object' && 'claim' in audience
  const { claim, values } = isRule ? audience : { claim: 'aud', values: [audience].flat() }
  if (isRule && (typeof claim !== 'string' || claim === '' || claimsOfOtherThings.includes(claim)))
    return check.refuse(
      'audience.claim',
      `is ${JSON.stringify(claim)}`,
      'name a claim that says what a token is for, such as "client_id"',
    )
  if (Array.isArray(values) && values.length > 0 && values.every(isContent))
    return { claim, values: [...values] }
  return check.refuse(
    isRule ? 'audience.values' : 'audience',
    'is missing',
    'give what tokens for this API have in "aud": a token for another API must not open this one',
  )
}

function isContent(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}
