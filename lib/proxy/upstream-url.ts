/** Which address at an API a request to this server means: the path that was judged is the path that is sent. */

import { OAuthError } from '../errors.js'
import { isBelow, isPlainPath } from '../tokens/api-allow-list.js'

/** Where one request goes. */
export interface UpstreamAddress {
  /** Path and query. */
  readonly path: string
  /** The whole URL. */
  readonly url: string
}

export interface UpstreamUrls {
  /**
   * The address for a request target (RFC 9112 §3.2) at or below the prefix; nothing for any other. Throws
   * `invalid_request` for spellings that one server may read otherwise than another. The query goes as it came.
   */
  upstream(requestTarget: string): UpstreamAddress | undefined
  /** The path here for what an answer's `Location` points to; nothing when that is not below the target. */
  local(location: string, address: UpstreamAddress): string | undefined
}

/** Prefixes are written without anything that could be spelled in two ways, and without a slash at the end. */
export function isProxyPrefix(value: unknown): value is string {
  return typeof value === 'string' && /^(\/[\w~-][\w.~-]*)+$/.test(value)
}

/**
 * `prefix` has been judged by {@link isProxyPrefix}, `target` by `apiUrlProblem`. The prefix itself stands for the target
 * itself, and what is below it for what is below the target.
 */
export function upstreamUrls(prefix: string, target: string): UpstreamUrls {
  const { origin, pathname } = new URL(target)
  const base = pathname.replace(/\/$/, '')

  return {
    upstream(requestTarget) {
      const [, authority, path = '', rest = ''] = parts.exec(requestTarget) ?? []
      if (!isBelow(path, prefix)) return undefined
      // To name a host is for those who speak to a proxy of all hosts, which this is not.
      if (authority !== undefined) throw malformed('absolute_form')
      // What is not ASCII is percent-encoded in a URL, and a fragment never leaves the browser (RFC 3986 §2 and §3.5).
      if (!isAscii.test(path) || isEncodedInVain.test(path) || !isPlainPath(path))
        throw malformed('path_spelling')
      if (!isQuery.test(rest)) throw malformed('query_spelling')
      const below = path.slice(prefix.length)
      const upstreamPath = (below === '' ? pathname : base + below) + rest
      return { path: upstreamPath, url: origin + upstreamPath }
    },

    local(location, address) {
      if (!URL.canParse(location, address.url)) return undefined
      const url = new URL(location, address.url)
      const isOurs = url.origin === origin && isBelow(url.pathname, base) && isPlainPath(url.pathname)
      return isOurs ? prefix + url.pathname.slice(base.length) + url.search + url.hash : undefined
    },
  }
}

/** Scheme and authority of the absolute form, the path, and all else. */
const parts = /^([a-z][a-z\d+.-]*:\/\/[^/?#]*)?([^?#]*)(.*)$/is

const isAscii = /^[\x21-\x7e]*$/

/**
 * A letter, a digit or one of `-._~` that is percent-encoded, which browsers never do (RFC 3986 §2.3). The API takes
 * `/%61dmin` for `/admin`; a guard that the app has mounted there does not.
 */
const isEncodedInVain = /%(?:2[de]|3\d|4[1-9a-f]|5[\daf]|6[1-9a-f]|7[\dae])/i

const isQuery = /^(\?[\x21\x22\x24-\x7e\x80-\xff]*)?$/

/** The path is not repeated: it may hold what nobody should read. */
function malformed(reason: 'absolute_form' | 'path_spelling' | 'query_spelling'): OAuthError {
  return new OAuthError('invalid_request', { reason })
}
