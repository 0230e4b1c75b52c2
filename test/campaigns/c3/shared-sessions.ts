/** A store of express-session over a store of the package, so that all instances share it. */
import { Store as SessionStore, type SessionData } from 'express-session'
import type { Store } from 'express-oauth-kit'

/** Seconds. */
const lifetime = 3_600

export class SharedSessions extends SessionStore {
  readonly #store: Store

  constructor(store: Store) {
    super()
    this.#store = store
  }

  override get(id: string, done: (error: unknown, session?: SessionData | null) => void): void {
    void this.#store
      .get([id])
      .then(([kept]) => done(null, kept === undefined ? null : JSON.parse(kept)), done)
  }

  override set(id: string, session: SessionData, done?: (error?: unknown) => void): void {
    void this.#store.set(id, JSON.stringify(session), lifetime).then(() => done?.(), done)
  }

  override destroy(id: string, done?: (error?: unknown) => void): void {
    void this.#store.delete(id).then(() => done?.(), done)
  }
}
