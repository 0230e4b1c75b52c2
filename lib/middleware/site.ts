/** The public place of an `oauthLogin`, and what follows from it: URLs, landing pages, the kind of cookies. */

import { isLoopback } from '../http.js'
import type { OptionChecks } from '../options.js'
import { checkedBaseUrl } from './base-url.js'
import type { OAuthLoginOptions } from './oauth-login-options.js'
import { localPath } from './return-to.js'

interface OptionalPaths {
  /** Where scripts ask who is signed in, if they may. */
  readonly user?: string
  /** Where the authorization server tells of sign-outs, if it does. */
  readonly backchannelLogout?: string
  readonly frontchannelLogout?: string
}

export interface Site {
  readonly origin: string
  /** The path of `baseUrl` without a slash at its end. */
  readonly basePath: string
  readonly paths: Readonly<Record<'login' | 'callback' | 'logout', string>> & OptionalPaths
  readonly redirectUri: string
  readonly returnTo: string
  readonly postLogoutReturnTo: string
  /** Whether cookies are for https only. */
  readonly secure: boolean
}

export function checkedSite(options: OAuthLoginOptions, check: OptionChecks): Site {
  const url = checkedBaseUrl(options.baseUrl, check)
  const paths = checkedPaths(options, url.origin, check)
  const basePath = url.pathname.replace(/\/$/, '')
  const landing = (name: 'returnTo' | 'postLogoutReturnTo', byDefault: string) => {
    const path = localPath(options[name] ?? byDefault, url.origin)
    return (
      path ?? check.refuse(name, `is "${options[name]}"`, 'give a path of this site that begins with one "/"')
    )
  }
  const returnTo = landing('returnTo', `${basePath}/`)
  return {
    origin: url.origin,
    basePath,
    paths,
    redirectUri: `${url.origin}${basePath}${paths.callback}`,
    returnTo,
    postLogoutReturnTo: landing('postLogoutReturnTo', returnTo),
    secure: !isLoopback(url),
  }
}

const knownPaths = ['login', 'callback', 'logout', 'backchannelLogout', 'frontchannelLogout', 'user']

function checkedPaths(options: OAuthLoginOptions, origin: string, check: OptionChecks): Site['paths'] {
  const given = Object.entries(options.paths ?? {}).filter(([, path]) => path !== undefined)
  const hasUser = options.user !== undefined && options.user !== false
  const paths = {
    login: '/login',
    callback: '/callback',
    logout: '/logout',
    ...(hasUser && { user: '/user' }),
    ...Object.fromEntries(given),
  }
  if (!hasUser && 'user' in paths)
    check.refuse('paths.user', 'is set, and the option "user" is not', 'set "user" to true or to its options')
  for (const [name, path] of Object.entries(paths)) {
    if (!knownPaths.includes(name))
      check.refuse(`paths.${name}`, 'is not known', `known are ${knownPaths.join(', ')}`)
    if (localPath(path, origin) !== path || /[?#]/.test(path)) {
      check.refuse(`paths.${name}`, `is "${path}"`, 'give a path that begins with "/", such as "/auth/login"')
    }
    if (/^(back|front)channel/.test(name) && !(options.scope ?? 'openid').split(' ').includes('openid')) {
      check.refuse(
        `paths.${name}`,
        'is set without "openid" in the scope',
        'only servers with OpenID Connect tell of logouts; ask for "openid", or leave the path out',
      )
    }
  }
  if (new Set(Object.values(paths)).size < Object.keys(paths).length)
    check.refuse('paths', 'has the same path twice', 'give each its own')
  return paths
}
