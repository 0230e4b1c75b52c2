/** Calls APIs as the application itself, without a user: tokens by client credentials (RFC 6749 §4.4). */

import { emitter, type OAuthEvent } from '../events.js'
import { httpClient, type Fetch } from '../http.js'
import { algorithms } from '../jose/jwt.js'
import { createTokenClient } from '../oauth/client.js'
import { clientCredentialsGrant, type ServiceAccess } from '../oauth/client-credentials-grant.js'
import { checkedResource, checkedScope } from '../oauth/requested-access.js'
import { configuredMetadata, discoveredMetadata } from '../oauth/server-metadata.js'
import { checkedCredentials, checkedServer, type ServerOptions } from '../oauth/server-options.js'
import { checkOptions, type OptionChecks } from '../options.js'
import { apiAllowList, apiUrlProblem } from './api-allow-list.js'
import { apiFetch, type ApiFetch } from './api-fetch.js'
import { bearerToken, type ApiTokens } from './api-token.js'
import { serviceTokens, type ServiceTokenOptions } from './service-tokens.js'

export interface ClientCredentialsOptions extends ServerOptions {
  /** The token endpoint of a server that publishes no metadata. */
  endpoints?: { readonly token: string }
  /** Scopes to ask for, with one space between. Default: none, for what the server gives by itself. */
  scope?: string
  /** The API that tokens are for, where the server wants to know (RFC 8707). */
  resource?: string
  /** The same at servers that have a parameter `audience` for it. */
  audience?: string
  /** Further parameters of each token request. */
  parameters?: Readonly<Record<string, string | number>>
  /**
   * The APIs that `fetch` of the result may call: all addresses below each URL, such as `https://api.example.com/v1/`. One
   * may be an object with `url` and a `scope`, `resource` or `audience` of its own. Default: none.
   */
  apis?: readonly (string | ServiceApi)[]
  /** Seconds for a token request, body included, and for a `clientSecret` that is a function. Default 5. */
  timeout?: number
  /** Sends all requests, also those to APIs. Default: Node's `fetch`. */
  fetch?: Fetch
  /** Is told of tokens that were issued or refused, for logs and metrics. Events carry no secret. */
  onEvent?: (event: OAuthEvent) => void
}

/** An API that the application calls, and what its tokens are asked for; default: as the options say. */
export interface ServiceApi {
  /** All below it, on the border of a path segment: `https://api.example.com/v1` is not `/v1x`. */
  readonly url: string
  readonly scope?: string
  readonly resource?: string
  readonly audience?: string
}

export interface ServiceTokenRequest extends ServiceTokenOptions {
  /** In place of the option of the same name. */
  scope?: string
  /** In place of the option of the same name. */
  resource?: string
  /** In place of the option of the same name. */
  audience?: string
}

export interface ServiceClient {
  /**
   * A token that is good, from memory if possible. All who ask for the same at once wait for one request. From a minute
   * ahead of its end (a tenth of a short life) the next one is fetched while the old one serves.
   * Throws `insufficient_scope` when the server grants less than was asked for, its refusals by their codes, and
   * `server_unavailable` when it is away; then it is left alone for as long as it asks, or for 5 to 60 seconds.
   */
  accessToken(request?: ServiceTokenRequest): Promise<string>
  /**
   * `fetch` with a token, for the listed APIs only; `url_not_allowed` for any other address, before a token is asked for.
   * Redirects are handed back. A 401 is answered by one more request with a new token when the body can be sent again
   * (a string, bytes, URLSearchParams or none). An `Authorization` header of your own is refused.
   */
  fetch: ApiFetch
}

const known: Record<keyof ClientCredentialsOptions, true> = {
  issuer: true,
  endpoints: true,
  clientId: true,
  clientSecret: true,
  privateKey: true,
  tokenEndpointAuthMethod: true,
  scope: true,
  resource: true,
  audience: true,
  parameters: true,
  apis: true,
  timeout: true,
  fetch: true,
  onEvent: true,
}

const knownOfRequest: Record<keyof ServiceTokenRequest, true> = {
  scope: true,
  resource: true,
  audience: true,
  minimumLifetime: true,
  forceRefresh: true,
}

const knownOfApi: Record<keyof ServiceApi, true> = { url: true, scope: true, resource: true, audience: true }

/** Parameters that only this package sets. */
const reserved: readonly string[] = [
  'grant_type',
  'client_id',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
  'scope',
  'resource',
  'audience',
]

/**
 * Make one for each server and client, when the app starts: it keeps the tokens.
 * Throws `invalid_configuration` for options that cannot work.
 */
