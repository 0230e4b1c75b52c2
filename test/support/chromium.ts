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

/** Says loudly that what follows was not run; where everything must run, it is a failure. */
export function missChromium(): void {
  test.runIf(!hasChromium)('Chromium is there', () => {
    console.warn(
      `NOT RUN: there is no Chromium at ${executablePath}. Install it, or set CHROMIUM to its path.`,
    )
    expect(process.env['CI'], 'Chromium is missing').not.toBe('true')
  })
}
