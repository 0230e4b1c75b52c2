/** A real browser for the tests that need one. */
import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium, type Browser, type BrowserContext } from 'playwright-core'
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

export interface Profile {
  readonly context: BrowserContext
  close(): Promise<void>
}

/** With a profile of its own, in which other sites have their cookies in frames. */
export async function launchProfile(): Promise<Profile> {
  const folder = mkdtempSync(join(tmpdir(), 'chromium-'))
  mkdirSync(join(folder, 'Default'))
  const profile = { cookie_controls_mode: 0, block_third_party_cookies: false }
  writeFileSync(join(folder, 'Default', 'Preferences'), JSON.stringify({ profile }))
  const context = await chromium.launchPersistentContext(folder, { executablePath, args })
  return {
    context,
    async close() {
      await context.close()
      // Its last processes still write for a moment.
      await rm(folder, { recursive: true, force: true, maxRetries: 20 })
    },
  }
}

/** Says loudly when what follows is not run; where everything must run, that is a failure. */
export function needChromium(): void {
  test('Chromium is there, or need not be', () => {
    if (!hasChromium)
      console.warn(`NOT RUN: no Chromium at ${executablePath}. Install it, or set CHROMIUM to its path.`)
    expect(hasChromium || process.env['CI'] !== 'true', 'Chromium is missing').toBe(true)
  })
}
