/** One authorization server of a provider and the API behind it, for connections whose fields lead there. */

import { isPromise } from '../app-answer.js'
import { OAuthError, type OAuthErrorCode, type OAuthErrorOptions } from '../errors.js'
import type { ConnectionName, Emit } from '../events.js'
import { tokenLimit, type Fetch, type HttpClient } from '../http.js'
import type { Client } from '../oauth/client.js'
import type { DPoPKeys } from '../oauth/dpop-keys.js'
import { refreshTokenGrant } from '../oauth/refresh-token.js'
import { revoke } from '../oauth/revocation.js'
import { requireEndpoint } from '../oauth/server-metadata.js'
import type { TokenSet } from '../oauth/token-set.js'
import { apiFetch, type ApiFetch } from '../tokens/api-fetch.js'
import type { ApiToken, ApiTokens } from '../tokens/api-token.js'
import type { ListedApi } from '../tokens/listed-api.js'
import type { RefreshableTokens } from '../tokens/refresh.js'
import { createRevoke } from '../tokens/revoke.js'
import { apiError } from './api-error.js'
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
   * `upstream_unavailable` when the API is away, and `account_unknown` for any other answer.
   */
  readonly test: ((tokens: ConnectionApiTokens) => Promise<AccountAnswer>) | undefined
  /**
   * New tokens. Throws what the server answers, and `issuer_mismatch` where it names another place for its tokens than
   * `tokenOrigin`: then nothing is sent.
   */
  refresh(
    tokens: RefreshableTokens,
    subject: string | undefined,
    options: { tokenOrigin: string; resource?: string },
  ): Promise<TokenSet>
  /**
   * Whether tokens are known to be revoked. With `tokenOrigin`, nothing is sent where the server names another place for its
   * tokens. Never throws, and takes two seconds at most; a failure is an event, which names the `connection`.
   */
  revoke(tokens: TokenSet, options?: { tokenOrigin?: string; connection?: ConnectionName }): Promise<boolean>
}

export interface ProviderServerOptions {
  issuer: string
  client: Client
  dpopKeys: DPoPKeys
  apis: readonly ListedApi<undefined>[]
  testApi: ListedApi<undefined> | undefined
  judge: ConnectionTest['judge']
  /** Revokes at a server off the standard. */
  revokeTokens: ((tokens: TokenSet) => Promise<void>) | undefined
  /** Whether the endpoints are what the server says, and not what the app says. */
  isDiscovered: boolean
  http: HttpClient
  fetch: Fetch
  emit: Emit
}

export function createProviderServer(options: ProviderServerOptions): ProviderServer {
  const { issuer, client, dpopKeys, apis, testApi, judge, revokeTokens, isDiscovered, http, fetch, emit } =
    options
  // The test call has a deadline and a limit, which an app's own calls have not.
  const bounded: Fetch = (url, { headers } = {}) =>
    http(url as string, { headers: Object.fromEntries(new Headers(headers)), limit: tokenLimit })
  const testFetch = testApi && apiFetch({ apis: [testApi], fetch: bounded })

  async function tokenOrigin(): Promise<string> {
    return originOf(requireEndpoint(await client.metadata(), 'token_endpoint'))
  }

  async function revokeAt(tokens: TokenSet, origin: string): Promise<void> {
    if ((await tokenOrigin()) !== origin) throw moved('token_endpoint', origin)
    if (revokeTokens) await revokeTokens(tokens)
    // What the app names itself may be anywhere.
    else
      await revoke(
        isDiscovered ? bound(client, 'revocation_endpoint', [origin, originOf(issuer)]) : client,
        tokens,
      )
  }

  return {
    issuer,
    client,
    dpopKeys,
    tokenOrigin,
    refresh: (tokens, subject, { tokenOrigin: origin, ...request }) =>
      refreshTokenGrant(bound(client, 'token_endpoint', [origin]), tokens, subject, request),
    revoke: (tokens, { tokenOrigin: origin, connection } = {}) =>
      createRevoke(async () => revokeAt(tokens, origin ?? (await tokenOrigin())), emit)(tokens, connection),
    fetch: apiFetch({ apis, fetch }),
    test:
      testFetch &&
      (async (tokens) => {
        const { noted, secrets } = notedTokens(tokens)
        return testCall(testApi.url, testFetch(noted), judge, () => [...secrets, ...client.secrets()])
      }),
  }
}

