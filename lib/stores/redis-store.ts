/** A store in Redis or Valkey, by a client that the app has already: node-redis or ioredis. */

import { OAuthError } from '../errors.js'
import { checkOptions } from '../options.js'
import type { Store } from './store.js'

/** The part of a node-redis client that is used; `createClient`, `createCluster`, pools and sentinels have it. */
export interface NodeRedisClient {
  readonly isOpen: boolean
  get(key: string): Promise<string | null>
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
}

/** The part of an ioredis client that is used; `Redis` and `Cluster` have it. */
export interface IoredisClient {
  readonly status: string
  get(key: string): Promise<string | null>
  eval(script: string, numberOfKeys: number, ...keysAndArguments: string[]): Promise<unknown>
}

export interface RedisStoreOptions {
  /** Begins all keys. Default `oauth:`. */
  prefix?: string
}

/**
 * What writes is a script of one key: atomic, right on clusters, and the same to both clients and all their versions.
 * (An option of `set` that a version does not know would be ignored, and an `add` that overwrites is no lock.)
 */
const scripts = {
  set: "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1",
  add: "return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') and 1 or 0",
  replace:
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) return 1",
  delete: "return redis.call('DEL', KEYS[1])",
  deleteExpected:
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end return redis.call('DEL', KEYS[1])",
}

const known: Record<keyof RedisStoreOptions, true> = { prefix: true }

/**
 * A store in Redis 6.2 or later. The client stays the app's: it connects it, listens to its `error` events and closes it.
 *
 * By default both clients keep commands while Redis is away and send them when it is back, when the request that asked may
 * be over, and neither gives up a connection that is silent. These settings do; they are milliseconds:
 *
 * - node-redis: `{ disableOfflineQueue: true, pingInterval: 1000, socket: { reconnectStrategy: 200, connectTimeout: 2000,
 *   socketTimeout: 2000 } }`
 * - ioredis: `{ enableOfflineQueue: false, maxRetriesPerRequest: 0, connectTimeout: 2000, socketTimeout: 2000,
 *   maxLoadingRetryTime: 200, retryStrategy: () => 200 }`
 *
 * Redis must not evict entries (`maxmemory-policy noeviction`), reads must not go to replicas, and a client-side cache
 * must be off: what was ended would seem alive. Throws `invalid_configuration` for something that is neither client.
 */
export function redisStore(client: NodeRedisClient | IoredisClient, options: RedisStoreOptions = {}): Store {
  const check = checkOptions('redisStore', options, known)
  const { prefix = 'oauth:' } = options
  if (typeof prefix !== 'string') check.refuse('prefix', 'is not a string', 'leave it out, or give a string')
  const run = scriptRunner(client)
  const does = async (script: keyof typeof scripts, key: string, ...args: string[]) =>
    Number(await run(scripts[script], prefix + key, args)) === 1

  return {
    // Not MGET: on a cluster the keys live on different nodes. Commands of one tick travel together anyway.
    get: async (keys) => Promise.all(keys.map(async (key) => (await client.get(prefix + key)) ?? undefined)),
    async set(key, value, ttl) {
      await does('set', key, value, milliseconds(ttl))
    },
    add: (key, value, ttl) => does('add', key, value, milliseconds(ttl)),
    replace: (key, expected, value, ttl) => does('replace', key, expected, value, milliseconds(ttl)),
    delete: (key, expected) =>
      expected === undefined ? does('delete', key) : does('deleteExpected', key, expected),
  }
}

/** Redis refuses 0, and an entry must not be gone before its time. */
function milliseconds(ttl: number): string {
  return String(Math.max(1, Math.ceil(ttl * 1000)))
}

type ScriptRunner = (script: string, key: string, args: readonly string[]) => Promise<unknown>

function scriptRunner(client: NodeRedisClient | IoredisClient): ScriptRunner {
  if (isClient(client)) {
    if ('status' in client) return (script, key, args) => client.eval(script, 1, key, ...args)
    return (script, key, args) => client.eval(script, { keys: [key], arguments: [...args] })
  }
  throw new OAuthError('invalid_configuration', {
    message: `redisStore: got ${described(client)}; pass a client of node-redis (createClient) or ioredis (new Redis)`,
    hint: 'Pass the client itself, not its options, URL or promise.',
  })
}

function isClient(value: unknown): value is NodeRedisClient | IoredisClient {
  const { get, eval: run, isOpen, status } = (value ?? {}) as Record<string, unknown>
  if (typeof get !== 'function' || typeof run !== 'function') return false
  return typeof isOpen === 'boolean' || typeof status === 'string'
}

function described(value: unknown): string {
  if (value === null || typeof value !== 'object') return value === null ? 'null' : typeof value
  const { name } = value.constructor ?? Object
  return name === 'Object' ? 'a plain object' : `an instance of ${name}`
}
