/** The rules for a redirect URI (RFC 6749 §3.1.2): absolute, https, no fragment. */

import { isSecure } from '../http.js'

/** What is wrong with it and what to do, or nothing. */
export function redirectUriProblem(uri: string): { problem: string; advice: string } | undefined {
  if (!URL.canParse(uri) || !/^https?:\/\//i.test(uri)) {
    return {
      problem: `"${uri}" is not an absolute URL`,
      advice: 'write it with its scheme and host, such as "https://example.com"',
    }
  }
  const url = new URL(uri)
  if (url.username !== '' || url.password !== '') {
    return { problem: 'has a user name or password in it', advice: 'remove what stands before the "@"' }
  }
  if (uri.includes('#'))
    return { problem: `"${uri}" has a fragment`, advice: 'remove the "#" and what follows' }
  if (!isSecure(url)) {
    return {
      problem: `"${uri}" is not https`,
      advice: 'use https; plain http is accepted only for localhost, 127.0.0.1 and [::1]',
    }
  }
  return undefined
}
