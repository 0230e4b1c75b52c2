/** The rules for an issuer identifier (RFC 8414 §2): an https URL without query and fragment. */

import { isSecure } from '../http.js'

/** What is wrong with it and what to do, or nothing. */
export function issuerProblem(issuer: string): { problem: string; advice: string } | undefined {
  // To the letter: what the URL parser would forgive, such as a space at the end, no token will match.
  if (
    typeof issuer !== 'string' ||
    /\s/.test(issuer) ||
    !URL.canParse(issuer) ||
    !isSecure(new URL(issuer))
  ) {
    return {
      problem: `is "${issuer}"`,
      advice: 'give an https URL; plain http is accepted only for localhost, 127.0.0.1 and [::1]',
    }
  }
  if (/^[^/]*\/\/[^/]*@/.test(issuer)) {
    return { problem: 'has a user name or password in it', advice: 'remove what stands before the "@"' }
  }
  if (/[?#]/.test(issuer)) return { problem: `is "${issuer}"`, advice: 'remove the query and the fragment' }
  return undefined
}
