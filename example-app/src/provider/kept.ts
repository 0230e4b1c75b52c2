/** What a provider remembers, as oidc-provider wants it kept: in memory, and in a file of the data folder if there is one. */

import type { Adapter, AdapterPayload } from 'oidc-provider'
import type { DataFolder } from '../data-folder.js'

export interface Kept {
  /** For oidc-provider's option `adapter`. */
  adapter(model: string): Adapter
  /** All of a model, such as the grants. */
  all(model: string): readonly AdapterPayload[]
}

interface Entry {
  readonly model: string
  readonly payload: AdapterPayload
  /** Milliseconds since the epoch. */
  readonly until: number
}

/** Enough for a demo: the whole file is written after each change. */
export function keptIn(folder: DataFolder | undefined, name: string): Kept {
  const file = `${name}.json`
  const entries = new Map<string, Entry>(JSON.parse(folder?.read(file) ?? '[]') as [string, Entry][])
  let isDue = false

  function alive(key: string): AdapterPayload | undefined {
    const entry = entries.get(key)
    return entry && entry.until > Date.now() ? entry.payload : undefined
  }

  function changed(): void {
    if (!folder || isDue) return
    isDue = true
    setImmediate(() => {
      isDue = false
      for (const [key, { until }] of entries) if (until <= Date.now()) entries.delete(key)
      folder.write(file, JSON.stringify([...entries]))
    })
  }

  function remove(isMeant: (entry: Entry) => boolean): void {
    for (const [key, entry] of entries) if (isMeant(entry)) entries.delete(key)
    changed()
  }

  return {
    all: (model) =>
      [...entries.values()]
        .filter((entry) => entry.model === model && entry.until > Date.now())
        .map(({ payload }) => payload),
    adapter: (model) => ({
      async upsert(id, payload, seconds = 365 * 24 * 60 * 60) {
        entries.set(`${model} ${id}`, { model, payload, until: Date.now() + seconds * 1000 })
        changed()
      },
      find: async (id) => alive(`${model} ${id}`),
      findByUid: async (uid) =>
        [...entries.values()].find((entry) => entry.model === model && entry.payload.uid === uid)?.payload,
      findByUserCode: async () => undefined,
      async consume(id) {
        const payload = alive(`${model} ${id}`)
        if (payload) payload.consumed = Math.floor(Date.now() / 1000)
        changed()
      },
      async destroy(id) {
        entries.delete(`${model} ${id}`)
        changed()
      },
      async revokeByGrantId(grantId) {
        remove((entry) => entry.model === model && entry.payload.grantId === grantId)
      },
    }),
  }
}
