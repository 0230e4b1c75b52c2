/** Connections as connecting leaves them, with tokens that the account server knows. */
import { randomUUID } from 'node:crypto'
import { grantSeal } from '../../lib/connections/grant.js'
import type { ConnectionProvider, ConnectionRecord } from '../../lib/index.js'
import { createSeal } from '../../lib/seal.js'

export interface LinkParts extends Partial<ConnectionRecord> {
  /** Seconds that its access token is good for. Default 3600. */
  readonly life?: number
  readonly refreshable?: boolean
}

export const linkedSecret = 'a secret of thirty-two bytes or more'

const seal = grantSeal(createSeal([linkedSecret], 'connection tokens oauth'))

/** The provider as an app has it. */
export function filesProvider(url: string): ConnectionProvider {
  return {
    endpoints: { authorization: `${url}/authorize`, token: `${url}/token`, revocation: `${url}/revoke` },
    clientId: 'files-app',
    clientSecret: 'the secret of this client',
    scope: 'read',
    name: 'Files',
    test: { url: `${url}/me` },
    accountId: (me) => me.id as string,
    label: (me) => `${me.name}’s files`,
    allow: [`${url}/`],
  }
}

/** A record with sealed tokens, as connecting leaves it. */
export function linkedRecord(url: string, account: string, parts: LinkParts = {}): ConnectionRecord {
  const { life = 3_600, refreshable = true, ...own } = parts
  const now = Math.floor(Date.now() / 1000)
  const record = {
    id: `id-${account}`,
    owner: `owner-of-${account}`,
    provider: 'files',
    issuer: url,
    accountId: account,
    status: 'active' as const,
    label: 'Files',
    isRenamed: false,
    fields: {},
    clientId: 'files-app',
    tokenOrigin: url,
    scope: ['read'],
    isExclusive: false,
    createdAt: now,
    connectedAt: now,
    checkedAt: now,
    version: 1,
    ...own,
  }
  return {
    tokens: seal.seal(record, {
      id: `grant of ${record.id}`,
      tokens: tokenSet(account, { life, refreshable }),
    }),
    ...record,
  }
}

/** The next version of a record, when its user has connected the account again: another grant. */
export function relinkedRecord({
  reason: _reason,
  tokens: _tokens,
  ...before
}: ConnectionRecord): ConnectionRecord {
  const tokens = tokenSet(before.accountId, { life: 3_600, refreshable: true })
  return {
    ...before,
    status: 'active',
    tokens: seal.seal(before, { id: randomUUID(), tokens }),
    version: before.version + 1,
  }
}

function tokenSet(account: string, { life, refreshable }: { life: number; refreshable: boolean }) {
  return {
    access_token: `access-${account}.1`,
    ...(refreshable && { refresh_token: `refresh-${account}.1` }),
    expires_at: Math.floor(Date.now() / 1000) + life,
    scope: ['read'],
    generation: 0,
  }
}
