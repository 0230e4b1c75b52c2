/** A token that is being made: its JSON member by member, so that it can say what no library would write. */
import { constants, sign, type KeyObject } from 'node:crypto'
import type { KeyRing, RingKey } from './key-ring.js'

/** A name and the text of its value; names may come twice. */
export type Member = readonly [name: string, json: string]

export type Signer = (input: string) => Buffer

/** What becomes of a segment's text before it is encoded, or of its encoding before it is signed. */
export interface Segment {
  members: Member[]
  bytes: (json: string) => Buffer
  encode: (bytes: Buffer) => string
}

export interface Draft {
  readonly key: RingKey
  readonly ring: KeyRing
  readonly issuer: string
  readonly header: Segment
  readonly claims: Segment
  signer: Signer
  /** What becomes of the signature's bytes. */
  readonly signature: ((bytes: Buffer) => Buffer)[]
  /** What becomes of the whole token. */
  readonly compact: ((token: string) => string)[]
}

export const audience = 'https://api.example.com'

/** A good one: an access token of RFC 9068, or of a server that knows no types. */
export function newDraft(ring: KeyRing, key: RingKey, issuer: string, typ: string, now: number): Draft {
  return {
    key,
    ring,
    issuer,
    header: segment({ alg: key.algorithm, kid: key.kid, typ }),
    claims: segment({
      iss: issuer,
      aud: audience,
      sub: 'user-1',
      client_id: 'client-1',
      scope: 'read:projects',
      jti: 'token-1',
      iat: now,
      exp: now + 300,
    }),
    signer: signerOf(key.algorithm, key),
    signature: [],
    compact: [],
  }
}

function segment(members: Record<string, unknown>): Segment {
  return {
    members: Object.entries(members).map(([name, value]) => [name, JSON.stringify(value)]),
    bytes: (json) => Buffer.from(json),
    encode: (bytes) => bytes.toString('base64url'),
  }
}

/** In the place of the first one of that name, or at the end; `undefined` leaves it out. */
export function setMember({ members }: Segment, name: string, json: string | undefined): void {
  const place = members.findIndex(([one]) => one === name)
  if (json === undefined) {
    if (place !== -1) members.splice(place, 1)
  } else if (place === -1) members.push([name, json])
  else members[place] = [name, json]
}

/** What of a token is signed: header and claims. */
function inputOf({ header, claims }: Draft): string {
  return [header, claims]
    .map(({ members, bytes, encode }) => {
      const text = members.map(([name, json]) => `${JSON.stringify(name)}:${json}`).join(',')
      return encode(bytes(`{${text}}`))
    })
    .join('.')
}

export function tokenOf(draft: Draft): string {
  const input = inputOf(draft)
  const signature = draft.signature.reduce((bytes, change) => change(bytes), draft.signer(input))
  return draft.compact.reduce((token, change) => change(token), `${input}.${signature.toString('base64url')}`)
}

/** Signing takes the most of a run, and many tokens differ after it only. */
export function signerOf(algorithm: string, key: RingKey, saltLength?: number): Signer {
  return (input) => {
    const name = signatureName(algorithm, input, saltLength)
    const signature = key.signatures.get(name) ?? signWith(algorithm, key.privateKey, input, saltLength)
    key.signatures.set(name, signature)
    return signature
  }
}

/** Whether a key of the issuer's that may sign has signed what a token says, as the token says. */
export function isGenuine(token: string, ring: KeyRing): boolean {
  const [header = '', claims = ''] = token.split('.')
  const { alg, kid } = JSON.parse(Buffer.from(header, 'base64url').toString()) as Record<string, unknown>
  return Object.values(ring.keys).some(
    (key) =>
      (kid === undefined || kid === key.kid) &&
      key.signatures.has(signatureName(String(alg), `${header}.${claims}`)),
  )
}

function signatureName(algorithm: string, input: string, saltLength?: number): string {
  const salt = algorithm.startsWith('PS') ? saltLength : undefined
  return [algorithm === 'Ed25519' ? 'EdDSA' : algorithm, salt, input].join(' ')
}

function signWith(algorithm: string, key: KeyObject, input: string, saltLength?: number): Buffer {
  const bits = Number(algorithm.slice(2))
  const hash = key.asymmetricKeyType === 'ed25519' ? null : `sha${bits}`
  const isPss = algorithm.startsWith('PS')
  const padding = isPss ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING
  const ofKind =
    key.asymmetricKeyType === 'rsa'
      ? { padding, ...(isPss && { saltLength: saltLength ?? bits / 8 }) }
      : { dsaEncoding: 'ieee-p1363' as const }
  return sign(hash, Buffer.from(input), { key, ...ofKind })
}
