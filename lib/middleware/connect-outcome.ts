/** What came of connecting an account, or of another form, for the page that its user comes back to. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ConnectionRecord } from '../connections/connection-record.js'
import type { Linked } from '../connections/linking.js'
import type { Provider } from '../connections/provider.js'
import type { FieldValues } from '../connections/url-template.js'
import type { OAuthError } from '../errors.js'
import type { Seal } from '../seal.js'
import { clearCookie, readCookie, writeCookie } from '../session/cookies.js'
import { failureInWords, type ConnectAction } from './failure-words.js'

/** All of it is plain text: escape it before you show it. */
export interface ConnectOutcome {
  readonly action: ConnectAction
  /** How connecting ended, or what a form has done; what a test found is in the list. */
  readonly status: 'connected' | 'reconnected' | 'renamed' | 'tested' | 'disconnected' | 'removed' | 'failed'
  readonly provider: string
  /** The connection; missing when a new one was to be made and that failed. */
  readonly connection?: string
  /** Why it failed, by the code of an {@link OAuthError}. */
  readonly error?: string
  /** The same for the user: what happened, what became of it, and what to do. */
  readonly message?: string
  /** What the provider said, in its own words. */
  readonly provider_error?: string
  readonly provider_error_description?: string
  /** What whoever looks after the app can do about it; nothing for users. */
  readonly hint?: string
  /** What is wrong with each field, for the user. */
  readonly fields?: Readonly<Record<string, string>>
  /** What was filled in to connect a new account that failed, so that nobody has to do it again. */
  readonly values?: Readonly<Record<string, string>>
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
      // What was filled in may be long, and so may be a word on each of many fields; the page knows them, and asks again.
      const { values: _values, ...without } = outcome
      const { fields: _fields, ...short } = without
      const sealed = [outcome, without].map((one) => seal.seal(one, session))
      const value = sealed.find(({ length }) => length <= longestValue) ?? seal.seal(short, session)
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

export function succeeded(action: ConnectAction, { record, isNew }: Linked): ConnectOutcome {
  return done(action, isNew ? 'connected' : 'reconnected', record)
}

export function done(
  action: ConnectAction,
  status: ConnectOutcome['status'],
  { id, provider }: Pick<ConnectionRecord, 'id' | 'provider'>,
): ConnectOutcome {
  return { action, status, provider, connection: id }
}

/** What was to be done, with which provider, and with which connection, if there was one. */
export interface Attempt {
  readonly action: ConnectAction
  /** Its name in the option `providers`, and what people call it. */
  readonly provider: Pick<Provider, 'key' | 'name'> & { readonly fields?: Pick<Provider['fields'], 'asked'> }
  readonly connection?: string | undefined
  readonly values?: FieldValues | undefined
}

export function failed(error: OAuthError, { action, provider, connection, values }: Attempt): ConnectOutcome {
  const { code, fields, serverError } = error
  const labels = provider.fields?.asked.map(({ label }) => label) ?? []
  // That one is for users, and in the message already.
  const hint = code === 'needs_reconnect' ? undefined : error.hint
  return {
    action,
    status: 'failed',
    provider: provider.key,
    ...(connection !== undefined && { connection }),
    error: code,
    message: failureInWords(error, { action, name: provider.name, labels }),
    ...(serverError && { provider_error: serverError.error }),
    ...(serverError?.error_description !== undefined && {
      provider_error_description: serverError.error_description,
    }),
    ...(hint !== undefined && { hint }),
    ...(fields && { fields }),
    ...(values && { values }),
  }
}
