/**
 * Processes of a campaign, each with its own memory, clock and end: several apps that share a store, or one to kill.
 *
 *     const apps = await startWorkers<AppWorker>(entry, [args, args])
 *     await apps[0].call('measure')
 *     await apps[0].kill() // as kill -9 does; calls that wait are rejected
 *     await stopWorkers(apps)
 */
import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { argsVariable, type Message, type WorkerShape } from './worker.js'

export interface Worker<S extends WorkerShape> {
  readonly pid: number
  /** What it said when it was ready. */
  readonly ready: S['ready']
  /** Rejections that nobody in it handled. */
  readonly rejections: readonly string[]
  /** What it printed as errors so far. */
  readonly stderr: string
  /** How it ended; waits until it has. */
  readonly exited: Promise<Exit>
  /** Asks for a command by its name. Rejects when that throws, or when the process ends before it answers. */
  call<N extends keyof S['commands']>(
    name: N,
    ...argument: CommandOf<S, N> extends (...args: infer A) => unknown ? A : never
  ): Promise<CommandOf<S, N> extends (...args: never) => infer R ? Awaited<R> : never>
  /** Ends it at once, wherever it stands. */
  kill(): Promise<Exit>
  /** Lets it go; it ends without an error. */
  stop(): Promise<Exit>
}

type CommandOf<S extends WorkerShape, N extends keyof S['commands']> = S['commands'][N]

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface WorkerOptions {
  /** Variables beyond those of this process. */
  readonly env?: Readonly<Record<string, string>>
}

/** Milliseconds until a worker must be ready. */
const patience = 20_000

/** One process for each element of `args`, from a file of TypeScript that calls `serveCommands`. All are ready. */
export async function startWorkers<S extends WorkerShape>(
  entry: URL,
  args: readonly S['args'][],
  options: WorkerOptions = {},
): Promise<Worker<S>[]> {
  const starting = await Promise.allSettled(args.map((one) => startWorker<S>(entry, one, options)))
  const workers = starting.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  const failed = starting.find((one) => one.status === 'rejected')
  if (failed === undefined) return workers
  await stopWorkers(workers)
  throw failed.reason
}

export async function stopWorkers(workers: readonly Pick<Worker<WorkerShape>, 'stop'>[]): Promise<void> {
  await Promise.all(workers.map((worker) => worker.stop()))
}

export async function startWorker<S extends WorkerShape>(
  entry: URL,
  args: S['args'],
  { env = {} }: WorkerOptions = {},
): Promise<Worker<S>> {
  const child = fork(fileURLToPath(entry), {
    execArgv: ['--import', 'tsx', '--expose-gc'],
    env: { ...process.env, ...env, [argsVariable]: JSON.stringify(args) },
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  })
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  const rejections: string[] = []
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const exited = endOf(child).then((exit) => {
    const reason = new Error(`the worker ended: ${exit.code ?? exit.signal} ${stderr}`)
    for (const { reject } of waiting.values()) reject(reason)
    waiting.clear()
    return exit
  })
  const ready = new Promise<unknown>((resolve) => {
    child.on('message', (message: Message) => {
      if (message.type === 'ready') resolve(message.ready)
      else if (message.type === 'rejection') rejections.push(message.reason)
      else settle(message)
    })
  })

  function settle(message: Extract<Message, { id: number }>): void {
    const caller = waiting.get(message.id)
    waiting.delete(message.id)
    if (message.type === 'answer') caller?.resolve(message.value)
    else caller?.reject(new Error(message.error))
  }

  let calls = 0
  return {
    ready: await firstOf(ready, exited, child, () => stderr),
    pid: child.pid ?? 0,
    rejections,
    exited,
    get stderr() {
      return stderr
    },
    call: async (name, ...[argument]) =>
      new Promise<never>((resolve, reject) => {
        const id = (calls += 1)
        waiting.set(id, { resolve, reject })
        child.send({ id, name, argument }, (error) => {
          if (error && waiting.delete(id)) reject(error)
        })
      }),
    kill: async () => {
      child.kill('SIGKILL')
      return exited
    },
    stop: async () => {
      if (child.connected) child.disconnect()
      return exited
    },
  }
}

/** The event `close` of a process does not come after `disconnect()`, so what it printed last is waited for here. */
async function endOf(child: ChildProcess): Promise<Exit> {
  const printed = new Promise<void>((resolve) => child.stderr?.once('close', resolve))
  const exit = await new Promise<Exit>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }))
  })
  await printed
  return exit
}

async function firstOf(
  ready: Promise<unknown>,
  exited: Promise<Exit>,
  child: ChildProcess,
  stderr: () => string,
): Promise<unknown> {
  const timer = setTimeout(() => child.kill('SIGKILL'), patience)
  try {
    const ended = exited.then(({ code, signal }) => {
      throw new Error(`a worker ended before it was ready: ${code ?? signal} ${stderr()}`)
    })
    return await Promise.race([ready, ended])
  } finally {
    clearTimeout(timer)
  }
}
