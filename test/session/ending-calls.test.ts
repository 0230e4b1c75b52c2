/** Sessions that somebody else ends: everywhere at once, and nobody's but those. */
import { describe, expect, test } from 'vitest'
import { getAuth, memoryStore, type Store } from '../../lib/index.js'
import { createEndings } from '../../lib/session/endings.js'
import { sharedTokenRecords } from '../../lib/session/token-records.js'
import { createSeal } from '../../lib/seal.js'
import { scopedStore } from '../../lib/stores/store.js'
import { json } from '../support/faulty-server/answer.js'
import { withClaims } from '../support/faulty-server/faults/modules-basic.js'
import { kinds, startInstances, type Instances, type InstancesOptions } from '../support/instances.js'
import { bare } from '../support/requests.js'
import { startStage } from '../support/stage.js'
import { travel } from '../support/time.js'

const routes: InstancesOptions['routes'] = ({ get }) =>
  get('/who', (req, res) => {
    const auth = getAuth(req)
    res.end(auth.kind === 'session' ? JSON.stringify([auth.subject, auth.sessionId]) : '')
  })

/** Each user is another one. */
const fault = withClaims((_op, { code }) => ({ sub: `subject of ${code}` }))

async function who({ get }: Instances, cookie: string): Promise<[subject: string, sessionId: string]> {
  return JSON.parse((await get(0, '/who', cookie)).body) as [string, string]
}

describe.each(kinds)('%s', (kind) => {
  test('a session that is ended by its name is refused by all instances at once', async () => {
    const all = await startInstances({ kind, routes, fault })
    const [one, other] = [await all.user(), await all.user()]
    const [, name] = await who(all, one)
    await all.apps[0].login.endSession(name)
    expect([await all.isIn(1, one), await all.isIn(0, one)]).toEqual([false, false])
    expect(await all.token(1, one)).toMatch(/^login_required/)
    expect([await all.isIn(0, other), await all.isIn(1, other)]).toEqual([true, true])
  })

  test('all sessions of a user, and none of another', async () => {
    const all = await startInstances({ kind, routes })
    const [one, again] = [await all.user(), await all.user()]
    all.server.misbehave(withClaims(() => ({ sub: 'somebody else' })))
    const other = await all.user()
    const [subject] = await who(all, one)
    await all.apps[0].login.endSessions(subject)
    for (const cookie of [one, again])
      expect([await all.isIn(1, cookie), await all.isIn(0, cookie)]).toEqual([false, false])
    expect([await all.isIn(0, other), await all.isIn(1, other)]).toEqual([true, true])
  })

  test('a login in the same second may be of before, and one of the next second is not', async () => {
    travel(0) // the clock stands still
    const all = await startInstances({ kind, routes })
    const before = await all.user()
    const [subject] = await who(all, before)
    await all.apps[1].login.endSessions(subject)
    // Nobody can tell which came first, so both are over.
    await expect(all.user()).rejects.toThrow('the login ended with')
    expect(await all.isIn(0, before)).toBe(false)
    travel(1)
    const later = await all.user()
    expect([await all.isIn(0, later), await all.isIn(1, later)]).toEqual([true, true])
  })

  test('a refresh that is under way brings nothing back', async () => {
    const all = await startInstances({ kind, routes })
    const cookie = await all.user()
    const [subject] = await who(all, cookie)
    travel(3_601)
    all.server.misbehave({
      async answerToken(_op, response) {
        await all.apps[1].login.endSessions(subject)
        return json(response)
      },
    })
    expect(await all.token(0, cookie)).toBe('login_required session_ended')
    expect([await all.isIn(0, cookie), await all.isIn(1, cookie)]).toEqual([false, false])
  })

  test('a store that is down: nobody is let in, nobody is signed out, and who ends sessions is told', async () => {
    let isDown = false
    const seenBy = (store: Store): Store => ({
      ...store,
      get: async (keys) => (isDown ? Promise.reject(new Error('down')) : store.get(keys)),
      set: async (...entry) => (isDown ? Promise.reject(new Error('down')) : store.set(...entry)),
    })
    const all = await startInstances({ kind, routes, seenBy })
    const cookie = await all.user()
    const [subject, name] = await who(all, cookie)
    isDown = true
    const { login } = all.apps[0]
    await expect(login.endSessions(subject)).rejects.toMatchObject({ code: 'store_unavailable' })
    await expect(login.endSession(name)).rejects.toMatchObject({ code: 'store_unavailable' })
    const page = await all.get(1, '/private', cookie)
    expect([page.status, page.setCookies]).toEqual([503, []])
    isDown = false
    expect(await all.isIn(1, cookie)).toBe(true)
  })
})

test('the browser of an ended session is told to forget its cookies', async () => {
  const all = await startInstances({ kind: 'cookies', routes })
  const cookie = await all.user()
  const [, name] = await who(all, cookie)
  await all.apps[0].login.endSession(name)
  const { setCookies } = await all.get(1, '/private', cookie)
  expect(new Set(setCookies.map((header) => header.split(';', 1)[0]))).toEqual(
    new Set(['oauth=', 'oauth.tokens=', 'oauth.fresh=']),
  )
})

