/** The certificate of a client that connects by mutual TLS, which its tokens can be bound to (RFC 8705 §3). */

import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { appAnswer } from '../app-answer.js'
import type { OptionChecks } from '../options.js'

/** DER, or text: PEM, or the DER in base64, such as a `Client-Cert` header has it (RFC 9440). */
export type ClientCertificate = Buffer | string

export interface MutualTlsOptions {
  /** Whether tokens that are not bound to a certificate are refused. */
  required?: boolean
  /**
   * The certificate that the client of a request connected with; nothing when there was none. Needed behind a proxy that
   * ends TLS: read the header that the proxy sets, and be sure that the proxy removes it from what clients send. Default:
   * the certificate of the connection.
   */
  getCertificate?: (
    req: IncomingMessage,
  ) => ClientCertificate | undefined | Promise<ClientCertificate | undefined>
}

const known: Record<keyof MutualTlsOptions, true> = { required: true, getCertificate: true }

export interface MutualTls {
  readonly required: boolean
  /** The SHA-256 of the client's certificate, as `x5t#S256` has it; nothing without a certificate. */
  thumbprint(req: IncomingMessage): Promise<string | undefined>
}

export function createMutualTls(options: true | MutualTlsOptions, parent: OptionChecks): MutualTls {
  const given = options === true ? {} : options
  const check = parent.within('mtls', given, known)
  check.function('getCertificate', given.getCertificate)
  const { getCertificate = certificateOfConnection } = given
  return {
    required: check.boolean('required', given.required),
    async thumbprint(req) {
      const der = derOf(await appAnswer('getCertificate', () => getCertificate(req)))
      return der && createHash('sha256').update(der).digest('base64url')
    },
  }
}

/** The handshake has proved that the client has its key. Who signed it is the authorization server's affair (§6.2). */
function certificateOfConnection({ socket }: IncomingMessage): Buffer | undefined {
  if (!('getPeerCertificate' in socket) || typeof socket.getPeerCertificate !== 'function') return undefined
  const { raw } = (socket.getPeerCertificate() ?? {}) as { raw?: Buffer }
  return raw
}

/** What is no certificate has a thumbprint that no token has. */
function derOf(certificate: unknown): Buffer | undefined {
  if (Buffer.isBuffer(certificate)) return certificate
  if (typeof certificate !== 'string' || certificate === '') return undefined
  const [, pem] = /-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----/.exec(certificate) ?? []
  return Buffer.from(pem ?? certificate, 'base64')
}
