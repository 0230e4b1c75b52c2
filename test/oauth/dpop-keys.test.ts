import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader, importJWK, jwtVerify } from 'jose'
import { describe, expect, test } from 'vitest'
import { dpopKey, newDPoPKey, type DPoPKey } from '../../lib/oauth/dpop-key.js'
import { derivedDPoPKeys } from '../../lib/oauth/dpop-keys.js'
import { verifyDPoPProof } from '../../lib/oauth/dpop-proof.js'
import { targetUri } from '../../lib/oauth/target-uri.js'
import { everythingIn } from '../support/canaries.js'

const now = () => 1_800_000_000
const secrets = ['first-secret-'.padEnd(40, 'abcdefghij'), 'second-secret'.padEnd(40, 'klmnopqrst')]
const [first = '', second = ''] = secrets
const keysOf = (list: readonly string[], purpose = 'dpop key test', isWanted = true) =>
  derivedDPoPKeys(list, { purpose, isWanted, now })
const request = { method: 'POST', url: 'https://api.example/v1/a', accessToken: 'token', nonce: undefined }

function judged(key: DPoPKey, proof: string, { method, url, accessToken: token } = request) {
  return verifyDPoPProof(
    proof,
    { method, uri: targetUri(url), token, thumbprint: key.thumbprint },
    { algorithms: ['ES256'], lifetime: 60, clockTolerance: 0, now },
  )
}

describe('a proof', () => {
  test('says what it must, and is signed by the key that it names', async () => {
    const key = newDPoPKey(now)
    const proof = key.proof({ ...request, nonce: 'a-nonce' })
    expect(await judged(key, proof)).toMatchObject({ nonce: 'a-nonce' })
    const { alg, jwk, ...header } = decodeProtectedHeader(proof)
    expect(Object.keys(jwk ?? {}).toSorted()).toEqual(['crv', 'kty', 'x', 'y'])
    expect(header).toEqual({ typ: 'dpop+jwt' })
    expect(await calculateJwkThumbprint(jwk ?? {})).toBe(key.thumbprint)
    const { payload } = await jwtVerify(proof, await importJWK(jwk ?? {}, alg), { currentDate: new Date(0) })
    expect(payload).toEqual({
      jti: expect.stringMatching(/^[\w-]{22}$/),
      htm: 'POST',
      htu: 'https://api.example/v1/a',
      iat: now(),
      ath: 'PEaenWxYddN6Q_NT1PiOYfz4EsZu7jRXRlpAsNpBU-A',
      nonce: 'a-nonce',
    })
  })

  test.each([
    ['https://api.example', 'https://api.example/'],
    ['https://api.example/a?secret=1', 'https://api.example/a'],
    ['https://api.example/a#part', 'https://api.example/a'],
    ['https://api.example/a%2fb%7e%C3%BC?x', 'https://api.example/a%2fb%7e%C3%BC'],
    ['http://localhost:8080/a', 'http://localhost:8080/a'],
  ])('for %s names %s', async (url, htu) => {
    const key = newDPoPKey(now)
    const proof = key.proof({ ...request, url })
    expect(decodeJwt(proof)['htu']).toBe(htu)
    await expect(judged(key, proof, { ...request, url: htu })).resolves.toBeDefined()
  })

  test('is made anew each time, and has no nonce where there is none', () => {
    const key = newDPoPKey(now)
    const proofs = Array.from({ length: 100 }, () => key.proof(request))
    expect(new Set(proofs.map((proof) => decodeJwt(proof).jti)).size).toBe(100)
    expect(decodeJwt(key.proof(request))).not.toHaveProperty('nonce')
  })
})

describe('the keys of secrets', () => {
  test('are the same in each instance and after each update', () => {
    // Computed by another program (HKDF, FIPS 186-5 §A.2.1). A change here takes the bound tokens of all users away.
    expect(keysOf([first]).current?.thumbprint).toBe('pKZSaBp_YOIDkCP3neUDz-AEz0qJS3tdk1_OIwLzbm8')
    expect(keysOf([second]).current?.thumbprint).toBe('yEI4rb16TOEA3vu3BUAd2md4j_PHFBGM28S9HAOkbN4')
  })

  test('the first is for new tokens, all are found by name', async () => {
    const keys = keysOf(secrets)
    expect(keys.current?.thumbprint).toBe(keysOf([first]).current?.thumbprint)
    const old = keysOf([second]).current
    const found = keys.named(old?.thumbprint)
    expect(found && (await judged(found, found.proof(request)))).toBeDefined()
    expect(found?.thumbprint).toBe(old?.thumbprint)
    expect([keys.named('x'), keys.named(undefined), keys.named('')]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
  })

  test('are found where no new ones are wanted', () => {
    const keys = keysOf(secrets, undefined, false)
    expect(keys.current).toBeUndefined()
    expect(keys.named(keysOf([first]).current?.thumbprint)).toBeDefined()
  })

  test('T73 are others for another purpose, which names the authorization server', () => {
    const names = ['a', 'b'].map((purpose) => keysOf([first], purpose).current?.thumbprint)
    expect(new Set(names).size).toBe(2)
  })
})

test('T77 no log shows the private key', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = dpopKey(privateKey, now)
  const { d = '' } = privateKey.export({ format: 'jwk' })
  const shown = [everythingIn(key), JSON.stringify(key), key.proof(request), everythingIn(keysOf(secrets))]
  expect(d).toHaveLength(43)
  expect(shown.filter((text) => text.includes(d))).toEqual([])
  expect(createPublicKey(privateKey).export({ format: 'jwk' })).not.toHaveProperty('d')
})
