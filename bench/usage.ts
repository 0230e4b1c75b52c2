/** What a process under load has used so far. */
import { readFileSync } from 'node:fs'

/** Processor time since the process began, in microseconds. */
export interface Usage {
  readonly allThreads: number
  readonly mainThread: number
}

export function usage(): Usage {
  const { user, system } = process.cpuUsage()
  return { allThreads: user + system, mainThread: mainThread() }
}

/** What the scheduler counted for the thread that runs JavaScript; nothing where it does not tell. */
function mainThread(): number {
  try {
    return Number(readFileSync('/proc/self/schedstat', 'utf8').split(' ')[0]) / 1_000
  } catch {
    return Number.NaN
  }
}
