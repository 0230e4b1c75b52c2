/** Who a request with an access token of its own is from. */

import { OAuthError } from '../errors.js'
import type { Claims } from '../jose/jwt.js'
import type { AccessToken } from '../oauth/access-token.js'
import type { ResourceDescription } from './resource-metadata.js'

/**
 * A request with an access token of its own. It is the same object for all requests with the same token, and nothing in
 * it can be changed. It has what the MCP SDK reads from `req.auth`.
 */
export interface BearerAuth {
  readonly kind: 'bearer'
  /** The user (or, for machine tokens, often the client), by the authorization server's name: the `sub` claim. */
  readonly subject: string | undefined
  readonly issuer: string
  readonly claims: Claims
  /** Granted scopes. */
  readonly scopes: readonly string[]
  readonly clientId: string | undefined
  /** Seconds since the epoch: the token's `exp`. */
  readonly expiresAt: number
  readonly token: string
  /** The resource that the token is for, where `protectedResource` names one. */
  readonly resource: URL | undefined
  /** Where the metadata of that resource is (RFC 9728). */
  readonly resourceMetadataUrl: string | undefined
  /** The claims, by the name that the MCP SDK has for what else is known. */
  readonly extra: Claims
  /** None: no page can make a browser send a token. */
  readonly csrfToken: undefined
  /** The request's own token. */
  accessToken(options?: object): Promise<string>
  /**
   * Always throws `invalid_configuration`. A session's `fetch` shows a token that was issued to this app; this one was
   * issued to the caller, for this API alone. An API behind it that took it would act for whoever has a token for some
   * other place (the confused deputy), and its log would name the wrong client; MCP forbids to pass tokens through.
   * Call it as the app itself (`clientCredentials`), or behind `oauthLogin`.
   */
  fetch(url: string | URL, init?: RequestInit): Promise<never>
}

/** The token is behind an accessor, so that a logged `req.auth` does not show it. */
export class BearerUser implements BearerAuth {
  readonly kind = 'bearer'
  readonly issuer: string
  readonly subject: string | undefined
  readonly claims: Claims
  readonly scopes: readonly string[]
  readonly clientId: string | undefined
  readonly expiresAt: number
  readonly #token: string
  readonly #guarded: ResourceDescription | undefined

  constructor(token: string, issuer: string, verified: AccessToken, guarded?: ResourceDescription) {
    this.#token = token
    this.#guarded = guarded
    this.issuer = issuer
    this.subject = verified.subject
    this.claims = deeplyFrozen(verified.claims)
    this.scopes = verified.scopes
    this.clientId = verified.clientId
    this.expiresAt = verified.expiresAt
    Object.freeze(this)
  }

  get token(): string {
    return this.#token
  }

  get extra(): Claims {
    return this.claims
  }

  get csrfToken(): undefined {
    return undefined
  }

  // A new URL each time: they cannot be frozen, and all requests with this token share the rest.
  get resource(): URL | undefined {
    return this.#guarded && new URL(this.#guarded.resource)
  }

  get resourceMetadataUrl(): string | undefined {
    return this.#guarded?.metadataUrl
  }

  async accessToken(): Promise<string> {
    return this.#token
  }

  async fetch(): Promise<never> {
    const hint =
      'The token of a request is for this API alone and is not passed on. Call the other API as the app itself, with clientCredentials(), or for a user with a session behind oauthLogin.'
    throw new OAuthError('invalid_configuration', {
      message: `fetch: this request is known by its own bearer token. ${hint}`,
      hint,
    })
  }
}

/** One handler's change must not be what the next request with the same token is judged by. */
function deeplyFrozen<T>(value: T): T {
  if (value !== null && typeof value === 'object') {
    for (const member of Object.values(value)) deeplyFrozen(member)
    Object.freeze(value)
  }
  return value
}
