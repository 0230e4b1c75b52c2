/** Whether this process was kept from running: on a busy machine, a late answer says nothing about who gave it. */
import { monitorEventLoopDelay } from 'node:perf_hooks'

export interface Stalls {
  /** The longest stretch, in milliseconds, in which nothing ran since this was last asked. */
  longest(): number
  stop(): void
}

/** Milliseconds between two looks. */
const resolution = 10

export function watchStalls(): Stalls {
  const delays = monitorEventLoopDelay({ resolution })
  delays.enable()
  return {
    longest: () => {
      const longest = delays.max / 1e6 - resolution
      delays.reset()
      return longest
    },
    stop: () => void delays.disable(),
  }
}
