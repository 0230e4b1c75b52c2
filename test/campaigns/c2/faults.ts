/** What a Redis does wrong, each for a while. One more is one more entry. */
import { createClient } from 'redis'
import type { RedisServer } from '../../support/redis.js'
import type { Random } from '../support/campaign.js'
import type { RedisFront } from '../support/redis-front.js'
import type { Watch } from './watch.js'

export interface Scene {
  readonly redis: RedisServer
  /** Before Redis, for some of the applications. */
  readonly front: RedisFront
  readonly watch: Watch
  readonly random: Random
}

export interface Fault {
  readonly name: string
  /** It tells the watch itself when the store is back. */
  readonly tells?: true
  /** Makes it fail, and ends that. Tells the watch when the store cannot answer at all. */
  run(scene: Scene): Promise<void>
}

export const kill: Fault = {
  name: 'killed',
  tells: true,
  async run({ redis, watch, random }) {
    await redis.kill()
    watch.leaves()
    await pause(100 + random() * 200)
    watch.returns()
    await redis.restart()
    watch.returns()
  },
}

export const faults: readonly Fault[] = [
  {
    name: 'hangs',
    tells: true,
    async run({ redis, watch }) {
      redis.pause()
      watch.leaves()
      await pause(3_500)
      watch.returns()
      redis.resume()
      watch.returns()
    },
  },
  {
    name: 'is slow',
    async run({ redis }) {
      for (let times = 0; times < 3; times += 1) {
        await asked(redis, async (client) => client.sendCommand(['CLIENT', 'PAUSE', '500', 'ALL']))
        await pause(600)
      }
    },
  },
  {
    name: 'is read-only',
    run: ({ redis }) => during(redis, ['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']),
  },
  {
    name: 'is full',
    run: ({ redis }) =>
      during(redis, ['CONFIG', 'SET', 'maxmemory', '1mb'], ['CONFIG', 'SET', 'maxmemory', '0']),
  },
  {
    name: 'has other things under the keys',
    async run({ redis, watch }) {
      const keys = await keysRead(redis)
      await asked(redis, async (client) => {
        const kept = await Promise.all(keys.map(async (key) => client.exists(key)))
        const other = `${randomName()}:`
        for (const [index, key] of keys.entries()) {
          const together = client.multi()
          if (kept[index] === 1) together.rename(key, other + key)
          await together.del(key).hSet(key, 'of', 'somebody else').exec()
        }
        await pause(100) // for answers that are under way
        watch.leaves()
        await pause(500)
        watch.returns()
        for (const [index, key] of keys.entries()) {
          const together = client.multi().del(key)
          if (kept[index] === 1) together.rename(other + key, key)
          await together.exec()
        }
      })
    },
  },
  {
    name: 'loses its connections every 200 ms',
    async run({ redis }) {
      for (let times = 0; times < 10; times += 1) {
        await asked(redis, async (client) => client.sendCommand(['CLIENT', 'KILL', 'TYPE', 'normal']))
        await pause(200)
      }
    },
  },
  {
    name: 'is cut off after a few commands',
    async run({ front, random }) {
      front.cut(() => 1 + random() * 8)
      await pause(2_000)
      front.cut()
    },
  },
]

async function during(redis: RedisServer, begin: string[], end: string[]): Promise<void> {
  await asked(redis, async (client) => client.sendCommand(begin))
  await pause(1_200)
  await asked(redis, async (client) => client.sendCommand(end))
}

/** All keys that are asked for within a while. */
async function keysRead(redis: RedisServer): Promise<string[]> {
  const keys = new Set<string>()
  await asked(redis, async (client) => {
    await client.monitor((line) => {
      const [, key] = /"get" "([^"]+)"/i.exec(line) ?? []
      if (key !== undefined && /sess|oauth-tokens|ended/.test(key)) keys.add(key)
    })
    await pause(1_200)
  })
  return [...keys]
}

async function asked<T>(redis: RedisServer, work: (client: Client) => Promise<T>): Promise<T> {
  const client = newClient(redis)
  client.on('error', () => undefined)
  await client.connect()
  try {
    return await work(client)
  } finally {
    client.destroy()
  }
}

type Client = ReturnType<typeof newClient>

function newClient(redis: RedisServer) {
  return createClient({ url: redis.url })
}

function randomName(): string {
  return `moved-${performance.now()}`
}

export async function pause(milliseconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds))
}
