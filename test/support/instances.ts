/** Two instances of one application, before one authorization server and over the same stores. */
import { MemoryStore } from 'express-session'
import { onTestFinished } from 'vitest'
import { getAuth, isOAuthError, memoryStore, type AccessTokenOptions, type Store } from '../../lib/index.js'
import { startApp, type App, type AppOptions, type LoginOptions, type Router } from './app.js'
import { canary } from './canaries.js'
import type { Fault } from './faulty-server.js'
import { sessionOver } from './express-session.js'
import { bare, cookieHeader, ownForm, typed } from './requests.js'
import { registration, startStage, type Stage } from './stage.js'

/** Where sessions and their tokens are. */
export const kinds = ['cookies', 'records in the shared store', 'records in the session store'] as const
export type Kind = (typeof kinds)[number]

export interface InstancesOptions {
  readonly kind: Kind
  readonly fault?: Fault
  /** Of both. */
  readonly options?: Partial<LoginOptions>
  /** The store of express-session. */
  readonly sessions?: MemoryStore
  /** The store as an instance sees it. */
  readonly seenBy?: (store: Store, instance: number) => Store
  readonly routes?: (router: Router) => void
}

export interface Instances extends Stage {
  readonly apps: readonly [App, App]
  /** The Cookie header of a new user. */
  user(): Promise<string>
  /** What an instance says of the access token for this Cookie header: the token, or why there is none. */
  token(instance: number, cookie: string, options?: AccessTokenOptions): Promise<string>
  get(instance: number, path: string, cookie: string): ReturnType<typeof bare>
  logout(instance: number, cookie: string): ReturnType<typeof bare>
  /** Whether an instance lets this Cookie header in. */
  isIn(instance: number, cookie: string): Promise<boolean>
}

export async function startInstances(wanted: InstancesOptions): Promise<Instances> {
  const { kind, fault = {}, seenBy = (store) => store } = wanted
  const memory = memoryStore()
  // A store of our own memory is known to be no place for records; a copy of one does not look like it.
  const storeOf = (instance: number): Store =>
    kind === 'records in the session store'
      ? Object.assign(memoryStore(), seenBy(memory, instance))
      : { ...seenBy(memory, instance) }
  const { sessions = new MemoryStore() } = wanted
  const secrets = [canary('cookie-secret')]
  const settings = (instance: number): Omit<AppOptions, 'options'> & { options: Partial<LoginOptions> } => ({
    storage: kind === 'cookies' ? 'cookie' : 'session',
    ...(kind !== 'cookies' && { before: [sessionOver(sessions)] }),
    options: { secrets, ...wanted.options, store: storeOf(instance) },
    routes(router) {
      tokenRoute(router)
      wanted.routes?.(router)
    },
  })
  const stage = await startStage({ ...settings(0), server: { fault } })
  const second = settings(1)
  const other = await startApp({ ...second, options: { ...registration(stage.server), ...second.options } })
  onTestFinished(() => other.close())
  stage.server.register(other.callbackUrl, `${other.url}/`)
  const apps = [stage.app, other] as const
  const url = (instance: number) => apps[instance % 2 === 0 ? 0 : 1].url
  return {
    ...stage,
    apps,
    user: async () => cookieHeader(await stage.signedIn(), stage.app.url),
    async token(instance, cookie, options = {}) {
      const query = new URLSearchParams({ options: JSON.stringify(options) }).toString()
      return (await bare(`${url(instance)}/token?${query}`, { ...typed, cookie })).body
    },
    get: async (instance, path, cookie) => bare(url(instance) + path, { ...typed, cookie }),
    logout: async (instance, cookie) =>
      bare(`${url(instance)}/logout`, { ...ownForm, cookie }, { method: 'POST' }),
    isIn: async (instance, cookie) =>
      (await bare(`${url(instance)}/private`, { accept: 'application/json', cookie })).status === 200,
  }
}

function tokenRoute({ get }: Router): void {
  get('/token', async (req, res) => {
    const given = new URL(req.url ?? '', 'http://localhost').searchParams.get('options') ?? '{}'
    try {
      res.end(await getAuth(req).accessToken(JSON.parse(given) as AccessTokenOptions))
    } catch (error) {
      if (!isOAuthError(error)) throw error
      res.statusCode = error.status
      res.end([error.code, error.reason].join(' '))
    }
  })
}
