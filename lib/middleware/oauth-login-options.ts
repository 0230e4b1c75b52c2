/** The options of `oauthLogin`, and what must be true of them before anything is built. */

import { checkOptions, type OptionChecks } from '../options.js'
import type { OAuthEvent } from '../events.js'
import type { Fetch } from '../http.js'
import type { Algorithm } from '../jose/jwt.js'
import { checkedAuthorizationParameters } from '../oauth/authorization-parameters.js'
import {
  reservedParameters,
  type AuthorizationParameters,
  type ResponseMode,
} from '../oauth/authorization-request.js'
import type { ClientSecret } from '../oauth/client-secret.js'
import type { ImpliedScopes } from '../oauth/implied-scopes.js'
import type { ServerEndpoints } from '../oauth/server-metadata.js'
import { checkedResource, checkedScope } from '../oauth/requested-access.js'
import type { ServerOptions } from '../oauth/server-options.js'
import type { AccessTokenOptions } from '../session/wanted-token.js'
import type { Store } from '../stores/store.js'
import { checkedApis, type ApiOptions, type ListedApi } from '../tokens/listed-api.js'
import type { LoginHook } from './callback.js'
import type { UserEndpointOptions } from './user-endpoint.js'

export interface OAuthLoginOptions extends ServerOptions {
  /** The endpoints of a server that publishes no metadata. With `openid` in the scope, `issuer` and `jwks` are needed too. */
  endpoints?: ServerEndpoints
  /**
   * The confidential part. Leave it out for a public client, which proves itself by PKCE alone. To replace it without a
   * break, give a list with the old and the new one, or a function that looks it up: when the server refuses one
   * (`invalid_client`), the next is tried once, and the function asked again.
   */
  clientSecret?: ClientSecret
  /**
   * Signature algorithms that are accepted on ID tokens and logout tokens, such as `['RS256']`. Default: all asymmetric
   * ones that the server has a key for.
   */
  algorithms?: readonly Algorithm[]
  /**
   * Where the world finds the place that this middleware is mounted at, such as `https://example.com`. The redirect URI
   * is this and the callback path. Nothing is ever taken from `Host` or `X-Forwarded-*`.
   */
  baseUrl: string
  /** Scopes to ask for, with one space between. Default `openid`. */
  scope?: string
  /** The API that access tokens are for, where the server wants to know (RFC 8707). */
  resource?: string
  /**
   * The APIs that `getAuth(req).fetch` may call: all addresses below each URL, such as `https://api.example.com/v1/`. One
   * may be an object with `url`, a `resource` or `scope` of its own, and `query` and `headers` for each request. Default:
   * none.
   */
  apis?: readonly (string | UserApi)[]
  /**
   * Scopes that contain others, such as `{ admin: ['read:projects', 'write:projects'] }`: guards count them as granted.
   * Over several steps, too. Default: none.
   */
  impliedScopes?: ImpliedScopes
  /** Further parameters of each authorization request, such as `{ prompt: 'consent' }`. */
  authorizationParameters?: AuthorizationParameters
  /** Parameters that the query of `/login` may set, such as `['login_hint', 'ui_locales']`. Default: none. */
  queryParameters?: readonly string[]
  /** How the server's answer comes back. Default `query`. */
  responseMode?: ResponseMode
  /** Where sessions live: in sealed cookies, or in the app's express-session, which must be mounted before. */
  storage: 'cookie' | 'session'
  /**
   * What several instances of the app must know together: who is refreshing, what became of a refresh token, which
   * sessions were ended. Default: `memoryStore()`, which is right for one instance. With storage `session`, a store that
   * instances share has the tokens, too.
   */
  store?: Store
  /** Each at least 32 random bytes. The first seals, all open: put a new one in front to replace the old. */
  secrets: readonly string[]
  /**
   * Has tokens bound to a key of this app (RFC 9449), so that a stolen token is of no use: `fetch` and the proxy prove the key
   * in each request. The key is made of `secrets`, so all instances have it. A server that gives plain bearer tokens all the
   * same is refused. Default false: bearer tokens.
   */
  dpop?: boolean
  /** The name of the cookies, and of the key in `req.session`. Default `oauth`. */
  name?: string
  /**
   * Paths below `baseUrl`. Default `/login`, `/callback`, `/logout`, `/user`. `backchannelLogout` and `frontchannelLogout`, where the
   * server tells of sign-outs, are off unless given: they must be registered at the server, and with several instances
   * they need a `store` that all share.
   */
  paths?: {
    readonly login?: string
    readonly callback?: string
    readonly logout?: string
    readonly user?: string
    readonly backchannelLogout?: string
    readonly frontchannelLogout?: string
  }
  /**
   * Answers `GET` of the path `user` for scripts of the site's own pages: the user's claims, `scope`, `session_expires_in`
   * (seconds), `logout_url` and `csrf_token`, never a token. Asking prolongs no session. Default false.
   */
  user?: boolean | UserEndpointOptions
  /** Where users go after login when nothing else was asked for: a path of this site. Default: the path of `baseUrl`. */
  returnTo?: string
  /** Where users go after logout: a path of this site, to be registered at the server as a URL. Default: as `returnTo`. */
  postLogoutReturnTo?: string
  /** Lets a plain link to the logout path sign users out, too. Default false. */
  logoutByGet?: boolean
  /** Asks the userinfo endpoint at login and adds its claims. Default false. */
  userinfo?: boolean
  /** Looks at each login; returns the claims to keep, nothing to keep them all, or false to refuse the user. */
  onLogin?: LoginHook
  /** With storage `session`: which of the app's own data stays at login, when the session id changes. Default false: none. */
  keepSessionData?: boolean | readonly string[]
  /** Seconds without use after which a session ends. Default 86 400 (one day). */
  idleLifetime?: number
  /** Seconds after login at which a session ends. Default 604 800 (seven days). */
  absoluteLifetime?: number
  /** Seconds that a login may take. Default 600. */
  transactionLifetime?: number
  /** Logins in flight per browser. Default 8; a further one drops the oldest. */
  maxTransactions?: number
  /** Seconds that our clock and the server's may differ. Default 30, at most 300. */
  clockTolerance?: number
  /** Seconds for a whole exchange with the server, body included. Default 5. */
  timeout?: number
  /** Seconds for a call of `store`, or of express-session's. Default 2. */
  storeTimeout?: number
  /** Sends all requests, also those to APIs: for proxies and private certificate authorities. Default: Node's `fetch`. */
  fetch?: Fetch
  /** `answer`: a small page, or JSON for scripts. `next`: the error goes to the app's error handler. Default `answer`. */
  onError?: 'answer' | 'next'
  /** Is told what happens, for logs and metrics. Events carry no secret. */
  onEvent?: (event: OAuthEvent) => void
}

