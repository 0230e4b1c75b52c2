/** The clocks of this process, set by hand, while timers run on. */

const RealDate = Date
const realNow = performance.now.bind(performance)
/** Where a clock stands still. */
let present: number | undefined
let monotonic: number | undefined
/** How far the wall clock is ahead where it runs on. */
let ahead = 0

class SetDate extends RealDate {
  constructor(...args: [] | ConstructorParameters<DateConstructor>) {
    if (args.length === 0) super(SetDate.now())
    else super(...args)
  }

  static override now(): number {
    return present ?? RealDate.now() + ahead
  }
}

/** Sets the wall clock so many seconds ahead or back. The monotonic clock knows nothing of it, as in a real jump. */
export function jump(seconds: number): void {
  present = SetDate.now() + seconds * 1_000
  globalThis.Date = SetDate as DateConstructor
}

/** Goes ahead by so many seconds, by both clocks, which stand still there. */
export function travel(seconds: number): void {
  jump(seconds)
  monotonic = (monotonic ?? realNow()) + seconds * 1_000
  performance.now = () => monotonic ?? realNow()
}

/** Sets the wall clock so many seconds ahead, from where it runs on. */
export function leap(seconds: number): void {
  ahead += seconds * 1_000
  globalThis.Date = SetDate as DateConstructor
}

/** Back to the real time. */
export function travelHome(): void {
  ahead = 0
  present = undefined
  monotonic = undefined
  globalThis.Date = RealDate
  performance.now = realNow
}
