/** The clock of the test, which is the clock of everything that runs in it. */
import { onTestFinished, vi } from 'vitest'

/** Goes ahead by so many seconds, by both clocks, and stands still until the test ends; timers run on. */
export function travel(seconds: number): void {
  if (!vi.isFakeTimers()) {
    // A clock that begins at zero would go back, and further the longer the process has been running.
    const passed = performance.now()
    vi.useFakeTimers({ toFake: ['Date', 'performance'], now: Date.now() - passed })
    vi.advanceTimersByTime(passed)
    onTestFinished(() => void vi.useRealTimers())
  }
  vi.advanceTimersByTime(seconds * 1_000)
}

/** Sets the wall clock so many seconds ahead or back, until the test ends; it stands still there. */
export function jump(seconds: number): void {
  if (!vi.isFakeTimers()) {
    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => void vi.useRealTimers())
  }
  vi.setSystemTime(Date.now() + seconds * 1_000)
}
