/** The options of `oauthProxy`, and what must be true of them before anything is built. */

import { Agent, validateHeaderName, validateHeaderValue } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { checkedResource, checkedScope } from '../oauth/requested-access.js'
import { checkOptions, type OptionChecks } from '../options.js'
import { isProxyPrefix } from '../proxy/upstream-url.js'
import { apiUrlProblem } from '../tokens/api-allow-list.js'
import type { ServiceClient } from '../tokens/client-credentials.js'
import { isReservedForEach } from '../tokens/reserved-header.js'
import { checkedCsrfHeader, type CsrfRule } from './csrf.js'
import {
  upgradeSourceOf,
  type AuthenticateUpgradeOptions,
  type Upgrades,
  type UpgradeSource,
} from './upgrades.js'

/** Whose token a request takes along. */
export type ProxyToken = 'user' | 'client' | 'user-or-client' | 'user-or-none' | 'none'

export interface ProxyWebSockets extends AuthenticateUpgradeOptions {
  /** The result of `oauthLogin`, which knows who asks: middlewares do not see upgrades. */
  login: Upgrades
  /**
   * Seconds between looks at whether the user's session still lives; an open WebSocket is cut off when it has ended. 0 for
   * no looks. Default 60.
   */
  confirmEvery?: number
}

export interface OAuthProxyOptions {
  /**
   * The path below which requests go to the API, as browsers ask this server for it, such as `/api`; on the border of a
   * path segment, wherever the middleware is mounted.
   */
  prefix: string
  /**
   * What `prefix` stands for: an https URL, such as `https://api.example.com/v1`, that nothing leads out of. Plain http is
   * accepted only for localhost, 127.0.0.1 and [::1].
   */
  target: string
  /**
   * The access token of the user who is signed in (`user`, 401 without one), the app's own (`client`), the user's or else
   * the app's (`user-or-client`), the user's if there is one (`user-or-none`), or none at all. There is no default.
   */
  token: ProxyToken
  /** The result of `clientCredentials`, which gets the tokens of the app. */
  client?: ServiceClient
  /** The API that the token is for (RFC 8707). Default: as `oauthLogin` or `clientCredentials` say. */
  resource?: string
  /** Scopes that the token shall have, with one space between. Default: as `oauthLogin` or `clientCredentials` say. */
  scope?: string
  /** What may be done to the API; 405 for all else. Default: GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS. */
  methods?: readonly string[]
  /** Headers that each request to the API has, in place of what the browser sends by these names. */
  headers?: Readonly<Record<string, string>>
  /**
   * The header that every request must have, whatever its value: no form and no other site can send it. With `false` what
   * the browser says of the request's origin is enough, as `EventSource`, images and downloads need it. Default `x-csrf`.
   */
  csrfHeader?: string | false
  /** Whether cookies that the API sets reach the browser. Only for an API that may replace this server's. Default false. */
  passSetCookie?: boolean
  /** Seconds that the API may take until its answer begins, from the last byte of the request. Default 30. */
  timeout?: number
  /** Seconds without a byte after which an answer that has begun is cut off; 0 for never. Default 300. */
  idleTimeout?: number
  /** Makes the connections to the API, for a private CA, a client certificate or a limit. Default: one that keeps them open. */
  agent?: Agent
  /**
   * Lets WebSockets through as well, for pages of this site alone and with the same token. They come by the server's event
   * `upgrade`: `server.on('upgrade', upgradeListener(proxy.upgrade))`. Default: none pass.
   */
  webSockets?: ProxyWebSockets
}

export interface ProxySettings extends Required<
  Pick<
    OAuthProxyOptions,
    'prefix' | 'target' | 'token' | 'passSetCookie' | 'timeout' | 'idleTimeout' | 'agent'
  >
> {
  readonly client: ServiceClient | undefined
  /** Which token is wanted. */
  readonly access: { readonly resource?: string; readonly scope?: string }
  readonly methods: ReadonlySet<string>
  /** Of each request to the API, as a header list. */
  readonly headers: readonly string[]
  /** What of the browser's headers does not pass because of other options, in small letters. */
  readonly dropped: ReadonlySet<string>
  readonly csrf: CsrfRule
  readonly webSockets: WebSocketSettings | undefined
}

export interface WebSocketSettings {
  readonly login: Upgrades
  readonly source: UpgradeSource
  readonly options: AuthenticateUpgradeOptions
  readonly confirmEvery: number
}

const known: Record<keyof OAuthProxyOptions, true> = {
  prefix: true,
  target: true,
  token: true,
  client: true,
  resource: true,
  scope: true,
  methods: true,
  headers: true,
  csrfHeader: true,
  passSetCookie: true,
  timeout: true,
  idleTimeout: true,
  agent: true,
  webSockets: true,
}

const tokens = ['user', 'client', 'user-or-client', 'user-or-none', 'none'] as const