test('whoever handles the refusal finds no user on the request', async () => {
  const seen: unknown[] = []
  const { app, signedIn } = await startStage({
    options: { onError: 'next' },
    routes: ({ get }) =>
      get('/id', (req, res) => {
        const auth = getAuth(req)
        res.end(auth.kind === 'session' ? auth.sessionId : '')
      }),
    before: [
      (req, res, next) => {
        res.on('finish', () => seen.push((req as unknown as { auth?: object }).auth))
        next()
      },
    ],
  })
  const browser = await signedIn()
  const { body } = await browser.visit(`${app.url}/id`)
  await app.login.endSession(body)
  seen.length = 0
  const cookie = await browser.jar.getCookieString(app.url)
  await bare(`${app.url}/private`, { accept: 'application/json', cookie })
  expect(seen).toEqual([undefined])
})

test.each([undefined, '', null, 7])('the end of %j is a mistake, and not a success', async (nobody) => {
  const { app } = await startStage()
  const mistake = { code: 'invalid_configuration' }
  await expect(app.login.endSession(nobody as string)).rejects.toMatchObject(mistake)
  await expect(app.login.endSessions(nobody as string)).rejects.toMatchObject(mistake)
})

describe('a store that gives rubbish', () => {
  const session = { id: 'a', issuer: 'https://as.example', subject: 'b', startedAt: 100 }

  test.each<[string, unknown]>([
    ['fewer values than keys', []],
    ['no list', {}],
    ['nothing', undefined],
    ['bytes', [Buffer.from('1'), undefined, undefined]],
    ['text that is no JSON', [undefined, undefined, 'rubbish']],
    ['null', [undefined, undefined, 'null']],
    ['another shape', [undefined, undefined, '{"startedUntil":"200","issuedUntil":0}']],
    ['a part', [undefined, undefined, '{"startedUntil":50}']],
  ])('%s is store_unavailable, and no session that goes on', async (_what, answer) => {
    const store = scopedStore(
      { ...memoryStore(), get: async () => answer as string[] },
      { scope: 'app', timeout: 1 },
    )
    const endings = createEndings({ store, absoluteLifetime: 60, now: () => 100 })
    await expect(endings.hasEnded(session)).rejects.toMatchObject({ code: 'store_unavailable' })
  })

  test('null for what is missing is a slip that means nothing', async () => {
    const store = scopedStore(
      { ...memoryStore(), get: async (keys) => keys.map(() => null as unknown as undefined) },
      { scope: 'app', timeout: 1 },
    )
    const endings = createEndings({ store, absoluteLifetime: 60, now: () => 100 })
    expect(await endings.hasEnded(session)).toBe(false)
  })

  test.each(['add', 'replace', 'delete'] as const)('%s that does not say whether it did', async (method) => {
    const store = scopedStore(
      { ...memoryStore(), [method]: async () => 'OK' },
      { scope: 'app', timeout: 1 },
    ) as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>
    await expect(store[method]?.('key', 'a', 'b', 60)).rejects.toMatchObject({ code: 'store_unavailable' })
  })

  test('an unreadable end is written anew', async () => {
    const memory = memoryStore()
    const store = scopedStore(memory, { scope: 'app', timeout: 1 })
    let rubbish: string[] = []
    const spoilt: Store = {
      ...store,
      async get(keys) {
        rubbish = [...keys]
        return store.get(keys)
      },
    }
    const endings = createEndings({ store: spoilt, absoluteLifetime: 60, now: () => 100 })
    await endings.endSubject(session.issuer, session.subject)
    await store.set(String(rubbish[0]), 'rubbish', 60)
    await endings.endSubject(session.issuer, session.subject)
    expect(await endings.hasEnded(session)).toBe(true)
  })

  test('reads that are old for ever end in store_unavailable, and not in a circle', async () => {
    const memory = memoryStore()
    const old: Store = { ...memory, add: async () => false, replace: async () => false }
    const endings = createEndings({ store: old, absoluteLifetime: 60, now: () => 100 })
    await expect(endings.endSubject(session.issuer, session.subject)).rejects.toMatchObject({
      code: 'store_unavailable',
      reason: 'contended',
    })
    const records = sharedTokenRecords(old, {
      seal: createSeal(['a secret that is long enough for anybody'], 'test'),
      now: () => 100,
    })
    const stored = { ...session, claims: {}, scope: [], seenAt: 100, endsAt: 200 }
    const tokens = { access_token: 'a', scope: [], generation: 0 }
    await records.begin(undefined as never, stored, tokens)
    await expect(
      records.renew(undefined as never, stored, { ...tokens, generation: 1 }),
    ).rejects.toMatchObject({ reason: 'contended' })
  })
})
