/** What tests do at pages of the demo, and read from them. */
import type { Locator, Page } from 'playwright-core'

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

/** The table of the session page, the newest first. By its elements, since the lines of its text come with the style sheet. */
export async function tokens(page: Page): Promise<ShownTokens[]> {
  const rows = await page.locator('.tokens tbody tr').all()
  return Promise.all(
    rows.map(async (row) => {
      const cells = await row.locator('td').all()
      const [[access, accessState] = none, [refresh, refreshState] = none, [by, details] = none] =
        await Promise.all(cells.map(twoLines))
      return { access, accessState, refresh, refreshState, by, details }
    }),
  )
}

const none = ['', ''] as const

/** What a cell says, and what it says in small print. */
async function twoLines(cell: Locator): Promise<readonly [string, string]> {
  const all = (await cell.textContent()) ?? ''
  const small = (await cell.locator('small').allTextContents()).join('')
  return [inOneLine(all.slice(0, all.lastIndexOf(small))), inOneLine(small)]
}

function inOneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim()
}
