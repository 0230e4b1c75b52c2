/** Asks an authorization server about the tokens that only it can read (RFC 7662). */

import { isOAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import type { HttpClient } from '../http.js'
import { algorithms, invalidToken } from '../jose/jwt.js'
import type { AccessToken, AccessTokenRules } from '../oauth/access-token.js'
import {
  tokenEndpointAuthMethods,
  type ClientKey,
  type TokenEndpointAuthMethod,
} from '../oauth/client-authentication.js'
import type { ClientSecret } from '../oauth/client-secret.js'
import { createTokenClient } from '../oauth/client.js'
import { introspection, judgeIntrospection } from '../oauth/introspection.js'
import { redirectUriProblem } from '../oauth/redirect-uri.js'
import { requireEndpoint, type MetadataSource } from '../oauth/server-metadata.js'
import { checkedCredentials } from '../oauth/server-options.js'
import type { OptionChecks } from '../options.js'
import { createGate } from '../tokens/gate.js'
import type { BearerUser } from './bearer-auth.js'
import { isToken } from './credentials.js'
import { introspectedTokens } from './introspected-tokens.js'

/** How this API asks the authorization server about tokens. */
export interface IntrospectionOptions {
  /** This API as the server knows it: a client that may introspect. */
  clientId: string
  /** Its secret; several, or a function, as elsewhere. Needed unless there is a `privateKey`. */
  clientSecret?: ClientSecret
  /** A signing key in place of a secret, for `private_key_jwt`. */
  privateKey?: ClientKey
  /** How this API authenticates. Default: what fits the credentials and the server's metadata; `client_secret_basic` with `endpoint`. */
  tokenEndpointAuthMethod?: Exclude<TokenEndpointAuthMethod, 'none'>
  /** Where the server is asked. Default: what its metadata says. */
  endpoint?: string
  /**
   * `opaque`: tokens that are no JWTs; JWTs are verified with the server's keys. `all`: JWTs, too, so that a revocation is
   * seen within `cacheLifetime`. Default `opaque`.
   */
  tokens?: 'opaque' | 'all'
  /** Seconds that an answer is used for, and so until a revocation is seen. Default 60, at most 3600; with 0 every request asks. */
  cacheLifetime?: number
}

export interface Introspector {
  readonly tokens: 'opaque' | 'all'
  /**
   * Who a token is from, made by `bearerUser` when the server had to be asked. Throws `invalid_token`, and errors with a
   * status of 5xx when it cannot be known.
   */
  of(token: string, bearerUser: (verified: AccessToken) => BearerUser): Promise<BearerUser>
  /** Waits until it is known where to ask. */
  ready(): Promise<void>
}

export interface IntrospectorSettings {
  /** What the server says about itself. */
  metadata: MetadataSource
  /** What its tokens must be. */
  rules: AccessTokenRules
  http: HttpClient
  /** Seconds that a function in the place of a secret may take. */
  timeout: number
  emit: Emit
}

const known: Record<keyof IntrospectionOptions, true> = {
  clientId: true,
  clientSecret: true,
  privateKey: true,
  tokenEndpointAuthMethod: true,
  endpoint: true,
  tokens: true,
  cacheLifetime: true,
}

/** Seconds that a request waits for its turn to ask. A crowd that comes at once may; a server that hangs is not waited for. */
const patience = 1

/** Seconds that a token without `exp` is called good for when no answer is remembered. */
const usualLifetime = 60

/** The server is asked about 50 tokens at once, and all else waits in a queue that is bounded. */
export function introspector(
  options: IntrospectionOptions,
  settings: IntrospectorSettings,
  outerCheck: OptionChecks,
): Introspector {
  const { rules, http, emit, timeout } = settings
  const check = outerCheck.within('introspection', options, known)
  const credentials = checkedClient(options, check)
  const tokens = check.oneOf('tokens', options.tokens, ['opaque', 'all'], 'opaque')
  const cacheLifetime = check.seconds('cacheLifetime', options.cacheLifetime, { default: 60, max: 3600 })
  const endpoint = checkedEndpoint(options.endpoint, check)
  const { issuer, clockTolerance, now } = rules
  const fixed = endpoint === undefined ? undefined : { issuer, introspection_endpoint: endpoint }
  const metadata = fixed ? async () => fixed : ofIntrospection(settings.metadata)
  const client = createTokenClient({
    clientId: options.clientId,
    credentials,
    metadata,
    http,
    algorithms,
    clockTolerance,
    timeout,
    emit,
    now,
  })
  const gate = createGate(patience)
  const remembered = introspectedTokens(cacheLifetime)

  async function accessToken(token: string): Promise<AccessToken> {
    const vouchedUntil = now() + (cacheLifetime === 0 ? usualLifetime : cacheLifetime)
    const answer = await gate
      .run(() => introspection(client, token), true)
      .catch((error: unknown) => {
        // Junk may look to a server like a JWT, which it does not introspect.
        if (tokens === 'opaque' && isOfUnsupportedType(error)) return undefined
        throw error
      })
    if (!answer) throw invalidToken('inactive')
    return judgeIntrospection(answer, rules, vouchedUntil)
  }

  return {
    tokens,
    async of(token, bearerUser) {
      // Whatever else cannot be a token, and nobody is asked about it.
      if (!isToken(token)) throw invalidToken('malformed')
      return remembered.of(token, async () => bearerUser(await accessToken(token)))
    },
    async ready() {
      requireEndpoint(await metadata(), 'introspection_endpoint')
    },
  }
}

function isOfUnsupportedType(error: unknown): boolean {
  return isOAuthError(error) && error.serverError?.error === 'unsupported_token_type'
}

/** The metadata, with the ways to authenticate at this endpoint where the server names them (RFC 8414 §2). */
function ofIntrospection(metadata: MetadataSource): MetadataSource {
  let made: { from: object; to: Awaited<ReturnType<MetadataSource>> } | undefined
  return async () => {
    const from = await metadata()
    const methods = from.introspection_endpoint_auth_methods_supported
    if (methods === undefined) return from
    // The same object for the same metadata: the client keeps what it made of it.
    if (made?.from !== from) made = { from, to: { ...from, token_endpoint_auth_methods_supported: methods } }
    return made.to
  }
}

/** RFC 7662 §2.1: the endpoint is for those who prove who they are, or anybody could try tokens there. */
function checkedClient(
  options: IntrospectionOptions,
  check: OptionChecks,
): ReturnType<typeof checkedCredentials> {
  const credentials = checkedCredentials(options, check)
  const methods = tokenEndpointAuthMethods.filter((one) => one !== 'none')
  if (credentials.method !== undefined)
    check.oneOf('tokenEndpointAuthMethod', options.tokenEndpointAuthMethod, methods)
  if (credentials.clientSecret === undefined && credentials.privateKey === undefined)
    check.refuse(
      'clientSecret',
      'is missing',
      'give it, or "introspection.privateKey": the server tells only those who prove who they are (RFC 7662 §2.1)',
    )
  return credentials
}

function checkedEndpoint(endpoint: string | undefined, check: OptionChecks): string | undefined {
  const problem = endpoint === undefined ? undefined : redirectUriProblem(endpoint)
  if (problem) check.refuse('endpoint', problem.problem, problem.advice)
  return endpoint
}
