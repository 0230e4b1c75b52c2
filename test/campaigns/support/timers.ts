/** Watches the delays of timers in this process: Node makes 1 ms of one that is negative, no number, or longer than 24.8 days. */

const longest = 2 ** 31 - 1
const wrong: string[] = []

/** Delays that no timer can keep, since the start. */
export function wrongDelays(): string[] {
  return wrong
}

/** To be called before anything sets a timer. */
export function watchTimers(): void {
  const { setTimeout: setTimer, setInterval: repeat } = globalThis
  const { timeout } = AbortSignal
  globalThis.setTimeout = Object.assign((...args: Parameters<typeof setTimer>) => {
    check('setTimeout', args[1])
    return setTimer(...args)
  }, setTimer)
  globalThis.setInterval = Object.assign((...args: Parameters<typeof repeat>) => {
    check('setInterval', args[1])
    return repeat(...args)
  }, repeat)
  AbortSignal.timeout = (delay) => {
    check('AbortSignal.timeout', delay)
    return timeout.call(AbortSignal, delay)
  }
}

function check(timer: string, delay: number | undefined): void {
  if (delay !== undefined && !(delay >= 0 && delay <= longest)) wrong.push(`${timer}: ${delay}`)
}
