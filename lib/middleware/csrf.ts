/** Proof that a request which a cookie makes somebody's was made by a page of this site (cross-site request forgery). */

import type { IncomingMessage } from 'node:http'
import { OAuthError } from '../errors.js'
import type { OptionChecks } from '../options.js'
import { isSameSecret } from '../secret.js'
import { navigation } from './request.js'

/** What a request has to prove. */
export interface CsrfRule {
  /**
   * A header that no form can send and no script of another site may, in lower case; whatever its value. It is wanted on
   * top of what the browser says. Default: none.
   */
  readonly header?: string
  /** Whether a form of this site may do without the header, which it cannot send. Default false. */
  readonly forms?: boolean
  /** Whether requests that change nothing have to prove it as well, because what they read is the user's. Default false. */
  readonly safeMethods?: boolean
}

/** What a request is judged by, beside itself. */
export interface CsrfProof {
  /** The origin of this site. */
  origin: string
  /** The token of the session, if there is one. It is asked for only where a request brings one. */
  csrfToken: () => string | undefined
  /** What the request has as `csrf_token` in a form. */
  field?: unknown
}

/** Which part of the proof is missing. */
export type CsrfFault = 'cross_site' | 'origin_unknown' | 'header_missing' | 'no_navigation'

/**
 * What a request lacks; nothing when it may pass. The browser has to say that a page of this site made it, and a script
 * has to send the header. Whoever knows the session's token needs neither: in a header it counts by itself, because no
 * form can send one, and no script of another site that CORS does not allow to. In a form it counts where the browser
 * does not say that another site made it.
 */
export function csrfFault(
  req: IncomingMessage,
  { header, forms = false, safeMethods = false }: CsrfRule,
  { origin, csrfToken, field }: CsrfProof,
): CsrfFault | undefined {
  if (isSafeMethod(req) && !safeMethods) return undefined
  const isToken = (value: unknown) => {
    const token = typeof value === 'string' ? csrfToken() : undefined
    return token !== undefined && isSameSecret(value as string, token)
  }
  if (isToken(req.headers['x-csrf-token'])) return undefined
  const from = sameOrigin(req, origin)
  if (from === 'no') return 'cross_site'
  if (forms && isToken(field)) return undefined
  if (from === 'unknown') return 'origin_unknown'
  if (header === undefined || req.headers[header] !== undefined) return undefined
  return forms && navigation(req) === 'yes' ? undefined : 'header_missing'
}

/** Throws `csrf_rejected` for what lacks something. */
export function checkCsrf(req: IncomingMessage, rule: CsrfRule, proof: CsrfProof): void {
  const fault = csrfFault(req, rule, proof)
  if (fault) throw csrfRejected(fault, rule)
}

export function csrfRejected(reason: CsrfFault, { header = 'x-csrf' }: CsrfRule = {}): OAuthError {
  return new OAuthError('csrf_rejected', { reason, hint: hints[reason](header) })
}

const hints: Record<CsrfFault, (header: string) => string> = {
  cross_site: () =>
    'The browser says that a page of another origin made the request: "Sec-Fetch-Site", or "Origin" where that is missing. A sibling domain is another origin, and so is another port. Is "baseUrl" what the address bar shows?',
  origin_unknown: () =>
    'The request has neither "Sec-Fetch-Site" nor an "Origin", of which browsers send one. Clients that are none, and old browsers, send getAuth(req).csrfToken along: in the header "x-csrf-token", or in a form as "csrf_token".',
  header_missing: (header) =>
    `The header "${header}" is missing. Let scripts send it with each request: fetch(url, { headers: { '${header}': '1' } }).`,
  no_navigation: () =>
    'A GET signs out when a link was followed; an image, a script or a prefetch does not sign anybody out.',
}

/**
 * Whether a request of this method is meant to change nothing (RFC 9110 §9.2.1): by what `req.method` is now, because
 * that is what routes go by.
 */
function isSafeMethod({ method }: IncomingMessage): boolean {
  return method === 'GET' || method === 'HEAD' || method === 'OPTIONS'
}

/** Whether the request comes from a page of this site, as far as the browser tells. */
function sameOrigin(req: IncomingMessage, origin: string): 'yes' | 'no' | 'unknown' {
  const site = req.headers['sec-fetch-site']
  if (site === 'same-origin') return 'yes'
  // The user did it, by the address bar or a bookmark; no page can. Extensions of the browser can, but do not navigate.
  if (site === 'none') return navigation(req) === 'yes' ? 'yes' : 'no'
  if (site !== undefined) return 'no'
  // `null` is what a page says that keeps its address to itself, ours included.
  if (req.headers.origin === undefined || req.headers.origin === 'null') return 'unknown'
  return req.headers.origin === origin ? 'yes' : 'no'
}

/** The field `csrf_token` of a form that the app has parsed. */
export function postedToken(req: IncomingMessage & { body?: unknown }): unknown {
  const { body } = req
  return body !== null && typeof body === 'object' && Object.hasOwn(body, 'csrf_token')
    ? (body as Record<string, unknown>)['csrf_token']
    : undefined
}

/** The name of the header, as Node has it. One that any page may send would prove nothing (Fetch §2.2.2). */
export function checkedCsrfHeader(name: unknown, check: OptionChecks, option = 'header'): string {
  const header = check.string(option, name ?? 'x-csrf', headerAdvice).toLowerCase()
  if (!/^[a-z0-9-]+$/.test(header)) check.refuse(option, `is "${header}"`, headerAdvice)
  if (sentByAnyPage.test(header)) {
    check.refuse(option, `is "${header}", which pages of other sites can send, too`, headerAdvice)
  }
  return header
}

const headerAdvice = 'give the name of a header that only scripts of your own pages send, such as "x-csrf"'

/**
 * Headers that browsers and proxies send of their own accord (`X-Requested-With` is one, in apps on Android), or that a
 * page may set without anybody being asked.
 */
const sentByAnyPage =
  /^((accept|content|if|proxy|sec|x-forwarded)(-.+)?|authorization|cache-control|connection|cookie2?|date|dnt|expect|forwarded|host|keep-alive|last-event-id|origin|pragma|priority|purpose|range|referer|save-data|te|trailer|transfer-encoding|upgrade(-insecure-requests)?|user-agent|via|x-requested-with)$/
