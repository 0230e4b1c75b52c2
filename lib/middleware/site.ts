/** The public place of an `oauthLogin`, and what follows from it: URLs, landing pages, the kind of cookies. */

import { isLoopback } from '../http.js'
import { redirectUriProblem } from '../oauth/redirect-uri.js'
import type { OptionChecks } from '../options.js'
import type { OAuthLoginOptions } from './oauth-login-options.js'
import { localPath } from './return-to.js'

export interface Site {
  readonly origin: string
  /** The path of `baseUrl` without a slash at its end. */
  readonly basePath: string
  readonly paths: Readonly<Record<'login' | 'callback' | 'logout', string>>
  readonly redirectUri: string
  readonly returnTo: string
  readonly postLogoutReturnTo: string
  /** Whether cookies are for https only. */
  readonly secure: boolean
}

export function checkedSite(options: OAuthLoginOptions, check: OptionChecks): Site {
  const { baseUrl, paths: { login = '/login', callback = '/callback', logout = '/logout', ...others } = {} } =
    options
  check.string('baseUrl', baseUrl, 'give the public URL of this app, such as "https://example.com"')
  const problem = redirectUriProblem(baseUrl)
  if (problem) check.refuse('baseUrl', problem.problem, problem.advice)
  const url = new URL(baseUrl)
  if (url.search !== '') check.refuse('baseUrl', 'has a query', 'remove the "?" and what follows')
  for (const name of Object.keys(others))
    check.refuse(`paths.${name}`, 'is not known', 'known are login, callback, logout')
  const paths = { login, callback, logout }
  for (const [name, path] of Object.entries(paths)) {
    if (localPath(path, url.origin) !== path || /[?#]/.test(path)) {
      check.refuse(`paths.${name}`, `is "${path}"`, 'give a path that begins with "/", such as "/auth/login"')
    }
  }
  if (new Set(Object.values(paths)).size < 3)
    check.refuse('paths', 'has the same path twice', 'give each its own')
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
    redirectUri: `${url.origin}${basePath}${callback}`,
    returnTo,
    postLogoutReturnTo: landing('postLogoutReturnTo', returnTo),
    secure: !isLoopback(url),
  }
}
