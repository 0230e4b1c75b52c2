/**
 * Sessions that were ended: by their user, by an administrator or by the authorization server. The mark of an end stays
 * in the store for as long as a session could have lived, so that no copy of a cookie brings it back.
 */

import { createHash } from 'node:crypto'
import { OAuthError } from '../errors.js'
import { untilDone, type Store } from '../stores/store.js'

/** What a session is ended by. */
export interface EndableSession {
  readonly id: string
  readonly issuer: string
  readonly subject?: string
  readonly sid?: string
  readonly startedAt: number
  readonly issuedAt?: number
}

/** All methods throw `store_unavailable`, and `invalid_configuration` for a name that is none. */
export interface Endings {
  /** One session, by its handle. */
  endSession(handle: string): Promise<void>
  /** The sessions of a user that began until now, by our own clock. */
  endSubject(issuer: string, subject: string): Promise<void>
  /** Those whose ID token the server issued until `issuedUntil` (seconds since the epoch), by the server's clock. */
  endSubjectAsOf(issuer: string, subject: string, issuedUntil: number): Promise<void>
  /** The sessions that belong to one session of the authorization server, and any that a login in flight makes of it. */
  endSid(issuer: string, sid: string): Promise<void>
  hasEnded(session: EndableSession): Promise<boolean>
  /** Notes a session of the server that one of ours is about to come of. */
  noteSid(issuer: string, sid: string): Promise<void>
  /** The same as `endSid`, for a session that was noted and no other: nobody can fill the store with names made up. */
  endNotedSid(issuer: string, sid: string): Promise<void>
}

export interface EndingsOptions {
  store: Store
  /** Seconds that a session can live at most. */
  absoluteLifetime: number
  now: () => number
}

/** The times up to which a user's sessions are over. */
interface SubjectEnd {
  readonly startedUntil?: number
  readonly issuedUntil?: number
}

/**
 * Seconds that marks outlive the sessions. One that was being made when its end was marked begins a little later, and the
 * store's clock is not ours.
 */
const margin = 600

export function createEndings({ store, absoluteLifetime, now }: EndingsOptions): Endings {
  const lifetime = absoluteLifetime + margin

  async function mark(key: string): Promise<void> {
    await store.set(key, '1', lifetime)
  }

  /** The later of two ends counts: a logout token that comes late must not take an end back. */
  async function markSubject(issuer: string, subject: string, end: SubjectEnd): Promise<void> {
    const key = subjectKey(issuer, named('subject', subject))
    await untilDone(async () => {
      const [kept] = await store.get([key])
      const merged = JSON.stringify(laterOf(parsed(kept) ?? {}, end))
      const isDone =
        kept === undefined
          ? await store.add(key, merged, lifetime)
          : await store.replace(key, kept, merged, lifetime)
      return isDone || undefined
    })
  }

  return {
    endSession: async (handle) => mark(handleKey(named('session', handle))),
    endSubject: (issuer, subject) => markSubject(issuer, subject, { startedUntil: now() }),
    endSubjectAsOf: (issuer, subject, issuedUntil) => markSubject(issuer, subject, { issuedUntil }),
    endSid: (issuer, sid) => mark(sidKey(issuer, sid)),

    async hasEnded(session) {
      const { startedAt, issuedAt } = session
      const [byHandle, bySid, bySubject] = await store.get(keysOf(session))
      const subjectEnd = parsed(bySubject)
      if (!subjectEnd) throw new OAuthError('store_unavailable', { reason: 'unreadable' })
      const { startedUntil = 0, issuedUntil = 0 } = subjectEnd
      return (
        byHandle !== undefined ||
        bySid !== undefined ||
        startedAt <= startedUntil ||
        (issuedAt ?? startedAt) <= issuedUntil
      )
    },

    noteSid: (issuer, sid) => mark(notedSidKey(issuer, sid)),
    async endNotedSid(issuer, sid) {
      const [noted] = await store.get([notedSidKey(issuer, sid)])
      if (noted !== undefined) await mark(sidKey(issuer, sid))
    },
  }
}

/** What an app may know and keep of a session: names it, and opens nothing. */
export function sessionHandle(id: string): string {
  return digest('session handle', id)
}

/** Digests of the sessions at hand: one that is remembered is asked about with each request. */
const handles = new WeakMap<EndableSession, string>()
const keys = new WeakMap<EndableSession, string[]>()

/** The same as `sessionHandle` of its id. */
export function handleOf(session: EndableSession): string {
  const known = handles.get(session)
  if (known !== undefined) return known
  const handle = sessionHandle(session.id)
  handles.set(session, handle)
  return handle
}

function keysOf(session: EndableSession): string[] {
  const known = keys.get(session)
  if (known) return known
  const { issuer, sid, subject } = session
  const made = [handleKey(handleOf(session)), sidKey(issuer, sid), subjectKey(issuer, subject)]
  keys.set(session, made)
  return made
}

const handleKey = (handle: string) => `ended:session:${digest(handle)}`
// A session without the one or the other asks for a key that no end is ever marked by.
const sidKey = (issuer: string, sid: string | undefined) => `ended:sid:${digest(issuer, sid)}`
const notedSidKey = (issuer: string, sid: string) => `noted:sid:${digest(issuer, sid)}`
const subjectKey = (issuer: string, subject: string | undefined) => `ended:subject:${digest(issuer, subject)}`

function digest(...parts: readonly (string | undefined)[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url')
}

/** Nothing for what was never written here: it must not read as "not ended". */
function parsed(kept: string | undefined): SubjectEnd | undefined {
  if (kept === undefined) return {}
  try {
    const { startedUntil, issuedUntil } = JSON.parse(kept) as Record<keyof SubjectEnd, unknown>
    return isTime(startedUntil) && isTime(issuedUntil) ? { startedUntil, issuedUntil } : undefined
  } catch {
    return undefined
  }
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

/** An end of nobody would seem to have worked. */
function named(what: string, name: unknown): string {
  if (typeof name === 'string' && name !== '') return name
  throw new OAuthError('invalid_configuration', { message: `the ${what} to end is not named` })
}

function laterOf(a: SubjectEnd, b: SubjectEnd): SubjectEnd {
  const startedUntil = Math.max(a.startedUntil ?? 0, b.startedUntil ?? 0)
  const issuedUntil = Math.max(a.issuedUntil ?? 0, b.issuedUntil ?? 0)
  return { startedUntil, issuedUntil }
}
