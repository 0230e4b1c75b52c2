/** What a token says, read as kindly as can be: to tell why verifiers differ, never to trust it. */

export interface Reading {
  readonly segments: readonly string[]
  /** Bytes of header and claims. */
  readonly bytes: readonly Buffer[]
  readonly header: Readonly<Record<string, unknown>>
  readonly claims: Readonly<Record<string, unknown>>
}

export function readingOf(token: string): Reading {
  const segments = token.split('.')
  const bytes = segments.slice(0, 2).map((segment) => Buffer.from(segment, 'base64url'))
  const [header = {}, claims = {}] = bytes.map(membersIn)
  return { segments, bytes, header, claims }
}

function membersIn(bytes: Buffer): Record<string, unknown> {
  try {
    // Without the byte order mark, and with bytes that are no UTF-8 replaced.
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes))
    return value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
