/** The rules for an issuer identifier (RFC 8414 §2): an https URL without query and fragment. */

import { isSecure } from '../http.js'

/** What is wrong with it and what to do, or nothing. */
export function issuerProblem(issuer: string): { problem: string; advice: string } | undefined {
  if (!URL.canParse(issuer) || !isSecure(new URL(issuer))) {
    return {
      problem: `is "${issuer}"`,
      advice: 'give an https URL; plain http is accepted only for localhost, 127.0.0.1 and [::1]',
    }
  }
  if (/[?#]/.test(issuer)) return { problem: `is "${issuer}"`, advice: 'remove the query and the fragment' }
  return undefined
}
