/** A real browser for the tests that need one. */
import { existsSync } from 'node:fs'
import { chromium, type Browser } from 'playwright-core'
import { expect, test } from 'vitest'

const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium'

export const hasChromium = existsSync(executablePath)

const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

export async function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath, args })
}

/** Says loudly when what follows is not run; where everything must run, that is a failure. */
export function needChromium(): void {
  test('Chromium is there, or need not be', () => {
    if (!hasChromium)
      console.warn(`NOT RUN: no Chromium at ${executablePath}. Install it, or set CHROMIUM to its path.`)
    expect(hasChromium || process.env['CI'] !== 'true', 'Chromium is missing').toBe(true)
  })
}
