/** The environments of a provider: servers, who the app is at each, and the API behind it. A provider without has one. */

import { OAuthError } from '../errors.js'
import type { ClientCredentials } from '../oauth/client-authentication.js'
import type { ServerEndpoints } from '../oauth/server-metadata.js'
import { checkedCredentials, checkedServer } from '../oauth/server-options.js'
import type { OptionChecks } from '../options.js'
import { apiUrlProblem } from '../tokens/api-allow-list.js'
import { checkedDefaults, type ListedApi } from '../tokens/listed-api.js'
import type { Fields } from './connection-fields.js'
import type {
  ConnectionEnvironment,
  ConnectionProvider,
  ConnectionServer,
  ConnectionTest,
  RequestParameters,
} from './provider-options.js'
import { checkedUrl, choice, type ProviderUrl } from './provider-url.js'
import type { FieldValues } from './url-template.js'

/** Where the fields of a connection lead. */
export interface Environment {
  readonly issuer: string | undefined
  readonly endpoints: ServerEndpoints | undefined
  readonly credentials: ClientCredentials & { readonly clientId: string }
  /** Where tokens may go. */
  readonly apis: readonly ListedApi<undefined>[]
  readonly test: (Pick<ConnectionTest, 'judge'> & { readonly api: ListedApi<undefined> }) | undefined
}

/** The environments of a provider. */
export interface Environments {
  /** The fields that lead to one server or another. Connections that agree in these have the same. */
  readonly places: readonly string[]
  /** Where these values lead. Throws `invalid_fields` for those that lead nowhere. */
  of(values: FieldValues): Environment
}

export const knownOfServer: Record<keyof ConnectionServer, true> = {
  issuer: true,
  endpoints: true,
  clientId: true,
  clientSecret: true,
  privateKey: true,
  tokenEndpointAuthMethod: true,
}

const knownOfEnvironment: Record<keyof ConnectionEnvironment, true> = {
  ...knownOfServer,
  name: true,
  test: true,
  allow: true,
  parameters: true,
}

/** The fields to ask for. The environments are one like any other, whose choices are known. */
export function fieldsOf(
  { fields, environments }: ConnectionProvider,
  check: OptionChecks,
): ConnectionProvider['fields'] {
  for (const [option, value] of Object.entries({ fields, environments })) {
    if (value !== undefined && !isObject(value))
      check.refuse(option, 'is not an object', 'give names and what they stand for')
  }
  if (environments === undefined) return fields
  const own = fields?.[choice]
  if (own?.choices !== undefined)
    check.refuse(
      `fields.${choice}.choices`,
      'is given beside "environments"',
      'leave it out: they are the choices',
    )
  const choices = Object.entries(environments).map(([name, settings]): [string, string] => {
    if (!/^[a-z0-9][a-z0-9_-]{0,39}$/i.test(name))
      check.refuse(
        `environments.${name}`,
        'has a name that cannot be',
        'use at most 40 letters, digits, "-" and "_"',
      )
    const within = check.within(`environments.${name}`, settings, knownOfEnvironment)
    const label = settings.name ?? name
    return [name, within.string('name', label, 'say what people call it')]
  })
  const [first] = choices
  if (first === undefined)
    return check.refuse('environments', 'is empty', 'give one at least, or leave it out')
  const field = {
    label: 'Environment',
    required: false,
    default: first[0],
    ...own,
    choices: Object.fromEntries(choices),
  }
  return { ...fields, [choice]: field }
}

/** Throws `invalid_configuration` for what cannot work. */
export function checkedEnvironments(
  options: ConnectionProvider,
  fields: Fields,
  scope: readonly string[],
  check: OptionChecks,
): Environments {
  const { environments } = options
  if (environments === undefined)
    return checkedEnvironment(options, { options, fields, scope, check, checkProvider: check })
  for (const name of Object.keys(knownOfServer) as (keyof ConnectionServer)[]) {
    if (options[name] !== undefined)
      check.refuse(
        name,
        'is given beside "environments"',
        'give each environment its own: they are never mixed',
      )
  }
  const all = new Map(
    Object.entries(environments).map(([name, settings]) => {
      const checkOne = check.within(`environments.${name}`, settings, knownOfEnvironment)
      const parts = { options, fields, scope, check: checkOne, checkProvider: check, name }
      return [name, checkedEnvironment(settings, parts)]
    }),
  )
  const servers = [...all.values()].flatMap(({ serverNames }) => [...serverNames])
  if (new Set(servers).size < servers.length)
    check.refuse(
      'environments',
      'has the same server twice',
      'give each the server that it is, by an "issuer" of its own: connections are told apart by it',
    )
  return {
    places: [...new Set([choice, ...[...all.values()].flatMap(({ places }) => places)])],
    of(values) {
      const chosen = all.get(values[choice] ?? '')
      if (chosen) return chosen.of(values)
      throw new OAuthError('invalid_fields', { fields: { [choice]: 'There is no such environment.' } })
    },
  }
}

interface EnvironmentParts {
  readonly options: ConnectionProvider
  readonly fields: Fields
  readonly scope: readonly string[]
  readonly check: OptionChecks
  /** For what the environment takes over from the provider. */
  readonly checkProvider: OptionChecks
  /** Nothing where it is the only one. */
  readonly name?: string
}

interface OneEnvironment extends Environments {
  /** What the server may be called in records. */
  readonly serverNames: ReadonlySet<string>
}

