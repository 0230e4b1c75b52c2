/** Codes that let a user in who has lost everything else: what somebody at an unlocked computer must not get to see. */

import { createHmac } from 'node:crypto'

const count = 8

/** The same ones for the same user each time, because this demo keeps nothing. */
export function recoveryCodes(secret: string, subject: string): string[] {
  const code = (index: number) =>
    createHmac('sha256', secret).update(`recovery code ${index} of ${subject}`).digest('hex').slice(0, 10)
  return Array.from({ length: count }, (_none, index) => code(index).replace(/^.{5}/, '$&-'))
}
