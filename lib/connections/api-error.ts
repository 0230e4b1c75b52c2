/** What the API of a provider says about a call that it did not answer as it should. */

import type { ServerError } from '../errors.js'

const longest = 300

/**
 * By the names that most APIs use: members of the answer, or of its `error`. Each text is one line of bounded length,
 * without the `secrets` that the call had. Nothing when the answer says nothing; a page may say anything.
 */
export function apiError(
  answer: unknown,
  status: number,
  secrets: readonly string[],
): ServerError | undefined {
  const whole = membersOf(answer)
  const inner = membersOf(whole['error'])
  const texts = (...values: unknown[]) => values.find((value) => typeof value === 'string' && value !== '')
  const error = texts(whole['error'], inner['status'], inner['code'], inner['type'], whole['code'])
  const description = texts(
    whole['error_description'],
    inner['message'],
    whole['message'],
    whole['detail'],
    whole['title'],
  )
  if (error === undefined && description === undefined) return undefined
  return {
    error: plain(error ?? `status ${status}`, secrets),
    ...(description !== undefined && { error_description: plain(description, secrets) }),
  }
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' ? { ...value } : {}
}

function plain(value: unknown, secrets: readonly string[]): string {
  let text = String(value)
  for (const secret of secrets.toSorted((a, b) => b.length - a.length))
    // one may be a part of another
    if (secret !== '') text = text.replaceAll(secret, '[redacted]')
  return text
    .slice(0, 10 * longest)
    .replaceAll(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]+/gu, ' ')
    .replaceAll(/\p{Bidi_Control}/gu, '')
    .trim()
    .slice(0, longest)
    .replace(/\p{Cs}$/u, '')
}
