/** A provider whose accounts can be connected: its options, checked, and its servers, built when they are first needed. */

import { OAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import { tokenLimit, type Fetch, type HttpClient } from '../http.js'
import { algorithms } from '../jose/jwt.js'
import { keptInUse } from '../kept-in-use.js'
import { reservedParameters, type AuthorizationParameters } from '../oauth/authorization-request.js'
import { createClient, type Client } from '../oauth/client.js'
import type { ClientCredentials } from '../oauth/client-authentication.js'
import { derivedDPoPKeys } from '../oauth/dpop-keys.js'
import { checkedResource, checkedScope } from '../oauth/requested-access.js'
import { configuredMetadata, discoveredMetadata, type ServerEndpoints } from '../oauth/server-metadata.js'
import { checkedCredentials, checkedServer } from '../oauth/server-options.js'
import type { TokenSet } from '../oauth/token-set.js'
import type { OptionChecks } from '../options.js'
import { checkedApis } from '../tokens/listed-api.js'
import { checkedFields, type Fields } from './connection-fields.js'
import type {
  AccountAnswer,
  ConnectionEnvironment,
  ConnectionProvider,
  RequestParameters,
  TokenRevocation,
} from './provider-options.js'
import { createProviderServer, type ProviderServer } from './provider-server.js'
import { filled, placesIn, templateProblem, type FieldValues } from './url-template.js'

export interface Provider {
  /** Its name in the option `providers`. */
  readonly key: string
  /** What people call it. */
  readonly name: string
  readonly redirectUri: string
  readonly fields: Fields
  readonly scope: readonly string[]
  readonly resource: string | undefined
  readonly authorizationParameters: AuthorizationParameters
  readonly sharedAccounts: boolean
  /** The server that these fields lead to. Throws `invalid_fields` for values that lead nowhere. */
  server(fields: FieldValues): ProviderServer
  /** Whose account it is. Throws `invalid_server_response` when the answer does not say. */
  accountId(account: AccountAnswer): string
  label(account: AccountAnswer): string
}

export interface ProviderParts {
  redirectUri: string
  secrets: readonly string[]
  /** Sends requests to authorization servers. */
  http: HttpClient
  /** Sends requests to APIs. */
  fetch: Fetch
  /** Seconds. */
  timeout: number
  clockTolerance: number
  emit: Emit
  now: () => number
}

const knownOfServer = {
  issuer: true,
  endpoints: true,
  clientId: true,
  clientSecret: true,
  privateKey: true,
  tokenEndpointAuthMethod: true,
} as const

const known: Record<keyof ConnectionProvider, true> = {
  ...knownOfServer,
  name: true,
  environments: true,
  fields: true,
  scope: true,
  resource: true,
  authorizationParameters: true,
  tokenResponse: true,
  revokeToken: true,
  test: true,
  accountId: true,
  label: true,
  allow: true,
  parameters: true,
  sharedAccounts: true,
  dpop: true,
}

const knownOfEnvironment: Record<keyof ConnectionEnvironment, true> = {
  ...knownOfServer,
  name: true,
  test: true,
  allow: true,
  parameters: true,
}

/** Servers of one provider, where a field without choices leads to many. */
const mostServers = 1_000

/** Throws `invalid_configuration` for options that cannot work. */
export function createProvider(
  key: string,
  options: ConnectionProvider,
  checkAll: OptionChecks,
  parts: ProviderParts,
): Provider {
  if (!/^[a-z0-9][a-z0-9_-]{0,39}$/i.test(key))
    checkAll.refuse(
      `providers.${key}`,
      'has a name that cannot be part of a path',
      'use letters, digits, "-" and "_"',
    )
  const check = checkAll.within(`providers.${key}`, options, known)
  const scope = checkedScope(options.scope ?? '', check)
  const resource = checkedResource(options.resource, check)
  const wantsDPoP = check.boolean('dpop', options.dpop)
  const sharedAccounts = check.boolean('sharedAccounts', options.sharedAccounts)
  for (const name of ['tokenResponse', 'revokeToken', 'accountId', 'label'] as const)
    check.function(name, options[name])
  const name =
    options.name === undefined ? key : check.string('name', options.name, 'say what people call it')
  const fields = checkedFields(fieldsOf(options), check)
  const environments = checkedEnvironments(options, check)
  for (const { settings, check: checkOne } of environments.values())
    checkEnvironment(settings, options, fields, scope, checkOne)
  const authorizationParameters = checkedAuthorizationParameters(options.authorizationParameters, check)

  const dpopKeys = derivedDPoPKeys(parts.secrets, {
    purpose: `dpop key connections ${key}`,
    isWanted: wantsDPoP,
    now: parts.now,
  })
  const servers = keptInUse<ProviderServer>({ most: mostServers })

  return {
    key,
    name,
    redirectUri: parts.redirectUri,
    fields,
    scope,
    resource,
    authorizationParameters,
    sharedAccounts,
    server: (values) =>
      servers.get(JSON.stringify(Object.entries(values).toSorted(byName)), () => serverFor(values)),
    accountId(account) {
      const id: unknown = options.accountId ? options.accountId(account) : account?.sub
      const text = typeof id === 'number' && Number.isFinite(id) ? String(id) : id
      if (
        typeof text === 'string' &&
        text !== '' &&
        text.length <= longestAccountId &&
        !/[\p{Cc}\p{Cs}]/u.test(text)
      )
        return text
      throw new OAuthError('invalid_server_response', {
        message: `${name} does not say whose account it is`,
        reason: 'account_id',
        hint: `"providers.${key}.accountId" must give a text of at most ${longestAccountId} characters, or a number.`,
      })
    },
    label(account) {
      const label: unknown = options.label?.(account)
      return (typeof label === 'string' && plainLabel(label)) || name
    },
  }

  function serverFor(values: FieldValues): ProviderServer {
    const chosen = environments.get(values['environment'] ?? '') ?? environments.get('')
    const { settings } = chosen ?? [...environments.values()][0] ?? {}
    if (!settings || (options.environments && !chosen))
      throw new OAuthError('invalid_fields', { fields: { environment: 'There is no such environment.' } })
    const { http, emit, now } = parts
    const { clientId } = settings
    const issuer = settings.issuer === undefined ? undefined : filled(settings.issuer, values)
    const endpoints = settings.endpoints && filledEndpoints(settings.endpoints, values)
    const metadata = endpoints && configuredMetadata(endpoints, issuer)
    const client = createClient({
      clientId,
      redirectUri: parts.redirectUri,
      credentials: credentialsOf(settings),
      metadata: metadata
        ? async () => metadata
        : discoveredMetadata({ issuer: issuer ?? '', http, emit, now }),
      http,
      algorithms,
      clockTolerance: parts.clockTolerance,
      dpopKeys,
      ...(options.tokenResponse && { tokenResponse: options.tokenResponse }),
      timeout: parts.timeout,
      emit,
      now,
    })
    const { parameters, allow = [], test } = withDefaults(settings, options)
    const [testApi] = test ? listedApis([filled(test.url, values)], parameters, checkAll) : []
    return createProviderServer({
      issuer: metadata?.issuer ?? issuer ?? '',
      client,
      dpopKeys,
      apis: listedApis(
        allow.map((url) => filled(url, values)),
        parameters,
        checkAll,
      ),
      testApi,
      judge: test?.judge,
      revokeTokens: options.revokeToken && revokedBy(options.revokeToken, client, settings),
      isDiscovered: !metadata,
      http,
      fetch: parts.fetch,
      emit,
    })
  }

  function revokedBy(
    revokeToken: (revocation: TokenRevocation) => Promise<void>,
    { clientId }: Client,
    { clientSecret }: ConnectionEnvironment,
  ): (tokens: TokenSet) => Promise<void> {
    const [secret] = typeof clientSecret === 'function' ? [] : [clientSecret ?? []].flat()
    return async (tokens) => {
      for (const kind of ['refresh_token', 'access_token'] as const) {
        const token = tokens[kind]
        if (!token) continue
        await revokeToken({
          token,
          tokenTypeHint: kind,
          clientId,
          clientSecret: secret,
          fetch: (url, init = {}) => parts.http(url, { ...init, limit: tokenLimit }),
        })
      }
    }
  }
}

const longestAccountId = 250
const longestLabel = 100

function byName([a]: [string, string], [b]: [string, string]): number {
  return a < b ? -1 : 1
}

/** One line of bounded length. */
export function plainLabel(text: string): string {
  const line = text.replace(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]+/gu, ' ').trim()
  // Half a character at the end is none.
  return line
    .slice(0, longestLabel)
    .replace(/\p{Cs}$/u, '')
    .trim()
}

