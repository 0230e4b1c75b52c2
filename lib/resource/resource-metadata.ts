/** A protected resource, and the document that tells clients where to get tokens for it (RFC 9728). */

import { issuerProblem } from '../oauth/issuer.js'
import { isScopeToken } from '../oauth/scope.js'
import { checkOptions, type OptionChecks } from '../options.js'

export interface ProtectedResourceOptions {
  /**
   * The URL of the resource, as clients name it when they ask for tokens (RFC 8707), such as
   * `https://api.example.com/mcp`. It is never taken from a request.
   */
  resource: string
  /**
   * The authorization server's identifier, exactly as its own metadata and its tokens spell it, with or without the slash at
   * its end. With several, most clients take the first.
   */
  issuer: string | readonly string[]
  /** Scopes that clients may ask for. Default: none are listed. */
  scopes?: readonly string[]
  /** The name that clients show to their users. */
  name?: string
  /** URL of a page for developers. */
  documentation?: string
  /** URL of a page that says what clients may do with the data. */
  policy?: string
  /** URL of the terms of service. */
  termsOfService?: string
  /** Further members, by their names in RFC 9728 §2. */
  metadata?: FurtherMetadata
}

/** Members that most resources do without. */
export interface FurtherMetadata {
  /** Where the resource's own keys are: those that it signs its answers with. */
  readonly jwks_uri?: string
  readonly resource_signing_alg_values_supported?: readonly string[]
  readonly authorization_details_types_supported?: readonly string[]
  readonly dpop_signing_alg_values_supported?: readonly string[]
  /** Say so only where the guard insists on it, too. */
  readonly dpop_bound_access_tokens_required?: boolean
  /** Say so only where the guard insists on it, too. */
  readonly tls_client_certificate_bound_access_tokens?: boolean
}

export const knownResourceOptions: Record<keyof ProtectedResourceOptions, true> = {
  resource: true,
  issuer: true,
  scopes: true,
  name: true,
  documentation: true,
  policy: true,
  termsOfService: true,
  metadata: true,
}

/** What guards and verifiers take from a protected resource. */
export interface ResourceDescription {
  /** Its identifier: an https URL. */
  readonly resource: string
  /** The authorization servers whose tokens open it. */
  readonly issuers: readonly string[]
  /** The scopes that clients may ask for. */
  readonly scopes: readonly string[]
  /** Where its metadata is. */
  readonly metadataUrl: string
}

/** Whether an option holds one, and not the options for one. */
export function isResourceDescription(value: unknown): value is ResourceDescription {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false
  const { resource, issuers, metadataUrl } = value as Partial<ResourceDescription>
  return [resource, metadataUrl].every((url) => typeof url === 'string') && Array.isArray(issuers)
}

export const wellKnownPath = '/.well-known/oauth-protected-resource'

export function describedResource(
  options: ProtectedResourceOptions,
  check: OptionChecks,
): ResourceDescription {
  const resource = checkedResourceUrl(options.resource, check)
  const { origin, pathname } = new URL(resource)
  return {
    resource,
    issuers: checkedIssuers(options.issuer, check),
    scopes: checkedScopes(options.scopes, check),
    // Put in before the path, not appended to it (RFC 9728 §3.1).
    metadataUrl: origin + wellKnownPath + (pathname === '/' ? '' : pathname),
  }
}

/** The document (RFC 9728 §2). */
export function resourceMetadata(
  options: ProtectedResourceOptions,
  { resource, issuers, scopes }: ResourceDescription,
  check: OptionChecks,
): object {
  const members = {
    resource,
    authorization_servers: issuers,
    scopes_supported: scopes,
    bearer_methods_supported: ['header'],
    resource_name:
      options.name === undefined ? undefined : check.string('name', options.name, 'give a name, or none'),
    resource_documentation: checkedPage('documentation', options.documentation, check),
    resource_policy_uri: checkedPage('policy', options.policy, check),
    resource_tos_uri: checkedPage('termsOfService', options.termsOfService, check),
    ...checkedFurther(options.metadata),
  }
  // An empty list would say that there are none; what is not true goes without saying.
  const isTold = (value: unknown) =>
    value !== undefined && value !== false && !(Array.isArray(value) && value.length === 0)
  return Object.fromEntries(Object.entries(members).filter(([, value]) => isTold(value)))
}