/** An API that is called for users, and what its access tokens are asked for; default: what the login asked for. */
export interface UserApi extends ApiOptions {
  /** The server's name of the API (RFC 8707). Default: the option `resource`. */
  readonly resource?: string
  /** Scopes that its tokens shall have, with one space between: some of those granted. Default: as the server gives them. */
  readonly scope?: string
}

const known: Record<keyof OAuthLoginOptions, true> = {
  issuer: true,
  endpoints: true,
  clientId: true,
  clientSecret: true,
  privateKey: true,
  tokenEndpointAuthMethod: true,
  algorithms: true,
  baseUrl: true,
  scope: true,
  resource: true,
  apis: true,
  impliedScopes: true,
  authorizationParameters: true,
  queryParameters: true,
  responseMode: true,
  storage: true,
  store: true,
  secrets: true,
  dpop: true,
  name: true,
  paths: true,
  user: true,
  returnTo: true,
  postLogoutReturnTo: true,
  logoutByGet: true,
  userinfo: true,
  onLogin: true,
  keepSessionData: true,
  idleLifetime: true,
  absoluteLifetime: true,
  transactionLifetime: true,
  maxTransactions: true,
  clockTolerance: true,
  timeout: true,
  storeTimeout: true,
  fetch: true,
  onError: true,
  onEvent: true,
}