/** The environments are a field like any other, whose choices are known. */
function fieldsOf({ fields, environments }: ConnectionProvider): ConnectionProvider['fields'] {
  if (environments === undefined) return fields
  const names = Object.keys(environments)
  return {
    ...fields,
    environment: {
      label: 'Environment',
      required: false,
      ...(names[0] !== undefined && { default: names[0] }),
      ...fields?.['environment'],
      choices: Object.fromEntries(names.map((name) => [name, environments[name]?.name ?? name])),
    },
  }
}

interface Environment {
  readonly settings: ConnectionEnvironment
  readonly check: OptionChecks
}

/** By their names; the only one of a provider without environments has none. */
function checkedEnvironments(options: ConnectionProvider, check: OptionChecks): Map<string, Environment> {
  if (options.environments === undefined) return new Map([['', { settings: options, check }]])
  for (const name of Object.keys(knownOfServer)) {
    if (Object.hasOwn(options, name))
      check.refuse(
        name,
        'is given beside "environments"',
        'give each environment its own: they are never mixed',
      )
  }
  const all = Object.entries(options.environments).map(([name, settings]): [string, Environment] => [
    name,
    { settings, check: check.within(`environments.${name}`, settings, knownOfEnvironment) },
  ])
  if (all.length === 0) check.refuse('environments', 'is empty', 'give one at least, or leave it out')
  const servers = all.map(([, { settings }]) =>
    JSON.stringify([settings.issuer, settings.endpoints?.authorization, settings.endpoints?.token]),
  )
  if (new Set(servers).size < servers.length)
    check.refuse('environments', 'has the same server twice', 'give each the server that it is')
  return new Map(all)
}

