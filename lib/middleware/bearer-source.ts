/** Who a request is from at an API: a token says so, or nobody does. */

import { OAuthError } from '../errors.js'
import {
  authenticationIn,
  shortcoming,
  type AuthenticationClock,
  type AuthenticationDemand,
} from '../oauth/authentication.js'
import type { CoversScope } from '../oauth/implied-scopes.js'
import type { BearerAuth } from '../resource/bearer-auth.js'
import type { AuthSource } from './auth.js'

/** What all requests of one `oauthBearer` share. */
export interface BearerSourceOptions {
  refuse: AuthSource['refuse']
  covers: CoversScope
  clock: AuthenticationClock
}

/** A user who is known by a token, for this request. */
export class BearerSource implements AuthSource {
  readonly #auth: BearerAuth
  readonly #options: BearerSourceOptions

  constructor(auth: BearerAuth, options: BearerSourceOptions) {
    this.#auth = auth
    this.#options = options
  }

  peek(): BearerAuth {
    return this.#auth
  }

  confirm(): BearerAuth {
    return this.#auth
  }

  get refuse(): AuthSource['refuse'] {
    return this.#options.refuse
  }

  get covers(): CoversScope {
    return this.#options.covers
  }

  shortcoming(demand: AuthenticationDemand): 'acr' | 'auth_time' | undefined {
    return shortcoming(authenticationIn(this.#auth.claims), demand, this.#options.clock)
  }
}

/** Nobody: a request without credentials, or with some that will not do. What needs somebody is refused for that very reason. */
export class NobodySource implements AuthSource {
  readonly #reason: OAuthError | undefined
  readonly refuse: AuthSource['refuse']

  constructor(refuse: AuthSource['refuse'], reason?: OAuthError) {
    this.refuse = refuse
    this.#reason = reason
  }

  peek(): undefined {
    return undefined
  }

  confirm(): never {
    throw this.#reason ?? new OAuthError('missing_credentials')
  }

  covers(): boolean {
    return false
  }

  shortcoming(): 'auth_time' {
    return 'auth_time'
  }
}
