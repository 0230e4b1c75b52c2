/** What can be done to a signature, and who else can make one (RFC 7518 §3, RFC 8032 §5.1.7). */
import { createHmac, createPublicKey, type KeyObject } from 'node:crypto'
import { setMember, signerOf, type Draft } from '../draft.js'
import { pick, type Mutation } from './mutation.js'

const orders: Partial<Record<string, bigint>> = {
  ES256: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  ES384: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
}
const edwardsOrder = 2n ** 252n + 27742317777372353535851937790883648493n

/** Of the bytes alone, whatever they are. */
const ofBytes: [string, (bytes: Buffer, random: () => number) => Buffer][] = [
  ['none', () => Buffer.alloc(0)],
  ['one byte', () => Buffer.alloc(1)],
  ['zeros', (bytes) => Buffer.alloc(bytes.length)],
  ['ones', (bytes) => Buffer.alloc(bytes.length, 0xff)],
  ['one bit changed', flipped],
  ['the first bit changed', (bytes) => flipped(bytes, () => 0)],
  ['the last bit changed', (bytes) => flipped(bytes, () => 1 - Number.EPSILON)],
  ['without its last byte', (bytes) => bytes.subarray(0, -1)],
  ['without its first byte', (bytes) => bytes.subarray(1)],
  ['cut somewhere', (bytes, random) => bytes.subarray(0, Math.floor(random() * bytes.length))],
  ['half of it', (bytes) => bytes.subarray(0, bytes.length / 2)],
  ['a zero after it', (bytes) => Buffer.concat([bytes, Buffer.alloc(1)])],
  ['a zero before it', (bytes) => Buffer.concat([Buffer.alloc(1), bytes])],
  ['twice', (bytes) => Buffer.concat([bytes, bytes])],
  ['four thousand zeros after it', (bytes) => Buffer.concat([bytes, Buffer.alloc(4_000)])],
  ['backwards', (bytes) => Buffer.from(bytes.toReversed())],
  ['halves exchanged', (bytes) => Buffer.concat(halves(bytes).toReversed())],
  ['the first half zero', (bytes) => Buffer.concat([Buffer.alloc(bytes.length / 2), halves(bytes)[1]])],
  ['the second half zero', (bytes) => Buffer.concat([halves(bytes)[0], Buffer.alloc(bytes.length / 2)])],
  ['in DER', (bytes) => der(halves(bytes))],
  ['as hex', (bytes) => Buffer.from(bytes.toString('hex'))],
  ['as base64url once more', (bytes) => Buffer.from(bytes.toString('base64url'))],
]

function changedBytes(): Mutation[] {
  return ofBytes.map(([name, change]) => ({
    name: `signature: ${name}`,
    apply: ({ signature }, random) => void signature.push((bytes) => change(bytes, random)),
  }))
}

/** Other numbers that may pass for the same: of ECDSA n − s is as good as s, and nothing else is. */
function otherNumbers(): Mutation[] {
  const changes: [string, (draft: Draft, bytes: Buffer) => Buffer][] = [
    ['s taken from n', (draft, bytes) => ofHalves(bytes, (r, s) => [r, orderFor(draft) - s])],
    ['r taken from n', (draft, bytes) => ofHalves(bytes, (r, s) => [orderFor(draft) - r, s])],
    ['r is n', (draft, bytes) => ofHalves(bytes, (_, s) => [orderFor(draft), s])],
    ['s is n', (draft, bytes) => ofHalves(bytes, (r) => [r, orderFor(draft)])],
    ['r and s are n', (draft, bytes) => ofHalves(bytes, () => [orderFor(draft), orderFor(draft)])],
    ['r and s are 1', (_, bytes) => ofHalves(bytes, () => [1n, 1n])],
    ['r plus n', (draft, bytes) => ofHalves(bytes, (r, s) => [r + orderFor(draft), s])],
    ['s plus n', (draft, bytes) => ofHalves(bytes, (r, s) => [r, s + orderFor(draft)])],
    ['S plus the order of the curve', (_, bytes) => edwardsTwin(bytes)],
    ['the number plus the modulus', (draft, bytes) => rsaTwin(draft, bytes)],
    ['the neutral point and zero', (_, bytes) => neutral(bytes)],
  ]
  return changes.map(([name, change]) => ({
    name: `signature: ${name}`,
    apply: (draft) => void draft.signature.push((bytes) => change(draft, bytes)),
  }))
}

