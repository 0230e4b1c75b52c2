/** What tests do at pages of the demo, and read from them. */
import type { Page } from 'playwright-core'

/** At the demo's authorization server. */
export async function signInAs(user: string, page: Page): Promise<void> {
  await page.getByLabel('User name').fill(user)
  await page.getByLabel('Password').fill(user)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('button', { name: 'Allow' }).click()
}

/** A row of the table of tokens. */
export interface ShownTokens {
  /** Fingerprints. */
  readonly access: string
  readonly refresh: string
  readonly accessState: string
  readonly refreshState: string
  readonly by: string
  readonly details: string
}

/** The table of the session page, the newest first. */
export async function tokens(page: Page): Promise<ShownTokens[]> {
  const rows = await page.locator('.tokens tbody tr').all()
  return Promise.all(
    rows.map(async (row) => {
      const lines = (await row.innerText()).split(/\s*[\n\t]\s*/).map((line) => line.replace('\u00a0', ' '))
      const [access = '', accessState = '', refresh = '', refreshState = '', by = '', details = ''] = lines
      return { access, accessState, refresh, refreshState, by, details }
    }),
  )
}