function checkedEnvironment(settings: ConnectionEnvironment, parts: EnvironmentParts): OneEnvironment {
  const { options, scope, check, checkProvider } = parts
  const checkOf = (name: 'test' | 'allow' | 'parameters') =>
    settings[name] === undefined ? checkProvider : check
  const test = settings.test ?? options.test
  const parameters = settings.parameters ?? options.parameters ?? {}

  const server = checkedAddresses(settings, parts)
  const { clientId } = settings
  const credentials = { ...checkedCredentials(settings, check), clientId }
  refuseLostCredentials(settings, check)

  const defaults = checkedRequestParameters(parameters, checkOf('parameters'))
  const apis = checkedAllow(settings.allow ?? options.allow ?? [], parts, checkOf('allow'))
  const testUrl = test && checkedTest(test, parts, checkOf('test'))
  if (!test && !scope.includes('openid'))
    check.refuse('test', 'is missing', 'give a call that tells whose account it is, or ask for "openid"')
  if (test && options.accountId === undefined)
    checkProvider.refuse('accountId', 'is missing', 'say what of the test call names the account')

  return {
    places: [...server.templates, ...apis, ...(testUrl ? [testUrl] : [])].flatMap(({ places }) => places),
    serverNames: server.names,
    of(values) {
      const listed = (url: string) => ({ url, access: undefined, ...defaults })
      const [address = '', query] = testUrl?.at(values).split('?') ?? []
      const asked = new URLSearchParams(query)
      return {
        ...server.at(values),
        credentials,
        apis: apis.map((url) => listed(url.at(values))),
        test: test && {
          ...(test.judge && { judge: test.judge }),
          api: {
            ...listed(address),
            query: [...asked, ...defaults.query.filter(([name]) => !asked.has(name))],
          },
        },
      }
    },
  }
}

const knownEndpoints: Record<keyof ServerEndpoints, true> = {
  authorization: true,
  token: true,
  userinfo: true,
  endSession: true,
  revocation: true,
  jwks: true,
}

/** The issuer and the endpoints. */
function checkedAddresses(
  settings: ConnectionEnvironment,
  parts: EnvironmentParts,
): {
  templates: readonly ProviderUrl[]
  names: ReadonlySet<string>
  at(values: FieldValues): Pick<Environment, 'issuer' | 'endpoints'>
} {
  const { scope, check } = parts
  const issuer =
    settings.issuer === undefined ? undefined : checkedUrl('issuer', settings.issuer, parts, check)
  if (settings.endpoints !== undefined) check.within('endpoints', settings.endpoints, knownEndpoints)
  const endpoints =
    settings.endpoints &&
    Object.entries({ ...settings.endpoints })
      .filter(([, url]) => url !== undefined)
      .map(([name, url]) => [name, checkedUrl(`endpoints.${name}`, url, parts, check)] as const)
  const all = (read: (template: ProviderUrl) => string) =>
    endpoints &&
    (Object.fromEntries(endpoints.map(([name, url]) => [name, read(url)])) as unknown as ServerEndpoints)
  const sample = all(({ samples: [first] }) => first)
  checkedServer(
    { ...(issuer && { issuer: issuer.samples[0] }), ...(sample && { endpoints: sample }) },
    ['authorization', 'token'],
    scope,
    check,
  )
  const templates = [...(issuer ? [issuer] : []), ...(endpoints ?? []).map(([, url]) => url)]
  const [namesIt] = issuer
    ? [issuer]
    : (endpoints ?? []).flatMap(([name, url]) => (name === 'authorization' ? url : []))
  return {
    templates,
    // Without an issuer, the origin of the authorization endpoint is its name.
    names: new Set(namesIt?.samples.map((url) => (issuer ? url : new URL(url).origin))),
    at: (values) => ({ issuer: issuer?.at(values), endpoints: all((url) => url.at(values)) }),
  }
}

/** An environment variable that is not set must not make a public client of a confidential one. */
function refuseLostCredentials(settings: ConnectionEnvironment, check: OptionChecks): void {
  const { clientSecret, privateKey, tokenEndpointAuthMethod } = settings
  if ((clientSecret ?? privateKey) !== undefined || tokenEndpointAuthMethod === 'none') return
  for (const name of ['clientSecret', 'privateKey'] as const) {
    if (Object.hasOwn(settings, name))
      check.refuse(
        name,
        'is undefined',
        'is its environment variable set? Leave the option out for a public client, which has none',
      )
  }
}

function checkedTest(test: ConnectionTest, parts: EnvironmentParts, check: OptionChecks): ProviderUrl {
  const checkTest = check.within('test', test, { url: true, judge: true })
  checkTest.function('judge', test.judge)
  const url = checkedUrl('url', test.url, parts, checkTest)
  const [address, ...query] = url.samples[0].split('?')
  const problem = apiUrlProblem(address)
  if (problem) checkTest.refuse('url', problem.problem, problem.advice)
  if (query.join('?').includes('#'))
    checkTest.refuse('url', 'has a fragment', 'remove the "#" and what follows')
  return url
}

function checkedAllow(allow: unknown, parts: EnvironmentParts, check: OptionChecks): ProviderUrl[] {
  if (!Array.isArray(allow))
    return check.refuse(
      'allow',
      'is not a list',
      'give a list of URLs, such as ["https://api.service.example/"]',
    )
  return allow.map((url: unknown, index) => {
    const template = checkedUrl(`allow[${index}]`, url, parts, check)
    const problem = apiUrlProblem(template.samples[0])
    if (problem) check.refuse(`allow[${index}]`, problem.problem, problem.advice)
    return template
  })
}

const knownOfParameters: Record<keyof RequestParameters, true> = { query: true, headers: true, body: true }

function checkedRequestParameters(
  parameters: RequestParameters,
  check: OptionChecks,
): Pick<ListedApi<undefined>, 'query' | 'headers' | 'body'> {
  return checkedDefaults(parameters, check.within('parameters', parameters, knownOfParameters))
}

function isObject(value: unknown): boolean {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}