/**
 * What tokens for a resource have in `aud`. Clients pass its URL through a parser, which adds a slash to a bare origin, and
 * to nothing else.
 */
export function audienceOf({ resource }: ResourceDescription): readonly string[] {
  const { origin, href } = new URL(resource)
  return href === `${origin}/` ? [origin, href] : [resource]
}

function checkedResourceUrl(resource: string, check: OptionChecks): string {
  check.string('resource', resource, 'give the URL that clients know this resource by')
  const problem = issuerProblem(resource)
  if (problem) check.refuse('resource', problem.problem, problem.advice)
  const { href } = new URL(resource)
  // Clients and authorization servers compare it to the letter, after a parser has had it.
  if (href !== resource && href !== `${resource}/`)
    check.refuse('resource', `is "${resource}"`, `write it as clients do: "${href}"`)
  return resource
}

function checkedIssuers(issuer: string | readonly string[], check: OptionChecks): readonly string[] {
  const issuers = [issuer].flat().filter((one) => one !== undefined)
  const advice = 'give the URL of the authorization server, exactly as its metadata has it in "issuer"'
  if (issuers.length === 0) check.refuse('issuer', 'is missing', advice)
  for (const one of issuers) {
    check.string('issuer', one, advice)
    const problem = issuerProblem(one)
    if (problem) check.refuse('issuer', problem.problem, problem.advice)
  }
  if (new Set(issuers).size < issuers.length)
    check.refuse('issuer', 'names one twice', 'name each authorization server once')
  return Object.freeze(issuers)
}

function checkedScopes(scopes: readonly string[] = [], check: OptionChecks): readonly string[] {
  if (!Array.isArray(scopes) || !scopes.every(isScopeToken)) {
    return check.refuse(
      'scopes',
      `is ${JSON.stringify(scopes)}`,
      'give an array with each scope as a string of its own',
    )
  }
  if (scopes.includes('offline_access')) {
    const advice =
      'leave it out: whether a client gets a refresh token is between it and the authorization server'
    check.refuse('scopes', 'has "offline_access"', advice)
  }
  return Object.freeze([...new Set(scopes)])
}

function checkedPage(name: string, url: string | undefined, check: OptionChecks): string | undefined {
  if (url === undefined || isPage(url)) return url
  return check.refuse(name, `is "${url}"`, 'give the URL of a page, with its scheme and host')
}

function isPage(url: unknown): boolean {
  return typeof url === 'string' && /^https?:\/\//.test(url) && URL.canParse(url)
}

const isNames = (value: unknown) => Array.isArray(value) && value.every((one) => typeof one === 'string')
const isFlag = (value: unknown) => typeof value === 'boolean'

/** Each further member, and whether a value will do. */
const furtherMembers: Record<keyof FurtherMetadata, (value: unknown) => boolean> = {
  jwks_uri: isPage,
  resource_signing_alg_values_supported: isNames,
  authorization_details_types_supported: isNames,
  dpop_signing_alg_values_supported: isNames,
  dpop_bound_access_tokens_required: isFlag,
  tls_client_certificate_bound_access_tokens: isFlag,
}

function checkedFurther(metadata: FurtherMetadata = {}): FurtherMetadata {
  const known = Object.fromEntries(Object.keys(furtherMembers).map((name) => [name, true] as const))
  const check = checkOptions('protectedResource', metadata, known)
  for (const [name, isGood] of Object.entries(furtherMembers)) {
    const value: unknown = metadata[name as keyof FurtherMetadata]
    if (value !== undefined && !isGood(value))
      check.refuse(`metadata.${name}`, `is ${JSON.stringify(value)}`, 'see RFC 9728, section 2')
  }
  return metadata
}
