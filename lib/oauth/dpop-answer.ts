/** What the answer of a resource server says about the proof of its request (RFC 9449 §8.1 and §9). */

import type { IncomingMessage } from 'node:http'

export interface DPoPAnswer {
  readonly status: number
  /** The header `DPoP-Nonce`. */
  readonly nonce: string | undefined
  /** The header `WWW-Authenticate`. */
  readonly challenge: string | undefined
}

/** NQCHAR of RFC 9449 §8.1, so never two headers in one, and no more than a request has room for. */
const nonceForm = /^[\x21\x23-\x5b\x5d-\x7e]{1,1024}$/

/** The nonce for the next request, if the answer has one that can be used. */
export function nonceIn({ nonce }: DPoPAnswer): string | undefined {
  return nonce !== undefined && nonceForm.test(nonce) ? nonce : undefined
}

/**
 * Whether nothing but the nonce was missing. Not every 401 with a nonce: any answer may bring a new one, also one that
 * refuses the token. Servers write the rest of their challenges in all sorts of ways, so no more is read than this.
 */
export function demandsNonce(answer: DPoPAnswer): boolean {
  const { status, challenge = '' } = answer
  return (
    status === 401 && nonceIn(answer) !== undefined && /\berror\s*=\s*"?use_dpop_nonce\b/i.test(challenge)
  )
}

/** As a `Response` has it. */
export function dpopAnswer({ status, headers }: Response): DPoPAnswer {
  return {
    status,
    nonce: headers.get('dpop-nonce') ?? undefined,
    challenge: headers.get('www-authenticate') ?? undefined,
  }
}

/** As `node:http` has it. */
export function incomingDPoPAnswer({ statusCode: status = 0, headers }: IncomingMessage): DPoPAnswer {
  const nonce = headers['dpop-nonce']
  return {
    status,
    nonce: typeof nonce === 'string' ? nonce : undefined,
    challenge: headers['www-authenticate'],
  }
}
