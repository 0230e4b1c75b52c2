/** What came of connecting an account, for the page that its user comes back to. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Linked } from '../connections/linking.js'
import type { OAuthError } from '../errors.js'
import type { Seal } from '../seal.js'
import { clearCookie, readCookie, writeCookie } from '../session/cookies.js'

/** Texts of the provider's are plain text: escape them before you show them. */
export interface ConnectOutcome {
  readonly status: 'connected' | 'reconnected' | 'failed'
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
/** Characters of a cookie's value that browsers keep, whatever its name (RFC 6265bis §5.6). */
const longestValue = 4_000

export function createConnectOutcomes(options: {
  name: string
  seal: Seal<ConnectOutcome>
  secure: boolean
}): ConnectOutcomes {
  const { seal, secure } = options
  const cookie = `${options.name}.connect-outcome`
  const attributes = { secure, sameSite: 'lax' } as const
  return {
    keep(res, session, outcome) {
      const { fields: _fields, ...short } = outcome
      const sealed = seal.seal(outcome, session)
      // A word on each of many fields may be too much; the page knows them, and asks again.
      const value = sealed.length > longestValue ? seal.seal(short, session) : sealed
      writeCookie(res, cookie, value, { ...attributes, maxAge: lifetime })
    },
    take(req, res, session) {
      const sealed = readCookie(req, cookie)
      if (sealed === undefined) return undefined
      if (!res.headersSent) clearCookie(res, cookie, attributes)
      return seal.open(sealed, session)
    },
  }
}

export function succeeded({ record: { id, provider }, isNew }: Linked): ConnectOutcome {
  return { status: isNew ? 'connected' : 'reconnected', provider, connection: id }
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
