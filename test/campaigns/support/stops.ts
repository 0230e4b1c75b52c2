/** Points between two steps of an application, put in from outside, where a request stands still or its process ends. */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { RequestHandler } from 'express'
import type session from 'express-session'
import type { ConnectionRecord, ConnectionStore, Store } from 'express-oauth-kit'

/** Of a browser whose request is to stop. A point is `before` or `after` and what is done there. */
export interface Stop {
  /** A name for whoever stands there. */
  readonly user: string
  readonly point: string
  /** Kills the process there, in place of standing still. */
  readonly dies: boolean
}

const cookieName = 'stop'
const stops = new AsyncLocalStorage<Stop>()
const names = new Set<string>()
const forEver = new Promise<never>(() => undefined)

/** The cookie that makes the requests of a browser stop. */
export function stopCookie({ user, point, dies }: Stop): { name: string; value: string } {
  return {
    name: cookieName,
    value: [user, point, dies ? 'dies' : 'stands'].map(encodeURIComponent).join('|'),
  }
}

function stopIn(cookie = ''): Stop | undefined {
  const value = cookie.split('; ').find((pair) => pair.startsWith(`${cookieName}=`))
  const [user, point, manner] =
    value
      ?.slice(cookieName.length + 1)
      .split('|')
      .map(decodeURIComponent) ?? []
  return user === undefined || point === undefined ? undefined : { user, point, dies: manner === 'dies' }
}

/** Users whose requests stand still. */
export function standing(): string[] {
  return [...names]
}

/** Comes before all that is to stop. */
export const withStop: RequestHandler = (req, res, next) => {
  const stop = stopIn(req.headers.cookie)
  if (!stop) {
    next()
    return
  }
  const isHere = stop.point === `before answer ${req.path}`
  const { writeHead, write, end } = res
  const stopped = <A extends unknown[], R>(method: (...args: A) => R, otherwise: R) => {
    let wasMet = false
    return (...args: A): R => {
      if (!isHere) return method.apply(res, args)
      if (!wasMet) void stops.run(stop, () => meet(stop.point))
      wasMet = true
      return otherwise
    }
  }
  // Nothing leaves: neither the header nor what would bring it along.
  res.writeHead = stopped(writeHead, res) as typeof res.writeHead
  res.write = stopped(write, true) as typeof res.write
  res.end = stopped(end, res) as typeof res.end
  stops.run(stop, next)
}

/** Does what no request of a browser asks for, such as a job, and stops in it. */
export async function stoppingJob<T>(stop: Stop | undefined, job: () => Promise<T>): Promise<T> {
  return stop ? stops.run(stop, job) : job()
}

/** Ends here for a request that is to stand still at this point. */
async function meet(point: string): Promise<void> {
  const stop = stops.getStore()
  if (stop?.point !== point) return
  if (stop.dies) process.kill(process.pid, 'SIGKILL')
  names.add(stop.user)
  await forEver
}

async function around<T>(what: string, run: () => Promise<T>): Promise<T> {
  await meet(`before ${what}`)
  const result = await run()
  await meet(`after ${what}`)
  return result
}

/** Keys by what they are about. */
function kindOf(key: string): string {
  return /(login|lease|outcome|ended:session|oauth-tokens|access|connect:)/.exec(key)?.[1] ?? 'other'
}

export function stoppingStore(store: Store): Store {
  return {
    get: (keys) => store.get(keys),
    set: (key, ...rest) => around(`set ${kindOf(key)}`, () => store.set(key, ...rest)),
    add: (key, ...rest) => around(`add ${kindOf(key)}`, () => store.add(key, ...rest)),
    replace: (key, ...rest) => around(`replace ${kindOf(key)}`, () => store.replace(key, ...rest)),
    delete: (key, ...rest) => around(`delete ${kindOf(key)}`, () => store.delete(key, ...rest)),
  }
}

/** Changes of connections by what they make of it. */
export function stoppingConnectionStore(store: ConnectionStore): ConnectionStore {
  return {
    ...store,
    insert: (record) => around('insert', () => store.insert(record)),
    update: (record) => around(`update ${stateOf(record)}`, () => store.update(record)),
    delete: (...which) => around('delete', () => store.delete(...which)),
    shared: stoppingStore(store.shared),
  }
}

function stateOf({ status, tokens }: ConnectionRecord): string {
  return status === 'disconnected' && tokens === undefined ? 'revoked' : status
}

export const stoppingFetch: typeof fetch = async (input, init) =>
  around(`request ${new URL(input instanceof Request ? input.url : input).pathname}`, async () =>
    fetch(input, init),
  )

export function stoppingSessions(sessions: session.Store): session.Store {
  const { set, destroy } = sessions
  sessions.set = (id, value, done) => {
    const run = async () => new Promise((resolve) => set.call(sessions, id, value, resolve))
    void around('set session', run).then(done)
  }
  sessions.destroy = (id, done) => {
    const run = async () => new Promise((resolve) => destroy.call(sessions, id, resolve))
    void around('destroy session', run).then(done)
  }
  return sessions
}
