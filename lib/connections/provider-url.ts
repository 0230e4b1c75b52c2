/** A URL of a provider, with places for the fields of its connections. */

import type { OptionChecks } from '../options.js'
import type { Fields } from './connection-fields.js'
import { filled, placesIn, templateProblem, type FieldValues } from './url-template.js'

/** The field that chooses an environment. */
export const choice = 'environment'

/** A URL, for whatever values the fields have. */
export interface ProviderUrl {
  readonly places: readonly string[]
  /** What becomes of it, each choice once at least. */
  readonly samples: readonly [string, ...string[]]
  at(values: FieldValues): string
}

/** `name` is that of the environment; nothing where it is the only one. Throws `invalid_configuration`. */
export function checkedUrl(
  option: string,
  value: unknown,
  { fields, name }: { readonly fields: Fields; readonly name?: string },
  check: OptionChecks,
): ProviderUrl {
  const text = check.string(option, value, 'give a URL')
  const places = [...new Set(placesIn(text))]
  for (const place of places) {
    if (!fields.isAlwaysThere(place))
      check.refuse(
        option,
        `has a place for "${place}"`,
        `make "${place}" one of "fields", required or with a default`,
      )
  }
  const problem = templateProblem(text, fields.isFixed)
  if (problem) check.refuse(option, problem.problem, problem.advice)
  const at = (values: FieldValues) => filled(text, values, fields.isFixed)
  const own = name === undefined ? {} : { [choice]: name }
  const trial = (values: FieldValues): string => {
    try {
      return at({ ...values, ...own })
    } catch {
      return check.refuse(option, `is "${text}"`, 'the choices and defaults of its fields must fit in there')
    }
  }
  const [first = {}, ...more] = fields.samples(places)
  return { places, samples: [trial(first), ...more.map(trial)], at }
}
