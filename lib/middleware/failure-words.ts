/** What a user is told when something about a connection has failed: what happened, what became of it, and what to do. */

import { reasonInWords, type NeedsReconnectReason } from '../connections/standing.js'
import type { OAuthError, OAuthErrorCode } from '../errors.js'

/** What was tried. To connect an account again that is connected already is `connect` as well. */
export type ConnectAction = 'connect' | 'reconnect' | 'test' | 'rename' | 'disconnect' | 'remove'

export interface Failure {
  readonly action: ConnectAction
  /** What people call the provider. */
  readonly name: string
  /** What the fields of the provider are called. */
  readonly labels: readonly string[]
}

interface Told extends Failure {
  readonly reason: string | undefined
  /** What became of it. */
  readonly end: string
  /** Whether the provider said so, and not we. */
  readonly isTheirs: boolean
}

type Words = (told: Told) => string

const again = 'Please try again.'
const later = 'Please try again later.'
const ask = 'Please tell those who run this site.'

const notAllowed: Words = ({ name, end }) => `It was not allowed at ${name}. ${end} You can try again.`
const away: Words = ({ name, end, reason }) =>
  reason === 'under_way' || reason === 'too_busy'
    ? `This is busy just now. ${end} ${again}`
    : `${name} does not answer just now. ${end} ${later}`
const inTrouble: Words = ({ name, end }) => `${name} has a problem of its own just now. ${end} ${later}`
const notSetUp: Words = ({ name, end }) =>
  `${name} does not accept how this site asks. ${end} This is not your fault. ${ask}`
const unusable: Words = ({ name, end }) =>
  `${name} gave an answer that this site cannot use. ${end} ${again} If it happens again: ${inMiddle(ask)}`

/** Whatever is not in here is told in the sentence of its code. */
const words: Partial<Record<OAuthErrorCode, Words>> = {
  access_denied: notAllowed,
  consent_required: notAllowed,
  interaction_required: notSetUp,
  login_required: notSetUp,
  account_selection_required: notSetUp,
  invalid_scope: notSetUp,
  invalid_target: notSetUp,
  invalid_client: notSetUp,
  unauthorized_client: notSetUp,
  unsupported_response_type: notSetUp,
  unsupported_grant_type: notSetUp,
  invalid_request: (told) => (told.isTheirs ? notSetUp(told) : 'This is too long. Please shorten it.'),
  server_refused: ({ name, end }) => `${name} said no. ${end} ${again} If it happens again: ${inMiddle(ask)}`,
  invalid_grant: ({ name, end }) => `It took too long, or ${name} changed its mind. ${end} ${again}`,
  server_error: inTrouble,
  temporarily_unavailable: inTrouble,
  server_unavailable: away,
  key_set_unavailable: away,
  upstream_unavailable: away,
  invalid_callback: unusable,
  invalid_server_metadata: unusable,
  invalid_server_response: unusable,
  invalid_id_token: unusable,
  issuer_mismatch: unusable,
  subject_mismatch: unusable,
  store_unavailable: () => `This site cannot reach its own data just now. ${later}`,
  invalid_configuration: ({ end }) => `This site has a problem of its own. ${end} ${ask}`,

  account_unknown: ({ name, end, reason, labels, action }) => {
    // The app did not understand what it was told.
    if (reason?.startsWith('test_') !== true)
      return `This site cannot tell whose account at ${name} this is. ${end} ${ask}`
    const chosen = labels.length > 0 && action === 'connect'
    const advice = chosen ? `Is this right: ${labels.join(', ')}? ` : ''
    return `${name} did not say whose account this is. ${end} ${advice}${again}`
  },
  account_taken: ({ name, end }) =>
    `Somebody else has connected this account of ${name} here. ${end} They have to disconnect it first.`,
  other_account: ({ name, end, reason }) =>
    reason === 'other_issuer'
      ? `This site now reaches ${name} in another way. ${end} Connect the account as a new one, and remove this connection.`
      : `This is another account of ${name} than the one that was connected. ${end} Sign out at ${name}, and choose the right one. To use the other one, connect it as a new one.`,
  connection_not_found: ({ name }) =>
    `This connection was removed meanwhile. You can connect ${name} as a new one.`,
  needs_reconnect: ({ name, end, reason, action }) =>
    isConnecting(action)
      ? `${name} does not accept the access that it has just given. ${end} ${again}`
      : reasonInWords((reason ?? 'refresh_refused') as NeedsReconnectReason, name),
  invalid_fields: ({ name, end, action }) => {
    if (action === 'connect') return 'Something is missing, or is not possible.'
    if (action === 'reconnect')
      return `What was filled in for this connection is not possible any more. ${end} Connect ${name} as a new one.`
    return `This name is not possible. ${end}`
  },
}

export function failureInWords(error: OAuthError, failure: Failure): string {
  const { code, reason, serverError, publicMessage } = error
  const end = failure.action === 'connect' ? 'Nothing was connected.' : 'Nothing has changed.'
  const isTheirs = serverError !== undefined
  return words[code]?.({ ...failure, reason, end, isTheirs }) ?? publicMessage
}

function isConnecting(action: ConnectAction): boolean {
  return action === 'connect' || action === 'reconnect'
}

function inMiddle(sentence: string): string {
  return sentence.charAt(0).toLowerCase() + sentence.slice(1)
}
