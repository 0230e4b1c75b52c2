/** An authorization server with many users: each browser is signed in there as somebody, and tokens tell whose they are. */
import { openBrowser, type Browser } from './browser.js'
import { startFaultyServer, type Fault, type FaultyServer } from './faulty-server.js'
import type { Authorization, Provider } from './faulty-server/provider.js'
import { correctSteps } from './faulty-server/steps.js'

export interface UserServer {
  readonly server: FaultyServer
  /** A browser that is signed in at the server as this user: a new one, or this one from now on. */
  openBrowser(user: string, browser?: Browser): Promise<Browser>
  /** Whose access token it is. */
  ownerOf(accessToken: string): string | undefined
  /** Times that a user came to the server to sign in. */
  logins(user: string): number
  /** Times that tokens of a user were refreshed. */
  refreshes(user: string): number
  /** The server from inside; once somebody has signed in. */
  provider(): Provider
  /** From now on does this wrong, or nothing, to whomever it is. */
  misbehave(fault?: Fault): void
  /** Token answers for these users are never sent, and who waits for one is told. */
  withhold(users: readonly string[], onWaiting: (user: string) => void): void
}

export interface UserServerOptions {
  /** Seconds that access tokens live. */
  readonly life: number
  /** Whether new tokens come with an ID token, too. Default: always. */
  readonly renewsIdToken?: () => boolean
  /** The cookie by which a browser says who is signed in at this server. Default `user`. */
  readonly cookie?: string
  readonly clientId?: string
}

export async function startUserServer({
  life,
  renewsIdToken = () => true,
  cookie = 'user',
  clientId,
}: UserServerOptions): Promise<UserServer> {
  const server = await startFaultyServer(clientId === undefined ? {} : { clientId })
  const named = new RegExp(`(?:^|; )${cookie}=([\\w-]+)`)
  const users = new WeakMap<Authorization, string>()
  const logins = new Map<string, number>()
  const refreshes = new Map<string, number>()
  const owners = new Map<string, string>()
  let provider: Provider | undefined
  let withheld: readonly string[] = []
  let onWaiting: (user: string) => void = () => undefined
  const steps: Fault = {
    authorizationResponse(op, authorization) {
      const user = named.exec(op.requests.at(-1)?.headers.cookie ?? '')?.[1] ?? 'nobody'
      provider = op
      users.set(authorization, user)
      logins.set(user, (logins.get(user) ?? 0) + 1)
      return correctSteps.authorizationResponse(op, authorization)
    },
    idTokenClaims: async (op, authorization) => ({
      ...(await correctSteps.idTokenClaims(op, authorization)),
      sub: users.get(authorization) ?? 'nobody',
    }),
    userinfo: async (op, authorization) => ({
      ...(await correctSteps.userinfo(op, authorization)),
      sub: users.get(authorization) ?? 'nobody',
    }),
    async tokenResponse(op, authorization) {
      const user = users.get(authorization) ?? 'nobody'
      const isRefresh = op.requests.at(-1)?.body.get('grant_type') === 'refresh_token'
      if (isRefresh) refreshes.set(user, (refreshes.get(user) ?? 0) + 1)
      const { id_token, ...response } = await correctSteps.tokenResponse(op, authorization)
      owners.set(String(response['access_token']), user)
      const brings = !isRefresh || renewsIdToken()
      return { ...response, expires_in: life, ...(brings && { id_token }) }
    },
    answerToken(op, response) {
      const user = owners.get(String(response['access_token'])) ?? 'nobody'
      if (!withheld.includes(user)) return correctSteps.answerToken(op, response)
      onWaiting(user)
      return () => undefined
    },
  }
  server.misbehave(steps)
  return {
    server,
    openBrowser: async (user, browser = openBrowser()) => {
      await browser.jar.setCookie(`${cookie}=${user}`, server.issuer)
      return browser
    },
    ownerOf: (accessToken) => owners.get(accessToken),
    logins: (user) => logins.get(user) ?? 0,
    refreshes: (user) => refreshes.get(user) ?? 0,
    provider: () => {
      if (!provider) throw new Error('nobody has come to the server yet')
      return provider
    },
    misbehave: (fault = {}) => server.misbehave({ ...steps, ...fault }),
    withhold: (names, told) => {
      withheld = names
      onWaiting = told
    },
  }
}
