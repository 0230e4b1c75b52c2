/** One authorization server of a provider and the API behind it, for connections whose fields lead there. */

import { OAuthError } from '../errors.js'
import { tokenLimit, type Fetch, type HttpClient } from '../http.js'
import type { Client } from '../oauth/client.js'
import type { DPoPKeys } from '../oauth/dpop-keys.js'
import { requireEndpoint } from '../oauth/server-metadata.js'
import { apiFetch, type ApiFetch } from '../tokens/api-fetch.js'
import type { ApiTokens } from '../tokens/api-token.js'
import type { ListedApi } from '../tokens/listed-api.js'
import type { Revoke } from '../tokens/revoke.js'
import type { AccountAnswer, ConnectionTest } from './provider-options.js'

/** All tokens of a connection are alike. */
export type ConnectionApiTokens = ApiTokens<undefined>

export interface ProviderServer {
  /** Names the server in records. */
  readonly issuer: string
  readonly client: Client
  readonly dpopKeys: DPoPKeys
  /** Where the client's secret and refresh tokens go. Throws what asking for the metadata throws. */
  tokenOrigin(): Promise<string>
  /** `fetch` for the addresses that are allowed. */
  readonly fetch: (tokens: ConnectionApiTokens) => ApiFetch
  /**
   * The answer of the test call; nothing where there is none. Throws `needs_reconnect` when the token is refused,
   * `upstream_unavailable` when the API is away, and `invalid_server_response` for any other answer.
   */
  readonly test: ((tokens: ConnectionApiTokens) => Promise<AccountAnswer>) | undefined
  readonly revoke: Revoke
}

export interface ProviderServerOptions {
  issuer: string
  client: Client
  dpopKeys: DPoPKeys
  apis: readonly ListedApi<undefined>[]
  testApi: ListedApi<undefined> | undefined
  judge: ConnectionTest['judge']
  revoke: Revoke
  http: HttpClient
  fetch: Fetch
}

export function createProviderServer(options: ProviderServerOptions): ProviderServer {
  const { issuer, client, dpopKeys, apis, testApi, judge, revoke, http, fetch } = options
  // The test call has a deadline and a limit, which an app's own calls have not.
  const bounded: Fetch = (url, { headers } = {}) =>
    http(url as string, { headers: Object.fromEntries(new Headers(headers)), limit: tokenLimit })
  const testFetch = testApi && apiFetch({ apis: [testApi], fetch: bounded })

  return {
    issuer,
    client,
    dpopKeys,
    tokenOrigin: async () => new URL(requireEndpoint(await client.metadata(), 'token_endpoint')).origin,
    fetch: apiFetch({ apis, fetch }),
    test: testFetch && ((tokens) => testCall(testApi.url, testFetch(tokens), judge)),
    revoke,
  }
}

async function testCall(
  url: string,
  fetchWithToken: ApiFetch,
  judge: ConnectionTest['judge'],
): Promise<AccountAnswer> {
  const response = await fetchWithToken(url, { headers: { accept: 'application/json' } }).catch(
    (error: unknown) => {
      throw isServerAway(error) ? apiAway('network', error) : error
    },
  )
  const { status } = response
  if (status === 401) throw refused()
  if (status >= 500 || status === 429) throw apiAway(`status_${status}`)
  const answer = status === 200 ? await jsonOf(response) : undefined
  if (answer === undefined) {
    throw new OAuthError('invalid_server_response', {
      message: `the test call to ${url} was answered with ${status === 200 ? 'no JSON' : `status ${status}`}`,
      reason: `test_status_${status}`,
      hint: 'Is "test.url" right, and does the scope allow it?',
    })
  }
  const verdict = judge?.(answer) ?? 'good'
  if (verdict === 'refused') throw refused()
  if (verdict === 'unavailable') throw apiAway('judged')
  return answer
}

async function jsonOf(response: Response): Promise<AccountAnswer> {
  try {
    return await response.json()
  } catch {
    return undefined
  }
}

/** The deadline and the network are told in the words for an authorization server, which the API is not. */
function isServerAway(error: unknown): boolean {
  return (
    error instanceof OAuthError &&
    error.code === 'server_unavailable' &&
    /^(network|timeout)$/.test(error.reason ?? '')
  )
}

function refused(): OAuthError {
  return new OAuthError('needs_reconnect', { reason: 'test_refused' })
}

function apiAway(reason: string, cause?: unknown): OAuthError {
  return new OAuthError('upstream_unavailable', {
    reason,
    hint: 'The API of the test call does not answer as it should. Nothing is known of the connection until it does.',
    cause,
  })
}