/** By whom or how it was not to be signed. */
function otherSigners(): Mutation[] {
  const changes: [string, (draft: Draft) => Draft['signer']][] = [
    ['of a foreign key', ({ key, ring }) => signerOf(key.algorithm, ring.foreign[key.algorithm])],
    [
      'of another key of the issuer',
      ({ key, ring }) => {
        const other = ring.keys[key.algorithm === 'RS256' ? 'ES256' : 'RS256']
        return signerOf(other.algorithm, other)
      },
    ],
    ['by another hash', ({ key }) => signerOf(otherHash(key.algorithm), key)],
    ['by the other padding', ({ key }) => signerOf(otherPadding(key.algorithm), key)],
    ['with a salt of no bytes', ({ key }) => signerOf(key.algorithm, key, 0)],
    ['with a salt of 20 bytes', ({ key }) => signerOf(key.algorithm, key, 20)],
    ['with the longest salt', ({ key }) => signerOf(key.algorithm, key, 222)],
    ['of the claims alone', (draft) => (input) => draft.signer(input.split('.')[1] ?? '')],
    [
      'of other claims',
      ({ signer }) =>
        (input) =>
          signer(`${input}A`),
    ],
    [
      'of the other order',
      ({ signer }) =>
        (input) =>
          signer(input.split('.').toReversed().join('.')),
    ],
  ]
  return changes.map(([name, signer]) => ({
    name: `signature: ${name}`,
    apply: (draft) => void (draft.signer = signer({ ...draft })),
  }))
}

/** The public key as a secret: it is known to all. */
function hmacs(): Mutation[] {
  const secrets: [string, (key: KeyObject, jwk: object) => string | Buffer][] = [
    ['PEM', (key) => key.export({ type: 'spki', format: 'pem' })],
    ['PEM without its line end', (key) => String(key.export({ type: 'spki', format: 'pem' })).trim()],
    ['PEM after a line end', (key) => `\n${String(key.export({ type: 'spki', format: 'pem' }))}`],
    ['DER', (key) => key.export({ type: 'spki', format: 'der' })],
    ['JWK', (_, jwk) => JSON.stringify(jwk)],
    ['modulus or x', (_, jwk) => Buffer.from(String('n' in jwk ? jwk.n : 'x' in jwk && jwk.x), 'base64url')],
    ['kid', (_, jwk) => String('kid' in jwk && jwk.kid)],
    ['empty', () => ''],
  ]
  return secrets.flatMap(([name, secret]) =>
    [256, 384, 512].flatMap((bits) =>
      [true, false].map((isSaid) => ({
        name: `signature: an HMAC of ${bits} bits with the public key as ${name}${isSaid ? ', said so' : ''}`,
        apply(draft) {
          const { privateKey, jwk } = draft.key
          if (isSaid) setMember(draft.header, 'alg', JSON.stringify(`HS${bits}`))
          draft.signer = (input) =>
            createHmac(`sha${bits}`, secret(createPublicKey(privateKey), jwk))
              .update(input)
              .digest()
        },
      })),
    ),
  )
}

/** Nothing at all, and the header says so. */
const unsigned: Mutation[] = ['none', 'None', 'NONE', 'HS256'].map((alg) => ({
  name: `signature: none, and alg is ${alg}`,
  apply(draft) {
    setMember(draft.header, 'alg', JSON.stringify(alg))
    draft.signer = () => Buffer.alloc(0)
  },
}))

