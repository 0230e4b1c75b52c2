/** The demo in a process of its own, on free ports. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { listening, stopped } from './listening.js'

export interface Demo {
  readonly url: string
  readonly issuer: string
  /** What it printed so far. */
  output(): string
  /** Waits until it has printed this. */
  printed(text: RegExp): Promise<void>
  stop(): Promise<void>
}

/** `program` is `main.js`, one process, or `cluster.js`, several. */
export async function startDemo(
  environment: Readonly<Record<string, string>>,
  program = 'main.js',
): Promise<Demo> {
  const [port, apiPort, serverPort] = await freePorts(3)
  const demo = spawn(process.execPath, [`dist/${program}`], {
    cwd: 'example-app',
    env: { ...process.env, PORT: port, API_PORT: apiPort, AS_PORT: serverPort, ...environment },
  })
  let output = ''
  const url = `http://localhost:${port}`
  await new Promise<void>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      output += chunk.toString()
      if (output.includes('Ctrl+C')) resolve()
    }
    demo.stdout.on('data', read)
    demo.stderr.on('data', read)
    demo.once('exit', () => reject(new Error(`the demo ended: ${output}`)))
  })
  return {
    url,
    issuer: `http://localhost:${serverPort}`,
    output: () => output,
    async printed(text) {
      while (!text.test(output)) await sleep(50)
    },
    async stop() {
      if (demo.exitCode !== null) return
      demo.kill('SIGINT')
      await once(demo, 'exit')
    },
  }
}

/** Found together, so that they differ. */
async function freePorts(count: number): Promise<string[]> {
  const servers = Array.from({ length: count }, () => createServer())
  const urls = await Promise.all(servers.map((server) => listening(server, 'localhost')))
  await Promise.all(servers.map((server) => stopped(server)))
  return urls.map((url) => new URL(url).port)
}
