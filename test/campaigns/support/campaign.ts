/** What a campaign is: a run that measures, and figures that were asked for. */

export interface Campaign {
  readonly title: string
  /** Seconds that the short and the long form may take; one that is not done by then has failed. */
  readonly within: { readonly short: number; readonly long: number }
  run(options: CampaignOptions): Promise<Figure[]>
}

export interface CampaignOptions {
  /** The form for nights and releases, in place of the one for every change. */
  readonly long: boolean
  /** All that is left to chance comes from here, so that the seed repeats a run. */
  readonly random: Random
}

/** A number from 0 up to, but without, 1. */
export type Random = () => number

export interface Figure {
  readonly what: string
  readonly measured: number
  readonly unit: string
  /** The bound, as the table shows it. */
  readonly asked: string
  readonly holds: boolean
  /** Says something about the run; nothing was asked for, and it does not count. */
  readonly isNote?: true
  /** Lines for whoever wants to know what is behind the number; shown when it does not hold. */
  readonly details?: readonly string[]
}

interface Measured {
  readonly unit?: string
  readonly details?: readonly string[]
}

export function atMost(what: string, measured: number, bound: number, more: Measured = {}): Figure {
  return { unit: '', ...more, what, measured, asked: `≤ ${bound}`, holds: measured <= bound }
}

export function atLeast(what: string, measured: number, bound: number, more: Measured = {}): Figure {
  return { unit: '', ...more, what, measured, asked: `≥ ${bound}`, holds: measured >= bound }
}

export function exactly(what: string, measured: number, wanted: number, more: Measured = {}): Figure {
  return { unit: '', ...more, what, measured, asked: String(wanted), holds: measured === wanted }
}

export function noted(what: string, measured: number, more: Measured = {}): Figure {
  return { unit: '', ...more, what, measured, asked: '', holds: true, isNote: true }
}

/** Numbers that look like chance and follow from the seed (mulberry32). */
export function randomFrom(seed: number): Random {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The same things in another order. */
export function shuffled<T>(things: readonly T[], random: Random): T[] {
  return things
    .map((thing): [number, T] => [random(), thing])
    .toSorted(([a], [b]) => a - b)
    .map(([, thing]) => thing)
}
