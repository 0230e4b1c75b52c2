/** One application, one faulty server and its browsers, from start to end of a test. */
import { onTestFinished } from 'vitest'
import { startApp, type App, type AppOptions, type LoginOptions } from '../support/app.js'
import { openBrowser, type Browser, type Page } from '../support/browser.js'
import { everythingIn, leaks, type Exposed } from '../support/canaries.js'
import { startFaultyServer, type FaultyServer, type FaultyServerOptions } from '../support/faulty-server.js'
import { logoutUris } from '../support/stage.js'
import { captureOutput, type CapturedOutput } from '../support/output.js'

export interface LoginSetup {
  readonly server?: FaultyServerOptions
  readonly app?: AppSetup
}

/** The client's registration comes from the server. */
export type AppSetup = Omit<AppOptions, 'options'> & { readonly options?: Partial<LoginOptions> }

export interface LoginRun {
  readonly server: FaultyServer
  readonly app: App
  /** The browser of the last login. */
  readonly browser: Browser
  /** Opens a browser of its own and goes through the login, to whatever end. */
  login(): Promise<Page>
  /** Secrets that showed up in pages, headers, cookies, events, errors or prints: "role in place". */
  leaks(): string[]
}

export async function startRun({
  server: serverOptions = {},
  app: appOptions = {},
}: LoginSetup): Promise<LoginRun> {
  const output = captureOutput()
  onTestFinished(() => output.restore())
  const server = await startFaultyServer(serverOptions)
  onTestFinished(() => server.close())
  const app = await startApp({ ...appOptions, options: { ...registration(server), ...appOptions.options } })
  onTestFinished(() => app.close())
  server.register(app.callbackUrl, `${app.url}/`, logoutUris(app, appOptions.options))
  const browsers: Browser[] = [openBrowser()]
  return {
    server,
    app,
    get browser() {
      return browsers.at(-1) ?? openBrowser()
    },
    login: async () => {
      const browser = openBrowser()
      browsers.push(browser)
      await browser.visit(`${app.url}/open`)
      return browser.click('/private')
    },
    leaks: () => leaks(exposed(server, app, browsers, output), [...server.secrets, ...app.secrets]),
  }
}

/** The modules end when userinfo was called, so every run asks for it. */
function registration({ issuer, clientId, clientSecret }: FaultyServer): AppOptions['options'] {
  return { issuer, clientId, clientSecret, scope: 'openid', userinfo: true }
}

function exposed(
  server: FaultyServer,
  app: App,
  browsers: readonly Browser[],
  output: CapturedOutput,
): Exposed[] {
  const pages = browsers.flatMap(({ responses }) => responses).filter(({ url }) => url.startsWith(app.url))
  return [
    ...pages.flatMap((page) => exposedBy(page, server)),
    { where: 'events', text: everythingIn(app.events) },
    { where: 'errors', text: everythingIn(app.errors) },
    { where: 'output', text: output.text() },
  ]
}

/** Only the redirect to the authorization endpoint carries state and nonce. */
function exposedBy({ method, url, body, headers }: Page, { issuer }: FaultyServer): Exposed[] {
  const page = `${method} ${new URL(url).pathname}`
  const fields = Object.entries(headers).map(([name, value]) => {
    const text = String(value)
    const allowed = name === 'location' && text.startsWith(`${issuer}/authorize`) ? ['state', 'nonce'] : []
    return { where: `${name} of ${page}`, text, allowed }
  })
  return [{ where: `body of ${page}`, text: body }, ...fields]
}
