/** Checks of the options that users pass in: each refusal names the option, what came and what is wanted. */

import { OAuthError } from './errors.js'

/** The checks of one factory's options. */
export interface OptionChecks {
  /** Throws `invalid_configuration`: `<factory>: option "<name>" <problem>; <advice>`. */
  refuse(name: string, problem: string, advice: string): never
  /** A number of seconds within bounds, or the default when it was left out. */
  seconds(
    name: string,
    value: number | undefined,
    range: { default: number; min?: number; max?: number },
  ): number
  /** One of a fixed list of values, or the default (none: the option is mandatory). */
  oneOf<T extends string>(name: string, value: T | undefined, values: readonly T[], byDefault?: T): T
  /** A function, or nothing. */
  function(name: string, value: unknown): void
  /** A string that is not empty. */
  string(name: string, value: unknown, advice: string): string
  /** The checks of an option that has options of its own, which are called `<name>.<option>`. */
  within(name: string, options: unknown, known: Record<string, true>): OptionChecks
}

/** Begins the checks of `options`: refuses an unknown name, and says which was probably meant. */
export function checkOptions(factory: string, options: unknown, known: Record<string, true>): OptionChecks {
  if (options === null || typeof options !== 'object') {
    throw new OAuthError('invalid_configuration', { message: `${factory}: pass an object with options` })
  }
  return checksOf(factory, '', options, known)
}

function checksOf(
  factory: string,
  prefix: string,
  options: object,
  known: Record<string, true>,
): OptionChecks {
  const refuse = (name: string, problem: string, advice: string): never => {
    throw new OAuthError('invalid_configuration', {
      message: `${factory}: option "${prefix}${name}" ${problem}; ${advice}`,
      hint: advice,
    })
  }
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(known, name)) continue
    const meant = nearest(name, Object.keys(known))
    refuse(
      name,
      'is not known',
      meant ? `did you mean "${meant}"?` : `known are ${Object.keys(known).join(', ')}`,
    )
  }
  return {
    refuse,
    within(name, inner, knownInner) {
      const isObject = inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      if (!isObject) return refuse(name, `is ${shown(inner)}`, 'give an object with options')
      return checksOf(factory, `${prefix}${name}.`, inner, knownInner)
    },
    seconds(name, value, { default: byDefault, min = 0, max = Number.MAX_SAFE_INTEGER }) {
      if (value === undefined) return byDefault
      if (typeof value === 'number' && value >= min && value <= max) return value
      return refuse(name, `is ${shown(value)}`, `give a number of seconds from ${min} to ${max}`)
    },
    oneOf(name, value, values, byDefault) {
      const given = value ?? byDefault
      if (given !== undefined && values.includes(given)) return given
      const list = values.map((one) => `"${one}"`).join(' or ')
      return refuse(name, given === undefined ? 'is missing' : `is ${shown(value)}`, `set it to ${list}`)
    },
    function(name, value) {
      if (value !== undefined && typeof value !== 'function')
        refuse(name, `is ${shown(value)}`, 'give a function')
    },
    string(name, value, advice) {
      if (typeof value === 'string' && value !== '') return value
      return refuse(name, value === undefined ? 'is missing' : 'is not a string with content', advice)
    },
  }
}

function shown(value: unknown): string {
  return typeof value === 'string' ? `"${value}"` : String(value)
}

function nearest(name: string, candidates: readonly string[]): string | undefined {
  const [best] = candidates
    .map((candidate) => ({ candidate, distance: editDistance(name.toLowerCase(), candidate.toLowerCase()) }))
    .toSorted((a, b) => a.distance - b.distance)
  return best && best.distance <= Math.max(2, name.length / 3) ? best.candidate : undefined
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