const allMethods: readonly string[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

export function proxyOptionChecks(options: OAuthProxyOptions): OptionChecks {
  return checkOptions('oauthProxy', options, known)
}

export function checkedProxyOptions(options: OAuthProxyOptions, check: OptionChecks): ProxySettings {
  const prefix = checkedPrefix(options.prefix, check)
  const target = checkedTarget(options.target, check)
  const token = check.oneOf('token', options.token, tokens)
  const { csrfHeader: named } = options
  const csrfHeader = named === false ? undefined : checkedCsrfHeader(named, check, 'csrfHeader')
  const headers = checkedHeaders(options.headers ?? {}, token, check)
  const dropped = headers.filter((_, index) => index % 2 === 0)
  return {
    prefix,
    target,
    token,
    client: checkedClient(options.client, token, check),
    access: checkedAccess(options, token, check),
    methods: checkedMethods(options.methods ?? allMethods, check),
    headers,
    dropped: new Set(csrfHeader === undefined ? dropped : [...dropped, csrfHeader]),
    csrf: { safeMethods: true, ...(csrfHeader !== undefined && { header: csrfHeader }) },
    passSetCookie: check.boolean('passSetCookie', options.passSetCookie),
    timeout: check.seconds('timeout', options.timeout, { default: 30, min: 0.1, max: 3_600 }),
    idleTimeout: check.seconds('idleTimeout', options.idleTimeout, { default: 300, max: 86_400 }),
    agent: checkedAgent(options.agent, target, check),
    webSockets: checkedWebSockets(options.webSockets, check),
  }
}

function checkedPrefix(prefix: unknown, check: OptionChecks): string {
  if (isProxyPrefix(prefix)) return prefix
  const came = prefix === undefined ? 'is missing' : `is ${JSON.stringify(prefix)}`
  return check.refuse(
    'prefix',
    came,
    'give a path such as "/api", of letters, digits and ".-_~", without a slash at the end',
  )
}

function checkedTarget(target: string, check: OptionChecks): string {
  const problem = apiUrlProblem(target)
  return problem ? check.refuse('target', problem.problem, problem.advice) : target
}

function checkedClient(
  client: ServiceClient | null | undefined,
  token: ProxyToken,
  check: OptionChecks,
): ServiceClient | undefined {
  const isWanted = token === 'client' || token === 'user-or-client'
  // Null, too: without a client requests would go without a token.
  if (isWanted && !client)
    check.refuse(
      'client',
      'is missing',
      `give the result of clientCredentials(), or another "token" than "${token}"`,
    )
  if (!isWanted && client !== undefined)
    check.refuse(
      'client',
      `is of no use with token "${token}"`,
      'remove it, or set "token" to "client" or "user-or-client"',
    )
  return client ?? undefined
}

function checkedAccess(
  { resource, scope }: OAuthProxyOptions,
  token: ProxyToken,
  check: OptionChecks,
): ProxySettings['access'] {
  for (const [name, value] of Object.entries({ resource, scope })) {
    if (token === 'none' && value !== undefined)
      check.refuse(name, 'is of no use with token "none"', 'remove it')
  }
  checkedResource(resource, check)
  if (scope !== undefined) checkedScope(scope, check)
  return { ...(resource !== undefined && { resource }), ...(scope !== undefined && { scope }) }
}

function checkedMethods(methods: readonly string[], check: OptionChecks): ReadonlySet<string> {
  const isGood = Array.isArray(methods) && methods.length > 0
  const others = isGood ? methods.filter((method) => !allMethods.includes(method)) : []
  if (!isGood || others.length > 0)
    check.refuse(
      'methods',
      isGood ? `has ${JSON.stringify(others[0])}` : 'is no list with content',
      `give some of ${allMethods.join(', ')}`,
    )
  return new Set(methods)
}

function checkedHeaders(
  headers: Readonly<Record<string, unknown>>,
  token: ProxyToken,
  check: OptionChecks,
): string[] {
  if (typeof headers !== 'object' || Array.isArray(headers))
    check.refuse('headers', 'is not an object', 'give names and values, such as { name: "value" }')
  return Object.entries(headers).flatMap(([name, value]) => {
    const key = name.toLowerCase()
    const option = `headers.${name}`
    if (key === 'authorization') {
      if (token !== 'none')
        check.refuse(option, 'is where the access token goes', 'remove it, or set "token" to "none"')
    } else if (isReservedForEach(key)) check.refuse(option, 'is not yours to set', 'remove it')
    if (typeof value !== 'string' || !isHeader(name, value))
      return check.refuse(option, 'is no header', 'give a name and a text as RFC 9110 §5 has them')
    return [key, value]
  })
}

function isHeader(name: string, value: string): boolean {
  try {
    validateHeaderName(name)
    validateHeaderValue(name, value)
    return true
  } catch {
    return false
  }
}

function checkedAgent(agent: Agent | undefined, target: string, check: OptionChecks): Agent {
  const { protocol } = new URL(target)
  if (agent === undefined) {
    return protocol === 'https:' ? new HttpsAgent({ keepAlive: true }) : new Agent({ keepAlive: true })
  }
  if (!(agent instanceof Agent))
    check.refuse('agent', 'is no agent', 'give an Agent of node:https or node:http')
  if (!(agent instanceof HttpsAgent) && protocol === 'https:' && agent.constructor === Agent)
    check.refuse('agent', 'is of node:http', 'give one of node:https: "target" is an https URL')
  return agent
}

function checkedWebSockets(
  webSockets: ProxyWebSockets | undefined,
  check: OptionChecks,
): WebSocketSettings | undefined {
  if (webSockets === undefined) return undefined
  const within = check.within('webSockets', webSockets, { login: true, session: true, confirmEvery: true })
  const { login, session } = webSockets
  const source = upgradeSourceOf(login)
  if (!source)
    return within.refuse(
      'login',
      login === undefined ? 'is missing' : 'is not ours',
      'give the result of oauthLogin()',
    )
  within.function('session', session)
  return {
    login,
    source,
    options: session ? { session } : {},
    confirmEvery: within.seconds('confirmEvery', webSockets.confirmEvery, { default: 60, max: 86_400 }),
  }
}