/** The same client, which sends its secret and tokens to these origins only, by the very metadata that it goes by. */
function bound(
  client: Client,
  endpoint: 'token_endpoint' | 'revocation_endpoint',
  origins: readonly string[],
): Client {
  return {
    ...client,
    authenticated: (request) =>
      client.authenticated(async (configuration) => {
        const url = configuration.serverMetadata()[endpoint]
        if (url !== undefined && !origins.includes(originOf(url))) throw moved(endpoint, origins.join(' or '))
        return request(configuration)
      }),
  }
}

function moved(endpoint: 'token_endpoint' | 'revocation_endpoint', expected: string): OAuthError {
  return new OAuthError('issuer_mismatch', {
    message: `the server names another place for its "${endpoint}" than ${expected}, so nothing was sent there`,
    reason: `${endpoint}_moved`,
    hint: 'Ask the provider whether that is right. If it is, users have to connect again; a revocation endpoint elsewhere goes into "endpoints".',
  })
}

function originOf(url: string): string {
  return new URL(url).origin
}

async function testCall(
  url: string,
  fetchWithToken: ApiFetch,
  judge: ConnectionTest['judge'],
  secrets: () => readonly string[],
): Promise<AccountAnswer> {
  const response = await fetchWithToken(url, { headers: { accept: 'application/json' } }).catch(
    (error: unknown) => {
      if (isAbout(error, 'server_unavailable', /^(network|timeout)$/))
        throw apiAway('network', { cause: error })
      if (isAbout(error, 'invalid_server_response', /^(redirect|status|too_large)$/))
        throw unusable(url, error.reason === 'redirect' ? 'a redirect' : 'what cannot be read', 'test_answer')
      throw error
    },
  )
  const { status } = response
  const answer = await jsonOf(response)
  const said = () => {
    const serverError = apiError(answer, status, secrets())
    return serverError && { serverError }
  }
  if (status === 401) throw refused(said())
  if (status >= 500 || status === 429) throw apiAway(`status_${status}`, said())
  if (status !== 200) throw unusable(url, `status ${status}`, `test_status_${status}`, said())
  if (answer === undefined) throw unusable(url, 'no JSON', 'test_status_200')
  const verdict: unknown = judge ? judge(answer) : 'good'
  if (verdict === 'good') return answer
  if (verdict === 'refused') throw refused(said())
  if (verdict === 'unavailable') throw apiAway('judged', said())
  throw new OAuthError('invalid_configuration', {
    message: `the function "test.judge" gave ${isPromise(verdict) ? 'a promise' : 'no verdict'}`,
    reason: 'no_verdict',
    hint: 'It must return "good", "refused" or "unavailable" for whatever the API answers.',
  })
}

/** The same tokens, and those that were shown: an API may repeat them in what it says. */
function notedTokens(tokens: ConnectionApiTokens): {
  noted: ConnectionApiTokens
  secrets: readonly string[]
} {
  const secrets: string[] = []
  const note = <T extends ApiToken | undefined>(token: T): T => {
    if (token) secrets.push(token.access_token)
    return token
  }
  return {
    secrets,
    noted: {
      token: async (wanted) => note(await tokens.token(wanted)),
      inPlaceOf: async (...refusal) => note(await tokens.inPlaceOf(...refusal)),
    },
  }
}

async function jsonOf(response: Response): Promise<AccountAnswer> {
  try {
    return await response.json()
  } catch {
    return undefined
  }
}

/** The way out tells of failures in the words for an authorization server, which the API is not. */
function isAbout(error: unknown, code: OAuthErrorCode, reasons: RegExp): error is OAuthError {
  return error instanceof OAuthError && error.code === code && reasons.test(error.reason ?? '')
}

type Said = Pick<OAuthErrorOptions, 'serverError' | 'cause'>

function refused(said?: Said): OAuthError {
  return new OAuthError('needs_reconnect', { reason: 'test_refused', ...said })
}

function apiAway(reason: string, said?: Said): OAuthError {
  return new OAuthError('upstream_unavailable', {
    reason,
    hint: 'The API of the test call does not answer as it should. Nothing is known of the connection until it does.',
    ...said,
  })
}

function unusable(url: string, answer: string, reason: string, said?: Said): OAuthError {
  return new OAuthError('account_unknown', {
    message: `the test call to ${url} was answered with ${answer}`,
    reason,
    hint: `The test call was answered with ${answer}. Is "test.url" right, and does the scope allow it? With fields or environments, the account may be in another one than the user chose.`,
    ...said,
  })
}
