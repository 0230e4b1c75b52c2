import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Cluster, Redis } from 'ioredis'
import { createClient, createClientPool, createCluster } from 'redis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { redisStore, type Store } from '../../lib/index.js'
import { scopedStore } from '../../lib/stores/store.js'
import { needProgram } from '../support/needed.js'
import { hasRedis, startRedis, startRedisCluster, type RedisServer } from '../support/redis.js'
import { obeysTheContract } from './contract.js'

const prefixes = { one: 'one:', two: 'two:' }

interface Connected {
  store(prefix?: string): Store
  close(): unknown
}

/** The clients with the settings that the README recommends. */
const clients: Record<string, (url: string) => Promise<Connected>> = {
  async 'node-redis'(url) {
    const client = createClient({
      url,
      disableOfflineQueue: true,
      pingInterval: 1000,
      socket: { reconnectStrategy: 200, connectTimeout: 2000, socketTimeout: 2000 },
    })
    client.on('error', () => {})
    await client.connect()
    return { store: (prefix) => redisStore(client, prefixed(prefix)), close: () => client.destroy() }
  },
  async ioredis(url) {
    const client = new Redis(url, {
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      connectTimeout: 2000,
      socketTimeout: 2000,
      retryStrategy: () => 200,
    })
    client.on('error', () => {})
    await once(client, 'ready')
    return { store: (prefix) => redisStore(client, prefixed(prefix)), close: () => client.disconnect() }
  },
}

function prefixed(prefix?: string) {
  return prefix === undefined ? {} : { prefix }
}

needProgram('redis-server', hasRedis)

describe.skipIf(!hasRedis)('redisStore', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.stop())

  describe.each(Object.entries(clients))('by %s', (_name, connect) => {
    let client: Connected
    beforeAll(async () => {
      client = await connect(server.url)
    })
    afterAll(() => void client.close())

    obeysTheContract(async (space) => client.store(prefixes[space]))

    test('keys begin with "oauth:" unless said otherwise', async () => {
      await client.store().set('a', '1', 60)
      await client.store('').set('b', '1', 60)
      expect(await client.store('').get(['oauth:a', 'oauth:b', 'b'])).toEqual(['1', undefined, '1'])
    })

    test('a time that is no number is refused by Redis', async () => {
      expect(await outcome(client.store().set('nan', '1', Number.NaN))).toBe('failed')
      expect(await client.store().get(['nan'])).toEqual([undefined])
    })

    test('what somebody else keeps there in another form is a failure, not an absence', async () => {
      const other = new Redis(server.url)
      await other.lpush('oauth:list', 'x')
      other.disconnect()
      await expect(client.store().get(['list'])).rejects.toThrow('WRONGTYPE')
      await expect(client.store().replace('list', 'x', 'y', 60)).rejects.toThrow('WRONGTYPE')
      await expect(client.store().delete('list', 'x')).rejects.toThrow('WRONGTYPE')
    })
  })

  test('a pool of node-redis is a client, too', async () => {
    const pool = createClientPool({ url: server.url })
    await pool.connect()
    const store = redisStore(pool)
    const key = 'of a pool'
    const added = await Promise.all(Array.from({ length: 50 }, () => store.add(key, '1', 60)))
    expect(added.filter(Boolean)).toHaveLength(1)
    expect(await store.replace(key, '1', '2', 60)).toBe(true)
    expect(await store.get([key])).toEqual(['2'])
    pool.destroy()
  })

  test('ioredis that gives numbers as strings is understood', async () => {
    const client = new Redis(server.url, { stringNumbers: true })
    const store = redisStore(client)
    expect(await store.add('numbers', '1', 60)).toBe(true)
    expect(await store.add('numbers', '1', 60)).toBe(false)
    client.disconnect()
  })
})

