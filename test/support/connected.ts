/** An account that is connected, with its server, its row and further instances of the app over the same store. */
import {
  memoryConnectionStore,
  oauthConnections,
  type Connection,
  type ConnectionProvider,
  type OAuthConnections,
} from '../../lib/index.js'
import type { ConnectionRecord } from '../../lib/connections/connection-record.js'
import type { ConnectionStore } from '../../lib/connections/connection-store.js'
import type { Browser } from './browser.js'
import { canary } from './canaries.js'
import { providerAt, startConnecting, type Connecting, type ConnectingOptions } from './connecting.js'
import type { Provider } from './faulty-server/provider.js'
import { correctSteps } from './faulty-server/steps.js'
import type { Answer } from './faulty-server/answer.js'
import type { UserServer } from './user-server.js'

export interface Connected extends Connecting {
  readonly browser: Browser
  readonly connection: Connection
  readonly server: UserServer
  readonly store: ConnectionStore
  /** Where the server says whose token it is. */
  readonly me: string
  /** The row. */
  row(): Promise<ConnectionRecord>
  /** The connection as another instance of the app has it, which may be set up in another way. */
  elsewhere(special?: Partial<ConnectionProvider>, store?: ConnectionStore): Promise<Connection>
  /** Another instance. */
  instance(special?: Partial<ConnectionProvider>, store?: ConnectionStore): OAuthConnections
}

export async function startConnected(options: ConnectingOptions = {}): Promise<Connected> {
  const { store = memoryConnectionStore(), secrets = [canary('cookie-secret')] } = options
  const stage = await startConnecting({ ...options, store, secrets })
  const browser = await stage.signedIn('alice')
  await stage.connect(browser)
  const [connection] = await stage.connections.for('alice').list()
  const server = stage.providers['projects']
  if (!connection || !server) throw new Error('nothing was connected')
  const instance: Connected['instance'] = (special, its = store) =>
    oauthConnections({
      baseUrl: stage.app.url,
      secrets,
      store: its,
      providers: {
        projects: {
          ...providerAt(server),
          ...options.providers?.['projects'],
          ...special,
        } as ConnectionProvider,
      },
      onEvent: () => undefined,
    })
  return {
    ...stage,
    browser,
    connection,
    server,
    store,
    me: `${server.server.issuer}/userinfo`,
    async row() {
      const record = await store.get(connection.id)
      if (!record) throw new Error('the row is gone')
      return record
    },
    instance,
    elsewhere: async (special, its) => instance(special, its).for('alice').get(connection.id),
  }
}

/** A server that answers refreshes as it is told, and everything else as it should. */
export function refreshesAnswered(
  answer: (op: Provider, response: Record<string, unknown>) => Answer | Promise<Answer>,
): { answerToken: typeof correctSteps.answerToken } {
  return {
    answerToken: (op, response) => (isRefresh(op) ? answer : correctSteps.answerToken)(op, response),
  }
}

function isRefresh(op: Provider): boolean {
  return (
    op.requests.findLast(({ endpoint }) => endpoint === 'token')?.body.get('grant_type') === 'refresh_token'
  )
}

/** A refresh that has reached the server, which answers when it is told to. */
export function heldRefresh(
  answer: (
    op: Provider,
    response: Record<string, unknown>,
  ) => Answer | Promise<Answer> = correctSteps.answerToken,
): { readonly fault: ReturnType<typeof refreshesAnswered>; readonly reached: Promise<void>; goOn(): void } {
  const reached = deferred()
  const released = deferred()
  return {
    fault: refreshesAnswered(async (op, response) => {
      reached.resolve()
      await released.promise
      return answer(op, response)
    }),
    reached: reached.promise,
    goOn: released.resolve,
  }
}

function deferred(): { readonly promise: Promise<void>; resolve(): void } {
  let resolve: () => void = () => undefined
  const promise = new Promise<void>((done) => (resolve = done))
  return { promise, resolve: () => resolve() }
}
