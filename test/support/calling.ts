/** An application that calls an API for its users, as a test tells it to. */
import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { getAuth, type Auth, type OAuthLoginOptions } from '../../lib/index.js'
import { startApi, type Api } from './api.js'
import type { Router } from './app.js'
import { bare, cookieHeader, typed, withNewCookies } from './requests.js'
import { startStage, type Stage, type StageOptions } from './stage.js'

/** What a handler does for a user. */
export type Call<T> = (auth: Auth, res: ServerResponse) => Promise<T>

export interface Caller {
  /** A page that does what it was told, for the routes of an application. */
  readonly route: (router: Router) => void
  /** Has a handler do it, for the user of a Cookie header. Fails as the handler does; gives the header of after the answer. */
  call<T>(app: string, cookie: string, what: Call<T>): Promise<{ result: T; cookie: string }>
}

export function caller(): Caller {
  const calls = new Map<string, (auth: Auth, res: ServerResponse) => Promise<void>>()
  return {
    route: ({ get }) =>
      get('/call', async (req, res) => {
        await calls.get(req.url?.split('?')[1] ?? '')?.(getAuth(req), res)
        res.end()
      }),
    async call<T>(app: string, cookie: string, what: Call<T>) {
      const name = randomUUID()
      let outcome: (() => T) | undefined
      calls.set(name, async (auth, res) => {
        try {
          const result = await what(auth, res)
          outcome = () => result
        } catch (error) {
          outcome = () => {
            throw error
          }
        }
      })
      const page = await bare(`${app}/call?${name}`, { ...typed, cookie })
      if (!outcome) throw new Error(`nothing was called: ${page.status}`)
      return { result: outcome(), cookie: withNewCookies(cookie, page) }
    },
  }
}

export interface Calling extends Stage {
  readonly api: Api
  /** A user who has signed in, and whose browser keeps what it is given. */
  user(): Promise<User>
}

export interface User {
  cookie: string
  fetch(url: string | URL, init?: RequestInit): Promise<Response>
  call<T>(what: Call<T>): Promise<T>
}

export interface CallingOptions extends Omit<StageOptions, 'options'> {
  readonly options?: (api: Api) => Partial<OAuthLoginOptions>
}

/** The API may be called below /v1, unless the options say otherwise. */
export async function startCalling({ options, ...stage }: CallingOptions = {}): Promise<Calling> {
  const api = await startApi()
  const { route, call } = caller()
  const started = await startStage({
    ...stage,
    routes: route,
    options: { apis: [`${api.url}/v1/`], ...options?.(api) },
  })
  return {
    ...started,
    api,
    async user() {
      const user: User = {
        cookie: await cookieHeader(await started.signedIn(), started.app.url),
        async call(what) {
          const { result, cookie } = await call(started.app.url, user.cookie, what)
          user.cookie = cookie
          return result
        },
        fetch: async (url, init) => user.call((auth) => auth.fetch(url, init)),
      }
      return user
    },
  }
}
