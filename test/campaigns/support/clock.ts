/** The clock of this process, set by hand: it stands still between two steps, while timers run on. */

const RealDate = Date
let present: number | undefined

class SetDate extends RealDate {
  constructor(...args: [] | ConstructorParameters<DateConstructor>) {
    if (args.length === 0) super(SetDate.now())
    else super(...args)
  }

  static override now(): number {
    return present ?? RealDate.now()
  }
}

/** Goes ahead by so many seconds, and stands still there. */
export function travel(seconds: number): void {
  present = SetDate.now() + seconds * 1_000
  globalThis.Date = SetDate as DateConstructor
}

/** Back to the real time. */
export function travelHome(): void {
  present = undefined
  globalThis.Date = RealDate
}