/** At places that chance picks. */
function manyBytes(count: number): Mutation {
  return {
    name: `signature: ${count} bytes changed`,
    apply: ({ signature }, random) => {
      const values = Array.from({ length: 256 }, (_, value) => value)
      for (let times = 0; times < count; times += 1) {
        const [value, place] = [pick(values, random), random()]
        signature.push((bytes) => {
          const copy = Buffer.from(bytes)
          if (copy.length > 0) copy[Math.floor(place * copy.length)] = value
          return copy
        })
      }
    },
  }
}

export const signatureMutations: readonly Mutation[] = [
  ...changedBytes(),
  ...[2, 8, 64].map(manyBytes),
  ...otherNumbers(),
  ...otherSigners(),
  ...hmacs(),
  ...unsigned,
]

function flipped(bytes: Buffer, random: () => number): Buffer {
  const copy = Buffer.from(bytes)
  const bit = Math.floor(random() * bytes.length * 8)
  if (copy.length > 0) copy[bit >> 3]! ^= 1 << (7 - (bit & 7))
  return copy
}

function halves(bytes: Buffer): [Buffer, Buffer] {
  return [bytes.subarray(0, bytes.length / 2), bytes.subarray(bytes.length / 2)]
}

function orderFor({ key }: Draft): bigint {
  return orders[key.algorithm] ?? edwardsOrder
}

function ofHalves(bytes: Buffer, change: (r: bigint, s: bigint) => [bigint, bigint]): Buffer {
  const size = Math.floor(bytes.length / 2)
  const [r, s] = halves(bytes).map(numberIn)
  return Buffer.concat(change(r ?? 0n, s ?? 0n).map((number) => bytesOf(number, size)))
}

/** RFC 8032 wants S below the order: with it once more, a careless verifier finds the same point. */
function edwardsTwin(bytes: Buffer): Buffer {
  if (bytes.length !== 64) return bytes.subarray(1)
  const [point, s] = halves(bytes)
  const twin = numberIn(Buffer.from(s.toReversed())) + edwardsOrder
  return Buffer.concat([point, bytesOf(twin, 32).toReversed()])
}

function rsaTwin({ key }: Draft, bytes: Buffer): Buffer {
  const { n } = key.jwk
  if (typeof n !== 'string') return bytes.subarray(1)
  return bytesOf(numberIn(bytes) + numberIn(Buffer.from(n, 'base64url')), bytes.length)
}

function neutral(bytes: Buffer): Buffer {
  const copy = Buffer.alloc(bytes.length)
  if (copy.length > 0) copy[0] = 1
  return copy
}

function numberIn(bytes: Buffer): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${bytes.toString('hex')}`)
}

/** What does not fit is a byte longer. */
function bytesOf(number: bigint, size: number): Buffer {
  const hex = (number < 0n ? -number : number).toString(16)
  return Buffer.from(hex.padStart(Math.max(size * 2, hex.length + (hex.length % 2)), '0'), 'hex')
}

function der(parts: readonly Buffer[]): Buffer {
  const integers = parts.map((part) => {
    const bytes = (part[0] ?? 0) > 127 ? Buffer.concat([Buffer.alloc(1), part]) : part
    return Buffer.concat([Buffer.from([2, bytes.length & 255]), bytes])
  })
  const body = Buffer.concat(integers)
  return Buffer.concat([Buffer.from([0x30, body.length & 255]), body])
}

function otherHash(algorithm: string): string {
  return algorithm === 'EdDSA' ? algorithm : `${algorithm.slice(0, 2)}512`
}

function otherPadding(algorithm: string): string {
  const bits = algorithm.slice(2)
  return algorithm.startsWith('RS') ? `PS${bits}` : algorithm.startsWith('PS') ? `RS${bits}` : algorithm
}
