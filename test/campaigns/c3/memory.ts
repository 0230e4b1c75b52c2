/**
 * What oidc-provider keeps, in memory, all of it: its own memory forgets what came first beyond a thousand entries, and a
 * spent token that is forgotten is not seen to be used again.
 */
import { errors, type Adapter, type AdapterFactory, type AdapterPayload } from 'oidc-provider'

export interface Memory {
  readonly adapter: AdapterFactory
  /** Who an access token was issued to, and until when (seconds since the epoch), also when it was revoked since. */
  issued(token: string): Issued | undefined
  /** Grants that were revoked because one of their refresh tokens came twice. */
  readonly revoked: ReadonlySet<string>
}

export interface Issued {
  readonly subject: string
  readonly until: number
}

export function createMemory(): Memory {
  const entries = new Map<string, AdapterPayload>()
  const families = new Map<string, Set<string>>()
  const sessions = new Map<string, string>()
  const issued = new Map<string, Issued>()
  const revoked = new Set<string>()

  function revokeFamily(grantId: string): void {
    revoked.add(grantId)
    for (const key of families.get(grantId) ?? []) entries.delete(key)
    families.delete(grantId)
  }

  function adapter(model: string): Adapter {
    const keyOf = (id: string) => `${model}:${id}`
    const find = async (id: string) => entries.get(keyOf(id))
    return {
      find,
      findByUid: async (uid) => find(sessions.get(uid) ?? ''),
      findByUserCode: async () => undefined,
      async upsert(id, payload) {
        entries.set(keyOf(id), payload)
        const { grantId, uid, accountId = '', exp = 0 } = payload
        if (model === 'Session' && uid !== undefined) sessions.set(uid, id)
        if (model === 'AccessToken') issued.set(id, { subject: accountId, until: exp })
        if (!/Token$|Code$/.test(model) || grantId === undefined) return
        families.set(grantId, (families.get(grantId) ?? new Set()).add(keyOf(id)))
      },
      async consume(id) {
        const payload = entries.get(keyOf(id))
        // Two requests at the same moment have both found it good by now. The second one is as much a reuse as a late one.
        if (!payload || payload.consumed !== undefined) {
          if (payload?.grantId !== undefined) revokeFamily(payload.grantId)
          throw new errors.InvalidGrant('refresh token already used')
        }
        payload.consumed = Math.floor(Date.now() / 1_000)
      },
      async destroy(id) {
        entries.delete(keyOf(id))
      },
      async revokeByGrantId(grantId) {
        revokeFamily(grantId)
      },
    }
  }

  return { adapter, issued: (token) => issued.get(token), revoked }
}
