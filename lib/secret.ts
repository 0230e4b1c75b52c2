/** Secrets that users configure, and the comparison of values that nobody may guess piece by piece. */

import { createHash, timingSafeEqual } from 'node:crypto'
import type { OptionChecks } from './options.js'

const samples = [
  'keyboard cat',
  'changeme',
  'change-me',
  'change_me',
  'change me',
  'your-secret',
  'your_secret',
  'your secret',
  'password',
  'randomly-generated string',
  'my-secret',
  'mysecret',
  'supersecret',
  'super-secret',
  'super secret',
  'secret-secret',
  'insecure',
]

/** The secrets in the option of this name, the first of which is in use. */
export function checkedSecrets(
  name: string,
  secrets: readonly string[],
  check: OptionChecks,
): readonly string[] {
  const advice = 'make one with: node -p "crypto.randomBytes(32).toString(\'base64url\')"'
  if (!Array.isArray(secrets) || secrets.length === 0)
    check.refuse(name, 'is not a list with a secret', advice)
  for (const [index, secret] of secrets.entries()) {
    const problem = secretProblem(secret)
    if (problem) check.refuse(`${name}[${index}]`, problem, advice)
  }
  return secrets
}

/** What is wrong with a secret, or nothing. */
function secretProblem(secret: unknown): string | undefined {
  if (typeof secret !== 'string') return 'is not a string'
  if (Buffer.byteLength(secret) < 32) return 'is shorter than 32 bytes'
  if (new Set(secret).size < 10) return 'repeats a few characters'
  if (samples.some((sample) => secret.toLowerCase().includes(sample))) return 'is a well-known sample'
  return undefined
}

/** Whether two secrets are equal, in a time that tells nothing about either, their lengths included. */
export function isSameSecret(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}
