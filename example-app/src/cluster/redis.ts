/** A Redis of the demo's own: on a free loopback port, with what it keeps in a folder that goes with it. */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SettingsError } from '../settings.js'

export interface Redis {
  readonly url: string
  stop(): void
}

/** Long enough to see what pages say meanwhile. */
const secondsUntilRestart = 5

/** Ends Redis when its own input ends, which it does however the demo ends. */
const guard = `
exec 3<&0
redis-server "$@" 3<&- & redis=$!
(cat <&3 >/dev/null; kill $redis) 2>/dev/null &
wait $redis`

export async function startRedis(): Promise<Redis> {
  if (spawnSync('redis-server', ['--version']).error) {
    throw new SettingsError(
      `redis-server is not installed, and the processes of the app need a Redis that they share.
Install it (apt-get install redis-server, brew install redis), or name a Redis that you have:
REDIS_URL=redis://localhost:6379 npm run demo:cluster`,
    )
  }
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'projects-redis-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  let stopped = false

  async function start(): Promise<ChildProcess> {
    const network = ['--bind', '127.0.0.1', '--port', String(port)]
    // What sessions end by must not be evicted, and a crash should lose nothing.
    const data = ['--dir', folder, '--appendonly', 'yes', '--save', '', '--maxmemory-policy', 'noeviction']
    // In a group of its own, so that Ctrl+C does not end it before the app.
    const redis = spawn('sh', ['-c', guard, 'sh', ...network, ...data], {
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
    })
    let output = ''
    redis.stdout.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-2000)
      if (/Ready to accept connections/.test(output)) redis.emit('ready')
    })
    const ended = once(redis, 'exit').then(() => {
      throw new SettingsError(`Redis did not start:\n${output}`)
    })
    await Promise.race([once(redis, 'ready'), ended])
    ended.catch(() => undefined)
    redis.once('exit', () => {
      if (stopped) return
      console.warn(
        `Redis ended. Pages say so until it is back, which will be in ${secondsUntilRestart} seconds.`,
      )
      setTimeout(() => void start().then((again) => (current = again)), secondsUntilRestart * 1000)
    })
    return redis
  }

  let current = await start()
  return {
    url: `redis://127.0.0.1:${port}`,
    stop() {
      stopped = true
      current.stdin?.end()
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
