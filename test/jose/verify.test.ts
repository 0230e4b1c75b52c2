import { KeyObject } from 'node:crypto'
import { generateKeyPair, SignJWT, type CryptoKey } from 'jose'
import { expect, test } from 'vitest'
import { OAuthError } from '../../lib/errors.js'
import { parseJwt } from '../../lib/jose/jwt.js'
import type { KeySet } from '../../lib/jose/key-set.js'
import { staticKeySet } from '../../lib/jose/static-key-set.js'
import { verifySignature } from '../../lib/jose/verify.js'

function keySet(...keys: CryptoKey[]): KeySet {
  return staticKeySet(keys.map((key) => KeyObject.from(key)))
}

test.each([
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
])('%s is verified, and a changed signature or payload is not', async (alg) => {
  const { publicKey, privateKey } = await generateKeyPair(alg)
  const token = await new SignJWT({ sub: 's' }).setProtectedHeader({ alg }).sign(privateKey)
  const set = keySet(publicKey)
  expect(set.trusts(await verifySignature(set, parseJwt(token)))).toBe(true)

  const [header = '', payload = '', signature = ''] = token.split('.')
  const changed = Buffer.from(signature, 'base64url')
  changed.writeUInt8(changed.readUInt8(9) ^ 1, 9)
  const forgeries = [
    `${header}.${payload}.${changed.toString('base64url')}`,
    `${header}.${Buffer.from('{"sub":"other"}').toString('base64url')}.${signature}`,
    `${header}.${payload}.AAAA`,
  ]
  for (const forged of forgeries) {
    await expect(verifySignature(keySet(publicKey), parseJwt(forged))).rejects.toMatchObject({
      code: 'invalid_token',
      reason: 'signature',
    })
  }
})

test('any of several keys may have signed, and one of them must', async () => {
  const pairs = await Promise.all([1, 2, 3].map(() => generateKeyPair('ES256')))
  const [first, second, third] = pairs
  if (!first || !second || !third) throw new Error('three pairs are needed')
  const token = await new SignJWT({}).setProtectedHeader({ alg: 'ES256' }).sign(third.privateKey)
  const all = keySet(first.publicKey, second.publicKey, third.publicKey)
  const [, , key] = await all.keysFor(parseJwt(token))
  expect(await verifySignature(all, parseJwt(token))).toBe(key)
  await expect(
    verifySignature(keySet(first.publicKey, second.publicKey), parseJwt(token)),
  ).rejects.toMatchObject({ reason: 'signature' })
  const { publicKey: other } = await generateKeyPair('ES384')
  await expect(verifySignature(keySet(other), parseJwt(token))).rejects.toMatchObject({
    reason: 'unknown_key',
  })
})

test('keys that cannot be had are another matter than a bad signature', async () => {
  const away: KeySet = {
    keysFor: async () => {
      throw new OAuthError('key_set_unavailable')
    },
    newKeysFor: async () => [],
    trusts: () => false,
    ready: async () => undefined,
  }
  const { privateKey } = await generateKeyPair('ES256')
  const token = await new SignJWT({}).setProtectedHeader({ alg: 'ES256' }).sign(privateKey)
  await expect(verifySignature(away, parseJwt(token))).rejects.toMatchObject({
    code: 'key_set_unavailable',
    status: 503,
  })
})
