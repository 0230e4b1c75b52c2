/** What may be said of one authorization server, and what must be true of it. */

import { isOAuthError } from '../errors.js'
import type { Algorithm } from '../jose/jwt.js'
import type { KeySet } from '../jose/key-set.js'
import { staticKeySet, type StaticKeys } from '../jose/static-key-set.js'
import type { AccessTokenProfile, AudienceRule } from '../oauth/access-token.js'
import { issuerProblem } from '../oauth/issuer.js'
import { redirectUriProblem } from '../oauth/redirect-uri.js'
import type { OptionChecks } from '../options.js'
import type { IntrospectionOptions } from './introspector.js'
import { hasPlaceholder, issuerTemplate, isTenant, type IssuerTemplate } from './issuer-template.js'

/** The API, as tokens have it in `aud`; or in another claim, which then decides alone. */
export type Audience = string | readonly string[] | { claim: string; values: readonly string[] }

/** What may be said of an authorization server, apart from its name. */
export interface IssuerDetails {
  /**
   * This API, as tokens have it in `aud`; needed, here or with each of `issuers`. With several, a token for one of them will
   * do. For servers that send no `aud`, name the claim that says as much: `{ claim: 'client_id', values: ['…'] }`; then that
   * claim decides, whatever `aud` says.
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
   * beside `iss`, `aud` and `exp`. `any`: what is needed to judge them, and nothing that ID tokens have. Introspected tokens are no
   * JWTs: it is not about them. Default `any`.
   */
  profile?: AccessTokenProfile
  /** Asks the server about tokens that are no JWTs, or about all of them (RFC 7662). Default: nothing is asked. */
  introspection?: IntrospectionOptions
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
  introspection: true,
  tenants: true,
}

/** What one server's options leave out comes from those of the verifier. */
export function withDefaults(options: IssuerOptions, defaults: IssuerDetails): IssuerOptions {
  const audience = options.audience ?? defaults.audience
  const algorithms = options.algorithms ?? defaults.algorithms
  const profile = options.profile ?? defaults.profile
  return {
    ...options,
    ...(audience !== undefined && { audience }),
    ...(algorithms !== undefined && { algorithms }),
    ...(profile !== undefined && { profile }),
  }
}

export function checkedTemplate(issuer: string, check: OptionChecks): IssuerTemplate {
  const template = issuerTemplate(issuer)
  const advice = 'write one claim in braces, after the host: "https://login.example.com/{tid}/v2.0"'
  if (!template) return check.refuse('issuer', `is "${issuer}"`, advice)
  const problem = issuerProblem(template.issuerOf('tenant'))
  if (problem) check.refuse('issuer', problem.problem, problem.advice)
  return template
}

export function checkedTenants(tenants: IssuerDetails['tenants'], check: OptionChecks) {
  if (typeof tenants === 'function') return tenants
  const isList = Array.isArray(tenants) && tenants.length > 0
  if (isList && tenants.every(isTenant)) return [...tenants]
  return check.refuse(
    'tenants',
    tenants === undefined ? 'is missing' : 'is no list of tenants',
    'give the tenants that are let in, each as its claim has it, or a function that says whether one is',
  )
}

export function checkedKeys(keys: StaticKeys, check: OptionChecks): KeySet {
  try {
    return staticKeySet(keys)
  } catch (error) {
    if (!isOAuthError(error)) throw error
    return check.refuse('keys', `cannot be used: ${error.message}`, error.hint ?? 'give public keys')
  }
}

/** Where keys are, other than at the issuer's own address. */
export const keyPlaces = ['discoveryUrl', 'jwksUri', 'keys'] as const

export function checkPlaces(options: IssuerDetails, check: OptionChecks): void {
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
