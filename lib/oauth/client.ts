/** The client: who this application is at one authorization server, and how it talks to it. */

import {
  Configuration,
  allowInsecureRequests,
  clockTolerance as toleranceSymbol,
  customFetch,
  enableNonRepudiationChecks,
} from 'openid-client'
import type { Emit } from '../events.js'
import { tokenLimit, type HttpClient } from '../http.js'
import { algorithms as everyAlgorithm, type Algorithm } from '../jose/jwt.js'
import { remoteKeySet, type KeySet } from '../jose/key-set.js'
import { clientAuthentication, clientAuthMethod, type ClientCredentials } from './client-authentication.js'
import { requireEndpoint, type MetadataSource, type ServerMetadata } from './server-metadata.js'

export interface Client {
  readonly clientId: string
  readonly redirectUri: string
  /** Seconds that clocks may differ. */
  readonly clockTolerance: number
  /** What ID tokens and logout tokens may be signed with. */
  readonly algorithms: readonly Algorithm[]
  /** The keys that ID tokens are checked against. */
  readonly keySet: KeySet
  /** Seconds since the epoch. */
  readonly now: () => number
  /** What the server says about itself. */
  metadata(): Promise<ServerMetadata>
  /** openid-client's view of server and client, for the token endpoint and for URLs. */
  configuration(): Promise<Configuration>
  /** The same, checking the signature of signed answers. */
  userinfoConfiguration(): Promise<Configuration>
  /** Values that must never be repeated in a message, such as the client secret. */
  readonly secrets: readonly string[]
}

export interface ClientOptions {
  clientId: string
  redirectUri: string
  credentials: ClientCredentials
  metadata: MetadataSource
  http: HttpClient
  algorithms: readonly Algorithm[]
  clockTolerance: number
  emit: Emit
  now: () => number
}

export function createClient(options: ClientOptions): Client {
  const { clientId, redirectUri, credentials, metadata, http, algorithms, clockTolerance, emit, now } =
    options
  let built: Configurations | undefined

  return {
    clientId,
    redirectUri,
    algorithms,
    clockTolerance,
    now,
    metadata,
    secrets: credentials.clientSecret === undefined ? [] : [credentials.clientSecret],
    keySet: remoteKeySet({
      uri: async () => requireEndpoint(await metadata(), 'jwks_uri'),
      http,
      emit,
      now,
    }),
    configuration: async () => (await configurations()).token,
    userinfoConfiguration: async () => (await configurations()).userinfo,
  }

  async function configurations(): Promise<Configurations> {
    const from = await metadata()
    // openid-client freezes what it is given: new metadata needs a new configuration.
    if (built?.from !== from) {
      const userinfo = configure(from)
      enableNonRepudiationChecks(userinfo)
      built = { from, token: configure(from), userinfo }
    }
    return built
  }

  function configure(server: ServerMetadata): Configuration {
    const method = clientAuthMethod(credentials, server)
    const configuration = new Configuration(
      // Which algorithms are good is ours to decide; some servers announce `none` and HS256.
      {
        ...server,
        id_token_signing_alg_values_supported: [...algorithms],
        userinfo_signing_alg_values_supported: [...everyAlgorithm],
      } as OpenidServerMetadata,
      clientId,
      { [toleranceSymbol]: clockTolerance },
      clientAuthentication(method, credentials),
    )
    configuration[customFetch] = async (url, { method: verb, headers, body }) => {
      const response = await http(url, { method: verb, headers, body: body ?? null, limit: tokenLimit })
      // The error is in the body (RFC 6749 §5.2). openid-client would look no further than the challenge.
      response.headers.delete('www-authenticate')
      return response
    }
    // `http` is the one that refuses http to other machines, for every request and not only for openid-client's.
    allowInsecureRequests(configuration)
    return configuration
  }
}

type OpenidServerMetadata = ConstructorParameters<typeof Configuration>[0]

/**
 * Two of one kind: with its signature checks on, openid-client would check ID tokens too, against a key set that it
 * renews only once a minute. It would refuse the first users after a key rotation, so ID tokens are ours to check.
 */
interface Configurations {
  readonly from: ServerMetadata
  readonly token: Configuration
  readonly userinfo: Configuration
}
