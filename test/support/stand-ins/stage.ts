/** An app whose user connects an account at a service that something here stands for. */
import { onTestFinished } from 'vitest'
import {
  memoryConnectionStore,
  oauthConnections,
  type Connection,
  type ConnectionProvider,
  type OAuthConnections,
  type OAuthEvent,
} from '../../../lib/index.js'
import { startApp } from '../app.js'
import { openBrowser, type Page } from '../browser.js'
import { canary, everythingIn, showsCanary } from '../canaries.js'
import { registration } from '../stage.js'
import { startUserServer } from '../user-server.js'
import type { StandIn } from './stand-in.js'

export interface StandInStage {
  readonly connections: OAuthConnections
  readonly events: readonly OAuthEvent[]
  /** Connects as somebody at the service, and tells how it ended. */
  connect(account: string, fields?: Readonly<Record<string, string>>): Promise<Record<string, unknown>>
  /** Where "connect" leads. */
  location(fields?: Readonly<Record<string, string>>): Promise<URL>
  /** The only connection. */
  only(): Promise<Connection>
  post(path: string): Promise<Page>
}

export async function startStandInStage(
  provider: ConnectionProvider,
  standIn: Pick<StandIn, 'fetch' | 'agree'>,
): Promise<StandInStage> {
  const login = await startUserServer({ life: 3_600 })
  const events: OAuthEvent[] = []
  let connections: OAuthConnections | undefined
  const app = await startApp({
    options: registration(login.server),
    routes: (router) => router.use((request, response, next) => connections?.(request, response, next)),
  })
  onTestFinished(async () => {
    await app.close()
    await login.server.close()
    // Whatever happened, no event has a secret in it.
    if (showsCanary(everythingIn(events))) throw new Error('an event shows a secret')
  })
  login.server.register(app.callbackUrl, `${app.url}/`)
  const made = (connections = oauthConnections({
    baseUrl: app.url,
    secrets: [canary('cookie-secret')],
    store: memoryConnectionStore(),
    providers: { service: provider },
    fetch: standIn.fetch,
    onEvent: (event) => void events.push(event),
  }))
  const browser = await login.openBrowser('alice', openBrowser())
  await browser.visit(`${app.url}/private`)

  const post = (path: string, body: object = {}) =>
    browser.fetch(app.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-csrf': '1' },
      body: JSON.stringify(body),
    })

  const location: StandInStage['location'] = async (fields = {}) => {
    const { body, status } = await post('/connections/service/connect', fields)
    if (status !== 200) throw new Error(`connecting was answered with ${status}: ${body}`)
    return new URL((JSON.parse(body) as { location: string }).location)
  }

  return {
    connections: made,
    events,
    location,
    async connect(account, fields) {
      const back = await standIn.agree((await location(fields)).href, account)
      await browser.click(back)
      const { body } = await browser.fetch(`${app.url}/connections`, { headers: { 'x-csrf': '1' } })
      const { outcome } = JSON.parse(body) as { outcome: Record<string, unknown> }
      if (showsCanary(body)) throw new Error('the list shows a secret')
      return outcome
    },
    async only() {
      const [connection, ...others] = await made.for('alice').list()
      if (!connection || others.length > 0) throw new Error('there is not one connection')
      return connection
    },
    post,
  }
}
