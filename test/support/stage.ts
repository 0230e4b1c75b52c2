/** One authorization server, one application and its browsers, for the length of a test. */
import { onTestFinished } from 'vitest'
import { startApp, type App, type AppOptions, type LoginOptions } from './app.js'
import { openBrowser, type Browser } from './browser.js'
import {
  startFaultyServer,
  type FaultyServer,
  type FaultyServerOptions,
  type LogoutUris,
} from './faulty-server.js'
import { location } from './requests.js'

export interface StageOptions extends Omit<AppOptions, 'options'> {
  readonly options?: Partial<LoginOptions>
  readonly server?: FaultyServerOptions
}

export interface Stage {
  readonly server: FaultyServer
  readonly app: App
  /** A browser of its own that has gone through the login; throws when that failed. */
  signedIn(): Promise<Browser>
  /** Starts a login and gives the address that the server sends the browser back to. */
  pending(browser: Browser, loginPath?: string): Promise<string>
}

export async function startStage(stage: StageOptions = {}): Promise<Stage> {
  const { server: serverOptions, options, ...appOptions } = stage
  const server = await startFaultyServer(serverOptions)
  onTestFinished(() => server.close())
  const app = await startApp({ ...appOptions, options: { ...registration(server), ...options } })
  onTestFinished(() => app.close())
  server.register(app.callbackUrl, `${app.url}/`, logoutUris(app, options))
  return {
    server,
    app,
    async signedIn() {
      const browser = openBrowser()
      const { status, url } = await browser.visit(`${app.url}/private`)
      if (status !== 200 || url !== `${app.url}/private`) throw new Error(`the login ended with ${status}`)
      return browser
    },
    async pending(browser, loginPath = '/login') {
      const login = await browser.visit(app.url + loginPath, { follow: false })
      return location(await browser.visit(location(login), { follow: false }))
    },
  }
}

/** Where the application wants to hear of sign-outs, if its options say so. */
export function logoutUris({ url }: App, { paths }: Partial<LoginOptions> = {}): LogoutUris {
  const { backchannelLogout, frontchannelLogout } = paths ?? {}
  return {
    ...(backchannelLogout !== undefined && { backchannel: url + backchannelLogout }),
    ...(frontchannelLogout !== undefined && { frontchannel: url + frontchannelLogout }),
  }
}

/** The client as the server knows it. */
export function registration({ issuer, clientId, clientSecret }: FaultyServer): AppOptions['options'] {
  return { issuer, clientId, clientSecret }
}
