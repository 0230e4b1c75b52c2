/** A process of the app that comes back when it ends. */

import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { SettingsError } from '../settings.js'

export interface Instance {
  readonly name: string
  readonly pid: number | undefined
  /** Where it listens; nothing while it is down. */
  readonly port: number | undefined
  stop(): void
}

/** Long enough to see the other one go on alone. */
const secondsUntilRestart = 5

export async function startInstance(name: string, env: NodeJS.ProcessEnv): Promise<Instance> {
  let child: ChildProcess | undefined
  let port: number | undefined
  let timer: NodeJS.Timeout | undefined
  let stopped = false

  function start(): ChildProcess {
    // In a group of its own: Ctrl+C in the terminal reaches this process alone, which then ends all in order.
    const started = fork(new URL('app-process.js', import.meta.url), {
      env: { ...env, INSTANCE: name },
      detached: true,
    })
    started.on('message', (message: { port: number }) => {
      port = message.port
    })
    started.on('exit', (code, signal) => {
      const wasUp = port !== undefined
      port = undefined
      if (stopped || (!wasUp && child === undefined)) return
      console.warn(
        `${name} ended (${signal ?? `code ${code}`}). Who is up goes on; ${name} is started again in ${secondsUntilRestart} seconds.`,
      )
      timer = setTimeout(restart, secondsUntilRestart * 1000)
    })
    return started
  }

  function restart(): void {
    child = start()
    child.once('message', () => console.log(`${name} is back: process ${child?.pid}.`))
  }

  const first = start()
  const ended = once(first, 'exit').then(() => {
    throw new SettingsError(`${name} did not start.`)
  })
  await Promise.race([once(first, 'message'), ended])
  ended.catch(() => undefined) // from now on it comes back
  child = first

  return {
    name,
    get pid() {
      return child?.pid
    },
    get port() {
      return port
    },
    stop() {
      stopped = true
      clearTimeout(timer)
      child?.kill()
    },
  }
}
