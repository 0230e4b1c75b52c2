/** The client: who this application is at one authorization server, and how it talks to it. */

import {
  Configuration,
  None,
  allowInsecureRequests,
  clockTolerance as toleranceSymbol,
  customFetch,
  enableNonRepudiationChecks,
  type ClientAuth,
} from 'openid-client'
import { OAuthError } from '../errors.js'
import type { Emit } from '../events.js'
import { tokenLimit, type HttpClient } from '../http.js'
import { algorithms as everyAlgorithm, type Algorithm } from '../jose/jwt.js'
import type { KeySet } from '../jose/key-set.js'
import { remoteKeySet } from '../jose/remote-key-set.js'
import { clientAuthentication, clientAuthMethod, type ClientCredentials } from './client-authentication.js'
import { clientSecrets } from './client-secret.js'
import { noDPoPKeys, type DPoPKeys } from './dpop-keys.js'
import { requireEndpoint, type MetadataSource, type ServerMetadata } from './server-metadata.js'
import { standardResponse, type TokenResponseHook } from './token-response.js'

/** The client as the token endpoint knows it. */
export interface TokenClient {
  readonly clientId: string
  /** Seconds that clocks may differ. */
  readonly clockTolerance: number
  /** What ID tokens and logout tokens may be signed with. */
  readonly algorithms: readonly Algorithm[]
  /** The keys that ID tokens are checked against. */
  readonly keySet: KeySet
  /** The keys of our own that tokens are bound to. */
  readonly dpopKeys: DPoPKeys
  /** Seconds since the epoch. */
  readonly now: () => number
  /** What the server says about itself. */
  metadata(): Promise<ServerMetadata>
  /**
   * Runs a request to the token, revocation or introspection endpoint with the client's credentials. It runs again with
   * another secret when it throws `invalid_client`. Throws what the request throws, and `temporarily_unavailable` without
   * a secret.
   */
  authenticated<T>(request: (configuration: Configuration) => Promise<T>): Promise<T>
  /** openid-client's view of server and client without credentials, for URLs. */
  configuration(): Promise<Configuration>
  /** The same, checking the signature of signed answers. */
  userinfoConfiguration(): Promise<Configuration>
  /** Values that must never be repeated in a message, such as every client secret. */
  secrets(): readonly string[]
}

export interface Client extends TokenClient {
  readonly redirectUri: string
}

export interface TokenClientOptions {
  clientId: string
  credentials: ClientCredentials
  metadata: MetadataSource
  http: HttpClient
  algorithms: readonly Algorithm[]
  clockTolerance: number
  /** Default: none, so tokens are bearer tokens. */
  dpopKeys?: DPoPKeys
  /** Puts right what the token endpoint answers. Default: it follows the standard. */
  tokenResponse?: TokenResponseHook
  /** Seconds that a function in the place of a secret may take. */
  timeout: number
  emit: Emit
  now: () => number
}

/** A client that users come back to. */
export function createClient({
  redirectUri,
  ...options
}: TokenClientOptions & { redirectUri: string }): Client {
  return { ...createTokenClient(options), redirectUri }
}

