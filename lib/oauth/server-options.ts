/** Which authorization server, and who we are there: the options about it, and what must be true of them. */

import { algorithms as everyAlgorithm, type Algorithm } from '../jose/jwt.js'
import type { OptionChecks } from '../options.js'
import {
  signingKey,
  tokenEndpointAuthMethods,
  type ClientCredentials,
  type ClientKey,
  type TokenEndpointAuthMethod,
} from './client-authentication.js'
import { clientSecretProblem, type ClientSecret } from './client-secret.js'
import { issuerProblem } from './issuer.js'
import { redirectUriProblem } from './redirect-uri.js'
import type { ServerEndpoints } from './server-metadata.js'

/** What every factory that talks to an authorization server is told of it. */
export interface ServerOptions {
  /**
   * The authorization server's identifier, exactly as its metadata spells it. Its endpoints are discovered from there
   * (OpenID Connect Discovery, RFC 8414). Needed unless `endpoints` are given.
   */
  issuer?: string
  /** The endpoints of a server that publishes no metadata. */
  endpoints?: Partial<ServerEndpoints>
  /** The public identifier of this application at the server. */
  clientId: string
  /**
   * The confidential part. To replace it without a break, give a list with the old and the new one, or a function that
   * looks it up: when the server refuses one (`invalid_client`), the next is tried once, and the function asked again.
   */
  clientSecret?: ClientSecret
  /** A signing key in place of a secret, for `private_key_jwt`. */
  privateKey?: ClientKey
  /** How the client authenticates. Default: what fits the credentials and the server's metadata. Never switched silently. */
  tokenEndpointAuthMethod?: TokenEndpointAuthMethod
}

/** Which server: discovered from its issuer, or known by its endpoints. */
export type Server<Endpoints> =
  | { readonly issuer: string; readonly endpoints?: undefined }
  | { readonly issuer: string | undefined; readonly endpoints: Endpoints }

/** `needed` are the endpoints without which nothing works. */
export function checkedServer<Endpoints extends Partial<ServerEndpoints>>(
  { issuer, endpoints }: { issuer?: string; endpoints?: Endpoints },
  needed: readonly ('authorization' | 'token')[],
  scope: readonly string[],
  check: OptionChecks,
): Server<Endpoints> {
  const fault = issuer === undefined ? undefined : issuerProblem(issuer)
  if (fault) check.refuse('issuer', fault.problem, fault.advice)
  if (endpoints === undefined) {
    return {
      issuer:
        issuer ??
        check.refuse('issuer', 'is missing', 'give the URL of the authorization server, or its "endpoints"'),
    }
  }
  for (const name of needed) {
    check.string(`endpoints.${name}`, endpoints[name], 'give the URL of this endpoint')
  }
  for (const [name, url] of Object.entries(endpoints)) {
    const problem = redirectUriProblem(url)
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

export function checkedCredentials(options: ServerOptions, check: OptionChecks): ClientCredentials {
  const { clientId, clientSecret, privateKey, tokenEndpointAuthMethod: method } = options
  check.string('clientId', clientId, 'give the client id that the authorization server shows for this app')
  const secretProblem =
    clientSecret === undefined || typeof clientSecret === 'function'
      ? undefined
      : clientSecretProblem(clientSecret)
  if (secretProblem !== undefined) {
    const advice =
      'give the secret, or leave the option out for a public client; a list or a function may give several'
    check.refuse('clientSecret', secretProblem, advice)
  }
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