export function clientCredentials(options: ClientCredentialsOptions): ServiceClient {
  const check = checkOptions('clientCredentials', options, known)
  const server = checkedServer(options, ['token'], [], check)
  const credentials = checkedCredentials(options, check)
  if (credentials.clientSecret === undefined && credentials.privateKey === undefined)
    check.refuse(
      'clientSecret',
      'is missing',
      'give it, or "privateKey": a client that cannot prove who it is gets no tokens of its own (RFC 6749 §4.4)',
    )
  const parameters = checkedParameters(options.parameters ?? {}, check)
  const byDefault = checkedAccess(options, { scope: [], parameters }, check)
  const apis = checkedApis(options.apis ?? [], byDefault, check)
  const timeout = check.seconds('timeout', options.timeout, { default: 5, min: 0.1, max: 600 })
  check.function('fetch', options.fetch)
  check.function('onEvent', options.onEvent)
  const { clientId, fetch = globalThis.fetch } = options

  const now = () => Math.floor(Date.now() / 1000)
  const emit = emitter(options.onEvent)
  const http = httpClient(options.fetch, timeout)
  const fixedMetadata = server.endpoints && configuredMetadata(server.endpoints, server.issuer)
  const client = createTokenClient({
    clientId,
    credentials,
    metadata: fixedMetadata
      ? async () => fixedMetadata
      : discoveredMetadata({ issuer: server.issuer ?? '', http, emit, now, uses: ['token_endpoint'] }),
    http,
    algorithms,
    clockTolerance: 0,
    timeout,
    emit,
    now,
  })
  const tokens = serviceTokens({
    grant: (access) => clientCredentialsGrant(client, access),
    account: [server.issuer ?? '', server.endpoints?.token ?? '', clientId],
    clientId,
    emit,
    now,
  })

  const apiTokens: ApiTokens<ApiAccess> = {
    token: async ({ access }) => bearerToken(await tokens.accessToken(access)),
    async inPlaceOf({ access_token }, { access }) {
      // The API's own answer tells more than that there is no other token.
      const another = await tokens.inPlaceOf(access_token, access).catch(() => undefined)
      return another === undefined ? undefined : bearerToken(another)
    },
  }
  const serviceClient: ServiceClient = {
    accessToken: async (request = {}) => {
      const checkRequest = checkOptions('accessToken', request, knownOfRequest)
      const { minimumLifetime, forceRefresh = false, ...access } = request
      return tokens.accessToken(checkedAccess(access, byDefault, checkRequest), {
        minimumLifetime: checkRequest.seconds('minimumLifetime', minimumLifetime, { default: 0 }),
        forceRefresh,
      })
    },
    fetch: apiFetch({ allowed: apiAllowList(apis), tokens: apiTokens, fetch }),
  }
  insides.set(serviceClient, {
    apiTokens,
    access: (wanted, check) => ({ access: checkedAccess(wanted, byDefault, check) }),
  })
  return serviceClient
}

/** What a token for an API is asked for. */
interface ApiAccess {
  readonly access: ServiceAccess
}

/** What other parts of this package need of a client, and its users do not. */
interface Inside {
  readonly apiTokens: ApiTokens<ApiAccess>
  /** What tokens are asked for, with the defaults of the client for what is left out. */
  access(wanted: { scope?: string; resource?: string }, check: OptionChecks): ApiAccess
}

const insides = new WeakMap<ServiceClient, Inside>()

/** Nothing for what `clientCredentials` has not made. */
export function insideOf(client: ServiceClient): Inside | undefined {
  return insides.get(client)
}

/** What is asked for, with the defaults for what is left out. */
function checkedAccess(
  { scope, resource, audience }: { scope?: string; resource?: string; audience?: string },
  byDefault: ServiceAccess,
  check: OptionChecks,
): ServiceAccess {
  const scopes = scope === undefined ? byDefault.scope : checkedScope(scope, check)
  const api = checkedResource(resource, check) ?? byDefault.resource
  const itsAudience = audience ?? byDefault.audience
  for (const name of ['openid', 'offline_access']) {
    if (scopes.includes(name))
      check.refuse(
        'scope',
        `has "${name}"`,
        'remove it: there is no user here to identify, and no refresh token (RFC 6749 §4.4.3); people sign in with oauthLogin',
      )
  }
  if (itsAudience !== undefined)
    check.string('audience', itsAudience, 'give what the server calls the API, or leave it out')
  return {
    scope: scopes,
    parameters: byDefault.parameters,
    ...(api !== undefined && { resource: api }),
    ...(itsAudience !== undefined && { audience: itsAudience }),
  }
}

function checkedParameters(
  parameters: Readonly<Record<string, string | number>>,
  check: OptionChecks,
): Readonly<Record<string, string>> {
  for (const name of Object.keys(parameters)) {
    if (reserved.includes(name))
      check.refuse(`parameters.${name}`, 'is not yours to set', 'remove it; there is an option for it')
  }
  return Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, String(value)]))
}

function checkedApis(
  apis: readonly (string | ServiceApi)[],
  byDefault: ServiceAccess,
  check: OptionChecks,
): { url: string; access: ServiceAccess }[] {
  if (!Array.isArray(apis)) check.refuse('apis', 'is not a list', 'give a list of URLs')
  return apis.map((given, index) => {
    const api = typeof given === 'string' ? { url: given } : given
    const checkApi = checkOptions(`clientCredentials: apis[${index}]`, api, knownOfApi)
    const problem = apiUrlProblem(api.url)
    if (problem) checkApi.refuse('url', problem.problem, problem.advice)
    return { url: api.url, access: checkedAccess(api, byDefault, checkApi) }
  })
}