/** Begins the checks. */
export function loginOptionChecks(options: OAuthLoginOptions): OptionChecks {
  return checkOptions('oauthLogin', options, known)
}

const knownOfApi: Record<Exclude<keyof UserApi, keyof ApiOptions>, true> = { resource: true, scope: true }

export function checkedApiList(
  apis: OAuthLoginOptions['apis'],
  check: OptionChecks,
): ListedApi<AccessTokenOptions>[] {
  return checkedApis(apis, knownOfApi, checkedAccess, check)
}

function checkedAccess({ resource, scope = '' }: Partial<UserApi>, check: OptionChecks): AccessTokenOptions {
  const api = checkedResource(resource, check)
  const scopes = checkedScope(scope, check).join(' ')
  return { ...(api !== undefined && { resource: api }), ...(scopes !== '' && { scope: scopes }) }
}

export function checkedParameters(
  options: OAuthLoginOptions,
  scope: readonly string[],
  check: OptionChecks,
): AuthorizationParameters {
  const { queryParameters = [] } = options
  const parameters = checkedAuthorizationParameters(options.authorizationParameters, scope, check)
  for (const name of queryParameters) {
    if (name !== 'scope' && reservedParameters.includes(name))
      check.refuse('queryParameters', `has "${name}"`, 'remove it; nobody may set that from a URL')
  }
  return parameters
}

/** The name becomes part of cookie names. */
export function checkedName(name: string, check: OptionChecks): string {
  return /^[A-Za-z0-9_-]{1,40}$/.test(name)
    ? name
    : check.refuse('name', `is "${name}"`, 'use letters, digits, "_" and "-"')
}

export function checkedMaxTransactions(most: number | undefined, check: OptionChecks): number {
  if (most === undefined) return 8
  if (Number.isInteger(most) && most >= 1 && most <= 20) return most
  return check.refuse('maxTransactions', `is ${String(most)}`, 'give a whole number from 1 to 20')
}

type Duration =
  'idleLifetime' | 'absoluteLifetime' | 'transactionLifetime' | 'clockTolerance' | 'timeout' | 'storeTimeout'

/** Seconds. */
const durationRanges: Record<Duration, { default: number; min: number; max?: number }> = {
  idleLifetime: { default: 86_400, min: 60 },
  absoluteLifetime: { default: 604_800, min: 60 },
  transactionLifetime: { default: 600, min: 10 },
  clockTolerance: { default: 30, min: 0, max: 300 },
  timeout: { default: 5, min: 0.1, max: 600 },
  storeTimeout: { default: 2, min: 0.1, max: 600 },
}

export function checkedDurations(options: OAuthLoginOptions, check: OptionChecks): Record<Duration, number> {
  const { idleLifetime, absoluteLifetime, transactionLifetime, clockTolerance, timeout, storeTimeout } =
    durationRanges
  return {
    idleLifetime: check.seconds('idleLifetime', options.idleLifetime, idleLifetime),
    absoluteLifetime: check.seconds('absoluteLifetime', options.absoluteLifetime, absoluteLifetime),
    transactionLifetime: check.seconds(
      'transactionLifetime',
      options.transactionLifetime,
      transactionLifetime,
    ),
    clockTolerance: check.seconds('clockTolerance', options.clockTolerance, clockTolerance),
    timeout: check.seconds('timeout', options.timeout, timeout),
    storeTimeout: check.seconds('storeTimeout', options.storeTimeout, storeTimeout),
  }
}
