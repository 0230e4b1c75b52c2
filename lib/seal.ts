/**
 * Sealing: what leaves our hands comes back unread and unchanged, or not at all. AES-256-GCM as a compact JWE
 * (RFC 7516), made and opened synchronously because cookies are written at the last moment.
 */

import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'

export interface Seal<T> {
  /** `context` names the one place where the sealed value may be opened again. */
  seal(value: T, context?: string): string
  /** The value, or nothing when it was not sealed by this seal for this place. */
  open(sealed: string, context?: string): T | undefined
  /** Whether a value says that it was sealed for this place, which is no proof: only {@link open} knows. */
  isFor(sealed: string, context?: string): boolean
  /** Whether the value was sealed with the first secret. False: it will not open for long. */
  isCurrent(sealed: string, context?: string): boolean
}

const ivLength = 12
const tagLength = 16

/**
 * A seal for one purpose. The first secret seals, all of them open, so that a secret can be replaced while sessions
 * made with the old one go on. The purpose is part of each key, purpose and context are authenticated with the value.
 */
export function createSeal<T>(secrets: readonly string[], purpose: string): Seal<T> {
  const keys = secrets.map((secret) => {
    const id = derivedBytes(secret, 'key id', 6).toString('base64url')
    return { id, key: derivedBytes(secret, purpose, 32), header: headerOf(id) }
  })
  const [current] = keys
  if (!current) throw new TypeError('a secret is needed')

  type Key = (typeof keys)[number]
  const headerFor = ({ id, header }: Key, context?: string) =>
    context === undefined ? header : headerOf(id, context)

  return {
    seal(value, context) {
      const header = headerFor(current, context)
      const iv = randomBytes(ivLength)
      const cipher = createCipheriv('aes-256-gcm', current.key, iv, { authTagLength: tagLength })
      cipher.setAAD(Buffer.from(header))
      const text = Buffer.concat([cipher.update(JSON.stringify(value)), cipher.final()])
      return [
        header,
        '',
        iv.toString('base64url'),
        text.toString('base64url'),
        cipher.getAuthTag().toString('base64url'),
      ].join('.')
    },
    isFor: (sealed, context) => keys.some((key) => sealed.startsWith(`${headerFor(key, context)}.`)),
    isCurrent: (sealed, context) => sealed.startsWith(`${headerFor(current, context)}.`),
    open(sealed, context) {
      const [header, encryptedKey, iv, text, tag, ...rest] = sealed
        .split('.')
        .map((part, index) => (index < 2 ? part : decoded(part)))
      if (
        encryptedKey !== '' ||
        !Buffer.isBuffer(iv) ||
        !Buffer.isBuffer(text) ||
        !Buffer.isBuffer(tag) ||
        rest.length > 0
      )
        return undefined
      if (iv.length !== ivLength || tag.length !== tagLength) return undefined
      // Never parsed: a header either is, to the letter, one that we write, or the value is not ours.
      const key = keys.find((candidate) => header === headerFor(candidate, context))
      if (!key) return undefined
      const decipher = createDecipheriv('aes-256-gcm', key.key, iv, { authTagLength: tagLength })
      decipher.setAAD(Buffer.from(String(header)))
      decipher.setAuthTag(tag)
      try {
        const value = Buffer.concat([decipher.update(text), decipher.final()]).toString('utf8')
        return JSON.parse(value) as T // what opens is what we sealed
      } catch {
        return undefined
      }
    },
  }
}

function headerOf(keyId: string, context?: string): string {
  const members = { alg: 'dir', enc: 'A256GCM', kid: keyId, ...(context !== undefined && { context }) }
  return encoded(JSON.stringify(members))
}

/** Bytes that stand for a secret and a purpose, and tell nothing of either, nor of those for another purpose (RFC 5869). */
export function derivedBytes(secret: string, purpose: string, length: number): Buffer {
  // A digest, because the parameter may have no more than 1 024 bytes.
  const info = createHash('sha256').update(`express-oauth-kit ${purpose}`).digest()
  return Buffer.from(hkdfSync('sha256', secret, '', info, length))
}

function encoded(text: string): string {
  return Buffer.from(text).toString('base64url')
}

/** Nothing but the one spelling that we write. */
function decoded(part: string): Buffer | undefined {
  const bytes = Buffer.from(part, 'base64url')
  return bytes.toString('base64url') === part ? bytes : undefined
}
