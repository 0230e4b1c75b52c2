/** The clocks of this process, set by hand: they stand still between two steps, while timers run on. */

const RealDate = Date
const realNow = performance.now.bind(performance)
let present: number | undefined
let monotonic: number | undefined

class SetDate extends RealDate {
  constructor(...args: [] | ConstructorParameters<DateConstructor>) {
    if (args.length === 0) super(SetDate.now())
    else super(...args)
  }

  static override now(): number {
    return present ?? RealDate.now()
  }
}

/** Sets the wall clock so many seconds ahead or back. The monotonic clock knows nothing of it, as in a real jump. */
export function jump(seconds: number): void {
  present = SetDate.now() + seconds * 1_000
  globalThis.Date = SetDate as DateConstructor
}

/** Goes ahead by so many seconds, by both clocks. */
export function travel(seconds: number): void {
  jump(seconds)
  monotonic = (monotonic ?? realNow()) + seconds * 1_000
  performance.now = () => monotonic ?? realNow()
}

/** Back to the real time. */
export function travelHome(): void {
  present = undefined
  monotonic = undefined
  globalThis.Date = RealDate
  performance.now = realNow
}