function checkEnvironment(
  settings: ConnectionEnvironment,
  options: ConnectionProvider,
  fields: Fields,
  scope: readonly string[],
  check: OptionChecks,
): void {
  const sample = (option: string, template: unknown): string => {
    const text = check.string(option, template, 'give a URL')
    for (const name of placesIn(text)) {
      if (!fields.isAlwaysThere(name))
        check.refuse(
          option,
          `has a place for "${name}"`,
          `make "${name}" one of "fields", required or with a default`,
        )
    }
    const problem = templateProblem(text, fields.isFixed)
    if (problem) check.refuse(option, problem.problem, problem.advice)
    try {
      return filled(text, fields.sample)
    } catch {
      return check.refuse(
        option,
        `is "${text}"`,
        'the choices and the default of its fields must fit in there',
      )
    }
  }
  const { issuer, endpoints } = settings
  const sampleEndpoints =
    endpoints &&
    Object.fromEntries(
      Object.entries(endpoints).map(([name, url]) => [name, sample(`endpoints.${name}`, url)]),
    )
  checkedServer(
    {
      ...(issuer !== undefined && { issuer: sample('issuer', issuer) }),
      ...(sampleEndpoints && { endpoints: sampleEndpoints as unknown as ServerEndpoints }),
    },
    ['authorization', 'token'],
    scope,
    check,
  )
  checkedCredentials(settings, check)
  const { test, allow = [], parameters } = withDefaults(settings, options)
  if (test !== undefined) {
    const checkTest = check.within('test', test, { url: true, judge: true })
    checkTest.function('judge', test.judge)
    listedApis([sample('test.url', test.url)], parameters, check)
  } else if (!scope.includes('openid')) {
    check.refuse('test', 'is missing', 'give a call that tells whose account it is, or ask for "openid"')
  }
  if (test !== undefined && options.accountId === undefined)
    check.refuse('accountId', 'is missing', 'say what of the test call names the account')
  if (!Array.isArray(allow)) check.refuse('allow', 'is not a list', 'give a list of URLs')
  listedApis(
    allow.map((url, index) => sample(`allow[${index}]`, url)),
    parameters,
    check,
  )
}

function withDefaults(
  settings: ConnectionEnvironment,
  options: ConnectionProvider,
): Pick<ConnectionEnvironment, 'test' | 'allow' | 'parameters'> {
  const test = settings.test ?? options.test
  const allow = settings.allow ?? options.allow
  const parameters = settings.parameters ?? options.parameters
  return { ...(test && { test }), ...(allow && { allow }), ...(parameters && { parameters }) }
}

function listedApis(urls: readonly string[], parameters: RequestParameters = {}, check: OptionChecks) {
  const apis = urls.map((url) => ({ url, ...parameters }))
  return checkedApis(apis, {}, () => undefined, check)
}

function filledEndpoints(endpoints: ServerEndpoints, values: FieldValues): ServerEndpoints {
  const entries = Object.entries(endpoints).map(([name, url]: [string, string]) => [
    name,
    filled(url, values),
  ])
  return Object.fromEntries(entries) as ServerEndpoints
}

function credentialsOf(settings: ConnectionEnvironment): ClientCredentials {
  const { clientSecret, privateKey, tokenEndpointAuthMethod: method } = settings
  return {
    ...(clientSecret !== undefined && { clientSecret }),
    ...(privateKey !== undefined && { privateKey }),
    ...(method !== undefined && { method }),
  }
}

function checkedAuthorizationParameters(
  parameters: AuthorizationParameters = {},
  check: OptionChecks,
): AuthorizationParameters {
  for (const name of Object.keys(parameters)) {
    if (reservedParameters.includes(name))
      check.refuse(
        `authorizationParameters.${name}`,
        'is not yours to set',
        'remove it; "scope" and "resource" are options',
      )
  }
  return parameters
}
