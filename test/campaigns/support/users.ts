/** An authorization server with many users: each browser is signed in there as somebody, and tokens tell whose they are. */
import { openBrowser, type Browser } from '../../support/browser.js'
import { startFaultyServer, type Fault, type FaultyServer } from '../../support/faulty-server.js'
import type { Authorization } from '../../support/faulty-server/provider.js'
import { correctSteps } from '../../support/faulty-server/steps.js'

export interface UserServer {
  readonly server: FaultyServer
  /** A browser that is signed in at the server as this user. */
  openBrowser(user: string): Promise<Browser>
  /** Whose access token it is. */
  ownerOf(accessToken: string): string | undefined
  /** Times that a user came to the server to sign in. */
  logins(user: string): number
  /** From now on does this wrong, or nothing, to whomever it is. */
  misbehave(fault?: Fault): void
  /** Token answers for these users are never sent, and who waits for one is told. */
  withhold(users: readonly string[], onWaiting: (user: string) => void): void
}

/** `life` is of access tokens, in seconds. */
export async function startUserServer({ life }: { life: number }): Promise<UserServer> {
  const server = await startFaultyServer()
  const users = new WeakMap<Authorization, string>()
  const logins = new Map<string, number>()
  const owners = new Map<string, string>()
  let withheld: readonly string[] = []
  let onWaiting: (user: string) => void = () => undefined
  const steps: Fault = {
    authorizationResponse(op, authorization) {
      const user = /user=([\w-]+)/.exec(op.requests.at(-1)?.headers.cookie ?? '')?.[1] ?? 'nobody'
      users.set(authorization, user)
      logins.set(user, (logins.get(user) ?? 0) + 1)
      return correctSteps.authorizationResponse(op, authorization)
    },
    idTokenClaims: async (op, authorization) => ({
      ...(await correctSteps.idTokenClaims(op, authorization)),
      sub: users.get(authorization) ?? 'nobody',
    }),
    async tokenResponse(op, authorization) {
      const response = await correctSteps.tokenResponse(op, authorization)
      owners.set(String(response['access_token']), users.get(authorization) ?? 'nobody')
      return { ...response, expires_in: life }
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
    openBrowser: async (user) => {
      const browser = openBrowser()
      await browser.jar.setCookie(`user=${user}`, server.issuer)
      return browser
    },
    ownerOf: (accessToken) => owners.get(accessToken),
    logins: (user) => logins.get(user) ?? 0,
    misbehave: (fault = {}) => server.misbehave({ ...steps, ...fault }),
    withhold: (names, told) => {
      withheld = names
      onWaiting = told
    },
  }
}
