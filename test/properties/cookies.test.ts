/** Cookies and seals: what was not written by us is nothing, and nothing makes them throw. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fitChunkedCookies, readChunkedCookie, writeChunkedCookie } from '../../lib/session/chunked-cookie.js'
import { cookieNames, readCookie } from '../../lib/session/cookies.js'
import { createSeal } from '../../lib/seal.js'

const secret = 'Zp3vKq8sXw1yB5nM7tRc2dFg4hJk6lQa'
const base64url = fc.stringMatching(/^[A-Za-z0-9_-]+$/)

describe('reading cookies', () => {
  const name = fc.constantFrom(
    'oauth',
    'oauth.1',
    'oauth.2',
    'oauth.login.a',
    '__Host-oauth',
    'x',
    '__proto__',
    '',
  )
  const value = fc.oneof(
    fc.string({ maxLength: 30 }),
    fc.constantFrom(
      '',
      '"',
      '%',
      '%ZZ',
      '%00',
      'j:{',
      'j:{"a":1}',
      '2~',
      '9~a',
      '99999999~',
      '2~x',
      '=',
      '==',
      '"a;b"',
    ),
  )
  const pair = fc.tuple(name, fc.constantFrom('=', ' = ', '', '=='), value).map((parts) => parts.join(''))
  const header = fc.oneof(
    fc.array(pair, { maxLength: 8 }).map((pairs) => pairs.join('; ')),
    fc.array(pair, { maxLength: 8 }).map((pairs) => pairs.join(';')),
    fc.string({ maxLength: 200 }),
  )

  it('never throws, and gives text or nothing', () => {
    fc.assert(
      fc.property(header, (cookie) => {
        for (const read of [readCookie, readChunkedCookie]) {
          const found = read(request(cookie), 'oauth')
          expect(found === undefined || typeof found === 'string').toBe(true)
        }
        expect(cookieNames(request(cookie), 'oauth.').every((found) => found.startsWith('oauth.'))).toBe(true)
      }),
      { numRuns: 5_000 },
    )
  })

  it('gives what was sent once, and nothing that was sent twice', () => {
    fc.assert(
      fc.property(base64url, base64url, fc.array(pair, { maxLength: 4 }), (first, second, others) => {
        const strangers = others.filter((other) => !/^\s*oauth\s*(?:=|$)/.test(other) && !other.includes(';'))
        const alone = [...strangers, `oauth=${first}`].join('; ')
        expect(readCookie(request(alone), 'oauth')).toBe(first)
        expect(readCookie(request(`oauth=${second}; ${alone}`), 'oauth')).toBe(undefined)
        expect(readCookie(request(`${alone};oauth=${second}`), 'oauth')).toBe(undefined)
      }),
      { numRuns: 5_000 },
    )
  })
})

describe('chunks', () => {
  it('come back as they were written, whatever was there before', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 7_400 }), fc.integer({ min: 0, max: 4 }), (length, before) => {
        const value = 'x'.repeat(length)
        fc.pre(fitChunkedCookies({ oauth: length }))
        const old = Array.from({ length: before }, (_, index) => `oauth${index === 0 ? '' : `.${index}`}=old`)
        const jar = new Map(old.map((cookie) => cookie.split('=', 2) as [string, string]))
        const response = headers()
        writeChunkedCookie(request(old.join('; ')), response, 'oauth', value, { maxAge: 60, secure: false })
        for (const cookie of [response.getHeader('set-cookie')].flat()) {
          const [, name = '', text = '', age] = /^([^=]+)=([^;]*); Max-Age=(\d+)/.exec(String(cookie)) ?? []
          if (age === '0') jar.delete(name)
          else jar.set(name, text)
          expect(String(cookie).length).toBeLessThanOrEqual(4_096)
        }
        const sent = [...jar].map((cookie) => cookie.join('=')).join('; ')
        expect(readChunkedCookie(request(sent), 'oauth')).toBe(value)
        expect(jar.size).toBe(Math.ceil(length / 3_898))
      }),
      { numRuns: 300 },
    )
  })
})

describe('a seal', () => {
  const seal = createSeal<unknown>([secret], 'p')

  it('gives back what went in', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.option(fc.string(), { nil: undefined }), (value, context) => {
        expect(seal.open(seal.seal(value, context), context)).toEqual(JSON.parse(JSON.stringify(value)))
      }),
      { numRuns: 2_000 },
    )
  })

  it('that was changed in any place does not open', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.nat(), fc.integer({ min: 1, max: 255 }), (value, place, change) => {
        const [header = '', , ...rest] = seal.seal(value).split('.')
        const bytes = [header, ...rest].map((part) => Buffer.from(part, 'base64url'))
        const all = Buffer.concat(bytes)
        const at = place % all.length
        all.writeUInt8(all.readUInt8(at) ^ change, at)
        let start = 0
        const changed = bytes.map((part) => all.subarray(start, (start += part.length)).toString('base64url'))
        expect(seal.open([changed[0], '', ...changed.slice(1)].join('.'))).toBe(undefined)
      }),
      { numRuns: 5_000 },
    )
  })

  it('that was cut, doubled, extended or made up does not open', () => {
    const made = seal.seal({ a: 1 })
    const forged = fc.oneof(
      fc.nat(made.length - 1).map((length) => made.slice(0, length)),
      fc.nat(made.length - 1).map((start) => made.slice(start + 1)),
      fc
        .nat(made.length)
        .chain((at) =>
          fc.string({ minLength: 1, maxLength: 5 }).map((text) => made.slice(0, at) + text + made.slice(at)),
        ),
      fc.array(base64url, { minLength: 5, maxLength: 5 }).map((parts) => parts.join('.')),
      fc.string(),
    )
    fc.assert(
      fc.property(forged, (text) => {
        fc.pre(!sameBytes(text, made))
        expect(seal.open(text)).toBe(undefined)
      }),
      { numRuns: 10_000 },
    )
  })

  /** Node reads base64url leniently: some texts are other spellings of the same bytes. */
  function sameBytes(text: string, other: string): boolean {
    const bytes = (sealed: string) =>
      sealed
        .split('.')
        .map((part) => Buffer.from(part, 'base64url').toString('hex'))
        .join('.')
    return bytes(text) === bytes(other)
  }
})

function request(cookie: string): IncomingMessage {
  return { headers: { cookie } } as IncomingMessage
}

/** What of a response cookies are written to. */
function headers(): ServerResponse {
  const kept = new Map<string, unknown>()
  return {
    getHeader: (name: string) => kept.get(name),
    setHeader: (name: string, value: unknown) => kept.set(name, value),
    writeHead: () => undefined,
  } as unknown as ServerResponse
}
