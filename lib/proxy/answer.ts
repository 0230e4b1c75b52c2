/** An API's answer on its way to the browser. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { OAuthError } from '../errors.js'
import { privateCacheControl, responseHeaders, type ResponseHeaderRule } from './headers.js'
import type { UpstreamAddress, UpstreamUrls } from './upstream-url.js'

export interface AnswerOptions extends ResponseHeaderRule {
  readonly urls: UpstreamUrls
  readonly address: UpstreamAddress
  /** `Cache-Control` as the app has set it; it stays. */
  readonly cacheControl: number | string | readonly string[] | undefined
}

/** What an app says of all its pages, with helmet for instance, is not the API's to loosen. */
const appHeaders: ReadonlySet<string> = new Set([
  'content-security-policy',
  'content-security-policy-report-only',
  'cross-origin-embedder-policy',
  'cross-origin-opener-policy',
  'origin-agent-cluster',
  'permissions-policy',
  'referrer-policy',
  'x-content-type-options',
  'x-dns-prefetch-control',
  'x-download-options',
  'x-frame-options',
  'x-permitted-cross-domain-policies',
  'x-xss-protection',
])

/** Headers of which each value counts, whoever set them. */
const addedHeaders: ReadonlySet<string> = new Set(['set-cookie', 'vary'])

/**
 * Writes the head and lets the body run. When the API breaks off, so does the connection to the browser: what is left is
 * never a complete answer. Throws `upstream_redirected` or `upstream_unavailable` before anything is written.
 */
export function passAnswer(answer: IncomingMessage, res: ServerResponse, options: AnswerOptions): void {
  const { statusCode: status = 0, headers, rawHeaders } = answer
  if (status < 200 || status > 599) throw unusable(status)
  const location = localLocation(status, headers.location, options)
  const list = responseHeaders(rawHeaders, headers.connection, options)
  const before = new Set(res.getHeaderNames())
  const written = new Set<string>()
  for (let index = 0; index + 1 < list.length; index += 2) {
    const [name = '', value = ''] = [list[index], list[index + 1]]
    const key = name.toLowerCase()
    if (before.has(key) && appHeaders.has(key)) continue
    if (written.has(key) || addedHeaders.has(key)) res.appendHeader(name, value)
    else res.setHeader(name, value)
    written.add(key)
  }
  if (location !== undefined) res.setHeader('location', location)
  const cacheControl = options.cacheControl ?? privateCacheControl(headers['cache-control'])
  // Whoever compresses a stream of events holds one back until there are more.
  const isEvents = /^text\/event-stream\b/i.test(headers['content-type'] ?? '')
  res.setHeader('cache-control', isEvents ? `${String(cacheControl)}, no-transform` : cacheControl)
  res.setHeader('x-content-type-options', 'nosniff')
  // As a page of this site, what an API has stored for somebody could do all that this site may. Browsers go by the last
  // of several types.
  if (/html|xml/i.test(String(res.getHeader('content-type'))))
    res.appendHeader('content-security-policy', 'sandbox')
  // It has no body whatever it says, and who believes the length would wait for one (RFC 9110 §8.6).
  if (status === 204) res.removeHeader('content-length')
  res.writeHead(status)

  answer.once('close', () => {
    if (!answer.readableEnded) res.destroy()
  })
  // A stream of events begins when its head arrives, not with the first event.
  const hasBody = status !== 204 && status !== 304 && res.req.method !== 'HEAD'
  if (hasBody && headers['content-length'] === undefined) res.flushHeaders()
  answer.pipe(res)
}

/** A browser follows a redirect with all that it would bring here, so it must lead nowhere else. */
function localLocation(
  status: number,
  location: string | undefined,
  { urls, address }: AnswerOptions,
): string | undefined {
  if (location === undefined) return undefined
  const local = urls.local(location, address)
  // Of something that was made or taken on, the address is news and no order: the API has done it.
  if (local !== undefined || status < 300 || status > 399) return local
  throw new OAuthError('upstream_redirected', {
    message: 'oauthProxy: the API redirects to an address that is not below the option "target"',
    hint: 'Redirects are not followed, and passed on only within the target. Is the target right, with https and without a host that redirects?',
  })
}

function unusable(status: number): OAuthError {
  return new OAuthError('upstream_unavailable', {
    message: `oauthProxy: the API answered with status ${status}`,
    reason: 'status',
  })
}
