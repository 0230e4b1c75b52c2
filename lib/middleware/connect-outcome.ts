/** What came of connecting an account, or of another form, for the page that its user comes back to. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ConnectionRecord } from '../connections/connection-record.js'
import type { OAuthError } from '../errors.js'
import type { Seal } from '../seal.js'
import { clearCookie, readCookie, writeCookie } from '../session/cookies.js'

/** Texts of the provider's are plain text: escape them before you show them. */
export interface ConnectOutcome {
  /** How connecting ended, or what a form has done; what a test found is in the list. */
  readonly status: 'connected' | 'reconnected' | 'renamed' | 'tested' | 'disconnected' | 'removed' | 'failed'
  readonly provider: string
  /** The connection, unless it failed. */
  readonly connection?: string
  /** Why it failed, by the code of an {@link OAuthError}, and in a sentence for the user. */
  readonly error?: string
  readonly message?: string
  /** What the provider said, in its own words. */
  readonly provider_error?: string
  readonly provider_error_description?: string
  /** What can be done about it; for whoever looks after the app, or the user. */
  readonly hint?: string
  /** What is wrong with each field. */
  readonly fields?: Readonly<Record<string, string>>
}

/** It waits in a sealed cookie, which only the session that it is about can read, and once. */
export interface ConnectOutcomes {
  keep(res: ServerResponse, session: string, outcome: ConnectOutcome): void
  /** The last one that was not shown; nothing when there is none. It is shown by then. */
  take(req: IncomingMessage, res: ServerResponse, session: string): ConnectOutcome | undefined
}

/** Seconds. */
const lifetime = 300

export function createConnectOutcomes(options: {
  name: string
  seal: Seal<ConnectOutcome>
  secure: boolean
}): ConnectOutcomes {
  const { seal, secure } = options
  const cookie = `${options.name}.connect-outcome`
  const attributes = { secure, sameSite: 'lax' } as const
  return {
    keep: (res, session, outcome) =>
      writeCookie(res, cookie, seal.seal(outcome, session), { ...attributes, maxAge: lifetime }),
    take(req, res, session) {
      const sealed = readCookie(req, cookie)
      if (sealed === undefined) return undefined
      if (!res.headersSent) clearCookie(res, cookie, attributes)
      return seal.open(sealed, session)
    },
  }
}

export function succeeded(record: ConnectionRecord, isNew: boolean): ConnectOutcome {
  return done(isNew ? 'connected' : 'reconnected', record)
}

export function done(
  status: ConnectOutcome['status'],
  { id, provider }: Pick<ConnectionRecord, 'id' | 'provider'>,
): ConnectOutcome {
  return { status, provider, connection: id }
}

export function failed(provider: string, error: OAuthError): ConnectOutcome {
  const { code, publicMessage, hint, fields, serverError } = error
  return {
    status: 'failed',
    provider,
    error: code,
    message: publicMessage,
    ...(serverError && { provider_error: serverError.error }),
    ...(serverError?.error_description !== undefined && {
      provider_error_description: serverError.error_description,
    }),
    ...(hint !== undefined && { hint }),
    ...(fields && { fields }),
  }
}
