/** Whether whoever presents an access token has the key that it is bound to: its `cnf` claim (RFC 7800 §3). */

import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import { invalidToken, type Algorithm, type Claims } from '../jose/jwt.js'
import type { OptionChecks } from '../options.js'
import { createMutualTls, type MutualTlsOptions } from './client-certificate.js'
import type { AuthScheme, Credentials } from './credentials.js'
import { createDPoP, type ClockSettings, type DPoPOptions } from './dpop.js'

export interface ProofOptions {
  /**
   * Accepts tokens that are bound to a key of the client, with a proof of that key in each request (RFC 9449). Default:
   * they are refused.
   */
  dpop?: DPoPOptions
  /**
   * Accepts tokens that are bound to the client's TLS certificate (RFC 8705); `true` where this process ends TLS itself.
   * Default: they are refused.
   */
  mtls?: true | MutualTlsOptions
}

export interface ProofOfPossession {
  /** The schemes of the `Authorization` header that tokens come with here. */
  readonly schemes: readonly AuthScheme[]
  /** Signature algorithms of DPoP proofs; nothing where those are not taken. */
  readonly dpopAlgorithms: readonly Algorithm[] | undefined
  /**
   * Whether a token with these claims is bound. Throws `invalid_token` when it must not be presented like this, whoever
   * does, or is bound to something that cannot be proved here.
   */
  isBound(scheme: AuthScheme, claims: Claims): boolean
  /**
   * That the request proves all that its token is bound to. Gives what belongs to the headers of the answer. Throws
   * `invalid_token`, `invalid_dpop_proof`, `use_dpop_nonce` or `store_unavailable`.
   */
  prove(
    req: IncomingMessage,
    credentials: Credentials,
    claims: Claims,
  ): OutgoingHttpHeaders | Promise<OutgoingHttpHeaders>
}

export function proofOfPossession(
  options: ProofOptions,
  clock: ClockSettings,
  check: OptionChecks,
): ProofOfPossession {
  const dpop = options.dpop === undefined ? undefined : createDPoP(options.dpop, clock, check)
  const mtls = options.mtls === undefined ? undefined : createMutualTls(options.mtls, check)

  /** What has to be proved. */
  function confirmation(scheme: AuthScheme, claims: Claims): Confirmation {
    const isConfirmed = claims['cnf'] !== undefined
    // Bound to a key that nobody proves to have here: as a plain bearer token it may be a stolen one (RFC 9449 §7.2).
    if (isConfirmed && !dpop && !mtls) throw invalidToken('sender_constrained')
    const { jkt, x5t } = isConfirmed ? confirmationIn(claims['cnf']) : {}
    if ((jkt !== undefined && !dpop) || (x5t !== undefined && !mtls)) throw invalidToken('sender_constrained')
    if (jkt !== undefined && scheme !== 'DPoP') throw invalidToken('dpop_required')
    if (jkt === undefined && (scheme === 'DPoP' || dpop?.required)) throw invalidToken('not_bound')
    if (x5t === undefined && mtls?.required) throw invalidToken('not_bound')
    return { jkt, x5t }
  }

  return {
    schemes: dpop ? ['Bearer', 'DPoP'] : ['Bearer'],
    dpopAlgorithms: dpop?.algorithms,
    isBound(scheme, claims) {
      const { jkt, x5t } = confirmation(scheme, claims)
      return jkt !== undefined || x5t !== undefined
    },
    prove(req, { scheme, token }, claims) {
      const { jkt, x5t } = confirmation(scheme, claims)
      return jkt === undefined && x5t === undefined ? {} : proveAll(req, token, { jkt, x5t })
    },
  }

  async function proveAll(
    req: IncomingMessage,
    token: string,
    { jkt, x5t }: Confirmation,
  ): Promise<OutgoingHttpHeaders> {
    if (x5t !== undefined) {
      const presented = await mtls?.thumbprint(req)
      if (presented === undefined) throw invalidToken('certificate_missing')
      if (presented !== x5t) throw invalidToken('certificate')
    }
    if (jkt === undefined) return {}
    if (!dpop) throw invalidToken('sender_constrained')
    return dpop.prove(req, token, jkt)
  }
}

interface Confirmation {
  /** The thumbprint of a key (RFC 9449 §6.1). */
  readonly jkt?: string | undefined
  /** The thumbprint of a certificate (RFC 8705 §3.1). */
  readonly x5t?: string | undefined
}

/** A method that is not known cannot be proved; without one, nothing would be. */
function confirmationIn(cnf: unknown): Confirmation {
  if (cnf === null || typeof cnf !== 'object') throw invalidToken('confirmation')
  const { jkt, 'x5t#S256': x5t, ...others } = cnf as Record<string, unknown>
  const isKnown = Object.keys(others).length === 0 && (jkt ?? x5t) !== undefined
  if (!isKnown || !isThumbprint(jkt) || !isThumbprint(x5t)) throw invalidToken('confirmation')
  return { jkt, x5t }
}

/** A SHA-256 in base64url, if anything. */
function isThumbprint(value: unknown): value is string | undefined {
  return value === undefined || (typeof value === 'string' && /^[A-Za-z0-9_-]{43}$/.test(value))
}
