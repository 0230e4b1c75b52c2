/** A Redis of a test's own, alone or as a cluster. */
import { existsSync } from 'node:fs'
import { once } from 'node:events'
import { connect } from 'node:net'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startServerProcess, type ServerProcess } from './server-process.js'

export interface RedisServer extends ServerProcess {
  readonly url: string
}

const command = 'redis-server'

export const hasRedis = (process.env['PATH'] ?? '')
  .split(delimiter)
  .some((folder) => existsSync(join(folder, command)))

/** It keeps nothing on disk, so that a restart forgets everything. */
export async function startRedis(
  settings: (port: number) => readonly string[] = () => [],
): Promise<RedisServer> {
  const server = await startServerProcess({
    name: 'redis',
    command,
    arguments: (port, folder) => {
      const loopback = ['--port', String(port), '--bind', '127.0.0.1']
      return [...loopback, '--dir', folder, '--save', '', '--appendonly', 'no', ...settings(port)]
    },
    ready: /Ready to accept connections/,
    stopSignal: 'SIGTERM',
  })
  return Object.assign(server, { url: `redis://127.0.0.1:${server.port}` })
}

export interface RedisCluster {
  readonly ports: readonly number[]
  stop(): Promise<void>
}

/** Two nodes, each with one half of the slots. */
export async function startRedisCluster(): Promise<RedisCluster> {
  const nodes = [await startRedisNode(), await startRedisNode()] as const
  const [first, second] = nodes
  const stop = async () => void (await Promise.all(nodes.map((node) => node.stop())))
  try {
    await ask(first.port, 'CLUSTER ADDSLOTSRANGE 0 8191')
    await ask(second.port, 'CLUSTER ADDSLOTSRANGE 8192 16383')
    await ask(first.port, `CLUSTER MEET 127.0.0.1 ${second.port} ${busPort(second.port)}`)
    for (let attempt = 0; ; attempt++) {
      const states = await Promise.all(nodes.map((node) => ask(node.port, 'CLUSTER INFO')))
      if (
        states.every((state) => state.includes('cluster_state:ok') && state.includes('cluster_known_nodes:2'))
      )
        return { ports: nodes.map((node) => node.port), stop }
      if (attempt === 200) throw new Error(`the cluster did not form: ${states.join('\n')}`)
      await sleep(50)
    }
  } catch (error) {
    await stop()
    throw error
  }
}

async function startRedisNode(): Promise<RedisServer> {
  const settings = (port: number) => ['--cluster-enabled', 'yes', '--cluster-port', String(busPort(port))]
  return startRedis(settings)
}

/** Where nodes talk to each other; below the ports that are given out as free. */
function busPort(port: number): number {
  return port - 10_000
}

async function ask(port: number, question: string): Promise<string> {
  const socket = connect(port, '127.0.0.1').setEncoding('utf8')
  socket.write(`${question}\r\n`)
  const [reply] = (await once(socket, 'data')) as [string]
  socket.destroy()
  if (reply.startsWith('-')) throw new Error(`${question}: ${reply}`)
  return reply
}
