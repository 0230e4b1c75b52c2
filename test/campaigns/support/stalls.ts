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

/** A stretch in which a process did not run, in milliseconds since 1970. */
export interface Stall {
  readonly from: number
  readonly until: number
}

/** Notes each stretch of more than `longest` milliseconds, so that processes can be compared afterwards. */
export function noteStalls(longest: number): { readonly stalls: readonly Stall[]; stop(): void } {
  const stalls: Stall[] = []
  let last = Date.now()
  const timer = setInterval(() => {
    const now = Date.now()
    if (now - last - resolution > longest) stalls.push({ from: last, until: now })
    last = now
  }, resolution).unref()
  return { stalls, stop: () => clearInterval(timer) }
}

/** How long something took, and when it was done, in milliseconds (since 1970). */
export interface Time {
  readonly took: number
  readonly at: number
}

/** Milliseconds of what went on while no process stood still. */
export function undisturbed(times: readonly Time[], stalls: readonly Stall[]): number[] {
  const stretch = 10
  const stretches = (from: number, until: number) =>
    Array.from(
      { length: Math.floor(until / stretch) - Math.floor(from / stretch) + 1 },
      (_, index) => Math.floor(from / stretch) + index,
    )
  const disturbed = new Set(stalls.flatMap(({ from, until }) => stretches(from, until)))
  return times
    .filter(({ took, at }) => !stretches(at - took, at).some((one) => disturbed.has(one)))
    .map(({ took }) => took)
}
