/** Sign-outs as an authorization server tells of them, and whether they took effect. */
import type { App } from './app.js'
import type { Browser, Page } from './browser.js'
import { bare } from './requests.js'

export const logoutPaths = {
  backchannelLogout: '/backchannel-logout',
  frontchannelLogout: '/frontchannel-logout',
} as const

/** Posts a logout token. */
export async function tell(app: App, token: string): Promise<Page> {
  return tellBy(app, new URLSearchParams({ logout_token: token }).toString())
}

/** Posts a body of any kind. */
export async function tellBy(
  app: App,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Page> {
  const form = { 'content-type': 'application/x-www-form-urlencoded', ...headers }
  return bare(app.url + logoutPaths.backchannelLogout, form, { method: 'POST', body })
}

/** Whether a guarded page lets the cookies of a browser in. */
export async function isSignedIn(browser: Browser, app: App): Promise<boolean> {
  return isLetIn(await browser.fetch(`${app.url}/private`))
}

export async function isGoodCookie(cookie: string, app: App): Promise<boolean> {
  return isLetIn(await bare(`${app.url}/private`, { accept: 'application/json', cookie }))
}

function isLetIn({ status }: Page): boolean {
  if (status !== 200 && status !== 401) throw new Error(`the guarded page answered ${status}`)
  return status === 200
}
