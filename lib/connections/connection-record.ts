/** What is kept of a linked account. */

/** An account, by the name that its provider has for it. */
export interface ProviderAccount {
  /** The provider, by its name in the option `providers`. */
  readonly provider: string
  /** The authorization server that vouched for it: the sandbox of a provider is another one than its production. */
  readonly issuer: string
  /** Unique at the issuer, and never an e-mail address: those change hands. */
  readonly accountId: string
}

/**
 * `active`: it works, as far as is known. `needs_reconnect`: only its user can bring it back, by connecting the same
 * account again. `disconnected`: its user has ended it; nothing of its tokens is left but what has still to be revoked.
 */
export type ConnectionStatus = 'active' | 'needs_reconnect' | 'disconnected'

/**
 * One row. A connection is the same one for as long as it has its `id`: connecting the account again changes its tokens,
 * and keeps id, label and fields. All times are seconds since the epoch.
 */
export interface ConnectionRecord extends ProviderAccount {
  readonly id: string
  /** Whose it is: a user or a team, by the app's name for them. */
  readonly owner: string
  readonly status: ConnectionStatus
  /** Why it needs its user, as a short fixed word; with the status `needs_reconnect` only. */
  readonly reason?: string
  /** What people call it; nothing goes by it. */
  readonly label: string
  /** Whether a user chose the label, so that the provider's data change it no more. */
  readonly isRenamed: boolean
  /** What was asked before connecting, such as a region. */
  readonly fields: Readonly<Record<string, string>>
  /** The client that the tokens were issued to. */
  readonly clientId: string
  /** The origin that refresh tokens and the client's secret went to when it was connected; they go nowhere else. */
  readonly tokenOrigin: string
  /** Granted scopes. */
  readonly scope: readonly string[]
  /** Whether no other owner may have the same account. */
  readonly isExclusive: boolean
  /** Sealed; missing when there are none. */
  readonly tokens?: string
  readonly createdAt: number
  /** When its user last connected it. */
  readonly connectedAt: number
  /** When it was last tried, whatever came of it. */
  readonly checkedAt: number
  /** How often it was changed. */
  readonly version: number
}

/**
 * Bytes of UTF-8 that `id`, `owner`, `provider`, `issuer` and `accountId` have together at most: they stand in indexes, of
 * which PostgreSQL limits each entry to 2 704.
 */
const mostBytes = 2500

/** Whether a text can be kept as it is: well-formed, and without U+0000, which PostgreSQL refuses. */
export function isKeepable(text: string): boolean {
  return !text.includes('\0') && !/\p{Surrogate}/u.test(text)
}

/** Throws for a record that no store could keep as it is; says what of it, and not what stands there. */
export function checkKeepable(record: ConnectionRecord): void {
  const { fields, scope, ...rest } = record
  const texts = Object.entries({
    ...rest,
    fields: Object.entries(fields).flat().join(''),
    scope: scope.join(''),
  })
  for (const [name, text] of texts) {
    if (typeof text === 'string' && !isKeepable(text))
      throw new TypeError(`"${name}" of a connection is no well-formed text, or has U+0000 in it`)
  }
  const { id, owner, provider, issuer, accountId } = record
  const bytes = Buffer.byteLength([id, owner, provider, issuer, accountId].join(''))
  if (bytes > mostBytes)
    throw new RangeError(
      `"id", "owner", "provider", "issuer" and "accountId" of a connection have ${bytes} bytes; ${mostBytes} are the most`,
    )
}
