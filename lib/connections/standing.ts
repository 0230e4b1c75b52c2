/** How a connection stands: its status, and why it does not work, in words for whoever can do something about it. */

import { OAuthError } from '../errors.js'
import type { ConnectionRecord, ConnectionStatus } from './connection-record.js'

/** Why a connection does not work. */
export type NeedsReconnectReason = keyof typeof sentences

const sentences = {
  refresh_refused: (name: string) =>
    `${name} does not accept this connection any more. It may have been removed there, or the password was changed. Connect it again.`,
  expired: (name: string) =>
    `The access that ${name} gave has run out, and it cannot be renewed. Connect it again.`,
  not_renewable: (name: string) =>
    `The access that ${name} gave cannot be renewed without you. Connect it again.`,
  test_refused: (name: string) => `${name} does not accept this app’s access any more. Connect it again.`,
  account_changed: (name: string) =>
    `${name} now answers for another account. Connect the one that you used before.`,
  unreadable: (name: string) => `This app can no longer read its access to ${name}. Connect it again.`,
  configuration_changed: (name: string) => `This app now reaches ${name} in another way. Connect it again.`,
  provider_removed: (name: string) => `This app does not work with ${name} any more.`,
  disconnected: (name: string) => `${name} is not connected any more.`,
} as const

export interface Standing {
  readonly status: ConnectionStatus
  readonly reason?: NeedsReconnectReason
}

/** A sentence for users. `name` is what people call the provider. */
export function reasonInWords(reason: NeedsReconnectReason, name: string): string {
  return sentences[reason](name)
}

/** As it was noted; what a program of another version noted, a status or a reason, counts as refused. */
export function notedStanding({ status, reason }: ConnectionRecord): Standing {
  if (status === 'active' || status === 'disconnected') return { status }
  const isKnown = reason !== undefined && Object.hasOwn(sentences, reason)
  return { status: 'needs_reconnect', reason: isKnown ? (reason as NeedsReconnectReason) : 'refresh_refused' }
}

/** Whether a later test may find that it works again: its API has been wrong, or was asked in the wrong way. */
export function isProvisional(reason: NeedsReconnectReason | undefined): boolean {
  return reason === 'test_refused' || reason === 'account_changed'
}

export function needsReconnect(reason: NeedsReconnectReason, name: string, cause?: OAuthError): OAuthError {
  return new OAuthError('needs_reconnect', {
    reason,
    hint: reasonInWords(reason, name),
    ...(cause?.serverError && { serverError: cause.serverError }),
    cause,
  })
}
