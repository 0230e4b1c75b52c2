/** What an app says of a provider whose accounts can be connected. It is data: the definitions in this package are no more. */

import type { AuthorizationParameters } from '../oauth/authorization-request.js'
import type { ServerEndpoints } from '../oauth/server-metadata.js'
import type { ServerOptions } from '../oauth/server-options.js'
import type { TokenResponseHook } from '../oauth/token-response.js'
import type { ConnectionField } from './connection-fields.js'

// oxlint-disable-next-line typescript/no-explicit-any -- like the result of JSON.parse: providers send what they like
export type AccountAnswer = any

/** A quick call that tells whose account it is, and whether its token works. */
export interface ConnectionTest {
  /** Asked with GET and the access token. It may have places for fields, and a query. */
  readonly url: string
  /**
   * For APIs that answer with 200 whatever happened: `good`, `refused` when the token is not taken, `unavailable` when the
   * answer says nothing about it. Default: by the status.
   */
  readonly judge?: (answer: AccountAnswer) => 'good' | 'refused' | 'unavailable'
}

/** What each request to the provider's API has, unless it has one of this name. Never a secret. */
export interface RequestParameters {
  /** Parameters of the query, such as `{ api_version: '2' }`. Default: none. */
  readonly query?: Readonly<Record<string, string | number>>
  /** Headers, such as `{ accept: 'application/json' }`. Default: none. */
  readonly headers?: Readonly<Record<string, string>>
  /** Members of a body that is a JSON object or a form. Default: none. */
  readonly body?: Readonly<Record<string, string | number | boolean>>
}

/** A token that is to be revoked, at a server that wants it otherwise than RFC 7009 has it. */
export interface TokenRevocation {
  /** The token itself; put it into nothing but the request. */
  readonly token: string
  /** What kind of token it is (RFC 7009 §2.1). */
  readonly tokenTypeHint: 'refresh_token' | 'access_token'
  /** The option `clientId`. */
  readonly clientId: string
  /**
   * The one in use of the option `clientSecret`; nothing where there is none. When the server does not take it, throw an
   * `OAuthError` with the code `invalid_client`: the next one is tried then, as at the token endpoint.
   */
  readonly clientSecret: string | undefined
  /** Like `fetch`, with the time limit of the option `timeout` and without redirects. */
  readonly fetch: (
    url: string,
    init?: { method?: string; headers?: Record<string, string>; body?: string },
  ) => Promise<Response>
}

/** The server of a provider, and who the app is there. Its URLs may have places for fields: `https://{region}.service.example/`. */
export interface ConnectionServer extends ServerOptions {
  /** The endpoints of a server that publishes no metadata: `authorization` and `token`, and what else there is. */
  endpoints?: ServerEndpoints
}

/** One of several environments of a provider, such as its sandbox: a server and a client of its own. */
export interface ConnectionEnvironment extends ConnectionServer {
  /** What people call it. Default: its name in the option. */
  readonly name?: string
  /** The test call of this environment. Default: that of the provider. */
  readonly test?: ConnectionTest
  /** Where its access tokens may go. Default: as the provider says. */
  readonly allow?: readonly string[]
  /** What each request to its API has. Default: as the provider says. */
  readonly parameters?: RequestParameters
}

/** All that can be said of a provider; {@link ConnectionProvider} says what goes together. */
export interface ProviderOptions extends ConnectionServer {
  /** What people call it. Default: its name in the option `providers`. */
  readonly name?: string
  /**
   * Servers and clients of their own, such as `{ production: {…}, sandbox: {…} }`, in place of `issuer`, `endpoints`,
   * `clientId` and credentials. The user chooses one by the field `environment`; the first is the default. Nothing of one is
   * ever used for another. Default: there is one server.
   */
  readonly environments?: Readonly<Record<string, ConnectionEnvironment>>
  /** What is asked of the user before connecting, by names that URLs may have places for. Default: nothing. */
  readonly fields?: Readonly<Record<string, ConnectionField>>
  /** Scopes to ask for, with one space between. Ask for what the app needs and no more. Default: none. */
  readonly scope?: string
  /** The API that access tokens are for, where the server wants to know (RFC 8707). Default: none is named. */
  readonly resource?: string
  /** Further parameters of the authorization request, such as `{ access_type: 'offline', prompt: 'consent' }`. Default: none. */
  readonly authorizationParameters?: AuthorizationParameters
  /** Puts right what a token endpoint off the standard answers. Default: it follows RFC 6749 §5. */
  readonly tokenResponse?: TokenResponseHook
  /**
   * Revokes at a server off the standard: asked for the refresh token, if there is one, and then for the access token. Do
   * nothing for a token that the server cannot revoke or does not know any more; throw an `OAuthError` when it fails, and it
   * is tried again later. Default: the revocation endpoint (RFC 7009), if there is one.
   */
  readonly revokeToken?: (revocation: TokenRevocation) => Promise<void>
  /** Tells whose account it is, and whether its token works. Needed unless `openid` is in the scope. */
  readonly test?: ConnectionTest
  /**
   * The account's unique identifier at the provider, from the answer of the test call, or from the ID token where there is
   * no test. Never an e-mail address: those change hands. Default: the `sub` of the ID token.
   */
  readonly accountId?: (account: AccountAnswer) => string | number
  /**
   * Takes an `accountId` that is an e-mail address, or looks like one. Whoever is given the address later is then taken for
   * the same account. Default false: connecting is refused.
   */
  readonly emailAsAccountId?: boolean
  /** What people call the connection, from the same answer. For display only; users can change it. Default: the provider's name. */
  readonly label?: (account: AccountAnswer) => string
  /**
   * Where the access token may go: all addresses below each URL, and nowhere else. They may have places for fields. Default:
   * nowhere, and `connection.fetch` refuses every address.
   */
  readonly allow?: readonly string[]
  /** What each request to the API has. Never a secret. Default: nothing. */
  readonly parameters?: RequestParameters
  /** Whether several owners may connect the same account. Default false: it is refused. */
  readonly sharedAccounts?: boolean
  /** Has tokens bound to a key of this app (RFC 9449). Default false. */
  readonly dpop?: boolean
}

/** A provider has one server, or several environments with a server each. */
export type ConnectionProvider = OneServer | SeveralServers

interface OneServer extends Omit<ProviderOptions, 'environments'> {
  readonly environments?: undefined
}

interface SeveralServers
  extends Omit<ProviderOptions, keyof ConnectionServer>, Partial<Record<keyof ConnectionServer, undefined>> {
  readonly environments: Readonly<Record<string, ConnectionEnvironment>>
}
