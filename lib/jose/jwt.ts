/** A signed JWT in compact form, taken apart and judged by its form alone: no key, no network (RFC 7515 §7.1). */

import { isUtf8 } from 'node:buffer'
import { OAuthError } from '../errors.js'

/** Asymmetric algorithms only: a key published for all to read can verify nothing symmetric (RFC 8725 §3.1). */
export const algorithms = [
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
] as const

export type Algorithm = (typeof algorithms)[number]

export type Claims = Readonly<Record<string, unknown>>

/** What the compact form says, not yet verified. */
export interface UnverifiedJwt {
  readonly token: string
  readonly algorithm: Algorithm
  readonly kid?: string
  /** The `typ` header in lower case without its `application/` prefix (RFC 7515 §4.1.9). */
  readonly typ?: string
  readonly claims: Claims
}

const longestKid = 256

/** Throws `invalid_token`, with the reason, for anything but a well-formed JWS that one of `accepted` signed. */
export function parseJwt(token: string, accepted: readonly Algorithm[] = algorithms): UnverifiedJwt {
  const headerEnd = token.indexOf('.')
  const claimsEnd = token.indexOf('.', headerEnd + 1)
  if (claimsEnd < 0 || token.includes('.', claimsEnd + 1))
    throw invalidToken(token.split('.', 6).length === 5 ? 'encrypted' : 'not_a_jwt')
  // One token must have one spelling: whoever remembers tokens would otherwise know one and miss its twin.
  if (
    !threeSegments.test(token) ||
    !endsCanonically(token, 0, headerEnd) ||
    !endsCanonically(token, headerEnd + 1, claimsEnd) ||
    !endsCanonically(token, claimsEnd + 1, token.length)
  )
    throw invalidToken('encoding')
  const header = headerIn(token.slice(0, headerEnd))
  const claims = jsonObjectIn(token.slice(headerEnd + 1, claimsEnd))
  if (!header || !claims) throw invalidToken('not_a_jwt')

  const { alg, kid, typ, crit } = header
  const algorithm = accepted.find((one) => one === alg)
  if (!algorithm) throw invalidToken('algorithm')
  if (crit !== undefined || header['b64'] !== undefined) throw invalidToken('crit')
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > longestKid)) throw invalidToken('kid')
  if (typ !== undefined && typeof typ !== 'string') throw invalidToken('typ')
  return {
    token,
    algorithm,
    claims,
    ...(kid !== undefined && { kid }),
    ...(typ !== undefined && { typ: typ.toLowerCase().replace(/^application\//, '') }),
  }
}

/** The last one that was read, by its text: a server puts the same before each of its tokens. */
let lastHeader: { readonly segment: string; readonly members: Claims | undefined } | undefined

function headerIn(segment: string): Claims | undefined {
  if (lastHeader?.segment !== segment) lastHeader = { segment, members: jsonObjectIn(segment) }
  return lastHeader.members
}

/** What a JWT says, whoever signed it by whatever algorithm; nothing where that cannot be read. It proves nothing. */
export function claimsIn(token: string): Claims | undefined {
  return jsonObjectIn(token.split('.', 2)[1] ?? '')
}

/** What to make of a token whose very form is wrong. */
const hintsOnForm: Readonly<Record<string, string>> = {
  not_a_jwt:
    'It is not a JWT. Some servers issue opaque access tokens unless the client names the API ("audience" or "resource") when it asks for one.',
  encrypted: 'It has five parts: it is encrypted (JWE). Have the server sign tokens for this API only.',
}

/** `hint` is for developers, and never sent to clients. */
export function invalidToken(reason: string, hint = hintsOnForm[reason]): OAuthError {
  return new OAuthError('invalid_token', { reason, ...(hint !== undefined && { hint }) })
}

const longestShown = 200

/**
 * What a token says, for a hint. Nobody vouches for it yet: it is escaped, so that it forges no line of a log, and cut
 * short.
 */
export function shownClaim(value: unknown): string {
  // One level only: a value that is nested thousands of times must not be what ends the stack.
  const text = Array.isArray(value) ? `[${value.slice(0, 20).map(shownValue).join(', ')}]` : shownValue(value)
  const ascii = text.replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return ascii.length > longestShown ? `${ascii.slice(0, longestShown - 1)}~` : ascii
}

function shownValue(value: unknown): string {
  if (value === undefined) return 'missing'
  if (Array.isArray(value)) return 'a list'
  if (value !== null && typeof value === 'object') return 'an object'
  return JSON.stringify(typeof value === 'string' ? value.slice(0, longestShown) : value)
}

const threeSegments = /^[\w-]+\.[\w-]+\.[\w-]+$/
/** The last character of a segment that is no multiple of 4 long has 4 or 2 bits that no byte uses; they must be zero. */
const lastOfTwo = 'AQgw'
const lastOfThree = 'AEIMQUYcgkosw048'

/** Whether the segment is what its bytes are encoded as, without decoding it (RFC 4648 §3.5). */
function endsCanonically(token: string, start: number, end: number): boolean {
  const rest = (end - start) % 4
  if (rest === 0) return true
  return rest !== 1 && (rest === 2 ? lastOfTwo : lastOfThree).includes(token.charAt(end - 1))
}

function jsonObjectIn(segment: string): Record<string, unknown> | undefined {
  try {
    const bytes = Buffer.from(segment, 'base64url')
    // RFC 7519 §7.2. Two names with different bytes that are none would both be read as the same replacement signs.
    if (!isUtf8(bytes)) return undefined
    const text = bytes.toString('utf8')
    if (isOvergrown(text)) return undefined
    const value: unknown = JSON.parse(text)
    const isObject = value !== null && typeof value === 'object' && !Array.isArray(value)
    return isObject ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

const mostBrackets = 1_000

/**
 * More objects and lists than any token has. They are counted before anything is verified, and unread: a few kilobytes of
 * brackets, nested or not, keep the parser busy for longer than a signature would.
 */
function isOvergrown(text: string): boolean {
  let count = 0
  for (const bracket of ['[', '{'])
    for (let at = text.indexOf(bracket); at !== -1; at = text.indexOf(bracket, at + 1)) {
      count += 1
      if (count > mostBrackets) return true
    }
  return false
}
