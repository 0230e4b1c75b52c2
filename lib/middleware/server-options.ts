/** Which authorization server, and who we are there: what must be true of the options about it. */

import { algorithms as everyAlgorithm, type Algorithm } from '../jose/jwt.js'
import {
  signingKey,
  tokenEndpointAuthMethods,
  type ClientCredentials,
} from '../oauth/client-authentication.js'
import { issuerProblem } from '../oauth/issuer.js'
import { redirectUriProblem } from '../oauth/redirect-uri.js'
import type { ServerEndpoints } from '../oauth/server-metadata.js'
import type { OptionChecks } from '../options.js'
import type { OAuthLoginOptions } from './oauth-login-options.js'

/** Which server, by discovery or by its endpoints. */
export function checkedServer(
  options: Pick<OAuthLoginOptions, 'issuer' | 'endpoints'>,
  scope: readonly string[],
  check: OptionChecks,
): { issuer: string; endpoints?: undefined } | { issuer: string | undefined; endpoints: ServerEndpoints } {
  const { issuer, endpoints } = options
  const fault = issuer === undefined ? undefined : issuerProblem(issuer)
  if (fault) check.refuse('issuer', fault.problem, fault.advice)
  if (endpoints === undefined) {
    return {
      issuer:
        issuer ??
        check.refuse('issuer', 'is missing', 'give the URL of the authorization server, or its "endpoints"'),
    }
  }
  for (const name of ['authorization', 'token'] as const) {
    check.string(`endpoints.${name}`, endpoints[name], 'give the URL of this endpoint')
  }
  for (const [name, url] of Object.entries(endpoints)) {
    const problem = redirectUriProblem(String(url))
    if (problem) check.refuse(`endpoints.${name}`, problem.problem, problem.advice)
  }
  if (scope.includes('openid')) {
    if (issuer === undefined)
      check.refuse(
        'issuer',
        'is missing',
        'ID tokens are checked against it; leave "openid" out of the scope for plain OAuth 2.0',
      )
    if (endpoints.jwks === undefined)
      check.refuse(
        'endpoints.jwks',
        'is missing',
        'ID tokens are checked with its keys; leave "openid" out of the scope for plain OAuth 2.0',
      )
  }
  return { issuer, endpoints }
}

export function checkedCredentials(options: OAuthLoginOptions, check: OptionChecks): ClientCredentials {
  const { clientId, clientSecret, privateKey, tokenEndpointAuthMethod: method } = options
  check.string('clientId', clientId, 'give the client id that the authorization server shows for this app')
  if (clientSecret !== undefined)
    check.string('clientSecret', clientSecret, 'give the secret, or leave the option out for a public client')
  if (clientSecret !== undefined && privateKey !== undefined)
    check.refuse('privateKey', 'is given beside "clientSecret"', 'use one of the two')
  if (method !== undefined) {
    check.oneOf('tokenEndpointAuthMethod', method, tokenEndpointAuthMethods)
    const needed =
      method === 'none' ? undefined : method === 'private_key_jwt' ? 'privateKey' : 'clientSecret'
    if (needed !== undefined && options[needed] === undefined)
      check.refuse(needed, 'is missing', `"${method}" needs it`)
    if (needed === undefined && (clientSecret ?? privateKey) !== undefined) {
      check.refuse(
        'tokenEndpointAuthMethod',
        'is "none" beside credentials',
        'leave the secret or key out, or choose another method',
      )
    }
  }
  if (privateKey !== undefined) {
    try {
      signingKey(privateKey)
    } catch {
      check.refuse(
        'privateKey',
        'cannot be read',
        'give a private key as PEM (PKCS #8), JWK or KeyObject: RSA, P-256, P-384, P-521 or Ed25519',
      )
    }
  }
  return {
    ...(clientSecret !== undefined && { clientSecret }),
    ...(privateKey !== undefined && { privateKey }),
    ...(method !== undefined && { method }),
  }
}

/** What tokens may be signed with. */
export function checkedAlgorithms(
  algorithms: readonly Algorithm[] = everyAlgorithm,
  check: OptionChecks,
): readonly Algorithm[] {
  const isGood = Array.isArray(algorithms) && algorithms.length > 0
  if (isGood && algorithms.every((one) => everyAlgorithm.includes(one))) return algorithms
  return check.refuse(
    'algorithms',
    `is ${JSON.stringify(algorithms)}`,
    `choose from ${everyAlgorithm.join(', ')}`,
  )
}
