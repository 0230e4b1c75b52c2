/** Secrets that users configure, and the comparison of values that nobody may guess piece by piece. */

import { createHash, timingSafeEqual } from 'node:crypto'

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

/** What is wrong with a secret, or nothing. */
export function secretProblem(secret: unknown): string | undefined {
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
