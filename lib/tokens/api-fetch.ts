/** Requests to an API with an access token, which goes nowhere else (RFC 6750 §2.1). */

import { OAuthError } from '../errors.js'
import type { Fetch } from '../http.js'
import { dpopAnswer } from '../oauth/dpop-answer.js'
import type { ApiAllowList } from './api-allow-list.js'
import type { ApiToken, ApiTokens } from './api-token.js'

/**
 * Like `fetch`, with the access token of the API. Redirects are handed back and never followed, because they would take
 * the token along. A 401 is answered by one more request with another token, if the body can be sent again.
 * Throws `url_not_allowed` for an address that is not listed, before any token is asked for; `invalid_configuration` for
 * an `init` that wants something else; what asking for a token throws; and what `fetch` throws.
 */
export type ApiFetch = (url: string | URL, init?: RequestInit) => Promise<Response>

export interface ApiFetchOptions<T> {
  allowed: ApiAllowList<T>
  tokens: ApiTokens<T>
  fetch: Fetch
}

export function apiFetch<T>({ allowed, tokens, fetch }: ApiFetchOptions<T>): ApiFetch {
  return async (target, init = {}) => {
    const { url, api } = allowed(target)
    const headers = ownHeaders(init)
    // As `fetch` writes it on the wire.
    const method = new Request(url, { method: init.method ?? 'GET' }).method
    const isRepeatable = canBeSentAgain(init.body)
    const sendOnce = async (token: ApiToken) => {
      for (const [name, value] of Object.entries(token.headers({ method, url }))) headers.set(name, value)
      const response = await fetch(url, { ...init, headers, redirect: 'manual' })
      if (response.redirected) throw followed()
      const wantsAnotherProof = token.wantsAnotherProof({ method, url }, dpopAnswer(response))
      return { response, wantsAnotherProof }
    }
    const send = async (token: ApiToken) => {
      const { response, wantsAnotherProof } = await sendOnce(token)
      if (!wantsAnotherProof || !isRepeatable || init.signal?.aborted) return { response, wantsAnotherProof }
      await response.body?.cancel()
      return sendOnce(token)
    }

    const token = await tokens.token(api)
    const { response, wantsAnotherProof } = await send(token)
    // Nothing is wrong with a token whose proof is refused.
    if (response.status !== 401 || wantsAnotherProof) return response
    const another = tokens.inPlaceOf(token, api)
    // A stream is spent. The next request has the other token.
    if (!isRepeatable) {
      another.catch(() => undefined)
      return response
    }
    const replacement = await another
    if (replacement === undefined || init.signal?.aborted) return response
    await response.body?.cancel()
    return (await send(replacement)).response
  }
}

/** A copy, so that no token stays in an object of the caller's. */
function ownHeaders(init: RequestInit): Headers {
  if (init.redirect !== undefined && init.redirect !== 'manual')
    throw misuse(
      `"redirect" is "${init.redirect}"`,
      'Leave it out: redirects are handed back with their 3xx, because following one would take the token along.',
    )
  const headers = new Headers(init.headers)
  for (const name of ['authorization', 'dpop', 'host']) {
    if (headers.has(name))
      throw misuse(`the header "${name}" is set`, 'Leave it out, or use fetch itself for this request.')
  }
  return headers
}

function canBeSentAgain(body: RequestInit['body']): boolean {
  return (
    body === undefined ||
    body === null ||
    typeof body === 'string' ||
    body instanceof URLSearchParams ||
    body instanceof ArrayBuffer ||
    ArrayBuffer.isView(body)
  )
}

function misuse(problem: string, hint: string): OAuthError {
  return new OAuthError('invalid_configuration', { message: `fetch with an access token: ${problem}`, hint })
}

function followed(): OAuthError {
  return new OAuthError('invalid_server_response', {
    message: 'the option "fetch" has followed a redirect, with an access token',
    reason: 'redirect',
    hint: 'It must do as it is told by "redirect".',
  })
}
