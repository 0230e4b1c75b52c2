/** An app whose users connect accounts: the server that they sign in at, and providers with servers of their own. */
import { onTestFinished } from 'vitest'
import {
  memoryConnectionStore,
  oauthConnections,
  type ConnectionProvider,
  type OAuthConnections,
  type OAuthConnectionsOptions,
  type OAuthEvent,
} from '../../lib/index.js'
import { startApp, type App, type AppOptions } from './app.js'
import { openBrowser, type Browser, type Page } from './browser.js'
import { canary } from './canaries.js'
import { location } from './requests.js'
import { registration } from './stage.js'
import { startUserServer, type UserServer, type UserServerOptions } from './user-server.js'

export interface ConnectingOptions extends Partial<Omit<OAuthConnectionsOptions, 'providers'>> {
  readonly app?: Partial<AppOptions>
  /** Names of the providers, and what is special about each. Default: one, `projects`. */
  readonly providers?: Readonly<Record<string, Partial<ConnectionProvider>>>
  readonly provider?: Partial<UserServerOptions>
}

export interface Connecting {
  readonly app: App
  readonly connections: OAuthConnections
  readonly login: UserServer
  /** The servers of the providers, by name. */
  readonly providers: Readonly<Record<string, UserServer>>
  /** What the connections told. */
  readonly events: readonly OAuthEvent[]
  /** A browser whose user is signed in at the app; `account` is who they are at all providers. Default: the same name. */
  signedIn(user: string, account?: string): Promise<Browser>
  /** From now on the browser is somebody else at the providers. */
  as(browser: Browser, account: string): Promise<void>
  /** Presses "connect" and comes back; with `follow: false`, the address of the provider that the page leads on to. */
  connect(browser: Browser, provider?: string, fields?: Readonly<Record<string, string>>): Promise<Page>
  /** The same up to the provider's answer: the address that sends the browser back, not visited. */
  pending(browser: Browser, provider?: string, fields?: Readonly<Record<string, string>>): Promise<string>
  /** Signs the browser in at the app, in a session of its own, as this user. */
  signIn(browser: Browser, user: string): Promise<void>
  /** Signs the browser out at the app. */
  signOut(browser: Browser): Promise<void>
  /** Requests that the token endpoints of all providers have seen. */
  tokenRequests(): number
  /** The list, as a script of the site gets it. */
  list(
    browser: Browser,
  ): Promise<{ connections: Record<string, unknown>[]; outcome: Record<string, unknown> | null }>
  /** Posts as a script of the site does. */
  post(browser: Browser, path: string, body?: object): Promise<Page>
}

export async function startConnecting(options: ConnectingOptions = {}): Promise<Connecting> {
  const { app: appOptions, providers: names = { projects: {} }, provider: serverOptions, ...own } = options
  const login = await startUserServer({ life: 3_600 })
  const servers: Record<string, UserServer> = {}
  for (const name of Object.keys(names)) {
    servers[name] = await startUserServer({
      life: 3_600,
      cookie: 'account',
      clientId: `app-at-${name}`,
      ...serverOptions,
    })
  }
  onTestFinished(async () => {
    await Promise.all([login, ...Object.values(servers)].map(({ server }) => server.close()))
  })
  const events: OAuthEvent[] = []
  let connections: OAuthConnections | undefined
  const app = await startApp({
    ...appOptions,
    options: { ...registration(login.server), ...appOptions?.options },
    routes(router) {
      router.use((request, response, next) => connections?.(request, response, next))
      appOptions?.routes?.(router)
    },
  })
  onTestFinished(() => app.close())
  const { onEvent, ...others } = own
  const made = (connections = oauthConnections({
    baseUrl: app.url,
    secrets: [canary('cookie-secret')],
    store: memoryConnectionStore(),
    ...others,
    providers: Object.fromEntries(
      Object.entries(names).map(([name, special]) => [
        name,
        { ...providerAt(servers[name]), ...special } as ConnectionProvider,
      ]),
    ),
    onEvent(event) {
      events.push(event)
      onEvent?.(event)
    },
  }))
  login.server.register(app.callbackUrl, `${app.url}/`)
  for (const { provider, redirectUri } of made.redirectUris()) servers[provider]?.server.register(redirectUri)

  const post: Connecting['post'] = (browser, path, body = {}) =>
    browser.fetch(app.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-csrf': '1' },
      body: JSON.stringify(body),
    })

  const begin = async (browser: Browser, provider: string, fields: object): Promise<string> => {
    const { body, status } = await post(browser, `/connections/${provider}/connect`, fields)
    if (status !== 200) throw new Error(`connecting was answered with ${status}: ${body}`)
    return (JSON.parse(body) as { location: string }).location
  }

  return {
    app,
    connections: made,
    login,
    providers: servers,
    events,
    async signedIn(user, account = user) {
      const browser = await login.openBrowser(user, openBrowser())
      for (const server of Object.values(servers)) await server.openBrowser(account, browser)
      const { url } = await browser.visit(`${app.url}/private`)
      if (url !== `${app.url}/private`) throw new Error(`the login ended at ${url}`)
      return browser
    },
    async as(browser, account) {
      for (const server of Object.values(servers)) await server.openBrowser(account, browser)
    },
    async connect(browser, provider = 'projects', fields = {}) {
      return browser.click(await begin(browser, provider, fields))
    },
    async pending(browser, provider = 'projects', fields = {}) {
      const callback = location(
        await browser.visit(await begin(browser, provider, fields), { follow: false }),
      )
      await browser.visit(`${app.url}/open`)
      return callback
    },
    async signIn(browser, user) {
      await login.openBrowser(user, browser)
      await browser.visit(`${app.url}/login`)
    },
    async signOut(browser) {
      await browser.visit(`${app.url}/open`)
      await browser.submit({}, '/logout')
    },
    tokenRequests: () => Object.values(servers).reduce((sum, { server }) => sum + server.counts.token, 0),
    async list(browser) {
      const { body } = await browser.fetch(`${app.url}/connections`, { headers: { 'x-csrf': '1' } })
      return JSON.parse(body) as Awaited<ReturnType<Connecting['list']>>
    },
    post,
  }
}

export function providerAt(server: UserServer | undefined): ConnectionProvider {
  if (!server) throw new Error('there is no such provider')
  const { issuer, clientId, clientSecret } = server.server
  return {
    issuer,
    clientId,
    clientSecret,
    scope: 'openid profile offline_access',
    test: { url: `${issuer}/userinfo` },
    accountId: (me) => me.sub as string,
    label: (me) => `${me.sub}’s projects`,
    allow: [`${issuer}/`],
  }
}
