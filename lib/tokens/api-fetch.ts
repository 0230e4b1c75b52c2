/** Requests to an API with an access token, which goes nowhere else (RFC 6750 §2.1). */

import { OAuthError } from '../errors.js'
import type { Fetch } from '../http.js'
import { dpopAnswer } from '../oauth/dpop-answer.js'
import { apiAllowList } from './api-allow-list.js'
import { withBody } from './api-body.js'
import { exchanged, tokensFor } from './api-exchange.js'
import type { ApiRequest, ApiTokens } from './api-token.js'
import type { ListedApi } from './listed-api.js'
import { isReservedHeader } from './reserved-header.js'

/**
 * Like `fetch`, with the access token of the API. Redirects are handed back and never followed, because they would take
 * the token along. A 401 is answered by one more request with another token, if there is one and the body can be sent
 * again: anything but a stream. There is no deadline but that of `init.signal`.
 * Throws `url_not_allowed` for an address that is not listed, before any token is asked for; `invalid_configuration` for
 * an `init` with redirects or credentials of its own; what asking for a token throws; and what `fetch` throws.
 */
export type ApiFetch = (url: string | URL, init?: RequestInit) => Promise<Response>

export interface ApiFetchOptions<T> {
  apis: readonly ListedApi<T>[]
  fetch: Fetch
}

/** What all have in common who call these APIs; each comes with tokens of their own. */
export function apiFetch<T>({ apis, fetch }: ApiFetchOptions<T>): (tokens: ApiTokens<T>) => ApiFetch {
  const allowed = apiAllowList(apis)
  return (tokens) =>
    async (target, init = {}) => {
      const { url: judged, api } = allowed(target)
      const headers = ownHeaders(init, api)
      const request: ApiRequest = { method: methodOf(init), url: withQuery(judged, api) }
      const body = withBody(init.body, headers.get('content-type'), api.body)
      const isRepeatable = canBeSentAgain(init.body)
      // `fetch` counts itself where it can; one that is told too little waits forever.
      if (isRepeatable) headers.delete('content-length')

      init.signal?.throwIfAborted()
      const ofApi = tokensFor(tokens, api.access)
      // Not cut short by the signal: what a refresh brings must reach the browser before the app answers it.
      const token = await ofApi.token()
      return exchanged<Response>(token, ofApi, {
        request,
        async send(shown) {
          const { method, url } = request
          const all = new Headers(headers)
          for (const [name, value] of Object.entries(shown)) all.set(name, value)
          const response = await fetch(url, {
            ...init,
            ...(body !== undefined && { body }),
            method,
            headers: all,
            redirect: 'manual',
          })
          if (response.redirected) throw followed()
          return response
        },
        said: dpopAnswer,
        isRepeatable: () => isRepeatable,
        async discard(response) {
          // Before the body is let go: with an aborted signal it would fail, and in other words.
          init.signal?.throwIfAborted()
          await response.body?.cancel()
        },
      })
    }
}

/** A copy, so that no token stays in an object of the caller's. */
function ownHeaders<T>(init: RequestInit, api: ListedApi<T>): Headers {
  // Its members are not its own, so that a copy would have none of them: a POST would go out without its body.
  if (init instanceof Request)
    throw misuse(
      'the options are a Request',
      'Give its address first, and then its method, headers and body.',
    )
  if (init.redirect !== undefined && init.redirect !== 'manual')
    throw misuse(
      `"redirect" is "${init.redirect}"`,
      'Leave it out: redirects are handed back with their 3xx, because following one would take the token along.',
    )
  const headers = new Headers(init.headers)
  for (const name of headers.keys()) {
    if (isReservedHeader(name))
      throw misuse(
        `the header "${name}" is set`,
        'Leave it out, or use fetch itself for this request. Headers of a request to your app are not for others: pass on those that the API needs, by name.',
      )
  }
  for (const [name, value] of api.headers) if (!headers.has(name)) headers.set(name, value)
  return headers
}

/** Put into capitals by `fetch`; others go out as they are (Fetch §2.2.1). A proof has to name what is on the wire. */
const normalized: ReadonlySet<string> = new Set(['DELETE', 'GET', 'HEAD', 'OPTIONS', 'POST', 'PUT'])

function methodOf({ method = 'GET' }: RequestInit): string {
  const inCapitals = method.toUpperCase()
  return normalized.has(inCapitals) ? inCapitals : method
}

/** Behind what is there, which stays as it was judged. */
function withQuery<T>(url: string, api: ListedApi<T>): string {
  if (api.query.length === 0) return url
  const { search, searchParams } = new URL(url)
  const missing = api.query.filter(([name]) => !searchParams.has(name))
  if (missing.length === 0) return url
  const added = missing.map((pair) => pair.map(encodeURIComponent).join('=')).join('&')
  // An address may end with a question mark and have no query for all that.
  return `${url.replace(/\?$/, '')}${search === '' ? '?' : '&'}${added}`
}

function canBeSentAgain(body: RequestInit['body']): boolean {
  return (
    body === undefined ||
    body === null ||
    typeof body === 'string' ||
    body instanceof URLSearchParams ||
    body instanceof FormData ||
    body instanceof Blob ||
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