export function createTokenClient(options: TokenClientOptions): TokenClient {
  const { clientId, credentials, metadata, http, algorithms, clockTolerance, timeout, emit, now } = options
  const { tokenResponse } = options
  const { clientSecret, privateKey } = credentials
  const secrets = clientSecret === undefined ? undefined : clientSecrets(clientSecret, { timeout, now })
  let built: Configurations | undefined

  return {
    clientId,
    algorithms,
    clockTolerance,
    now,
    dpopKeys: options.dpopKeys ?? noDPoPKeys,
    metadata,
    secrets: () => secrets?.known() ?? [],
    keySet: remoteKeySet({
      uri: async () => requireEndpoint(await metadata(), 'jwks_uri'),
      http,
      emit,
      now,
    }),
    authenticated: async (request) => {
      if (!secrets) return request(await withCredentials())
      return secrets.authenticated(async (secret) => request(await withCredentials(secret)))
    },
    configuration: async () => (await configurations()).bare,
    userinfoConfiguration: async () => (await configurations()).userinfo,
  }

  async function configurations(): Promise<Configurations> {
    const from = await metadata()
    // openid-client freezes what it is given: new metadata needs a new configuration.
    if (built?.from !== from) {
      const userinfo = configure(from, None(), 'userinfo')
      enableNonRepudiationChecks(userinfo)
      built = { from, bare: configure(from, None()), userinfo, bySecret: new Map() }
    }
    return built
  }

  async function withCredentials(secret?: string): Promise<Configuration> {
    const { from, bySecret } = await configurations()
    const known = bySecret.get(secret)
    if (known) return known
    const method = clientAuthMethod(credentials, from)
    const made = configure(from, clientAuthentication(method, { secret, privateKey }))
    if (bySecret.size >= mostConfigurations) bySecret.clear()
    bySecret.set(secret, made)
    return made
  }

  function configure(server: ServerMetadata, authentication: ClientAuth, use?: 'userinfo'): Configuration {
    const configuration = new Configuration(
      // Which algorithms are good is ours to decide; some servers announce `none` and HS256.
      {
        ...server,
        id_token_signing_alg_values_supported: [...algorithms],
        userinfo_signing_alg_values_supported: [...everyAlgorithm],
      } as OpenidServerMetadata,
      clientId,
      { [toleranceSymbol]: clockTolerance },
      authentication,
    )
    configuration[customFetch] = async (url, { method: verb, headers, body }) => {
      const answer = await http(url, { method: verb, headers, body: body ?? null, limit: tokenLimit })
      const isOdd = tokenResponse && isAt(url, server.token_endpoint)
      const response = isOdd ? await standardResponse(answer, tokenResponse) : answer
      // The error is in the body (RFC 6749 §5.2). openid-client would look no further than the challenge, which is where
      // a resource server asks for a nonce (RFC 9449 §9).
      if (use !== 'userinfo' || response.status !== 401) response.headers.delete('www-authenticate')
      // What the revocation endpoint says with its 200 means nothing (RFC 7009 §2.2).
      if (response.status === 200 && !isAt(url, server.revocation_endpoint))
        await checkReadable(url, response, headers['accept'])
      return response
    }
    // `http` is the one that refuses http to other machines, for every request and not only for openid-client's.
    allowInsecureRequests(configuration)
    return configuration
  }
}

/** openid-client asks in the normal form of a URL, which metadata and options need not have. */
function isAt(url: string, endpoint: string | undefined): boolean {
  return endpoint !== undefined && URL.canParse(endpoint) && url === new URL(endpoint).href
}

const jsonType = /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i
const jwtType = /^application\/(?:[\w.+-]+\+)?jwt\s*(?:;|$)/i

/** openid-client parses whatever comes, and puts a sign where bytes are no UTF-8. */
async function checkReadable(url: string, response: Response, accepted = ''): Promise<void> {
  const type = response.headers.get('content-type') ?? ''
  // A JWT is asked for of the userinfo endpoint alone. Another one would be believed without its signature.
  const isReadable = jsonType.test(type) || (jwtType.test(type) && accepted.includes('jwt'))
  const refuse = (problem: string): never => {
    throw new OAuthError('invalid_server_response', {
      message: `${url} ${problem}`,
      reason: 'content_type',
      hint: 'The answer must be JSON in UTF-8, sent as application/json (RFC 6749 §5.1, RFC 8259 §8.1).',
    })
  }
  if (!isReadable) refuse(`answered with "${type}"`)
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(await response.clone().arrayBuffer())
  } catch {
    refuse('answered with bytes that are not UTF-8')
  }
}

type OpenidServerMetadata = ConstructorParameters<typeof Configuration>[0]

/** Secrets that were in use since the metadata was fetched; a few, or somebody makes them up. */
const mostConfigurations = 20

/**
 * Two of one kind: with its signature checks on, openid-client would check ID tokens too, against a key set that it
 * renews only once a minute. It would refuse the first users after a key rotation, so ID tokens are ours to check.
 */
interface Configurations {
  readonly from: ServerMetadata
  readonly bare: Configuration
  readonly userinfo: Configuration
  /** With credentials, by the secret; a client without one has one entry. */
  readonly bySecret: Map<string | undefined, Configuration>
}
