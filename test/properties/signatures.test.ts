/** Spellings of a JWT and its signature: what jose refuses is refused here, and what Node would spell anew, too. */
import { constants, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import * as fc from 'fast-check'
import { compactVerify } from 'jose'
import { describe, expect, it } from 'vitest'
import { isOAuthError } from '../../lib/index.js'
import { parseJwt, type Algorithm } from '../../lib/jose/jwt.js'
import { staticKeySet } from '../../lib/jose/static-key-set.js'
import { verifySignature } from '../../lib/jose/verify.js'

const segment = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

describe('the spelling of a segment', () => {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'.split('')
  const encoded = fc.oneof(
    fc.array(fc.constantFrom(...alphabet), { maxLength: 12 }).map((letters) => letters.join('')),
    fc
      .array(fc.constantFrom(...alphabet, '+', '/', '=', ' ', '\n', 'ı'), { maxLength: 8 })
      .map((a) => a.join('')),
    fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString('base64url')),
  )

  it('is good when Node would spell its bytes the same way, and only then', () => {
    const front = `${segment({ alg: 'RS256' })}.${segment({})}`
    fc.assert(
      fc.property(encoded, (text) => {
        const isCanonical = text !== '' && Buffer.from(text, 'base64url').toString('base64url') === text
        expect(isGood(`${front}.${text}`)).toBe(isCanonical)
      }),
      { numRuns: 20_000 },
    )
  })

  it.each([0, 1])('is judged in the same way in place %i', (place) => {
    const parts = [segment({ alg: 'RS256' }), segment({ sub: 'a' }), 'AAAA']
    fc.assert(
      fc.property(fc.constantFrom(...alphabet, '='), fc.nat(3), (last, more) => {
        const filler = 'x'.repeat(more)
        const value = place === 0 ? { alg: 'RS256', filler } : { filler }
        const text = segment(value).slice(0, -1) + last
        const isCanonical = Buffer.from(text, 'base64url').toString('base64url') === text
        fc.pre(!isCanonical)
        expect(isGood(parts.with(place, text).join('.'))).toBe(false)
        expect(isGood(parts.with(place, segment(value)).join('.'))).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  function isGood(token: string): boolean {
    try {
      parseJwt(token)
      return true
    } catch (error) {
      if (!isOAuthError(error)) throw error
      return false
    }
  }
})

describe('a signature that was tampered with', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const keys: Partial<Record<Algorithm, { publicKey: KeyObject; privateKey: KeyObject; hash?: string }>> = {
    RS256: { ...rsa, hash: 'sha256' },
    PS256: { ...rsa, hash: 'sha256' },
    ES256: { ...generateKeyPairSync('ec', { namedCurve: 'P-256' }), hash: 'sha256' },
    ES512: { ...generateKeyPairSync('ec', { namedCurve: 'P-521' }), hash: 'sha512' },
    EdDSA: generateKeyPairSync('ed25519'),
  }
  const change = fc.oneof(
    fc.record({ kind: fc.constant('none' as const) }),
    fc.record({ kind: fc.constant('set' as const), at: fc.nat(300), byte: fc.integer({ min: 0, max: 255 }) }),
    fc.record({ kind: fc.constant('cut' as const), at: fc.nat(300) }),
    fc.record({ kind: fc.constant('add' as const), bytes: fc.uint8Array({ minLength: 1, maxLength: 4 }) }),
    fc.record({
      kind: fc.constant('other' as const),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 300 }),
    }),
  )

  function unknownKey(): never {
    throw new Error('there is no such key')
  }

  it.each(Object.keys(keys) as Algorithm[])(
    '%s: what jose refuses is refused, the rest is taken',
    async (alg) => {
      const { publicKey, privateKey, hash } = keys[alg] ?? unknownKey()
      const set = staticKeySet(publicKey)
      const front = `${segment({ alg })}.${segment({ sub: 'a' })}`
      const signature = sign(hash, Buffer.from(front), {
        key: privateKey,
        dsaEncoding: 'ieee-p1363',
        ...(alg === 'PS256' && { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }),
      })
      await fc.assert(
        fc.asyncProperty(change, async (one) => {
          const bytes = Buffer.from(signature)
          if (one.kind === 'set') bytes.writeUInt8(one.byte, one.at % bytes.length)
          const changed =
            one.kind === 'cut'
              ? bytes.subarray(0, 1 + (one.at % bytes.length))
              : one.kind === 'add'
                ? Buffer.concat([bytes, one.bytes])
                : one.kind === 'other'
                  ? Buffer.from(one.bytes)
                  : bytes
          const token = `${front}.${changed.toString('base64url')}`
          const byJose = await compactVerify(token, publicKey).then(
            () => true,
            () => false,
          )
          const byUs = await Promise.resolve(verifySignature(set, parseJwt(token))).then(
            () => true,
            (error: unknown) => (isOAuthError(error) && error.reason === 'signature' ? false : error),
          )
          expect(byUs).toBe(byJose)
        }),
        { numRuns: 150 },
      )
    },
  )
})
