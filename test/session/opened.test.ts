/** What is remembered of opened cookies: no more than there is room for, and nothing that a handler can change. */
import { describe, expect, test } from 'vitest'
import { createSeal } from '../../lib/seal.js'
import { cookieStorage } from '../../lib/session/cookie-storage.js'
import { createOpened } from '../../lib/session/opened.js'
import type { Session } from '../../lib/session/session.js'
import type { TokenSet } from '../../lib/oauth/token-set.js'
import type { IncomingMessage } from 'node:http'

interface Value {
  readonly name: string
  roles?: string[]
}

function memory({ most = 3, mostCharacters = 1_000 } = {}) {
  const clock = { now: 1_000 }
  const opened = createOpened<Value>({ most, mostCharacters, now: () => clock.now })
  const keep = (sealed: string, context?: string) =>
    opened.keep({ name: sealed }, { sealed, until: 2_000, ...(context !== undefined && { context }) })
  const has = (sealed: string) => opened.get(sealed) !== undefined
  return { clock, opened, keep, has }
}

const text = (head: string, length = 40) => `${head.repeat(length)}${head.repeat(16)}`

describe('T61 a cookie that was opened before', () => {
  test('is known by all of its text, not by its end alone', () => {
    const { keep, has } = memory()
    keep(`a${text('x')}`)
    expect([has(`a${text('x')}`), has(`b${text('x')}`), has(text('x'))]).toEqual([true, false, false])
  })

  test('opens nowhere but in its place', () => {
    const { opened, keep } = memory()
    keep(text('x'), 'one session')
    expect(opened.get(text('x'), 'one session')).toBeDefined()
    expect([opened.get(text('x'), 'another'), opened.get(text('x'))]).toEqual([undefined, undefined])
  })

  test('is forgotten at its end', () => {
    const { clock, keep, has } = memory()
    keep(text('x'))
    clock.now = 1_999
    expect(has(text('x'))).toBe(true)
    clock.now = 2_000
    expect(has(text('x'))).toBe(false)
    clock.now = 1_999
    expect(has(text('x'))).toBe(false)
  })

  test('goes when it was not used for longest and there is no more room', () => {
    const { keep, has } = memory()
    for (const head of ['a', 'b', 'c']) keep(text(head))
    expect(has(text('a'))).toBe(true)
    keep(text('d'))
    expect(['a', 'b', 'c', 'd'].map((head) => has(text(head)))).toEqual([true, false, true, true])
  })

  test('takes no more room than there is, however long it is', () => {
    const { keep, has } = memory({ most: 100, mostCharacters: 200 })
    for (const head of ['a', 'b', 'c', 'd', 'e']) keep(text(head, 44))
    expect(['a', 'b', 'c', 'd', 'e'].map((head) => has(text(head, 44)))).toEqual([
      false,
      false,
      true,
      true,
      true,
    ])
    keep(text('f', 300))
    expect([has(text('f', 300)), has(text('e', 44))]).toEqual([false, true])
    // What was kept twice counts once.
    for (let times = 0; times < 5; times += 1) keep(text('e', 44))
    expect([has(text('c', 44)), has(text('d', 44))]).toEqual([true, true])
  })

  test('is the same for all requests, so that none can change it', () => {
    const { opened } = memory()
    const value = { name: 'user', roles: ['reader'] }
    opened.keep(value, { sealed: text('x'), until: 2_000 })
    expect(() => opened.get(text('x'))?.roles?.push('admin')).toThrow(TypeError)
    expect(opened.get(text('x'))?.roles).toEqual(['reader'])
  })
})

describe('T61 the session cookie', () => {
  const secret = 'a secret of thirty-two bytes or more'
  const session: Session = {
    id: 'an id',
    issuer: 'https://op.example',
    subject: 'subject-1',
    claims: { roles: ['reader'] },
    scope: [],
    startedAt: 0,
    seenAt: 0,
    endsAt: 2_000_000_000,
  }
  const sealed = createSeal<Session>([secret], 'session').seal(session)
  const storage = (key: string) =>
    cookieStorage({
      name: 'oauth',
      sessionSeal: createSeal<Session>([key], 'session'),
      tokensSeal: createSeal<TokenSet>([key], 'tokens'),
      secure: true,
      now: () => 1_000,
    })
  const request = (cookie: string) => ({ headers: { cookie } }) as IncomingMessage

  test('is opened once for all requests with it, and frozen from the first', () => {
    const { read } = storage(secret)
    const [first, second] = [read(request(`oauth=${sealed}`)), read(request(`oauth=${sealed}; a=b`))]
    expect(first).toEqual(session)
    expect(second).toBe(first)
    expect(() => (first?.claims['roles'] as string[] | undefined)?.push('admin')).toThrow(TypeError)
  })

  test('is opened by no seal that has not made it, whatever another has opened', () => {
    expect(storage(secret).read(request(`oauth=${sealed}`))).toEqual(session)
    expect(storage(`another ${secret}`).read(request(`oauth=${sealed}`))).toBeUndefined()
  })

  test.each([
    [
      'a letter of the tag is another',
      (sealedText: string) => sealedText.slice(0, -1) + (sealedText.endsWith('A') ? 'Q' : 'A'),
    ],
    [
      'a letter of the sealedText is another',
      (sealedText: string) => sealedText.replace(/\.[\w-]+$/, (tag) => `A${tag}`),
    ],
    ['its header is another', (sealedText: string) => `A${sealedText}`],
  ])('is no session when %s, also after it was opened', (_what, spoil) => {
    const { read } = storage(secret)
    expect(read(request(`oauth=${sealed}`))).toBeDefined()
    expect(read(request(`oauth=${spoil(sealed)}`))).toBeUndefined()
    expect(read(request(`oauth=${spoil(sealed)}`))).toBeUndefined()
  })

  test.each([
    `oauth=${sealed}; oauth=planted`,
    `oauth=planted; oauth=${sealed}`,
    `oauth=${sealed};\t oauth \t=planted`,
    `oauth=${sealed};oauth`,
    `oauth=${sealed}; oauth; a=b`,
    `\u00a0oauth=planted; oauth=${sealed}`,
  ])('is no session when it came twice: %#', (cookie) => {
    const { read } = storage(secret)
    expect(read(request(`oauth=${sealed}`))).toBeDefined()
    expect(read(request(cookie))).toBeUndefined()
  })

  test.each([
    `my_oauth=1; oauth=${sealed}`,
    `oauth.x=1; oauth=${sealed}`,
    `a=oauth=1; oauth=${sealed}; oauths=1`,
  ])('is not taken for another whose name or value has its name in it: %#', (cookie) => {
    expect(storage(secret).read(request(cookie))).toBeDefined()
  })
})
