/** A server program of a test's own: on a free loopback port, in a folder of its own, gone when the test is. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  chownSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export interface ServerProcess {
  readonly port: number
  /** Of the process that runs at the moment. */
  readonly pid: number
  /** Its folder, with what it keeps and its `log`. */
  readonly folder: string
  /** Ends it in order and removes its folder. */
  stop(): Promise<void>
  /** Ends it as a crash does; its folder stays for `restart`. */
  kill(): Promise<void>
  /** It is there and says nothing, as behind a network that swallows packets. */
  pause(): void
  resume(): void
  /** Starts it again on the same port with what it kept; ends it first when it runs. */
  restart(): Promise<void>
}

export interface ServerProgram {
  readonly name: string
  readonly command: string
  arguments(port: number, folder: string): string[]
  /** What the log says when connections are taken. */
  readonly ready: RegExp
  /** The signal to end in order. */
  readonly stopSignal: NodeJS.Signals
  /** Whom it runs as, where that is not the user of the test. */
  readonly user?: { readonly uid: number; readonly gid: number }
  /** Done once, in the empty folder. */
  prepare?(folder: string): Promise<void>
}

/** Ends the last server it heard of and removes the folder when its input ends, which it does however the test ends. */
const guard = `
while read -r line; do pid=$line; done
if [ -n "$pid" ] && [ "$pid" != 0 ]; then
  kill -QUIT "$pid"; kill -CONT "$pid"
  for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$pid" || break; sleep 0.2; done
  kill -KILL "$pid"
fi 2>/dev/null
rm -rf "$1"`

export async function startServerProcess(program: ServerProgram): Promise<ServerProcess> {
  const folder = mkdtempSync(join(tmpdir(), `express-oauth-kit-${program.name}-`))
  // In a session of its own: Ctrl+C in a terminal ends the test, and not what cleans up behind it.
  const cleaner = spawn('sh', ['-c', guard, 'sh', folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  cleaner.unref()
  ;(cleaner.stdin as Socket).unref()
  cleaner.stdin.on('error', () => {})

  let server: ChildProcess | undefined
  let port = 0

  async function start(): Promise<void> {
    const log = join(folder, 'log')
    const output = openSync(log, 'w')
    const started = spawn(program.command, program.arguments(port, folder), {
      cwd: folder,
      stdio: ['ignore', output, output],
      ...program.user,
    })
    closeSync(output)
    started.unref()
    started.on('error', () => {})
    server = started
    cleaner.stdin.write(`${started.pid ?? 0}\n`)
    for (let waited = 0; waited < 30_000; waited += 20) {
      if (program.ready.test(readFileSync(log, 'utf8'))) return
      if (started.pid === undefined || hasEnded(started)) break
      await sleep(20)
    }
    await end('SIGKILL')
    throw new Error(`${program.name} did not start: ${readFileSync(log, 'utf8').slice(-2000)}`)
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (!server?.pid || hasEnded(server)) return
    const ended = once(server, 'exit')
    server.ref()
    const all = family(server.pid)
    // Its children first: without them, what it was about to tell them cannot be told.
    if (signal === 'SIGKILL') for (const pid of all.toReversed()) send(pid, 'SIGKILL')
    else {
      for (const pid of all) send(pid, 'SIGCONT')
      send(server.pid, signal)
    }
    await ended
    cleaner.stdin.write('0\n')
  }

  async function remove(): Promise<void> {
    const cleaned = cleaner.exitCode === null ? once(cleaner, 'exit') : undefined
    cleaner.ref()
    cleaner.stdin.end()
    await cleaned
    rmSync(folder, { recursive: true, force: true })
  }

  try {
    if (program.user) chownSync(folder, program.user.uid, program.user.gid)
    await program.prepare?.(folder)
    for (let attempt = 1; ; attempt++) {
      port = await freePort()
      try {
        await start()
        break
      } catch (error) {
        // Somebody else may have taken the port since.
        if (attempt === 3) throw error
      }
    }
  } catch (error) {
    await remove()
    throw error
  }

  return {
    port,
    get pid() {
      return server?.pid ?? 0
    },
    folder,
    async stop() {
      await end(program.stopSignal)
      await remove()
    },
    kill: () => end('SIGKILL'),
    pause() {
      for (const pid of family(server?.pid ?? 0)) send(pid, 'SIGSTOP')
    },
    resume() {
      for (const pid of family(server?.pid ?? 0)) send(pid, 'SIGCONT')
    },
    async restart() {
      await end(program.stopSignal)
      await start()
    },
  }
}

function hasEnded(server: ChildProcess): boolean {
  return server.exitCode !== null || server.signalCode !== null
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended by itself.
  }
}

/** The process and its children. A server of several processes leaves the group of the first, so parents tell. */
function family(pid: number): number[] {
  if (!existsSync('/proc')) return [pid]
  const children = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && parentOf(name) === pid)
  return [pid, ...children.map(Number)]
}

function parentOf(pid: string): number | undefined {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
  } catch {
    return undefined
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('there is no free port')
  return address.port
}
