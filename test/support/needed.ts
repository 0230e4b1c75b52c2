/** Programs that some tests need, and that not every machine has. */
import { expect, test } from 'vitest'

/** Says loudly when what follows is not run; where everything must run, that is a failure. */
export function needProgram(name: string, isThere: boolean): void {
  test(`${name} is there, or need not be`, () => {
    if (!isThere) console.warn(`NOT RUN: no ${name}. Install it; the tests start it themselves.`)
    expect(isThere || process.env['CI'] !== 'true', `${name} is missing`).toBe(true)
  })
}
