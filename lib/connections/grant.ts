/** What a connection's provider has granted, and how it is sealed in the store. */

import { randomBytes } from 'node:crypto'
import type { TokenSet } from '../oauth/token-set.js'
import type { Seal } from '../seal.js'
import type { ConnectionRecord } from './connection-record.js'

export interface ConnectionGrant {
  /** Random. Connecting again makes another grant, whose tokens no refresh of this one may replace. */
  readonly id: string
  readonly tokens: TokenSet
  /** The `sub` of the ID token that came with it: a later one must have the same. */
  readonly subject?: string
}

export interface GrantSeal {
  seal(record: Place, grant: ConnectionGrant): string
  /** The grant; nothing when there is none, or none that was sealed for this very row. */
  open(record: ConnectionRecord): ConnectionGrant | undefined
  /** Whether it was sealed with the first secret. */
  isCurrent(record: ConnectionRecord): boolean
}

type Place = Pick<
  ConnectionRecord,
  'id' | 'owner' | 'provider' | 'issuer' | 'accountId' | 'clientId' | 'tokenOrigin' | 'fields'
>

/** What is sealed for one row opens in no other, and not in the same row when it was made to be another's, or to lead elsewhere. */
export function grantSeal(seal: Seal<ConnectionGrant>): GrantSeal {
  const context = ({ id, owner, provider, issuer, accountId, clientId, tokenOrigin, fields }: Place) => {
    // A store may give them in another order.
    const sorted = Object.entries(fields).toSorted(([a], [b]) => (a < b ? -1 : 1))
    return JSON.stringify([id, owner, provider, issuer, accountId, clientId, tokenOrigin, sorted])
  }
  return {
    seal: (record, grant) => seal.seal(grant, context(record)),
    open: (record) => (record.tokens === undefined ? undefined : seal.open(record.tokens, context(record))),
    isCurrent: (record) => record.tokens !== undefined && seal.isCurrent(record.tokens, context(record)),
  }
}

export function newGrant(tokens: TokenSet, subject: string | undefined): ConnectionGrant {
  return {
    id: randomBytes(16).toString('base64url'),
    tokens: withoutIdToken(tokens),
    ...(subject !== undefined && { subject }),
  }
}

/** An ID token tells of a sign-in and is of no use later; it would fill the table with personal data. */
export function withoutIdToken({ id_token: _idToken, ...tokens }: TokenSet): TokenSet {
  return tokens
}
