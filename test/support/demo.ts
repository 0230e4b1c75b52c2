/** The demo in a process of its own, on free ports. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { listening, stopped } from './listening.js'

export interface Demo {
  readonly url: string
  readonly issuer: string
  readonly ports: readonly string[]
  /** What it printed so far. */
  output(): string
  /** Waits until it has printed this. */
  printed(text: RegExp): Promise<void>
  stop(): Promise<void>
}

/**
 * `program` is `main.js`, one process, or `cluster.js`, several. `ports` are those of a demo before, which it takes the place
 * of. What it remembers is in memory, unless DATA names a folder.
 */
export async function startDemo(
  environment: Readonly<Record<string, string>>,
  program = 'main.js',
  ports?: readonly string[],
): Promise<Demo> {
  const [port, apiPort, serverPort, projectsEuPort, hotelPort] = ports ?? (await freePorts(5))
  const demo = spawn(process.execPath, [`dist/${program}`], {
    cwd: 'example-app',
    env: {
      ...process.env,
      PORT: port,
      API_PORT: apiPort,
      AS_PORT: serverPort,
      PROJECTS_EU_PORT: projectsEuPort,
      HOTEL_PORT: hotelPort,
      DATA: 'memory',
      ...environment,
    },
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
    ports: [port, apiPort, serverPort, projectsEuPort, hotelPort].map(String),
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
