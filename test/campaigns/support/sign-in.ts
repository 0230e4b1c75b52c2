/** A browser that signs in, and then has been signed in for a while. */
import type { Browser, Page } from '../../support/browser.js'

/** Opens a guarded page and goes through the login; throws when that failed. */
export async function signIn(browser: Browser, url: string): Promise<Page> {
  const page = await browser.visit(url)
  if (page.status !== 200 || page.url !== url) throw new Error(`the login ended with ${page.status}`)
  // In the first seconds after a login, a session that is lost is told of on a page (`session_not_kept`).
  await browser.jar.store.removeCookie(new URL(url).hostname, '/', 'oauth.fresh')
  return page
}
