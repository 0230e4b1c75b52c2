/** An access token, and how a request to an API shows it: as a bearer token (RFC 6750 §2.1), or with a proof of its key. */

import { demandsNonce, nonceIn, type DPoPAnswer } from '../oauth/dpop-answer.js'
import type { DPoPKey } from '../oauth/dpop-key.js'
import type { ApiNonces } from './api-nonces.js'

/** A request as a proof of possession names it (RFC 9449 §4.2). */
export interface ApiRequest {
  readonly method: string
  readonly url: string
}

export interface ApiToken {
  readonly access_token: string
  /** The headers that show it in one request, in small letters. A proof is made anew each time. */
  headers(request: ApiRequest): Readonly<Record<string, string>>
  /**
   * Takes note of what an answer says about proofs; each answer is to be told. True when the API refused the request for
   * want of its newest nonce, and takes the same token with another proof (RFC 9449 §9). That is worth one more request and
   * not two, and no reason for another token.
   */
  wantsAnotherProof(request: ApiRequest, answer: DPoPAnswer): boolean
}

/** Whoever has it may use it. */
export function bearerToken(access_token: string): ApiToken {
  return {
    access_token,
    headers: () => ({ authorization: `Bearer ${access_token}` }),
    wantsAnotherProof: () => false,
  }
}

/** Of no use without its key (RFC 9449 §7). */
export function dpopToken(access_token: string, key: DPoPKey, nonces: ApiNonces): ApiToken {
  return {
    access_token,
    headers: ({ method, url }) => ({
      authorization: `DPoP ${access_token}`,
      dpop: key.proof({ method, url, accessToken: access_token, nonce: nonces.newestFor(url) }),
    }),
    wantsAnotherProof({ url }, answer) {
      const nonce = nonceIn(answer)
      if (nonce !== undefined) nonces.note(url, nonce)
      return demandsNonce(answer)
    },
  }
}

/** Where tokens for APIs come from; `T` says which one is wanted. */
export interface ApiTokens<T> {
  token(wanted: T): Promise<ApiToken>
  /**
   * Another token for one that an API refused, or nothing when there is none that is worth a try. Throws what tells more
   * than the API's 401 does, such as `login_required`.
   */
  inPlaceOf(refused: ApiToken, wanted: T): Promise<ApiToken | undefined>
}