describe.skipIf(!hasRedis)('redisStore on a cluster', () => {
  let cluster: Awaited<ReturnType<typeof startRedisCluster>>
  beforeAll(async () => {
    cluster = await startRedisCluster()
  })
  afterAll(() => cluster.stop())

  describe('by node-redis', () => {
    let close: () => void
    let store: (space: 'one' | 'two') => Store
    beforeAll(async () => {
      const rootNodes = cluster.ports.map((port) => ({ url: `redis://127.0.0.1:${port}` }))
      const client = createCluster({ rootNodes })
      await client.connect()
      store = (space) => redisStore(client, { prefix: prefixes[space] })
      close = () => client.destroy()
    })
    afterAll(() => close())
    obeysTheContract(async (space) => store(space))
  })

  describe('by ioredis', () => {
    let close: () => void
    let store: (space: 'one' | 'two') => Store
    beforeAll(async () => {
      const client = new Cluster(cluster.ports.map((port) => ({ host: '127.0.0.1', port })))
      await once(client, 'ready')
      store = (space) => redisStore(client, { prefix: prefixes[space] })
      close = () => client.disconnect()
    })
    afterAll(() => close())
    obeysTheContract(async (space) => store(space))
  })
})

describe.skipIf(!hasRedis).each(Object.entries(clients))('redisStore by %s, when Redis', (_name, connect) => {
  let server: RedisServer
  let client: Connected
  let store: Store
  beforeAll(async () => {
    server = await startRedis()
    client = await connect(server.url)
    store = client.store()
  })
  afterAll(async () => {
    client.close()
    await server.stop()
  })

  test('dies: calls fail at once, none is made up for later, and it works again when Redis does', async () => {
    await store.set('key', '1', 60)
    server.pause()
    const inFlight = outcome(store.set('in flight', '1', 60))
    await sleep(50)
    await server.kill()
    expect(await inFlight).toBe('failed')
    const asked = performance.now()
    expect(await outcome(store.get(['key']))).toBe('failed')
    expect(await outcome(store.set('late', '1', 60))).toBe('failed')
    expect(await outcome(store.add('late', '1', 60))).toBe('failed')
    expect(performance.now() - asked).toBeLessThan(500)
    await server.restart()
    await expect.poll(() => store.add('back', '1', 60), { timeout: 2000, interval: 20 }).toBe(true)
    expect(await store.get(['in flight', 'late'])).toEqual([undefined, undefined])
  })

  test('says nothing: calls are store_unavailable in time, and it works again when Redis does', async () => {
    const scoped = scopedStore(store, { scope: 'app', timeout: 0.2 })
    await scoped.set('key', '1', 60)
    server.pause()
    for (const call of [scoped.get(['key']), scoped.add('other', '1', 60), scoped.delete('key')])
      await expect(call).rejects.toMatchObject({ code: 'store_unavailable' })
    // Long enough for the client to give the connection up.
    await sleep(3000)
    expect(await outcome(store.get(['app:key']))).toBe('failed')
    server.resume()
    await expect
      .poll(() => scoped.set('key', '2', 60).then(() => true), { timeout: 2000, interval: 20 })
      .toBe(true)
    expect(await scoped.get(['key'])).toEqual(['2'])
  })
})

describe('redisStore refuses', () => {
  test.each([
    ['undefined', undefined, 'got undefined'],
    ['null', null, 'got null'],
    ['a URL', 'redis://localhost', 'got string'],
    ['options', { url: 'redis://localhost' }, 'got a plain object'],
    ['a promise of a client', Promise.resolve(), 'got an instance of Promise'],
    ['a map', new Map(), 'got an instance of Map'],
    ['a client of another kind', { get: async () => null, eval: async () => null }, 'got a plain object'],
  ])('%s', (_name, client, message) => {
    const make = () => redisStore(client as never)
    expect(make).toThrow(expect.objectContaining({ code: 'invalid_configuration' }))
    expect(make).toThrow(message)
    expect(make).toThrow('pass a client of node-redis (createClient) or ioredis (new Redis)')
  })

  test.each([
    [{ prefx: 'a' }, 'did you mean "prefix"?'],
    [{ prefix: 1 }, 'option "prefix" is not a string'],
    [null, 'pass an object with options'],
  ])('the options %j', (options, message) => {
    const client = new Redis({ lazyConnect: true })
    const make = () => redisStore(client, options as never)
    expect(make).toThrow(expect.objectContaining({ code: 'invalid_configuration' }))
    expect(make).toThrow(message)
  })
})

async function outcome(call: Promise<unknown>): Promise<'answered' | 'failed'> {
  return call.then(
    () => 'answered',
    () => 'failed',
  )
}
