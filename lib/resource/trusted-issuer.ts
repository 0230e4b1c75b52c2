/** What one authorization server's options make trusted: one issuer, or one for each tenant. */

import { appAnswer } from '../app-answer.js'
import type { Emit } from '../events.js'
import type { HttpClient } from '../http.js'
import type { Algorithm, Claims } from '../jose/jwt.js'
import type { KeySet } from '../jose/key-set.js'
import { remoteKeySet } from '../jose/remote-key-set.js'
import type { VerificationKey } from '../jose/verification-key.js'
import { keptInUse } from '../kept-in-use.js'
import { accessTokenProfiles, type AccessTokenRules } from '../oauth/access-token.js'
import { issuerProblem } from '../oauth/issuer.js'
import { discoveredMetadata, requireEndpoint, type MetadataSource } from '../oauth/server-metadata.js'
import { checkedAlgorithms } from '../oauth/server-options.js'
import type { OptionChecks } from '../options.js'
import {
  checkedAudience,
  checkedKeys,
  checkedTemplate,
  checkedTenants,
  checkPlaces,
  keyPlaces,
  type IssuerDetails,
  type IssuerOptions,
} from './issuer-options.js'
import { introspector, type Introspector } from './introspector.js'
import { hasPlaceholder } from './issuer-template.js'

export interface TrustedIssuer extends AccessTokenRules {
  readonly algorithms: readonly Algorithm[]
  readonly keySet: KeySet
}

/** One that can be asked about tokens. */
export interface AskedIssuer extends TrustedIssuer {
  readonly introspection: Introspector
}

/** What one server's options make trusted. */
export interface IssuerTrust {
  /** Whether it is the same for all requests, so that nobody has to be asked again. */
  readonly isFixed: boolean
  /** The issuer that is asked about tokens, where that was configured. */
  readonly asked?: AskedIssuer
  /** The issuer that a token says it is from, which proves nothing yet; nothing when that is none of this server's. */
  of(claims: Claims): TrustedIssuer | undefined | Promise<TrustedIssuer | undefined>
  /** Waits for the keys and for the place to ask, where it is known by now which. Throws `key_set_unavailable` and the like. */
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
  const metadata = metadataOf(issuer, options, settings)
  const keySet = keySetOf(metadata, options, settings, check)
  const trusted: TrustedIssuer = { ...rulesOf(options, settings, check), issuer, keySet }
  const introspection =
    options.introspection === undefined
      ? undefined
      : introspector(options.introspection, { ...settings, metadata, rules: trusted }, check)
  return {
    isFixed: true,
    ...(introspection && { asked: { ...trusted, introspection } }),
    of: ({ iss }) => (iss === issuer ? trusted : undefined),
    async ready() {
      await introspection?.ready()
      // Where all tokens are asked about, there need not be any keys.
      if (introspection?.tokens !== 'all') await keySet.ready()
    },
  }
}

function tenantsTrust(options: IssuerOptions, settings: IssuerSettings, check: OptionChecks): IssuerTrust {
  const template = checkedTemplate(options.issuer, check)
  const tenants = checkedTenants(options.tenants, check)
  if (options.introspection !== undefined)
    check.refuse('introspection', 'is given beside "tenants"', 'an opaque token does not say whose it is')
  checkPlaces(options, check)
  const rules = rulesOf(options, settings, check)
  // A place that was named is the same for all tenants; else each of them has its own metadata.
  const isShared = keyPlaces.some((name) => options[name] !== undefined)
  const keysAt = (issuer: string) => keySetOf(metadataOf(issuer, options, settings), options, settings, check)
  const shared = isShared ? keysAt(options.issuer) : undefined
  const known = keptInUse<TrustedIssuer>({
    most: typeof tenants === 'function' ? mostTenants : tenants.length,
  })
  const trustedTenant = (tenant: string) =>
    known.get(tenant, () => {
      const issuer = template.issuerOf(tenant)
      const keySet = shared ? keysOfTenant(shared, tenant, issuer) : keysAt(issuer)
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

function metadataOf(
  issuer: string,
  { discoveryUrl, introspection }: IssuerDetails,
  { http, emit, now }: IssuerSettings,
): MetadataSource {
  return discoveredMetadata({
    issuer,
    http,
    emit,
    now,
    uses: introspection === undefined ? ['jwks_uri'] : ['jwks_uri', 'introspection_endpoint'],
    ...(discoveryUrl !== undefined && { url: discoveryUrl }),
  })
}

function keySetOf(
  metadata: MetadataSource,
  { jwksUri, keys }: IssuerDetails,
  { http, emit, now }: IssuerSettings,
  check: OptionChecks,
): KeySet {
  if (keys !== undefined) return checkedKeys(keys, check)
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
