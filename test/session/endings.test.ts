import { describe, expect, test } from 'vitest'
import { createEndings, sessionHandle, type EndableSession } from '../../lib/session/endings.js'
import { memoryStore } from '../../lib/stores/memory-store.js'
import type { Store } from '../../lib/stores/store.js'

const issuer = 'https://auth.example.com'
const start = 1_000_000

const session: EndableSession = {
  id: 'id-1',
  issuer,
  subject: 'alice',
  sid: 'sid-1',
  startedAt: start,
  issuedAt: start - 5,
}

function endings(store: Store = memoryStore()) {
  const clock = { now: start }
  return { clock, ...createEndings({ store, absoluteLifetime: 600, now: () => clock.now }) }
}

/** A store that tells what was written, and for how long. */
function recording() {
  const store = memoryStore()
  const written: [key: string, value: string, ttl: number][] = []
  const noted: Store = {
    ...store,
    set: (key, value, ttl) => store.set(key, value, (written.push([key, value, ttl]), ttl)),
    add: (key, value, ttl) => store.add(key, value, (written.push([key, value, ttl]), ttl)),
  }
  return { store: noted, written }
}

test('nothing has ended by itself', async () => {
  expect(await endings().hasEnded(session)).toBe(false)
})

describe('the end of one session', () => {
  test('by its handle', async () => {
    const { endSession, hasEnded } = endings()
    await endSession(sessionHandle('id-1'))
    expect(await hasEnded(session)).toBe(true)
    expect(await hasEnded({ ...session, id: 'id-2' })).toBe(false)
  })

  test('the handle opens nothing', () => {
    expect(sessionHandle('id-1')).not.toContain('id-1')
    expect(sessionHandle('id-1')).not.toBe(sessionHandle('id-2'))
  })

  test('by the name that the server has for it, at that server only', async () => {
    const { endSid, hasEnded } = endings()
    await endSid(issuer, 'sid-1')
    expect(await hasEnded(session)).toBe(true)
    expect(await hasEnded({ ...session, id: 'id-2', issuedAt: start + 100 })).toBe(true)
    expect(await hasEnded({ ...session, sid: 'sid-2' })).toBe(false)
    expect(await hasEnded({ ...session, issuer: 'https://other.example.com' })).toBe(false)
  })

  test('a session without a name is not meant by any', async () => {
    const { endSid, hasEnded } = endings()
    const { sid: _sid, ...nameless } = session
    for (const sid of ['null', 'undefined', '']) await endSid(issuer, sid)
    expect(await hasEnded(nameless)).toBe(false)
  })
})

describe('the end of all sessions of a user', () => {
  test('up to now, by our clock', async () => {
    const { clock, endSubject, hasEnded } = endings()
    clock.now = start + 10
    await endSubject(issuer, 'alice')
    expect(await hasEnded(session)).toBe(true)
    expect(await hasEnded({ ...session, startedAt: start + 10 })).toBe(true)
    expect(await hasEnded({ ...session, startedAt: start + 11 })).toBe(false)
  })

  test('up to a time of the server, by its clock', async () => {
    const { endSubjectAsOf, hasEnded } = endings()
    await endSubjectAsOf(issuer, 'alice', start - 5)
    expect(await hasEnded(session)).toBe(true)
    expect(await hasEnded({ ...session, issuedAt: start - 4 })).toBe(false)
    const { issuedAt: _issuedAt, ...undated } = session
    expect(await hasEnded({ ...undated, startedAt: start - 5 })).toBe(true)
    expect(await hasEnded({ ...undated, startedAt: start - 4 })).toBe(false)
  })

  test('of that user at that server only', async () => {
    const { endSubject, hasEnded } = endings()
    await endSubject(issuer, 'alice')
    expect(await hasEnded({ ...session, subject: 'bob' })).toBe(false)
    expect(await hasEnded({ ...session, issuer: 'https://other.example.com' })).toBe(false)
    const { subject: _subject, ...nobody } = session
    expect(await hasEnded(nobody)).toBe(false)
  })

  test('an end that is told late takes none back', async () => {
    const { endSubjectAsOf, endSubject, hasEnded } = endings()
    await endSubjectAsOf(issuer, 'alice', start)
    await endSubjectAsOf(issuer, 'alice', start - 100)
    expect(await hasEnded(session)).toBe(true)
    await endSubject(issuer, 'alice')
    await endSubjectAsOf(issuer, 'alice', start - 100)
    expect(await hasEnded({ ...session, issuedAt: start + 1 })).toBe(true)
    expect(await hasEnded({ ...session, issuedAt: start, startedAt: start + 1 })).toBe(true)
  })

  test('of fifty ends at the same time the latest counts', async () => {
    const { endSubjectAsOf, hasEnded } = endings()
    const times = Array.from({ length: 50 }, (_, index) => start + ((index * 7) % 50))
    await Promise.all(times.map((time) => endSubjectAsOf(issuer, 'alice', time)))
    expect(await hasEnded({ ...session, issuedAt: start + 49 })).toBe(true)
    expect(await hasEnded({ ...session, issuedAt: start + 50 })).toBe(false)
  })
})

describe('a session that is noted', () => {
  test('can be ended, and one that is not leaves nothing in the store', async () => {
    const { store, written } = recording()
    const { noteSid, endNotedSid, hasEnded } = endings(store)
    await endNotedSid(issuer, 'sid-1')
    expect(await hasEnded(session)).toBe(false)
    expect(written).toEqual([])
    await noteSid(issuer, 'sid-1')
    expect(await hasEnded(session)).toBe(false)
    await endNotedSid('https://other.example.com', 'sid-1')
    expect(await hasEnded(session)).toBe(false)
    await endNotedSid(issuer, 'sid-1')
    expect(await hasEnded(session)).toBe(true)
  })
})

test('every mark outlives the sessions, and says nothing about anybody', async () => {
  const { store, written } = recording()
  const { endSession, endSid, endSubject, noteSid } = endings(store)
  await endSession(sessionHandle('id-1'))
  await endSid(issuer, 'sid-1')
  await endSubject(issuer, 'alice')
  await noteSid(issuer, 'sid-1')
  expect(written).toHaveLength(4)
  for (const [key, value, ttl] of written) {
    expect(ttl).toBeGreaterThan(600)
    expect(key + value).not.toMatch(/alice|sid-1|id-1|auth\.example/)
  }
})

test('a store that is away says so, and is not taken for one that knows of no end', async () => {
  const down = async () => Promise.reject(new Error('the store is down'))
  const store: Store = { get: down, set: down, add: down, replace: down, delete: down }
  const { hasEnded, endSid, endSubject, endNotedSid } = endings(store)
  await expect(hasEnded(session)).rejects.toThrow('the store is down')
  await expect(endSid(issuer, 'sid-1')).rejects.toThrow('the store is down')
  await expect(endSubject(issuer, 'alice')).rejects.toThrow('the store is down')
  await expect(endNotedSid(issuer, 'sid-1')).rejects.toThrow('the store is down')
})
